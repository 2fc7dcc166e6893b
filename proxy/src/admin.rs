//! The admin listener: `/v1`, health, metrics.
//!
//! Owns the HTTP face of operations. Must not change a home itself other than by compare-and-set in the store; has no
//! part in the data path. The CLI and the console are its only clients beside scripts.

pub mod actor;
pub mod armed;
pub mod assignments;
pub mod audit;
pub mod barrier;
pub mod call;
pub mod deployments;
pub mod drift;
pub mod drills;
pub mod error;
pub mod explain;
pub mod extract;
pub mod fate;
pub mod health;
pub mod instances;
pub mod mappings;
pub mod openapi;
pub mod operations;
pub mod paging;
pub mod pins;
pub mod plans;
pub mod proof;
mod query;
pub mod reload;
pub mod routers;
pub mod settings;
pub mod shared;
pub mod sites;
mod tail;
mod text;

use crate::app::reload::Reloader;
use crate::control::registrar::Registrar;
use crate::drill::Driller;
use crate::observe::Inventory;
use crate::pipeline::Pipeline;
use crate::rehome::Executor;
use arc_swap::ArcSwap;
use homing_config::Config;
use homing_mapping_store::feed::Feed;
use homing_mapping_store::{Handle, journal};
use std::sync::Arc;

/// What handlers work on.
pub struct State {
    /// Settings in force.
    pub config: Arc<Config>,
    /// The configuration in force, and the way to another.
    pub reloader: Arc<Reloader>,
    /// The data path, for `explain`.
    pub pipeline: Arc<Pipeline>,
    /// The store.
    pub store: Handle,
    /// What is seen of sites.
    pub inventory: Arc<Inventory>,
    /// The registry as this router follows it.
    pub registrar: Arc<Registrar>,
    /// Carries plans out.
    pub executor: Arc<Executor>,
    /// Carries drills out.
    pub driller: Arc<Driller>,
    /// The change feed.
    pub feed: Arc<Feed>,
    /// This router's journal.
    pub journal: journal::Handle,
    /// Why the router is not ready; `None` when it is.
    pub(crate) unready: ArcSwap<Option<&'static str>>,
}

impl State {
    /// The router takes requests.
    pub fn set_ready(&self) {
        self.unready.store(Arc::new(None));
    }

    /// The router wants no new requests.
    pub fn set_unready(&self, why: &'static str) {
        self.unready.store(Arc::new(Some(why)));
    }
}

/// The admin face over this state.
pub fn service(state: &Arc<State>) -> axum::Router {
    openapi::router().with_state(Arc::clone(state))
}

#[cfg(test)]
mod tests;
