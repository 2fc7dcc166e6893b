//! The executor: on every router, at work on the one that holds the leader's lease.
//!
//! Owns the loop over operations and the watches on its own monotonic clock. Level-triggered: each round looks at
//! everything anew, so any router can go on where another was killed.

use super::automatic::Advised;
use super::step::{Outcome, Stepper, millis};
use super::work::{Step, Work};
use crate::attest::Witness;
use crate::clock;
use crate::decide::fence::{Clocks, Informed};
use crate::decide::world::Agent;
use crate::observe::probe::{self, Identities};
use crate::pipeline::Pipeline;
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use crate::topology::Topology;
use arc_swap::ArcSwap;
use homing_config::Config;
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::operation::{Ends, OperationRecord, Progress};
use homing_mapping_store::store::Error;
use homing_mapping_store::{Generation, Handle, SiteId};
use http::HeaderValue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use uuid::Uuid;

/// The lease of the router that carries plans out.
pub const LEADER: &str = "leader";
/// Between two looks at an operation that is under way.
const WORKING_EVERY: Duration = Duration::from_millis(200);
/// The same while an operation gets on: requests wait for its steps.
const HURRYING_EVERY: Duration = Duration::from_millis(50);
/// Without a step for so long it waits for somebody.
const HURRIES_FOR: Duration = Duration::from_secs(30);
/// Operations looked at in a round; open ones are among the newest.
pub const OPERATIONS_MAX: usize = 100;

/// Carries plans out.
pub struct Executor {
    /// The store.
    pub store: Handle,
    /// What this router fronts.
    pub topology: Arc<ArcSwap<Topology>>,
    /// Who keeps the identities of sites.
    pub identities: Arc<dyn Identities>,
    /// How it looks at a new place.
    pub probe: probe::Settings,
    /// The `Via` of its own requests.
    pub via: HeaderValue,
    /// Placement, limits and times of this router's requests.
    pub pipeline: Arc<Pipeline>,
    /// What this router attests to: nothing before a switch that it watches.
    pub witness: Arc<Witness>,
    settings: ArcSwap<Config>,
    watches: Mutex<HashMap<(Uuid, SiteId, Generation), Watched>>,
    /// Rung when something may have changed.
    pub bell: Notify,
    /// What sites that may fail over by themselves are about to do.
    pub advised: Advised,
}

/// Since when a switch is watched, and what its agents had said by then.
struct Watched {
    since: Option<Instant>,
    counters: HashMap<String, u64>,
}

/// Whether a round has found work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Work,
    /// Work that gets on.
    Progress,
}

impl Executor {
    /// An executor that has not looked yet.
    pub fn new(
        store: Handle,
        topology: Arc<ArcSwap<Topology>>,
        identities: Arc<dyn Identities>,
        probe: probe::Settings,
        pipeline: Arc<Pipeline>,
        witness: Arc<Witness>,
        config: Arc<Config>,
    ) -> Executor {
        Executor {
            store,
            topology,
            identities,
            probe,
            via: pipeline.via.clone(),
            pipeline,
            witness,
            settings: ArcSwap::new(config),
            watches: Mutex::new(HashMap::new()),
            bell: Notify::new(),
            advised: Advised::default(),
        }
    }

    /// Follows another configuration from now on.
    pub fn replace(&self, config: Config) {
        self.settings.store(Arc::new(config));
    }

    /// The configuration in force: safety rules, leases, what sites declare.
    pub fn config(&self) -> Arc<Config> {
        self.settings.load_full()
    }

    pub(super) fn clocks(&self) -> Clocks {
        let config = self.config();
        let lease = &config.lease;
        Clocks {
            router: lease.router,
            site: lease.site,
            drift: lease.drift,
            margin: lease.margin,
        }
    }

    /// Works until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.bell.notified() => {}
            }
            pause = match self.round().await {
                Ok(Found::Work) => WORKING_EVERY,
                Ok(Found::Progress) => HURRYING_EVERY,
                Ok(Found::Nothing) => self.config().lease.renew_every,
                Err(error) => {
                    tracing::warn!("operations cannot be looked at: {}", chain(&error));
                    self.config().lease.renew_every
                }
            };
        }
    }

    async fn round(&self) -> Result<Found, Error> {
        let operations = self.store.operations(OPERATIONS_MAX).await?;
        let open: Vec<OperationRecord> = operations
            .into_iter()
            .filter(|one| one.ended_at.is_none())
            .collect();
        if open.is_empty() {
            self.forget();
            return Ok(Found::Nothing);
        }
        let ttl = millis(self.config().lease.router);
        let config = self.config();
        if self
            .store
            .lease(LEADER, &config.router.name, ttl)
            .await?
            .is_none()
        {
            return Ok(Found::Work);
        }
        let hurries_since = clock::wall().0 - i64::try_from(HURRIES_FOR.as_millis()).unwrap_or(0);
        let gets_on = open.iter().any(|one| one.updated_at.0 > hurries_since);
        for operation in open {
            // One that cannot go on must not keep the others from it.
            if let Err(error) = self.advance(operation).await {
                tracing::warn!("an operation does not get on: {}", chain(&error));
            }
        }
        Ok(if gets_on {
            Found::Progress
        } else {
            Found::Work
        })
    }

    fn forget(&self) {
        self.watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Takes every step of an operation that can be taken now.
    async fn advance(&self, mut operation: OperationRecord) -> Result<(), Error> {
        let mut work = Work::of(&operation)?;
        for at in 0..work.moves.len() {
            let before = work.moves[at].clone();
            if before.step.is_last() {
                continue;
            }
            let mut moving = before.clone();
            let stepper = Stepper {
                executor: self,
                operation: &operation,
                work: &work,
            };
            let (what, detail) = match stepper.take(&mut moving).await {
                Outcome::To(step, detail) => {
                    moving.step = step;
                    moving.note.clone_from(&detail);
                    (format!("{}: {}", moving.of.site, step.as_str()), detail)
                }
                Outcome::Waits(note) => {
                    if gist(&note) == gist(&before.note) {
                        continue;
                    }
                    moving.note.clone_from(&note);
                    (format!("{}: waits", moving.of.site), note)
                }
            };
            tracing::info!(operation = %operation.id, %what, %detail, "re-homing");
            let to = moving.step;
            work.moves[at] = moving;
            operation = self.note(&operation, &work, what, detail).await?;
            if to == Step::Done || to == Step::Aborted {
                self.bell.notify_one();
            }
        }
        Ok(())
    }

    async fn note(
        &self,
        operation: &OperationRecord,
        work: &Work,
        what: String,
        detail: String,
    ) -> Result<OperationRecord, Error> {
        let blocked = work
            .moves
            .iter()
            .any(|one| !one.step.is_last() && one.note.starts_with("blocked"));
        let state = match work.result() {
            Some(result) => result,
            None if blocked => "blocked",
            None => "running",
        };
        let progress = Progress {
            id: operation.id,
            expected: operation.generation,
            state: state.to_owned(),
            body: work.body(),
            ends: match work.result() {
                Some(_) => Ends::Yes,
                None => Ends::No,
            },
            what,
            detail,
        };
        let noted = self.store.operation_progress(&progress).await?;
        if let Some(result) = work.result() {
            let labels = [operation.verb.as_str(), result];
            metrics().operations.with_label_values(&labels).inc();
        }
        Ok(noted)
    }

    /// How long this router has watched a switch, and what the agents had said when it began to. A router that takes
    /// over begins anew: its clock says nothing of what another one saw. From before the first moment of the watch it
    /// attests to nothing before the switch; until somebody whose word counts does so, the watch has not begun.
    pub(super) fn watch(
        &self,
        operation: Uuid,
        held: &Assignment,
        agents: &[Agent],
        informed: Informed,
    ) -> (Duration, Vec<Option<u64>>) {
        self.witness.watches(held.site, held.generation);
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (operation, held.site, held.generation);
        let watched = watches.entry(key).or_insert_with(|| Watched {
            since: None,
            counters: agents
                .iter()
                .map(|agent| (agent.holder.clone(), agent.counter))
                .collect(),
        });
        // From the first look at which somebody does, not from the last one at which nobody did.
        match informed {
            Informed::Nobody => watched.since = None,
            Informed::Enough => {
                watched.since.get_or_insert_with(clock::now);
            }
        }
        let counters = agents
            .iter()
            .map(|agent| watched.counters.get(&agent.holder).copied());
        let since = watched
            .since
            .map(|since| clock::now().saturating_duration_since(since));
        (since.unwrap_or_default(), counters.collect())
    }
}

/// A note without what changes from look to look: what follows the first semicolon.
fn gist(note: &str) -> &str {
    note.split(';').next().unwrap_or(note)
}
