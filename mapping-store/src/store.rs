//! The store: the one durable ground that all routers share.
//!
//! Owns the `Store` trait and its record types; the two backends implement it and one conformance suite holds both to
//! it. Must not know HTTP or what a workflow is. Relies on compare-and-set for every change of an existing row.

use crate::agent::{AgentRecord, AgentReport, NewOrder, Order, OrderState, Reporting};
use crate::armed::Armed;
use crate::assignment::{Assignment, SiteRecord, SiteState};
use crate::audit::{AuditEntry, AuditRecord};
pub use crate::change::{CHANGES_MAX, MappingChange, StateChange};
use crate::deployment::{AtSite, DeploymentRecord, NewDeployment};
use crate::drift::DriftStore;
use crate::drill::{DrillProgress, DrillRecord, NewDrill};
pub use crate::intent::OpenIntent;
pub use crate::lease::{Claim, Lease};
use crate::loss::Loss;
use crate::operation::{
    Account, NewOperation, Observation, OperationEvent, OperationRecord, PlanRecord, Progress,
};
use crate::shared::SharedStore;
use crate::switch::{Begun, Override, Switch};
use crate::{Generation, Mapping, RoutingKey, SiteId, Source, State, Timestamp};
use async_trait::async_trait;
use std::sync::Arc;

mod error;
mod sequence;

pub use error::Error;
pub use sequence::{Changed, Changes, Made, Seq};

/// The store as the rest of the process holds it.
pub type Handle = Arc<dyn Store>;

/// A mapping that traffic (through the journal), an import or reconciliation wants to exist: insert-once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMapping {
    pub key: RoutingKey,
    pub home: SiteId,
    pub state: State,
    pub source: Source,
    pub at: Timestamp,
}

/// What became of one `NewMapping`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// The row is new.
    New,
    /// The row was there with the same home.
    Same,
    /// The row names another home. Nothing was written; for held keys this is an alarm.
    Conflict {
        held: SiteId,
        generation: Generation,
    },
}

/// An operator's override for one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    pub key: RoutingKey,
    pub site: SiteId,
    pub generation: Generation,
    pub actor: String,
    pub reason: String,
    pub created_at: Timestamp,
}

/// One step of a mapping's past.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryRow {
    pub seq: Seq,
    pub home: Option<SiteId>,
    pub generation: Generation,
    pub state: State,
    pub source: Source,
    pub at: Timestamp,
    pub actor: Option<String>,
    pub reason: Option<String>,
}

/// Filter of a scan over mappings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MappingFilter {
    pub kind: Option<crate::Kind>,
    pub home: Option<SiteId>,
    pub state: Option<State>,
    /// Text prefix of the id.
    pub id_prefix: Option<String>,
    /// Only rows that were first written after this.
    pub created_after: Option<Timestamp>,
}

/// Opaque place to continue a scan from.
pub type Cursor = String;

/// A page of a scan.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
}

/// Which part of a list: from where a page before it ended, and how much.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// `next` of the page before; `None`: the first page.
    pub after: Option<&'a str>,
    /// Most items.
    pub limit: usize,
}

/// Whether a process is the only one with its journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Beside {
    /// All others have ended.
    #[default]
    Nobody,
    /// One hands over to the other, and both may be sending requests.
    Another,
}

/// A live router, as the registry knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouterRecord {
    pub name: String,
    /// The highest registry revision that it has acknowledged.
    pub registry_acknowledged: u64,
    /// The highest change that it has applied.
    pub applied: Seq,
    pub address: String,
    pub version: String,
    pub config_hash: String,
    /// By the store's clock.
    pub seen_at: Timestamp,
    /// Whether its lease has not run out, by the store's clock.
    pub live: bool,
    /// How long it goes on without the store.
    pub lease_ms: u64,
    /// JSON: whatever else it says of itself.
    pub facts: String,
    /// Tells its journal from any other: of two processes with one journal the earlier one has ended, or hands over.
    pub journal: String,
    /// Whether another process with its journal may be there as well. Said with a heartbeat, not kept.
    pub beside: Beside,
    /// Of this process alone; another one of the same name begins anew.
    pub process: String,
    /// The incarnation in which the store heard of this process first. Read only.
    pub since: u16,
    /// Grows with each heartbeat of a process: one that is late changes nothing.
    pub beat: u64,
}

/// What a router ships from its journal in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Shipment {
    pub router: String,
    pub mappings: Vec<NewMapping>,
    pub intents_opened: Vec<OpenIntent>,
    pub intents_closed: Vec<uuid::Uuid>,
}

/// The store. Every method is one transaction; every change of an existing row is a compare-and-set.
#[async_trait]
pub trait Store: SharedStore + DriftStore + Send + Sync + 'static {
    // -- mappings
    async fn get(&self, key: &RoutingKey) -> Result<Option<Mapping>, Error>;
    async fn get_many(&self, keys: &[RoutingKey]) -> Result<Vec<Option<Mapping>>, Error>;
    async fn history(&self, key: &RoutingKey) -> Result<Vec<HistoryRow>, Error>;
    /// Insert-once, one result per mapping in the shipment's order. Idempotent: shipping twice changes nothing.
    async fn ship(&self, shipment: &Shipment) -> Result<Vec<Inserted>, Error>;
    async fn change(&self, change: &MappingChange) -> Result<Option<Mapping>, Error>;
    /// All of them or none; answers what became of each, in their order.
    async fn change_all(&self, changes: &[MappingChange]) -> Result<Vec<Option<Mapping>>, Error>;
    /// Those that can be; answers them as they are now, without those that have no home any more.
    async fn change_states(&self, change: &StateChange) -> Result<Vec<Mapping>, Error>;
    async fn scan(
        &self,
        filter: &MappingFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Mapping>, Error>;
    /// Those made by changes after `after` up to `to`, as they are now, in that order: the cheapest way to read them all.
    async fn made(&self, after: Seq, to: Seq, limit: usize) -> Result<Made, Error>;
    async fn count(&self, filter: &MappingFilter) -> Result<u64, Error>;
    /// When the newest row of a site was first written.
    async fn newest(&self, home: SiteId) -> Result<Option<Timestamp>, Error>;

    // -- losses: keys whose row stays although their thing is gone
    /// Marks those whose row names this site; answers how many are news.
    async fn mark_lost(
        &self,
        site: SiteId,
        operation: uuid::Uuid,
        keys: &[RoutingKey],
        audit: &AuditEntry,
    ) -> Result<u64, Error>;
    /// Their things are there; answers how many were lost.
    async fn found_again(&self, keys: &[RoutingKey], audit: &AuditEntry) -> Result<u64, Error>;
    async fn loss(&self, key: &RoutingKey) -> Result<Option<Loss>, Error>;
    /// In the order of keys' texts.
    async fn losses(&self, after: Option<&str>, limit: usize) -> Result<Page<Loss>, Error>;

    // -- change sequence
    async fn changes(&self, since: Seq, limit: usize) -> Result<Changes, Error>;
    async fn head(&self) -> Result<Seq, Error>;
    /// Returns when something may have changed, or after a backend-chosen bound. Only a wake-up, never evidence.
    async fn changed(&self);

    // -- pins
    async fn pins(&self) -> Result<Vec<Pin>, Error>;
    async fn pin(
        &self,
        key: &RoutingKey,
        site: Option<SiteId>,
        expected: Option<Generation>,
        audit: &AuditEntry,
    ) -> Result<Option<Pin>, Error>;

    // -- registry, states, assignments
    /// Adds what is missing, changes what differs; answers the registry's revision. Identity, state and assignment of
    /// a known site stay as they are.
    async fn register(&self, router: &str, sites: &[SiteRecord]) -> Result<u64, Error>;
    /// Takes a site that no mapping names any more out of the registry.
    async fn unregister(&self, site: SiteId, audit: &AuditEntry) -> Result<(), Error>;
    async fn registry(&self) -> Result<(u64, Vec<SiteRecord>), Error>;
    async fn set_identity(
        &self,
        site: SiteId,
        expected: Option<&str>,
        identity: &str,
        audit: &AuditEntry,
    ) -> Result<(), Error>;
    async fn set_site_state(
        &self,
        site: SiteId,
        state: SiteState,
        expected: Option<Generation>,
        overrides: &[Override],
        audit: &AuditEntry,
    ) -> Result<SiteRecord, Error>;
    /// An installation that was failed over may be switched to again. `expected`: the quarantine's generation.
    async fn release_quarantine(
        &self,
        site: SiteId,
        installation: &str,
        expected: Option<Generation>,
        audit: &AuditEntry,
    ) -> Result<SiteRecord, Error>;
    async fn assignments(&self) -> Result<Vec<Assignment>, Error>;

    // -- switches: pending -> fenced -> complete, each a compare-and-set on the assignment's generation
    /// Raises the generation and takes the site out of service. Judges the safety rules in the same transaction. The
    /// same operation may ask again and gets the same answer.
    async fn begin_switch(&self, switch: &Switch, audit: &AuditEntry) -> Result<Begun, Error>;
    /// Notes the evidence that the installation that served before can change nothing any more. From now on the
    /// pending installation, and nobody else, is entitled to the site's lease.
    async fn note_fence(
        &self,
        site: SiteId,
        expected: Generation,
        evidence: &str,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error>;
    /// The pending installation serves, at the generation of the switch. Refused before the fence is noted.
    async fn complete_switch(
        &self,
        site: SiteId,
        expected: Generation,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error>;
    /// Back to the installation that served before, with a further generation. After the fence was noted the pending
    /// installation may have begun to serve: then it needs the evidence that it is fenced in its turn.
    async fn abort_switch(
        &self,
        site: SiteId,
        expected: Generation,
        evidence: Option<&str>,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error>;

    /// The same installation serves, at a further generation: whatever knows the one before is superseded. Refused while
    /// a switch is under way.
    async fn raise(
        &self,
        site: SiteId,
        expected: Generation,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error>;

    // -- agents and what they are asked to do
    /// Refused when the agent has reported a higher generation before.
    async fn report(&self, report: &AgentReport, lease_ms: u64) -> Result<AgentRecord, Error> {
        let after = None;
        self.take(Reporting {
            report,
            lease_ms,
            after,
        })
        .await
    }
    /// The same; refused as busy when another report has come between.
    async fn take(&self, reporting: Reporting<'_>) -> Result<AgentRecord, Error>;
    async fn agents(&self) -> Result<Vec<AgentRecord>, Error>;
    /// An agent that is gone for good no longer has to prove that it is fenced.
    async fn forget_agent(
        &self,
        site: SiteId,
        installation: &str,
        holder: &str,
        audit: &AuditEntry,
    ) -> Result<(), Error>;
    /// Refused when the order's generation is not the assignment's. Asked twice it is one order.
    async fn order(&self, order: &NewOrder, audit: &AuditEntry) -> Result<Order, Error>;
    /// The newest orders of a site, oldest first.
    async fn orders(&self, site: SiteId) -> Result<Vec<Order>, Error>;
    /// Compare-and-set on the order's state; refused when the assignment has gone on to a higher generation.
    async fn order_progress(
        &self,
        id: uuid::Uuid,
        expected: OrderState,
        to: OrderState,
        detail: &str,
    ) -> Result<Order, Error>;

    // -- what routers see
    /// Replaces what this process of the router has said before; it counts for `lease_ms`.
    async fn observe(
        &self,
        router: &str,
        process: &str,
        seen: &[Observation],
        lease_ms: u64,
    ) -> Result<(), Error>;
    /// What counts now, by the store's clock.
    async fn observations(&self) -> Result<Vec<Observation>, Error>;

    // -- plans and operations
    /// Immutable: the same hash again changes nothing.
    async fn put_plan(&self, plan: &PlanRecord) -> Result<(), Error>;
    async fn plan(&self, hash: &str) -> Result<Option<PlanRecord>, Error>;
    /// The newest first.
    async fn plans_page(&self, slice: Slice<'_>) -> Result<Page<PlanRecord>, Error>;
    /// Refused when an assignment is not at the plan's generation, when the plan was applied before, or when another
    /// operation works on one of the sites.
    async fn begin_operation(
        &self,
        operation: &NewOperation,
        audit: &AuditEntry,
    ) -> Result<OperationRecord, Error>;
    async fn operation(&self, id: uuid::Uuid) -> Result<Option<OperationRecord>, Error>;
    /// The newest first.
    async fn operations_page(&self, slice: Slice<'_>) -> Result<Page<OperationRecord>, Error>;
    /// The newest ones.
    async fn operations(&self, limit: usize) -> Result<Vec<OperationRecord>, Error> {
        let newest = Slice { after: None, limit };
        Ok(self.operations_page(newest).await?.items)
    }
    /// Keeps or replaces the account of what was done in one go. It has ended whenever it is written.
    async fn record_operation(&self, account: &Account) -> Result<OperationRecord, Error>;
    async fn operation_progress(&self, progress: &Progress) -> Result<OperationRecord, Error>;
    async fn operation_events(&self, id: uuid::Uuid) -> Result<Vec<OperationEvent>, Error>;

    // -- drills
    /// Refused while another drill rehearses one of the sites. Said again it is the same drill.
    async fn begin_drill(&self, new: &NewDrill, audit: &AuditEntry) -> Result<DrillRecord, Error>;
    async fn drill(&self, id: uuid::Uuid) -> Result<Option<DrillRecord>, Error>;
    /// The newest first.
    async fn drills_page(&self, slice: Slice<'_>) -> Result<Page<DrillRecord>, Error>;
    /// Those that have not ended, the oldest first.
    async fn open_drills(&self) -> Result<Vec<DrillRecord>, Error>;
    async fn drill_progress(
        &self,
        progress: &DrillProgress,
        audit: Option<&AuditEntry>,
    ) -> Result<DrillRecord, Error>;

    // -- routers and leases
    async fn heartbeat(&self, router: &RouterRecord, lease_ms: u64) -> Result<(), Error>;
    /// All that are registered. Those whose name another journal has taken, and that may be going on, are among them.
    async fn routers(&self) -> Result<Vec<RouterRecord>, Error>;
    /// The one with this journal: another one may have taken its name.
    async fn forget_router(&self, router: &RouterRecord, audit: &AuditEntry) -> Result<(), Error>;
    /// Takes the lease if it is free, ours or run out. `Ok(None)`: somebody else holds it. The lease `site/SITE` is the
    /// right of the installation HOLDER to serve: it is given only to the one that the assignment entitles
    /// (`Assignment::entitled`), at the assignment's generation; to any other `Error::NotAssigned` names that generation.
    async fn lease(&self, name: &str, holder: &str, ttl_ms: u64) -> Result<Option<Lease>, Error> {
        self.claim(name, holder, ttl_ms, Claim::New).await
    }
    /// The same, saying what one knows of oneself. In an incarnation that has just begun the right to serve a site is
    /// given only to those that continue it, until `lease::quiet` has passed; to others `Ok(None)`.
    async fn claim(
        &self,
        name: &str,
        holder: &str,
        ttl_ms: u64,
        claim: Claim,
    ) -> Result<Option<Lease>, Error>;
    async fn release(&self, name: &str, holder: &str) -> Result<(), Error>;
    /// Who has the lease now, if anybody does.
    async fn holder(&self, name: &str) -> Result<Option<String>, Error>;

    // -- intents
    async fn open_intents(&self, limit: usize) -> Result<Vec<OpenIntent>, Error>;

    // -- deployments: what every site of a scope is to have, in order
    /// Recorded before it is sent, every site `Sending`. Answers its number, which is its place in the order. Who
    /// removes what is removed already gets `Error::Unknown`.
    async fn record_deployment(&self, new: &NewDeployment) -> Result<u64, Error>;
    /// All of them in order, without their content.
    async fn deployments(&self) -> Result<Vec<DeploymentRecord>, Error>;
    async fn deployment_content(&self, number: u64) -> Result<Vec<u8>, Error>;
    /// What was found at sites. A removal that every site has behind it goes, and with it what it removed.
    async fn note_deployment(&self, number: u64, sites: &[AtSite]) -> Result<(), Error>;
    /// It was never promised to anybody. What a withdrawn removal was to remove stays.
    async fn withdraw_deployment(&self, number: u64) -> Result<(), Error>;
    /// A site that joins is to have all that the others have; answers how many it lacked.
    async fn enlist_for_deployments(&self, scope: &str, site: SiteId) -> Result<u64, Error>;

    // -- armed start events: of each definition that starts by itself, the one site that may
    async fn armed(&self) -> Result<Vec<Armed>, Error>;
    /// Whoever comes first; answers the row that holds, which may be another's.
    async fn arm(&self, new: &Armed) -> Result<Armed, Error>;
    /// Compare-and-set; `false`: the row has changed or gone.
    async fn rearm(&self, last: Generation, new: &Armed) -> Result<bool, Error>;
    /// The definition is nowhere any more. `false`: the row has changed or gone.
    async fn forget_armed(&self, row: &Armed) -> Result<bool, Error>;

    // -- suffix hints: the last 17 characters of a time-based UUID -> sites whose engine made such ids
    async fn suffixes(&self) -> Result<Vec<(String, SiteId)>, Error>;
    async fn learn_suffix(&self, suffix: &str, site: SiteId) -> Result<(), Error>;

    // -- audit
    async fn audit(&self, after: Option<u64>, limit: usize) -> Result<Vec<AuditRecord>, Error>;
    async fn audit_append(&self, entry: &AuditEntry) -> Result<AuditRecord, Error>;
    /// Number and hash of the newest record, as the transaction that wrote it noted them.
    async fn audit_end(&self) -> Result<(u64, String), Error>;

    /// The store's incarnation: grows when a store is restored or promoted.
    async fn incarnation(&self) -> Result<u16, Error>;
    /// From now on a database below this incarnation is a copy that was left behind, and counts as away. What this process
    /// sees itself counts as well.
    fn refuse_below(&self, incarnation: u16);
    /// The highest incarnation that this process has seen, or heard of by `refuse_below`.
    fn highest_incarnation(&self) -> u16;
    /// Starts an incarnation above the present one and above `above` (the highest that anybody remembers): after a
    /// restore, or a promotion of another copy. A backend starts one by itself where it can tell.
    async fn begin_incarnation(&self, above: u16, audit: &AuditEntry) -> Result<u16, Error>;
    /// A cheap round trip that proves that the store answers.
    async fn ping(&self) -> Result<(), Error>;
}
