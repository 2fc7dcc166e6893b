//! Correlation keys: what a receiver's variables have to be, as a filter for a site and as a check of what it has.
//!
//! Owns the difference between the two: a filter lets through what may fit, the check decides by type and value.

use super::{CANDIDATES_MAX, Candidate};
use crate::dialect::Ask;
use crate::dialect::names::prefix;
use homing_mapping_store::Engine;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Where the variable has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// At the process instance.
    Instance,
    /// At the execution that waits.
    Execution,
}

/// One correlation key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The variable's name.
    pub name: String,
    pub(super) scope: Scope,
    kind: String,
    value: Value,
}

/// Who fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fits {
    /// These and no others.
    These(Vec<Candidate>),
    /// It cannot be told: values cannot be compared, or more wait than were looked at.
    Unclear,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variable {
    #[serde(rename = "type")]
    kind: Option<String>,
    value: Value,
    process_instance_id: Option<String>,
    execution_id: Option<String>,
}

/// Reads both members.
pub(super) fn read(instance: Map<String, Value>, execution: Map<String, Value>) -> Vec<Key> {
    let of = |map: Map<String, Value>, scope| {
        map.into_iter()
            .map(move |(name, typed)| key(name, scope, &typed))
    };
    of(instance, Scope::Instance)
        .chain(of(execution, Scope::Execution))
        .collect()
}

fn key(name: String, scope: Scope, typed: &Value) -> Key {
    let value = typed.get("value").cloned().unwrap_or_default();
    let written = typed.get("type").and_then(Value::as_str);
    let kind = written.map_or_else(|| inferred(&value).to_owned(), str::to_owned);
    Key {
        name,
        scope,
        kind,
        value,
    }
}

/// What an engine makes of a value without a type.
fn inferred(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::String(_) => "String",
        Value::Number(number) => match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_ok() => "Integer",
            Some(_) => "Long",
            None => "Double",
        },
        Value::Array(_) | Value::Object(_) => "Object",
    }
}

/// Queries take a text of this form for a date, whatever type the variable has.
fn looks_like_date(text: &str) -> bool {
    let form = text.as_bytes();
    form.len() >= 19 && form[4] == b'-' && form[7] == b'-' && form[10] == b'T'
}

impl Key {
    fn is_of(&self, kinds: &[&str]) -> bool {
        kinds
            .iter()
            .any(|kind| self.kind.eq_ignore_ascii_case(kind))
    }

    /// The filter of a query; `None`: no filter lets through all that fits.
    pub(super) fn filter(&self) -> Option<Value> {
        let can_be_asked = match &self.value {
            Value::String(text) => self.is_of(&["String"]) && !looks_like_date(text),
            Value::Bool(_) => self.is_of(&["Boolean"]),
            Value::Number(_) => self.is_of(&["Integer", "Long", "Short", "Double"]),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        can_be_asked.then(|| json!({"name": self.name, "operator": "eq", "value": self.value}))
    }

    /// Whether the filter lets through more than what fits.
    pub fn is_doubtful(&self) -> bool {
        self.filter().is_none() || self.value.is_number()
    }

    /// What the candidates have under this name.
    pub fn question(&self, engine: &Engine, candidates: &[Candidate]) -> Ask {
        let instances: Vec<&str> = candidates
            .iter()
            .map(|candidate| candidate.process_instance_id.as_str())
            .collect();
        Ask {
            method: Method::POST,
            path: format!(
                "{}/variable-instance?deserializeValues=false",
                prefix(engine)
            ),
            body: Some(json!({"variableName": self.name, "processInstanceIdIn": instances})),
        }
    }

    /// Who of the candidates fits; `None` if the answer to [`Key::question`] proves nothing.
    pub fn fitting(
        &self,
        candidates: Vec<Candidate>,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Fits> {
        if !status.is_success() {
            return None;
        }
        // There may be more of them than were looked at.
        if candidates.len() >= CANDIDATES_MAX {
            return Some(Fits::Unclear);
        }
        let variables: Vec<Variable> = serde_json::from_slice(body).ok()?;
        let mut fitting = Vec::new();
        for candidate in candidates {
            let wanted = match self.scope {
                Scope::Instance => &candidate.process_instance_id,
                Scope::Execution => &candidate.id,
            };
            let has = variables.iter().find(|variable| {
                variable.execution_id.as_ref() == Some(wanted)
                    && variable.process_instance_id.as_ref() == Some(&candidate.process_instance_id)
            });
            match has.map(|variable| self.equals(variable)) {
                Some(Some(true)) => fitting.push(candidate),
                Some(Some(false)) | None => {}
                Some(None) => return Some(Fits::Unclear),
            }
        }
        Some(Fits::These(fitting))
    }

    /// `None`: it cannot be told.
    fn equals(&self, variable: &Variable) -> Option<bool> {
        let kind = variable.kind.as_deref()?;
        if !self.kind.eq_ignore_ascii_case(kind) {
            return Some(false);
        }
        let is_plain = self.is_of(&["String", "Boolean", "Null"])
            || (self.is_of(&["Integer", "Long", "Short", "Double"]) && self.value.is_number());
        if is_plain {
            return Some(match (&self.value, &variable.value) {
                (Value::Number(left), Value::Number(right)) => {
                    left.as_f64() == right.as_f64() && left.as_i64() == right.as_i64()
                }
                (left, right) => left == right,
            });
        }
        (self.value == variable.value).then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(typed: &Value) -> Key {
        key("v".into(), Scope::Instance, typed)
    }

    fn candidate(id: &str) -> Candidate {
        serde_json::from_value(
            json!({"id": format!("e-{id}"), "processInstanceId": id, "tenantId": null}),
        )
        .unwrap()
    }

    fn fits(key: &Key, kind: &str, value: Value) -> Fits {
        let rows = json!([
            {"type": kind, "value": value, "processInstanceId": "p", "executionId": "p"},
            {"type": kind, "value": value, "processInstanceId": "q", "executionId": "inner"},
        ]);
        let body = rows.to_string();
        key.fitting(
            vec![candidate("p"), candidate("q")],
            StatusCode::OK,
            body.as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn numbers_fit_by_type_and_value() {
        let key = one(&json!({"value": 5}));
        assert!(key.is_doubtful());
        assert_eq!(
            fits(&key, "Integer", json!(5)),
            Fits::These(vec![candidate("p")])
        );
        assert_eq!(fits(&key, "Long", json!(5)), Fits::These(vec![]));
        assert_eq!(fits(&key, "Integer", json!(6)), Fits::These(vec![]));
    }

    #[test]
    fn a_text_that_looks_like_a_date_is_compared_here() {
        let key = one(&json!({"value": "2020-01-01T00:00:00"}));
        assert_eq!(key.filter(), None);
        assert_eq!(
            fits(&key, "String", json!("2020-01-01T00:00:00")),
            Fits::These(vec![candidate("p")])
        );
        assert!(!one(&json!({"value": "plain"})).is_doubtful());
    }

    #[test]
    fn objects_cannot_be_told_apart() {
        let key = one(&json!({"value": "{}", "type": "Object"}));
        assert_eq!(fits(&key, "Object", json!("{ }")), Fits::Unclear);
    }
}
