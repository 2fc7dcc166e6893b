//! The engine as its users see it: a [`Handle`] that takes one operation after the other to the machine and the store.
//!
//! Owns the running engine's parts: store, clock, ids, script host, definition cache, bells. Carries out what the
//! machine decided, and decides nothing about processes itself. Must not know HTTP.

mod assembly;
pub(crate) mod cleanup;
mod definitions;
mod deploy;
mod forms;
mod handover;
mod incidents;
mod instances;
mod jobs;
mod messages;
mod pages;
mod queues;
mod scripts;
mod site;
mod statistics;
mod takeover;
mod tasks;
mod turns;
mod work;

pub use cleanup::{AtOnce, Cleaning, Window};
pub use deploy::{Deployed, Upload};
pub use forms::Form;
pub use instances::{Start, Started};
pub use messages::{Correlated, Correlation};
pub use pages::Page as DeployedPage;
pub use queues::FailedTry;
pub(crate) use site::Place;
pub use site::{Identity, View};

use crate::clock::Clock;
use crate::cluster::bells::Bells;
use crate::cluster::branches::Branches;
use crate::ids::Generator;
use crate::limits::Limits;
use crate::machine::Scripts;
use crate::model::Delegates;
use crate::script::QuickJs;
use crate::store::Store;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Tries of a unit that others keep changing under it: those of this engine wait for each other after the first, so that only
/// other engines' and the newest can overtake one.
pub(crate) const CONFLICT_TRIES: usize = 24;
/// Longest pause before a unit is tried again that was overtaken more than once; each is a random part of it.
pub(crate) const CONFLICT_PAUSE: Duration = Duration::from_millis(20);
/// Most instances that one unit may touch: calls within calls.
pub const MAX_UNIT_INSTANCES: usize = 500;

/// The running engine. Clones share it.
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Arc<Inner>,
}

/// What the clones share.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) ids: Generator,
    pub(crate) scripts: Arc<dyn Scripts>,
    /// Where steps with scripts run.
    pub(crate) scripts_at_once: scripts::Places,
    pub(crate) delegates: Delegates,
    pub(crate) definitions: definitions::Cache,
    pub(crate) place: site::Place,
    /// Rung when work may be there.
    pub(crate) bells: Bells,
    /// How its bridges are.
    pub(crate) bridges: crate::bridge::Board,
    /// What this engine measures that it has to give; `None`: like any other.
    pub(crate) weight: watch::Sender<Option<f64>>,
    /// Who tries again, one at a time at each instance.
    pub(crate) turns: turns::Turns,
    /// What this engine takes at most.
    pub(crate) limits: Limits,
    /// What this engine has done so far.
    pub(crate) counters: Counters,
    /// Which jobs of an instance may run at the same time.
    pub(crate) branches: Branches,
    /// When history is cleaned up.
    pub(crate) cleaning: Cleaning,
    /// Rung when somebody wants it cleaned up.
    pub(crate) cleanup_bell: Notify,
}

/// Counts since this engine started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) units: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) jobs_done: AtomicU64,
    pub(crate) jobs_failed: AtomicU64,
    /// Calls over HTTP that were made.
    pub(crate) http_calls: AtomicU64,
    /// Those that came to nothing.
    pub(crate) http_calls_failed: AtomicU64,
    /// Requests, steps and models that were refused because of a limit.
    pub(crate) limit_hits: AtomicU64,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("store", &self.inner.store)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// An engine over a store. It serves when it has had a first look at its site.
    pub(crate) fn new(
        store: Store,
        clock: Clock,
        delegates: Delegates,
        place: site::Place,
        branches: Branches,
        cleaning: Cleaning,
        limits: Limits,
    ) -> Handle {
        let inner = Inner {
            store,
            clock,
            ids: Generator::new(),
            scripts: Arc::new(QuickJs),
            scripts_at_once: scripts::Places::default(),
            delegates,
            definitions: definitions::Cache::default(),
            place,
            bells: Bells::default(),
            bridges: crate::bridge::Board::default(),
            weight: watch::channel(None).0,
            turns: turns::Turns::default(),
            limits,
            counters: Counters::default(),
            branches,
            cleaning,
            cleanup_bell: Notify::new(),
        };
        Handle {
            inner: Arc::new(inner),
        }
    }

    /// The store, for reading lists.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The clock that this engine lives by.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// A bell that rings when external tasks may be there.
    pub(crate) fn work_bell(&self) -> watch::Receiver<u64> {
        self.inner.bells.work()
    }

    pub(crate) fn new_id(&self) -> String {
        self.inner.ids.next_at(self.inner.clock.now())
    }
}
