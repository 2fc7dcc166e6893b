//! A dialect for any application, declared by rules in configuration.
//!
//! Owns rules tried in order. Knows no probes, no health, no identity: of such an application only what the rules say is
//! known, so its keys always get rows.

use super::{
    Answer, Ask, Dialect, Fact, Found, Head, Health, Matched, Merge, Operation, Presence, Undo,
    Window, merge::Plan, path,
};
use crate::classify::Class;
use crate::dialect::Resend;
use homing_mapping_store::{Engine, RoutingKey};
use http::StatusCode;
use serde_json::{Map, Value};
use std::sync::Arc;

mod class;
mod key;
mod learn;
mod pattern;
mod rule;
mod spec;
#[cfg(test)]
mod tests;

pub use spec::{ClassName, KeySpec, LearnSpec, MergeName, RuleError, RuleSpec};

/// A dialect from configuration.
#[derive(Debug)]
pub struct Generic {
    name: String,
    rules: Vec<rule::Rule>,
    operations: Vec<Arc<Operation>>,
    /// The same for requests that only read. A rule without a method is both.
    reads: Vec<Arc<Operation>>,
}

impl Generic {
    /// Compiles the rules. Says everything that is wrong with them, not only the first thing.
    pub fn new(name: &str, specs: &[RuleSpec]) -> Result<Generic, Vec<RuleError>> {
        let mut dialect = Generic {
            name: name.to_owned(),
            rules: Vec::new(),
            operations: Vec::new(),
            reads: Vec::new(),
        };
        let mut errors = Vec::new();
        for (number, spec) in specs.iter().enumerate() {
            match rule::compile(number, spec) {
                Ok((rule, operation)) => {
                    dialect.rules.push(rule);
                    let operation = Arc::new(operation);
                    dialect.operations.push(Arc::clone(&operation));
                    dialect.reads.push(match rule::compile(number, spec) {
                        Ok((_, read)) if read.method.is_none() => Arc::new(Operation {
                            resend: Resend::Safe,
                            ..read
                        }),
                        Ok(_) | Err(_) => operation,
                    });
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(dialect)
        } else {
            Err(errors)
        }
    }
}

impl Dialect for Generic {
    fn name(&self) -> &str {
        &self.name
    }

    fn find<'t>(&'t self, head: &Head<'_>) -> Found<'t> {
        let mut other_method = false;
        if path::has_dots(head.path) {
            return Found::NoRoute;
        }
        let operations = match head.method.is_safe() {
            true => &self.reads,
            false => &self.operations,
        };
        for (rule, operation) in self.rules.iter().zip(operations) {
            let Some(params) = rule.pattern.find(head.path) else {
                continue;
            };
            if rule::takes(operation, head.method) {
                return Found::Route(Matched {
                    operation,
                    params,
                    engine: Engine::DEFAULT,
                });
            }
            other_method = true;
        }
        if other_method {
            Found::MethodNotAllowed
        } else {
            Found::NoRoute
        }
    }

    fn classify(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class {
        match self.rules.get(found.operation.index) {
            Some(rule) => class::of(rule, found, head, body),
            None => Class::Local,
        }
    }

    fn merging(&self, found: &Matched<'_>, _: &Head<'_>, _: Option<&[u8]>) -> Plan {
        if found.operation.merge == Merge::Concat {
            Plan::Concat
        } else if found.operation.merge == Merge::Add {
            Plan::Add
        } else {
            Plan::default()
        }
    }

    fn extract(&self, operation: &Operation, answer: &Answer<'_>) -> Vec<Fact> {
        match self.rules.get(operation.index) {
            Some(rule) if answer.status.is_success() || answer.status.is_redirection() => {
                learn::facts(rule, operation, answer)
            }
            _ => Vec::new(),
        }
    }

    fn locate(&self, _: &RoutingKey) -> Vec<String> {
        Vec::new()
    }

    fn judge_probe(&self, _: &RoutingKey, _: StatusCode, _: &[u8]) -> Presence {
        Presence::Unclear
    }

    fn broader(&self, _: &RoutingKey) -> Option<RoutingKey> {
        None
    }

    fn health(&self) -> Option<Ask> {
        None
    }

    fn judge_health(&self, status: StatusCode, _: &[u8]) -> Health {
        if status.is_server_error() {
            Health::Bad("the application answers with a server error")
        } else {
            Health::Good
        }
    }

    fn write_health(&self) -> Option<Ask> {
        None
    }

    fn identity(&self) -> Option<Ask> {
        None
    }

    fn read_identity(&self, _: StatusCode, _: &[u8]) -> Option<String> {
        None
    }

    fn error_members(&self, _: &str) -> Map<String, Value> {
        Map::new()
    }

    fn undo(&self, _operation: &Operation, _engine: &Engine, _body: &[u8]) -> Undo {
        Undo::Impossible
    }

    fn not_executed(&self, _: StatusCode, _: &[u8]) -> bool {
        false
    }

    fn unknown_outcome(&self, _: StatusCode, _: &[u8]) -> bool {
        false
    }

    fn intent(&self, _: &Class) -> Value {
        Value::Null
    }

    fn resolve_intent(&self, _: &Value, _: Window) -> Option<Ask> {
        None
    }

    fn read_resolved(&self, _: &Value, _: StatusCode, _: &[u8]) -> Option<Vec<RoutingKey>> {
        None
    }
}
