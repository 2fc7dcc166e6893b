//! The driller: on every router, at work on the one that holds the leader's lease.
//!
//! Owns the loop over drills, who reads meanwhile, and the watches on its own monotonic clock. Level-triggered: each round
//! looks at everything anew, so any router goes on where another was killed; what it measures begins anew with it.

use super::course::{Course, Mode, Phase, Starts, Way};
use super::load::Load;
use super::tally::{Reads, Tally};
use crate::clock;
use crate::pipeline::Pipeline;
use crate::rehome::Executor;
use crate::rehome::execute::LEADER;
use crate::resolve::withheld::Share;
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use homing_mapping_store::SiteId;
use homing_mapping_store::drill::{DrillProgress, DrillRecord};
use homing_mapping_store::operation::Ends;
use homing_mapping_store::store::Error;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

/// Between two looks at a drill that is under way.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What was counted is kept at least so often.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Carries drills out.
pub struct Driller {
    /// Carries the ways out.
    pub executor: Arc<Executor>,
    /// The data path: what is read goes through it.
    pub pipeline: Arc<Pipeline>,
    /// Rung when there may be something to do.
    pub bell: Notify,
    watched: Mutex<HashMap<Uuid, Watched>>,
}

/// A drill as this router carries it out.
pub(super) struct Watched {
    pub(super) tally: Arc<Tally>,
    pub(super) load: Option<Load>,
    /// What other routers had counted before.
    before: (Reads, Starts),
    started: Starts,
    mark: Mark,
    /// Since when what the mark says is true.
    pub(super) since: Instant,
    kept: Instant,
    /// When the way back was last planned.
    pub(super) planned: Option<Instant>,
    /// When this router applied each plan of it, by hash; another one's time is not known here.
    pub(super) applied: HashMap<String, Instant>,
}

/// What a drill is busy with: its phase, and how many ways are over.
type Mark = (Phase, usize);

fn mark(course: &Course) -> Mark {
    let over = course.legs.iter().filter(|leg| leg.over).count();
    (course.phase, over)
}

impl Watched {
    fn new(course: &Course) -> Watched {
        let now = clock::now();
        let tally = Tally::default();
        let way = match course.phase {
            Phase::There | Phase::Stay => Some(Way::There),
            Phase::Back => Some(Way::Back),
            Phase::Judge | Phase::Ended => None,
        };
        for leg in course.legs.iter().filter(|leg| Some(leg.way) == way) {
            if course.wanted.mode == Mode::Failover && leg.way == Way::There {
                tally.loses(leg.subject(), &leg.from, &leg.to);
            } else {
                tally.sets_out(leg.subject(), &leg.from, &leg.to);
            }
        }
        Watched {
            tally: Arc::new(tally),
            load: None,
            before: (course.reads.clone(), course.starts.clone()),
            started: Starts::counted(),
            mark: mark(course),
            since: now,
            kept: now,
            planned: None,
            applied: HashMap::new(),
        }
    }

    pub(super) fn took(&self) -> Duration {
        clock::now().saturating_duration_since(self.since)
    }

    /// What was counted so far, into the course.
    fn count(&self, course: &mut Course) {
        course.reads = self.tally.reads().with(&self.before.0);
        if course.wanted.mode == Mode::Park && course.phase == Phase::Stay {
            let mut starts = self.before.1.clone();
            starts.add(&Starts::counted().since(&self.started));
            course.starts = starts;
        }
    }
}

impl Driller {
    /// A driller that has not looked yet.
    pub fn new(executor: Arc<Executor>, pipeline: Arc<Pipeline>) -> Driller {
        Driller {
            executor,
            pipeline,
            bell: Notify::new(),
            watched: Mutex::new(HashMap::new()),
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
                Ok(0) => self.executor.config().lease.renew_every,
                Ok(_) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!("drills cannot be looked at: {}", chain(&error));
                    self.executor.config().lease.renew_every
                }
            };
        }
    }

    async fn round(&self) -> Result<usize, Error> {
        let store = &self.executor.store;
        let open = store.open_drills().await?;
        self.withhold(&open);
        let mut watched = self.watched.lock().await;
        if open.is_empty() {
            watched.clear();
            return Ok(0);
        }
        let config = self.executor.config();
        let ttl = u64::try_from(config.lease.router.as_millis()).unwrap_or(u64::MAX);
        let leads = store.lease(LEADER, &config.router.name, ttl).await?;
        if leads.is_none() {
            // Whoever leads reads; two that read would count everything twice.
            watched.clear();
            return Ok(open.len());
        }
        watched.retain(|id, _| open.iter().any(|one| one.id == *id));
        for record in &open {
            // One that cannot go on must not keep the others from it.
            if let Err(error) = self.advance(record, &mut watched).await {
                tracing::warn!(drill = %record.id, "a drill does not get on: {}", chain(&error));
            }
        }
        Ok(open.len())
    }

    /// Obeys the drills that take a share of the placements from a site; as long as this router hears of them.
    fn withhold(&self, open: &[DrillRecord]) {
        let mut shares = HashMap::new();
        for record in open {
            let Ok(course) = Course::of(record) else {
                continue;
            };
            if course.wanted.mode == Mode::Park && course.phase == Phase::Stay {
                for site in &course.sites {
                    shares.insert(SiteId::named(site), Share::of(course.wanted.share));
                }
            }
        }
        let until = clock::monotonic_ms().saturating_add(
            u64::try_from(self.executor.config().lease.router.as_millis()).unwrap_or(u64::MAX),
        );
        self.pipeline.resolver.withheld.set(shares, until);
    }

    async fn advance(
        &self,
        record: &DrillRecord,
        all: &mut HashMap<Uuid, Watched>,
    ) -> Result<(), Error> {
        let mut course = Course::of(record)?;
        let before = course.clone();
        let watched = all
            .entry(record.id)
            .or_insert_with(|| Watched::new(&course));
        self.read(&mut course, watched);
        watched.count(&mut course);
        self.step(record.id, &mut course, watched).await?;
        let now = clock::now();
        let counted = course.reads != before.reads || course.starts != before.starts;
        let stale = now.saturating_duration_since(watched.kept) >= KEEP_EVERY;
        let moved = Course {
            reads: before.reads.clone(),
            starts: before.starts.clone(),
            ..course.clone()
        } != before;
        if moved || (counted && stale) {
            self.keep(record, &course).await?;
            watched.kept = now;
        }
        if mark(&course) != watched.mark {
            watched.mark = mark(&course);
            watched.since = now;
            watched.planned = None;
        }
        Ok(())
    }

    /// Takes up reading, and says who did.
    fn read(&self, course: &mut Course, watched: &mut Watched) {
        let name = &self.pipeline.name;
        if course.routers.last() != Some(name) {
            course.routers.push(name.clone());
        }
        if watched.load.is_some() || matches!(course.phase, Phase::Judge | Phase::Ended) {
            return;
        }
        let tally = Arc::clone(&watched.tally);
        match Load::start(&self.pipeline, course.probes.clone(), tally) {
            Ok(load) => watched.load = Some(load),
            Err(error) => tracing::warn!("nothing is read for a drill: {error}"),
        }
    }

    async fn keep(&self, record: &DrillRecord, course: &Course) -> Result<(), Error> {
        let ended = course.phase == Phase::Ended;
        let (state, ends) = if ended {
            (course.verdict(), Ends::Yes)
        } else {
            ("running", Ends::No)
        };
        let progress = DrillProgress {
            id: record.id,
            expected: record.generation,
            state: state.to_owned(),
            body: course.body(),
            ends,
        };
        let detail = serde_json::json!({ "drill": record.id.to_string(), "verdict": state });
        let entry = course
            .actor(record.id)
            .entry("drill.end", &record.subject, &detail);
        let entry = ended.then_some(&entry);
        self.executor.store.drill_progress(&progress, entry).await?;
        if ended {
            tracing::info!(drill = %record.id, verdict = state, "a drill has ended");
            let labels = [course.wanted.mode.as_str(), state];
            metrics().drills.with_label_values(&labels).inc();
        }
        Ok(())
    }
}
