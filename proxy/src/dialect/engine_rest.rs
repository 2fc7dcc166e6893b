//! The REST API that Camunda 7, Operaton, CIB seven and Homing's own engine speak.
//!
//! Owns the dialect's face; the facts are tables beside this file, read once. Relies on the tables being right, which
//! the tests prove.

use super::fetch::Fetch;
use super::holdings::{Cursor, Holding};
use super::merge::{Habits, Plan};
use super::message::{Message, Signal, Thrown, Unread};
use super::parts::{Parts, Wanted};
use super::split::{Answers, Split};
use super::table::class::{self, Member};
use super::table::{Table, TableError, Texts, rule};
use super::trace::Question;
use super::{
    Answer, Ask, Dialect, Fact, Found, Head, Health, Learns, Made, Matched, Operation, Presence,
    Undo, Window, facts, path, query,
};
use crate::classify::Class;
use homing_mapping_store::{Engine, Kind, RoutingKey, Timestamp};
use http::StatusCode;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

mod again;
mod answers;
pub(super) mod bundle;
mod deploys;
mod holdings;
mod intent;
mod merge;
mod probe;
mod shares;
mod standing;
#[cfg(test)]
mod tests;
mod timers;
mod trace;
mod undo;
mod virtual_ids;

const TEXTS: Texts<'_> = Texts {
    routes: include_str!("engine_rest/routes.tsv"),
    shapes: include_str!("engine_rest/shapes.tsv"),
    members: include_str!("engine_rest/members.tsv"),
};

/// What the bodies of starts hold.
const BODIES: [(&str, Member); 6] = [
    ("/businessKey", Member::BusinessKey),
    ("/tenantId", Member::Tenant),
    ("/id", Member::Id),
    ("/parentTaskId", Member::ParentTask),
    ("/caseInstanceId", Member::CaseInstance),
    ("/processDefinitionId", Member::Definition),
];

/// The dialect `engine-rest`.
#[derive(Debug)]
pub struct EngineRest {
    table: Table,
    bodies: class::Bodies,
    sorts: merge::Sorts,
    ids: virtual_ids::Names,
}

impl EngineRest {
    /// Reads the embedded tables.
    pub fn new() -> Result<EngineRest, TableError> {
        Ok(EngineRest {
            table: Table::read(&TEXTS)?,
            bodies: class::Bodies::new(&BODIES),
            sorts: merge::Sorts::read()?,
            ids: virtual_ids::Names::read(TEXTS.members),
        })
    }

    /// All operations, in the order of the table.
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.table.operations
    }

    /// The engine that the path names, and where the path below it starts. `None`: not a path of this API.
    fn engine(path: &str) -> Option<(Engine, usize)> {
        let (first, after) = path::segment(path, 0)?;
        if &path[first] != "engine" || path::is_end(path, after) {
            return Some((Engine::DEFAULT, 0));
        }
        let (name, below) = path::segment(path, after)?;
        let name = path::decode(&path[name])?;
        // The list of engines is the one route that exists in the short form only.
        let (next, _) = path::segment(path, below)?;
        (&path[next] != "engine").then(|| (Engine::named(&name), below))
    }
}

/// What is remembered of a create, for every engine of this family and those that are started alike.
pub(super) fn remembered(class: &Class) -> Value {
    intent::of(class)
}

impl Dialect for EngineRest {
    fn name(&self) -> &str {
        "engine-rest"
    }

    fn deploys(&self, part: super::deploys::Part) -> Option<&dyn super::deploys::Deploys> {
        part.is_main()
            .then_some(self as &dyn super::deploys::Deploys)
    }

    fn shares(&self) -> Option<&dyn super::shares::Shares> {
        Some(self)
    }

    fn timers(&self) -> Option<&dyn super::timers::Timers> {
        Some(self)
    }

    fn virtual_ids(&self) -> Option<&dyn super::virtual_ids::VirtualIds> {
        Some(self)
    }

    fn find<'t>(&'t self, head: &Head<'_>) -> Found<'t> {
        let Some((engine, below)) = EngineRest::engine(head.path) else {
            return Found::NoRoute;
        };
        let Some((end, params)) = self.table.tree.find(head.path, below) else {
            return Found::NoRoute;
        };
        match self.table.pick(end, head) {
            Some(operation) => Found::Route(Matched {
                operation,
                params,
                engine,
            }),
            None => Found::MethodNotAllowed,
        }
    }

    fn classify(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class {
        let Some(rule) = self.table.rules.get(found.operation.index) else {
            return Class::Local;
        };
        class::of(rule, &self.bodies, &class::Request { found, head, body })
    }

    fn merging(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Plan {
        self.sorts.plan(found, head, body)
    }

    fn saved(&self, found: &Matched<'_>, head: &Head<'_>, body: &[u8], content: &[u8]) -> Plan {
        self.sorts.saved(found, head, body, content)
    }

    fn fetch(&self, path: &str, body: &[u8]) -> Option<Fetch> {
        Fetch::read(path, body)
    }

    fn message(&self, found: &Matched<'_>, body: &[u8]) -> Result<Message, Unread> {
        if &*found.operation.name == "deliverMessage" {
            Message::read(&found.engine, body)
        } else {
            Err(Unread::Nameless)
        }
    }

    fn signal(&self, found: &Matched<'_>, body: &[u8]) -> Result<Box<dyn Signal>, Unread> {
        if &*found.operation.name == "throwSignal" {
            Ok(Box::new(Thrown::read(&found.engine, body)?))
        } else {
            Err(Unread::Nameless)
        }
    }

    fn batch_is_over(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::batch_is_over(status, body)
    }

    fn waits_no_more(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::waits_no_more(status, body)
    }

    fn split(
        &self,
        found: &Matched<'_>,
        head: &Head<'_>,
        body: &[u8],
    ) -> Option<Result<Split, String>> {
        let rule::Rule::Split(members) = self.table.rules.get(found.operation.index)? else {
            return None;
        };
        let answers = match found.operation.learns {
            Learns::Body => Answers::Batch,
            Learns::Nothing | Learns::Headers => Answers::Nothing,
        };
        let (lists, queries) = (members.lists(), members.queries());
        let split = Split::read(&found.engine, body, lists, queries, answers);
        Some(split.map(|mut split| {
            if found
                .operation
                .path
                .starts_with("/process-definition/{id}/")
            {
                let id = found.params.raw(head.path, 0).and_then(path::decode);
                let key = |id: Cow<'_, str>| {
                    RoutingKey::of(found.engine.clone(), Kind::PROCESS_DEFINITION, &id)
                };
                split.definition.add(id.map(key));
            }
            split
        }))
    }

    fn parts(&self, found: &Matched<'_>, head: &Head<'_>) -> Option<Parts> {
        let rule = self.table.rules.get(found.operation.index)?;
        if let rule::Rule::KeyedPath(kind @ (Kind::BATCH | Kind::JOB_DEFINITION), param) = rule {
            let id = path::decode(found.params.raw(head.path, *param)?)?;
            return Parts::read((&found.engine, *kind), head.method, &id, Wanted::One);
        }
        if let rule::Rule::Gather(..) = rule {
            let mut pairs = query::pairs(head.query?);
            let (_, id) = pairs.find(|(name, _)| name == "batchId")?;
            let wanted = if found.operation.path.ends_with("/count") {
                Wanted::Count
            } else {
                Wanted::Rows
            };
            let parts = Parts::read((&found.engine, Kind::BATCH), head.method, &id, wanted)?;
            return Some(parts.filtered(head.query?));
        }
        None
    }

    fn selects_nothing(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::selects_nothing(status, body)
    }

    fn extract(&self, operation: &Operation, answer: &Answer<'_>) -> Vec<Fact> {
        if !answer.status.is_success() {
            return Vec::new();
        }
        facts::read(&operation.teaching, answer.engine, answer.body)
    }

    fn locate(&self, key: &RoutingKey) -> Vec<String> {
        probe::paths(key)
    }

    fn judge_probe(&self, key: &RoutingKey, status: StatusCode, body: &[u8]) -> Presence {
        probe::judge(key, status, body)
    }

    fn broader(&self, key: &RoutingKey) -> Option<RoutingKey> {
        probe::broader(key)
    }

    fn health(&self) -> Option<Ask> {
        Some(answers::health())
    }

    fn judge_health(&self, status: StatusCode, body: &[u8]) -> Health {
        answers::judge_health(status, body)
    }

    fn write_health(&self) -> Option<Ask> {
        Some(answers::write_health())
    }

    fn door(&self, engine: &Engine) -> Option<Ask> {
        Some(answers::door(engine))
    }

    fn identity(&self) -> Option<Ask> {
        Some(answers::identity())
    }

    fn read_identity(&self, status: StatusCode, body: &[u8]) -> Option<String> {
        answers::read_identity(status, body)
    }

    fn made(&self) -> Option<Ask> {
        Some(answers::made())
    }

    fn read_made(&self, status: StatusCode, body: &[u8]) -> Made {
        answers::read_made(status, body)
    }

    fn read_habits(&self, body: &[u8]) -> Option<Habits> {
        answers::read_habits(body)
    }

    fn error_members(&self, detail: &str) -> Map<String, Value> {
        answers::error_members(detail)
    }

    fn traces(&self, found: &Matched<'_>, path: &str) -> Vec<Question> {
        let Some(id) = found.params.raw(path, 0) else {
            return Vec::new();
        };
        let (operation, engine) = (found.operation, found.engine.name());
        let prefix = engine.map(|name| format!("/engine/{}", path::encode(name)));
        let at = (prefix.as_deref().unwrap_or_default(), id);
        match &operation.method {
            Some(method) => trace::questions(method, &operation.path, at),
            None => Vec::new(),
        }
    }

    fn undo(&self, operation: &Operation, engine: &Engine, body: &[u8]) -> Undo {
        undo::undo(self, operation, engine, body)
    }

    fn not_executed(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::not_executed(status, body)
    }

    fn unknown_outcome(&self, status: StatusCode, body: &[u8]) -> bool {
        answers::unknown_outcome(status, body)
    }

    fn intent(&self, class: &Class) -> Value {
        intent::of(class)
    }

    fn resolve_intent(&self, intent: &Value, window: Window) -> Option<Ask> {
        intent::ask(intent, window)
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
        holdings::ask(kind, at, max)
    }

    fn newest(&self, kind: Kind, first: usize, max: usize) -> Option<Ask> {
        holdings::newest(kind, first, max)
    }

    fn ended(&self, kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
        holdings::ended(kind, at, max)
    }

    fn held(&self, kind: Kind, keys: &[RoutingKey]) -> Option<Ask> {
        holdings::held(kind, keys)
    }

    fn started_since(&self, since: Timestamp, max: usize) -> Option<Ask> {
        holdings::started_since(since, max)
    }

    fn due(&self) -> Vec<(&'static str, Ask)> {
        standing::due()
    }

    fn read_due(&self, status: StatusCode, body: &[u8]) -> Option<u64> {
        standing::read_due(status, body)
    }

    fn definitions(&self, first: usize, max: usize) -> Option<Ask> {
        Some(standing::definitions(first, max))
    }

    fn read_definitions(&self, status: StatusCode, body: &[u8]) -> Option<Vec<String>> {
        standing::read_definitions(status, body)
    }

    fn read_holdings(&self, kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<Holding>> {
        holdings::read(kind, status, body)
    }
}
