//! The barrier after a change of one key: who acts on it already, and who has not said so.
//!
//! Owns the wait. Must not change anything. Relies on the heartbeats of routers: each tells the change up to which it has
//! applied everything, and the store's clock tells whose lease has run out.

use super::State;
use super::error::Error;
use crate::clock;
use homing_mapping_store::store::{self, Seq};
use homing_mapping_store::{Generation, RoutingKey};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Longest wait, in milliseconds.
pub const WAIT_MS_MAX: u64 = 60_000;
/// Between two looks at the heartbeats.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How a change of one key is made.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Check everything, change nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Wait so many milliseconds at most (60000 at most) until every live router has applied the change; the answer then
    /// has a `barrier`.
    wait_ms: Option<u64>,
}

impl How {
    /// How long the caller wants to wait.
    pub(super) fn wait(&self) -> Result<Option<Duration>, Error> {
        match self.wait_ms {
            Some(ms) if ms > WAIT_MS_MAX => {
                Err(Error::bad(format!("wait_ms is at most {WAIT_MS_MAX}")))
            }
            wait => Ok(wait.map(Duration::from_millis)),
        }
    }
}

/// Who acts on a change.
#[derive(Serialize, ToSchema)]
pub struct BarrierShape {
    /// The change's place in the store's sequence.
    pub sequence: u64,
    /// Whether every router has applied it, or its lease has run out.
    pub reached: bool,
    /// Routers that have said that they have applied it.
    pub applied: Vec<String>,
    /// Routers whose lease has run out before they said so: they never answer 404 for an id that they do not find, and
    /// serve sites with several installations only if all routers attest, but may still send a key that they know to its
    /// old home.
    pub lapsed: Vec<String>,
    /// Live routers that have not said so in time.
    pub waiting_for: Vec<String>,
}

/// Waits until everybody acts on the version of a key that has this generation; `None`: on its removal, which is the
/// newest.
pub(super) async fn wait(
    state: &State,
    key: &RoutingKey,
    generation: Option<Generation>,
    within: Duration,
) -> Result<BarrierShape, Error> {
    let history = state.store.history(key).await?;
    let version = history
        .iter()
        .rev()
        .find(|version| generation.is_none_or(|generation| version.generation == generation));
    let sequence = match version {
        Some(version) => version.seq,
        // Changed again since: whatever is there now came later.
        None => state.store.head().await?,
    };
    let deadline = clock::now() + within;
    loop {
        let seen = look(state, sequence).await?;
        if seen.reached || clock::now() >= deadline {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        // This router need not wait for its next heartbeat.
        let own = &state.config.router.name;
        if state.feed.applied() >= sequence && seen.waiting_for.contains(own) {
            state.registrar.bell.notify_one();
        }
    }
}

async fn look(state: &State, sequence: Seq) -> Result<BarrierShape, store::Error> {
    let mut seen = BarrierShape {
        sequence: sequence.0,
        reached: true,
        applied: Vec::new(),
        lapsed: Vec::new(),
        waiting_for: Vec::new(),
    };
    for router in state.store.routers().await? {
        if router.applied >= sequence {
            seen.applied.push(router.name);
        } else if router.live {
            seen.waiting_for.push(router.name);
        } else {
            seen.lapsed.push(router.name);
        }
    }
    seen.reached = seen.waiting_for.is_empty();
    Ok(seen)
}
