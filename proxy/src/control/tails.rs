//! After a failover to a replica: what of this router's acknowledged work the replica lacked.
//!
//! Owns noticing that another place serves, and the order of questions. Every router answers for itself, also when it is started
//! again after the failover, or after several: starts are asked for by the rows of the table, once its journal is shipped, later
//! writes by its own tail. Marks as lost only what the place that serves itself says it does not have; asks again while it does not
//! answer. What no GET can tell is named as what may be lost.

use crate::clock;
use crate::decide::fate::CLOCKS_DIFFER;
use crate::dialect::trace::Trace;
use crate::dialect::{Found, Head, Presence};
use crate::observe::inspect::Inspector;
use crate::observe::tail::{Kept, Served, Write};
use crate::observe::{Evidence, inventory::Service};
use crate::rehome::Executor;
use crate::rehome::audit::Actor;
use crate::rehome::execute::OPERATIONS_MAX;
use crate::telemetry::chain;
use crate::topology::{Site, Topology};
use arc_swap::ArcSwap;
use bytes::Bytes;
use homing_mapping_store::store::{self, MappingFilter};
use homing_mapping_store::{Generation, Mapping, RoutingKey, SiteId, State, Timestamp, journal};
use http::{HeaderMap, StatusCode};
use past::{Past, Position, failovers, position, reports, said};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The failovers of a site, and what was said of them.
pub mod past;

/// What the trail calls such a report.
pub const ACTION: &str = "failover.tail";
/// Between two syncs of the tails on disk: a power loss takes no more than this and the sync itself.
const SYNC_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at who serves.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the promoted database's agent is waited for to tell how far it had got.
const POSITION_WITHIN: Duration = Duration::from_secs(60);
/// If it does not: how far back rows are asked for.
const UNKNOWN_REACHES_BACK: Duration = Duration::from_hours(1);
/// Longest wait for this router's journal to be shipped; then it is tried again.
const SHIPPED_WITHIN: Duration = Duration::from_secs(10);
/// Rows that are asked for, in pages of so many, and marked in batches as large.
const ROWS_MAX: usize = 10_000;
const PAGE: usize = 500;
/// Things of each sort that a report names (limit `tail_named`); the rest is counted.
pub const NAMED_MAX: usize = 1_000;

/// Further tries of a question without an answer.
const TRIES: usize = 5;

/// Why a report cannot be made yet.
#[derive(Debug, thiserror::Error)]
enum NotYet {
    #[error("the store")]
    Store(#[from] store::Error),
    #[error("the agent of {0} has not said yet how far its database had got")]
    Position(String),
    #[error("this router's journal is not shipped yet")]
    Journal,
    #[error("{0} does not answer well")]
    Place(String),
    #[error("the process that hands over to this one still runs")]
    HandingOver,
}

/// Looks until the task is dropped; costs nothing where no site has a replica.
pub async fn run(executor: Arc<Executor>, journal: journal::Handle) {
    // Since when, on the monotonic clock, another one serves.
    let mut others: HashMap<SiteId, u64> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let topology = executor.topology.load_full();
        for site in topology.sites() {
            if site.live.tail.is_kept() {
                look(&executor, &journal, site, &mut others).await;
            }
        }
    }
}

async fn look(
    executor: &Executor,
    journal: &journal::Handle,
    site: &Arc<Site>,
    others: &mut HashMap<SiteId, u64>,
) {
    let serving = site.live.read(|view| match view.service {
        Service::Serves => view.assigned.clone().map(|by| (by, view.assignment)),
        Service::Switching | Service::Stranger => None,
    });
    let Some((to, at)) = serving else { return };
    let known = site.live.tail.served();
    if known.as_ref().is_some_and(|known| known.at >= at.0) {
        return;
    }
    let now = clock::monotonic_ms();
    let since = *others.entry(site.id).or_insert(now);
    let waited = Duration::from_millis(now.saturating_sub(since));
    let tail = Failover {
        executor,
        site,
        to: &to,
        at,
    };
    if let Err(why) = tail.told(known.as_ref(), journal, waited).await {
        tracing::info!(site = %site.id, "what a failover lost is not known yet: {}", chain(&why));
        return;
    }
    others.remove(&site.id);
    site.live.tail.serves(Served {
        by: to.to_string(),
        at: at.0,
    });
}

/// Keeps the tails on disk; ends with the router.
pub async fn tend(topology: Arc<ArcSwap<Topology>>) {
    loop {
        tokio::time::sleep(SYNC_EVERY).await;
        for site in topology.load().sites() {
            if site.live.tail.is_kept() {
                let site = Arc::clone(site);
                let tended = move || site.live.tail.tend(clock::wall());
                if let Err(error) = tokio::task::spawn_blocking(tended).await {
                    tracing::error!("{}", chain(&error));
                }
            }
        }
    }
}

/// What is named and what is only counted.
#[derive(Default)]
struct Named(Vec<Value>, usize);

impl Named {
    fn add(&mut self, one: Value) {
        self.1 += 1;
        if self.0.len() < NAMED_MAX {
            self.0.push(one);
        }
    }

    fn told(self) -> Value {
        json!({ "count": self.1, "named": self.0 })
    }
}

struct Failover<'a> {
    executor: &'a Executor,
    site: &'a Arc<Site>,
    to: &'a str,
    at: Generation,
}

impl Failover<'_> {
    /// Reports each failover since then, the oldest first, where there is something to report.
    async fn told(
        &self,
        known: Option<&Served>,
        journal: &journal::Handle,
        waited: Duration,
    ) -> Result<(), NotYet> {
        let operations = self.executor.store.operations(OPERATIONS_MAX).await?;
        let name = self.site.id.name();
        let since = known.map(|known| Generation(known.at));
        let mut past = failovers(&operations, name, since, self.at)?;
        let me = &self.executor.config().router.name;
        // A router without a memory of who served has none of what was written either. It says so, if it was there then.
        past.retain(|one| known.is_some() || one.routers.contains(me));
        if past.is_empty() {
            // A planned switch waits until the replica has everything.
            return Ok(());
        }
        if self.site.live.tail.another_runs() {
            return Err(NotYet::HandingOver);
        }
        let trail = reports(&self.executor.store, name).await?;
        let said = said(&trail);
        for one in &past {
            let told = |report: &&Value| report["router"] == **me;
            if !one.of(&said).any(|report| told(&report)) {
                self.report(one, &said, journal, waited).await?;
            }
        }
        Ok(())
    }

    async fn report(
        &self,
        past: &Past,
        said: &[Value],
        journal: &journal::Handle,
        waited: Duration,
    ) -> Result<(), NotYet> {
        let position = match self.position(past, said).await? {
            Some(Position(position)) => position.map(Timestamp),
            None if waited < POSITION_WITHIN => return Err(NotYet::Position(past.to.clone())),
            None => None,
        };
        let shipped = tokio::time::timeout(SHIPPED_WITHIN, journal.drained()).await;
        shipped.map_err(|_| NotYet::Journal)?;
        let place = self.place().await?;
        let now = clock::wall();
        let from = match position {
            Some(position) => back(position, CLOCKS_DIFFER),
            None => back(past.began.unwrap_or(now), UNKNOWN_REACHES_BACK),
        };
        let (rows, all) = self.rows(from, past.ended).await?;
        let (mut lost, mut unsure) = (Vec::new(), Named::default());
        for row in rows {
            match find(&place, &row.key).await {
                Presence::Present(_) => {}
                Presence::Absent => lost.push(row.key),
                Presence::Unclear => unsure.add(json!(row.key.to_string())),
            }
        }
        let kept = match position {
            Some(_) => self.site.live.tail.after(from),
            None => self.site.live.tail.after(Timestamp::default()),
        };
        let complete = all && position.is_some() && kept.since <= from && kept.gaps.is_empty();
        let mut detail = self.writes(&place, past, kept).await;
        let operation = past.operation;
        detail["starts_lost"] = self.mark(operation, &lost).await?;
        detail["starts_may_be_lost"] = unsure.told();
        detail["operation"] = json!(operation.to_string());
        detail["router"] = json!(self.executor.config().router.name);
        detail["installation"] = json!(past.to);
        detail["generation"] = json!(past.at.0);
        detail["position_ms"] = json!(position.map(|position| position.0));
        detail["asked_from_ms"] = json!(from.0);
        detail["complete"] = json!(complete);
        let entry = self.entry(ACTION, operation, &detail);
        self.executor.store.audit_append(&entry).await?;
        tracing::warn!(site = %self.site.id, %detail, "what the failover lost, as far as this router knows");
        Ok(())
    }

    /// What another router has said already, or else the agent of the promoted database, as long as its place serves.
    async fn position(&self, past: &Past, said: &[Value]) -> Result<Option<Position>, NotYet> {
        let told = past.of(said);
        let lowest = told.filter_map(|one| one["position_ms"].as_i64()).min();
        if let Some(lowest) = lowest {
            return Ok(Some(Position(Some(lowest))));
        }
        if past.ended.is_some() {
            // What an agent says now is of a later time.
            return Ok(Some(Position(None)));
        }
        let agents = self.executor.store.agents().await?;
        Ok(position(&agents, self.site.id, self.to))
    }

    /// The place that serves now, once it answers out of the right database.
    async fn place(&self) -> Result<Inspector, NotYet> {
        let well = self.executor.look(self.site.id, self.to).await == Evidence::ProbePassed;
        let mut installations = self.site.installations.iter();
        let installation = installations
            .find(|one| one.name == self.to)
            .filter(|_| well);
        let installation = installation.ok_or_else(|| NotYet::Place(self.to.to_owned()))?;
        let times = self.executor.pipeline.settings.load().times;
        Ok(Inspector {
            site: Arc::clone(self.site),
            installation: Arc::clone(installation),
            via: self.executor.via.clone(),
            connect: times.connect,
            within: times.head,
        })
    }

    /// Held rows of the site that are newer, up to this, and whether these are all.
    async fn rows(
        &self,
        from: Timestamp,
        to: Option<Timestamp>,
    ) -> Result<(Vec<Mapping>, bool), NotYet> {
        let filter = MappingFilter {
            home: Some(self.site.id),
            created_after: Some(Timestamp(from.0.saturating_sub(1))),
            ..MappingFilter::default()
        };
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = self.executor.store.scan(&filter, after.as_ref(), PAGE);
            let page = page.await?;
            let held = page.items.into_iter();
            rows.extend(held.filter(|row| may_be_lost(row, to)));
            match page.next {
                Some(_) if rows.len() >= ROWS_MAX => return Ok((rows, false)),
                Some(next) => after = Some(next),
                None => return Ok((rows, true)),
            }
        }
    }

    async fn mark(&self, operation: Uuid, lost: &[RoutingKey]) -> Result<Value, NotYet> {
        let known = &self.executor.pipeline.resolver.known;
        let mut named = Named::default();
        for keys in lost.chunks(PAGE) {
            let detail = json!({ "operation": operation.to_string(), "keys": keys.len() });
            let entry = self.entry("failover.lost", operation, &detail);
            let store = &self.executor.store;
            store
                .mark_lost(self.site.id, operation, keys, &entry)
                .await?;
            for key in keys {
                // The others hear of it through the change sequence.
                let by = store.loss(key).await?.map(|loss| loss.operation);
                known.set_loss(key, by);
                named.add(json!(key.to_string()));
            }
        }
        Ok(named.told())
    }

    /// What became of later writes: those that the old place had acknowledged.
    async fn writes(&self, place: &Inspector, past: &Past, kept: Kept) -> Value {
        let (mut lost, mut unsure) = (Named::default(), Named::default());
        let gaps = kept.gaps.iter();
        let gaps = gaps.map(|gap| json!({ "from_ms": gap.from.0, "to_ms": gap.to.0 }));
        let gaps: Vec<Value> = gaps.collect();
        let by = past.after..past.at;
        let writes = kept.writes.into_iter();
        for write in writes.filter(|write| by.contains(&write.assignment)) {
            match self.trace(place, &write).await {
                Judged::Starts | Judged::Traced(Trace::Held) => {}
                Judged::Traced(Trace::Lost(why)) => lost.add(told(&write, Some(why))),
                Judged::Untold => unsure.add(told(&write, None)),
            }
        }
        json!({
            "writes_lost": lost.told(),
            "writes_may_be_lost": unsure.told(),
            "writes_known_since_ms": kept.since.0,
            "writes_unknown": gaps,
        })
    }

    async fn trace(&self, place: &Inspector, write: &Write) -> Judged {
        let (site, headers) = (&place.site, HeaderMap::new());
        let path = write.path.strip_prefix(&*site.base_path);
        let path = path.unwrap_or(&write.path);
        let head = Head {
            method: &write.method,
            path,
            query: None,
            headers: &headers,
        };
        let Found::Route(found) = site.dialect.find(&head) else {
            return Judged::Untold;
        };
        if found.operation.class == "create" {
            return Judged::Starts;
        }
        for question in site.dialect.traces(&found, path) {
            let Some((status, body)) = get(place, &question.path).await else {
                return Judged::Untold;
            };
            if let Some(trace) = (question.read)(status, &body) {
                return Judged::Traced(trace);
            }
        }
        Judged::Untold
    }

    fn entry(
        &self,
        action: &str,
        operation: Uuid,
        detail: &Value,
    ) -> homing_mapping_store::audit::AuditEntry {
        let actor = Actor {
            name: format!("router:{}", self.executor.config().router.name),
            reason: None,
            request_id: Some(format!("operation {operation}")),
        };
        actor.entry(action, self.site.id.name(), detail)
    }
}

/// Asks again where no answer came: a place that has just begun to serve is busy.
async fn find(place: &Inspector, key: &RoutingKey) -> Presence {
    let paths = place.site.dialect.locate(key).len();
    let mut found = place.find(key).await;
    for _ in 0..TRIES {
        if found != Presence::Unclear || paths == 0 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        found = place.find(key).await;
    }
    found
}

/// The same for another question.
async fn get(place: &Inspector, path: &str) -> Option<(StatusCode, Bytes)> {
    for _ in 0..TRIES {
        if let Ok(answer) = place.get(path).await {
            return Some(answer);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    place.get(path).await.ok()
}

/// What is known of a write.
enum Judged {
    /// It makes something new: the rows say what became of that.
    Starts,
    /// A GET told.
    Traced(Trace),
    /// None could.
    Untold,
}

fn told(write: &Write, why: Option<&str>) -> Value {
    json!({ "at_ms": write.at.0, "method": write.method.as_str(), "path": &*write.path, "why": why })
}

fn back(from: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp(from.0.saturating_sub(by))
}

/// What was made later, or ended later by the site's own word, was not lost before that.
fn may_be_lost(row: &Mapping, until: Option<Timestamp>) -> bool {
    let earlier = until.is_none_or(|until| {
        let ended_later = row.state == State::Ended && row.updated_at > until;
        row.created_at <= forth(until, CLOCKS_DIFFER) && !ended_later
    });
    row.state != State::Placed && earlier
}

fn forth(from: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp(from.0.saturating_add(by))
}
