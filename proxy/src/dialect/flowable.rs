//! The REST APIs of Flowable: processes, cases, decisions, external workers.
//!
//! Owns the dialect's face; the facts are tables beside this file, read once. Relies on the tables being right, which
//! the tests prove.

use super::deploys::Part;
use super::fetch::Fetch;
use super::holdings::{Cursor, Holding};
use super::merge::Plan;
use super::message::{Signal, Unread};
use super::migration::Migration;
use super::split::{Answers, Split};
use super::table::class::{self, Member};
use super::table::{Table, TableError, Texts, rule};
use super::{
    Answer, Ask, Dialect, Fact, Found, Head, Health, Made, Matched, Operation, Presence, Undo,
    Window, facts,
};
use crate::classify::Class;
use homing_mapping_store::{Engine, Kind, RoutingKey, Timestamp};
use http::StatusCode;
use serde_json::{Map, Value};
use std::sync::Arc;

mod answers;
mod archive;
mod deploys;
mod holdings;
mod intent;
mod layout;
mod merge;
mod probe;
mod shares;
mod signal;
#[cfg(test)]
mod tests;
mod timers;

pub use layout::Layout;

const TEXTS: Texts<'_> = Texts {
    routes: include_str!("flowable/routes.tsv"),
    shapes: include_str!("flowable/shapes.tsv"),
    members: include_str!("flowable/members.tsv"),
};

/// What the bodies of starts hold.
const BODIES: [(&str, Member); 8] = [
    ("/businessKey", Member::BusinessKey),
    ("/tenantId", Member::Tenant),
    ("/parentTaskId", Member::ParentTask),
    ("/taskId", Member::Task),
    ("/processDefinitionId", Member::Definition),
    ("/processDefinitionKey", Member::DefinitionKey),
    ("/caseDefinitionId", Member::Definition),
    ("/caseDefinitionKey", Member::DefinitionKey),
];

/// Kinds of keys that only Flowable has. Its engines number their deployments, jobs and subscriptions by themselves.
pub(super) const KINDS: [&str; 4] = [
    "batch-part",
    "milestone",
    "case-job",
    "case-event-subscription",
];

/// The dialect `flowable`, for sites whose APIs stand at the same places.
#[derive(Debug)]
pub struct Flowable {
    facts: Arc<Facts>,
    layout: Layout,
    apis: Vec<deploys::Api>,
}

/// What is the same for every layout.
#[derive(Debug)]
struct Facts {
    table: Table,
    bodies: class::Bodies,
    sorts: merge::Sorts,
}

impl Flowable {
    /// Reads the embedded tables.
    pub fn new(layout: Layout) -> Result<Flowable, TableError> {
        for kind in KINDS {
            // Over the limit of kinds the tables cannot be read, which names the line.
            let _ = Kind::declare(kind);
        }
        let facts = Facts {
            table: Table::read(&TEXTS)?,
            bodies: class::Bodies::new(&BODIES),
            sorts: merge::Sorts::read()?,
        };
        Ok(Flowable {
            facts: Arc::new(facts),
            layout,
            apis: deploys::Api::all(layout),
        })
    }

    /// The same where the APIs stand elsewhere.
    #[must_use]
    pub fn at(&self, layout: Layout) -> Flowable {
        Flowable {
            facts: Arc::clone(&self.facts),
            layout,
            apis: deploys::Api::all(layout),
        }
    }

    /// All operations, in the order of the table.
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.facts.table.operations
    }

    fn get(&self, path: &str) -> Option<Ask> {
        self.layout.path(path).map(answers::get)
    }
}

impl Dialect for Flowable {
    fn name(&self) -> &str {
        "flowable"
    }

    fn find<'t>(&'t self, head: &Head<'_>) -> Found<'t> {
        let Some(below) = self.layout.below(head.path) else {
            return Found::NoRoute;
        };
        let Some((end, params)) = self.facts.table.tree.find(head.path, below) else {
            return Found::NoRoute;
        };
        match self.facts.table.pick(end, head) {
            Some(operation) => Found::Route(Matched {
                operation,
                params,
                engine: Engine::DEFAULT,
            }),
            None => Found::MethodNotAllowed,
        }
    }

    fn classify(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class {
        let Some(rule) = self.facts.table.rules.get(found.operation.index) else {
            return Class::Local;
        };
        class::of(
            rule,
            &self.facts.bodies,
            &class::Request { found, head, body },
        )
    }

    fn merging(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Plan {
        self.facts.sorts.plan(found, head, body)
    }

    fn fetch(&self, _: &str, body: &[u8]) -> Option<Fetch> {
        Fetch::acquire(body)
    }

    fn split(
        &self,
        found: &Matched<'_>,
        _: &Head<'_>,
        body: &[u8],
    ) -> Option<Result<Split, String>> {
        let rule::Rule::Split(members) = self.facts.table.rules.get(found.operation.index)? else {
            return None;
        };
        let answers = if found.operation.teaching.is_empty() {
            Answers::Nothing
        } else {
            Answers::Data
        };
        let (lists, queries) = (members.lists(), members.queries());
        Some(Split::read(&found.engine, body, lists, queries, answers))
    }

    fn signal(&self, found: &Matched<'_>, body: &[u8]) -> Result<Box<dyn Signal>, Unread> {
        signal::read(self.layout, found, body)
    }

    fn waits_no_more(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::waits_no_more(status, body)
    }

    fn extract(&self, operation: &Operation, answer: &Answer<'_>) -> Vec<Fact> {
        if !answer.status.is_success() {
            return Vec::new();
        }
        facts::read(&operation.teaching, answer.engine, answer.body)
    }

    fn locate(&self, key: &RoutingKey) -> Vec<String> {
        probe::paths(&self.layout, key)
    }

    fn judge_probe(&self, key: &RoutingKey, status: StatusCode, body: &[u8]) -> Presence {
        probe::judge(key, status, body)
    }

    fn broader(&self, key: &RoutingKey) -> Option<RoutingKey> {
        probe::broader(key)
    }

    fn health(&self) -> Option<Ask> {
        self.get(answers::PROPERTIES)
    }

    fn judge_health(&self, status: StatusCode, body: &[u8]) -> Health {
        answers::judge_health(status, body)
    }

    /// Every write route looks its subject up first and finds nothing to write: none proves anything.
    fn write_health(&self) -> Option<Ask> {
        None
    }

    fn door(&self, _: &Engine) -> Option<Ask> {
        self.get(answers::PROPERTIES)
    }

    fn identity(&self) -> Option<Ask> {
        self.get(answers::PROPERTIES)
    }

    fn read_identity(&self, status: StatusCode, body: &[u8]) -> Option<String> {
        answers::read_identity(status, body)
    }

    fn mark(&self, mark: &str) -> Option<Ask> {
        self.layout
            .path(answers::PROPERTIES)
            .map(|path| answers::mark(path, mark))
    }

    fn made(&self) -> Option<Ask> {
        self.get("/repository/deployments?sort=deployTime&order=desc&size=1")
    }

    fn read_made(&self, status: StatusCode, body: &[u8]) -> Made {
        answers::read_made(status, body)
    }

    fn error_members(&self, detail: &str) -> Map<String, Value> {
        answers::error_members(detail)
    }

    fn undo(&self, operation: &Operation, _: &Engine, body: &[u8]) -> Undo {
        answers::undo(&self.layout, operation, body)
    }

    fn not_executed(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::not_executed(status, body)
    }

    fn unknown_outcome(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::unknown_outcome(status, body)
    }

    fn intent(&self, class: &Class) -> Value {
        super::engine_rest::remembered(class)
    }

    fn resolve_intent(&self, intent: &Value, window: Window) -> Option<Ask> {
        intent::ask(&self.layout, intent, window)
    }

    fn read_resolved(
        &self,
        intent: &Value,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<RoutingKey>> {
        intent::read(intent, status, body)
    }

    fn first_holdings(&self, kind: Kind) -> Option<Cursor> {
        holdings::first(kind)
    }

    fn holdings(&self, kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
        holdings::ask(&self.layout, kind, at, max)
    }

    fn ended(&self, kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
        holdings::ended(&self.layout, kind, at, max)
    }

    fn held(&self, kind: Kind, keys: &[RoutingKey]) -> Option<Ask> {
        holdings::held(&self.layout, kind, keys)
    }

    fn read_holdings(&self, kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<Holding>> {
        holdings::read(kind, status, body)
    }

    fn started_since(&self, since: Timestamp, max: usize) -> Option<Ask> {
        holdings::started_since(&self.layout, since, max)
    }

    fn due(&self) -> Vec<(&'static str, Ask)> {
        let jobs = self.get("/management/jobs?size=1");
        jobs.map(|ask| ("jobs", ask)).into_iter().collect()
    }

    fn read_due(&self, status: StatusCode, body: &[u8]) -> Option<u64> {
        holdings::total(status, body)
    }

    fn deploys(&self, part: Part) -> Option<&dyn super::deploys::Deploys> {
        let api = self.apis.iter().find(|api| api.part == part)?;
        Some(api)
    }

    fn migration(&self, found: &Matched<'_>, body: &[u8]) -> Option<Migration> {
        super::migration::read(found, body)
    }

    fn shares(&self) -> Option<&dyn super::shares::Shares> {
        Some(self)
    }

    fn timers(&self) -> Option<&dyn super::timers::Timers> {
        Some(self)
    }

    fn part(&self, operation: &Operation) -> Part {
        deploys::part(&operation.path)
    }

    fn definitions(&self, first: usize, max: usize) -> Option<Ask> {
        self.get(&format!(
            "/repository/process-definitions?latest=true&sort=key&order=asc&start={first}&size={max}"
        ))
    }

    fn read_definitions(&self, status: StatusCode, body: &[u8]) -> Option<Vec<String>> {
        holdings::definitions(status, body)
    }
}
