//! The store in SQL: its logic, written once for both databases.
//!
//! Owns what each operation means. Must not know which database it talks to. Relies on a `Backend` for sessions.

mod access;
mod agents;
mod armed;
mod changes;
#[cfg(test)]
mod crash;
mod deployments;
mod drift;
mod drills;
mod floor;
mod intents;
pub(crate) mod key;
mod leases;
mod losses;
mod mappings;
mod names;
mod newest;
mod observations;
mod operations;
mod orders;
mod pins;
mod plans;
mod quarantine;
mod registry;
mod routers;
mod safety;
pub(crate) mod session;
mod shared;
mod ship;
mod sites;
mod states;
mod suffixes;
mod switch;
mod timed;
mod trail;
mod write;

pub use agents::FACTS_BYTES_MAX;
pub use ship::SHIPMENT_MAX;
pub use write::INCARNATION_MAX;

use crate::agent::{AgentRecord, NewOrder, Order, OrderState, Reporting};
use crate::assignment::{Assignment, SiteRecord, SiteState};
use crate::audit::{AuditEntry, AuditRecord};
use crate::deployment::{AtSite, DeploymentRecord, NewDeployment};
use crate::drill::{DrillProgress, DrillRecord, NewDrill};
use crate::loss::Loss;
use crate::mapping::{Generation, Mapping, Timestamp};
use crate::operation::{
    Account, NewOperation, Observation, OperationEvent, OperationRecord, PlanRecord, Progress,
};
use crate::store::{
    Changes, Claim, Cursor, Error, HistoryRow, Inserted, Lease, Made, MappingChange, MappingFilter,
    OpenIntent, Page, Pin, RouterRecord, Seq, Shipment, Slice, StateChange, Store,
};
use crate::switch::{Begun, Override, Switch};
use crate::{RoutingKey, SiteId, armed::Armed};
use async_trait::async_trait;
use session::Backend;
use {floor::Floor, names::Names};

pub(crate) struct Sql {
    backend: Box<dyn Backend>,
    names: Names,
    floor: Floor,
}

#[async_trait]
impl Store for Sql {
    async fn get(&self, key: &RoutingKey) -> Result<Option<Mapping>, Error> {
        Ok(self
            .mappings_of(std::slice::from_ref(key))
            .await?
            .pop()
            .flatten())
    }

    async fn get_many(&self, keys: &[RoutingKey]) -> Result<Vec<Option<Mapping>>, Error> {
        self.mappings_of(keys).await
    }

    async fn history(&self, key: &RoutingKey) -> Result<Vec<HistoryRow>, Error> {
        self.history_of(key).await
    }

    async fn ship(&self, shipment: &Shipment) -> Result<Vec<Inserted>, Error> {
        self.take_shipment(shipment).await
    }

    async fn change(&self, change: &MappingChange) -> Result<Option<Mapping>, Error> {
        self.change_mapping(change).await
    }

    async fn change_all(&self, changes: &[MappingChange]) -> Result<Vec<Option<Mapping>>, Error> {
        self.change_mappings(changes).await
    }

    async fn change_states(&self, change: &StateChange) -> Result<Vec<Mapping>, Error> {
        self.change_states_of(change).await
    }

    async fn scan(
        &self,
        filter: &MappingFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Mapping>, Error> {
        self.scan_mappings(filter, after, limit).await
    }

    async fn made(&self, after: Seq, to: Seq, limit: usize) -> Result<Made, Error> {
        self.made_between(after, to, limit).await
    }

    async fn count(&self, filter: &MappingFilter) -> Result<u64, Error> {
        self.count_mappings(filter).await
    }

    async fn newest(&self, home: SiteId) -> Result<Option<Timestamp>, Error> {
        self.newest_mapping(home).await
    }

    async fn mark_lost(
        &self,
        site: SiteId,
        operation: uuid::Uuid,
        keys: &[RoutingKey],
        audit: &AuditEntry,
    ) -> Result<u64, Error> {
        self.mark_losses(site, operation, keys, audit).await
    }

    async fn found_again(&self, keys: &[RoutingKey], audit: &AuditEntry) -> Result<u64, Error> {
        self.end_losses(keys, audit).await
    }

    async fn loss(&self, key: &RoutingKey) -> Result<Option<Loss>, Error> {
        self.loss_of(key).await
    }

    async fn losses(&self, after: Option<&str>, limit: usize) -> Result<Page<Loss>, Error> {
        self.page_of_losses(after, limit).await
    }

    async fn raise(
        &self,
        site: SiteId,
        expected: Generation,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        self.raise_generation(site, expected, audit).await
    }

    async fn changes(&self, since: Seq, limit: usize) -> Result<Changes, Error> {
        self.changes_since(since, limit).await
    }

    async fn head(&self) -> Result<Seq, Error> {
        let mut session = self.read("read the newest change").await?;
        let head = changes::head(session.as_mut()).await?;
        session.commit().await?;
        Ok(Seq(head))
    }

    async fn changed(&self) {
        self.backend.changed().await;
    }

    async fn pins(&self) -> Result<Vec<Pin>, Error> {
        self.all_pins().await
    }

    async fn pin(
        &self,
        key: &RoutingKey,
        site: Option<SiteId>,
        expected: Option<Generation>,
        audit: &AuditEntry,
    ) -> Result<Option<Pin>, Error> {
        self.set_pin(key, site, expected, audit).await
    }

    async fn register(&self, router: &str, sites: &[SiteRecord]) -> Result<u64, Error> {
        self.register_sites(router, sites).await
    }

    async fn unregister(&self, site: SiteId, audit: &AuditEntry) -> Result<(), Error> {
        self.unregister_site(site, audit).await
    }

    async fn registry(&self) -> Result<(u64, Vec<SiteRecord>), Error> {
        self.all_sites().await
    }

    async fn set_identity(
        &self,
        site: SiteId,
        expected: Option<&str>,
        identity: &str,
        audit: &AuditEntry,
    ) -> Result<(), Error> {
        self.change_identity(site, expected, identity, audit).await
    }

    async fn set_site_state(
        &self,
        site: SiteId,
        state: SiteState,
        expected: Option<Generation>,
        overrides: &[Override],
        audit: &AuditEntry,
    ) -> Result<SiteRecord, Error> {
        self.change_site_state(site, state, expected, overrides, audit)
            .await
    }

    async fn release_quarantine(
        &self,
        site: SiteId,
        installation: &str,
        expected: Option<Generation>,
        audit: &AuditEntry,
    ) -> Result<SiteRecord, Error> {
        self.release_installation(site, installation, expected, audit)
            .await
    }

    async fn assignments(&self) -> Result<Vec<Assignment>, Error> {
        self.all_assignments().await
    }

    async fn begin_switch(&self, switch: &Switch, audit: &AuditEntry) -> Result<Begun, Error> {
        self.start_switch(switch, audit).await
    }

    async fn note_fence(
        &self,
        site: SiteId,
        expected: Generation,
        evidence: &str,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        self.keep_fence(site, expected, evidence, audit).await
    }

    async fn complete_switch(
        &self,
        site: SiteId,
        expected: Generation,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        self.end_switch(site, expected, audit).await
    }

    async fn abort_switch(
        &self,
        site: SiteId,
        expected: Generation,
        evidence: Option<&str>,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        self.undo_switch(site, expected, evidence, audit).await
    }

    async fn take(&self, reporting: Reporting<'_>) -> Result<AgentRecord, Error> {
        self.take_report(reporting).await
    }

    async fn agents(&self) -> Result<Vec<AgentRecord>, Error> {
        self.all_agents().await
    }

    async fn forget_agent(
        &self,
        site: SiteId,
        installation: &str,
        holder: &str,
        audit: &AuditEntry,
    ) -> Result<(), Error> {
        self.remove_agent(site, installation, holder, audit).await
    }

    async fn order(&self, order: &NewOrder, audit: &AuditEntry) -> Result<Order, Error> {
        self.give_order(order, audit).await
    }

    async fn orders(&self, site: SiteId) -> Result<Vec<Order>, Error> {
        self.orders_of(site).await
    }

    async fn order_progress(
        &self,
        id: uuid::Uuid,
        expected: OrderState,
        to: OrderState,
        detail: &str,
    ) -> Result<Order, Error> {
        self.move_order(id, expected, to, detail).await
    }

    async fn observe(
        &self,
        router: &str,
        process: &str,
        seen: &[Observation],
        lease_ms: u64,
    ) -> Result<(), Error> {
        self.observe_as(router, process, seen, lease_ms).await
    }

    async fn observations(&self) -> Result<Vec<Observation>, Error> {
        self.all_observations().await
    }

    async fn put_plan(&self, plan: &PlanRecord) -> Result<(), Error> {
        self.keep_plan(plan).await
    }

    async fn plan(&self, hash: &str) -> Result<Option<PlanRecord>, Error> {
        self.one_plan(hash).await
    }

    async fn plans_page(&self, slice: Slice<'_>) -> Result<Page<PlanRecord>, Error> {
        self.newest_plans(slice).await
    }

    async fn begin_operation(
        &self,
        operation: &NewOperation,
        audit: &AuditEntry,
    ) -> Result<OperationRecord, Error> {
        self.start_operation(operation, audit).await
    }

    async fn operation(&self, id: uuid::Uuid) -> Result<Option<OperationRecord>, Error> {
        self.one_operation(id).await
    }

    async fn operations_page(&self, slice: Slice<'_>) -> Result<Page<OperationRecord>, Error> {
        self.newest_operations(slice).await
    }

    async fn record_operation(&self, account: &Account) -> Result<OperationRecord, Error> {
        self.write_account(account).await
    }

    async fn operation_progress(&self, progress: &Progress) -> Result<OperationRecord, Error> {
        self.step_operation(progress).await
    }

    async fn operation_events(&self, id: uuid::Uuid) -> Result<Vec<OperationEvent>, Error> {
        self.events_of(id).await
    }

    async fn begin_drill(&self, new: &NewDrill, audit: &AuditEntry) -> Result<DrillRecord, Error> {
        self.start_drill(new, audit).await
    }

    async fn drill(&self, id: uuid::Uuid) -> Result<Option<DrillRecord>, Error> {
        self.one_drill(id).await
    }

    async fn drills_page(&self, slice: Slice<'_>) -> Result<Page<DrillRecord>, Error> {
        self.newest_drills(slice).await
    }

    async fn open_drills(&self) -> Result<Vec<DrillRecord>, Error> {
        self.running_drills().await
    }

    async fn drill_progress(
        &self,
        progress: &DrillProgress,
        audit: Option<&AuditEntry>,
    ) -> Result<DrillRecord, Error> {
        self.step_drill(progress, audit).await
    }

    async fn heartbeat(&self, router: &RouterRecord, lease_ms: u64) -> Result<(), Error> {
        self.note_router(router, lease_ms).await
    }

    async fn routers(&self) -> Result<Vec<RouterRecord>, Error> {
        self.all_routers().await
    }

    async fn forget_router(&self, router: &RouterRecord, audit: &AuditEntry) -> Result<(), Error> {
        self.remove_router(router, audit).await
    }

    async fn claim(
        &self,
        name: &str,
        holder: &str,
        ttl_ms: u64,
        claim: Claim,
    ) -> Result<Option<Lease>, Error> {
        self.take_lease(name, holder, ttl_ms, claim).await
    }

    async fn release(&self, name: &str, holder: &str) -> Result<(), Error> {
        self.give_lease_back(name, holder).await
    }

    async fn holder(&self, name: &str) -> Result<Option<String>, Error> {
        self.lease_holder(name).await
    }

    async fn open_intents(&self, limit: usize) -> Result<Vec<OpenIntent>, Error> {
        self.oldest_intents(limit).await
    }

    async fn record_deployment(&self, new: &NewDeployment) -> Result<u64, Error> {
        self.add_deployment(new).await
    }

    async fn deployments(&self) -> Result<Vec<DeploymentRecord>, Error> {
        self.all_deployments().await
    }

    async fn deployment_content(&self, number: u64) -> Result<Vec<u8>, Error> {
        self.content_of(number).await
    }

    async fn note_deployment(&self, number: u64, sites: &[AtSite]) -> Result<(), Error> {
        self.keep_standings(number, sites).await
    }

    async fn withdraw_deployment(&self, number: u64) -> Result<(), Error> {
        self.drop_deployment(number).await
    }

    async fn enlist_for_deployments(&self, scope: &str, site: SiteId) -> Result<u64, Error> {
        self.add_site_to_deployments(scope, site).await
    }

    async fn armed(&self) -> Result<Vec<Armed>, Error> {
        self.all_armed().await
    }

    async fn arm(&self, new: &Armed) -> Result<Armed, Error> {
        self.arm_once(new).await
    }

    async fn rearm(&self, last: Generation, new: &Armed) -> Result<bool, Error> {
        self.change_armed(last, new).await
    }

    async fn forget_armed(&self, row: &Armed) -> Result<bool, Error> {
        self.drop_armed(row).await
    }

    async fn suffixes(&self) -> Result<Vec<(String, SiteId)>, Error> {
        self.all_suffixes().await
    }

    async fn learn_suffix(&self, suffix: &str, site: SiteId) -> Result<(), Error> {
        self.add_suffix(suffix, site).await
    }

    async fn audit(&self, after: Option<u64>, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        self.audit_records(after, limit).await
    }

    async fn audit_append(&self, entry: &AuditEntry) -> Result<AuditRecord, Error> {
        self.append_audit(entry).await
    }

    async fn audit_end(&self) -> Result<(u64, String), Error> {
        self.end_of_audit().await
    }

    async fn incarnation(&self) -> Result<u16, Error> {
        self.present_incarnation().await
    }

    fn refuse_below(&self, incarnation: u16) {
        self.floor.raise(incarnation);
    }

    fn highest_incarnation(&self) -> u16 {
        self.floor.height()
    }

    async fn begin_incarnation(&self, above: u16, audit: &AuditEntry) -> Result<u16, Error> {
        self.next_incarnation(above, audit).await
    }

    async fn ping(&self) -> Result<(), Error> {
        let mut session = self.read("reach the store").await?;
        changes::head(session.as_mut()).await?;
        session.commit().await
    }
}
