//! A signal in Flowable, whose receiver is not named.
//!
//! Owns the shapes of `POST /runtime/signals` and `PUT /runtime/executions`, and the questions that go before. The engine lists
//! start events among those who wait, so that each site says itself whether the signal starts something there.

use super::answers::get;
use super::layout::Layout;
use crate::dialect::message::{CANDIDATES_MAX, Candidate, Fits, Members, Signal, Single, Unread};
use crate::dialect::{Ask, Matched, path};
use bytes::Bytes;
use homing_mapping_store::Engine;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, HashSet};

/// What `PUT /runtime/executions` does.
const ACTION: &str = "signalEventReceived";

#[derive(Debug)]
struct Event {
    layout: Layout,
    name: String,
    /// None: only what has no tenant hears it.
    tenant: Option<String>,
    members: Members,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Row>,
    total: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    execution_id: Option<String>,
    process_instance_id: Option<String>,
    process_definition_id: Option<String>,
    configuration: Option<String>,
}

impl Row {
    /// A signal of this scope is heard only when it is thrown inside of the instance.
    fn is_private(&self) -> bool {
        self.configuration.as_deref() == Some("processInstance")
    }
}

/// Reads a request.
pub(super) fn read(
    layout: Layout,
    found: &Matched<'_>,
    body: &[u8],
) -> Result<Box<dyn Signal>, Unread> {
    let members = Members::read(body)?;
    let is_action = found.operation.method == Some(Method::PUT);
    // Another action is refused by the engine in its own words.
    if is_action && members.text("action")?.as_deref() != Some(ACTION) {
        return Err(Unread::Nameless);
    }
    let name = members.name("signalName")?;
    // An action takes no tenant.
    let tenant = if is_action {
        None
    } else {
        members
            .text("tenantId")?
            .filter(|tenant| !tenant.is_empty())
    };
    Ok(Box::new(Event {
        layout,
        name,
        tenant,
        members,
    }))
}

fn page(status: StatusCode, body: &[u8]) -> Option<Page> {
    status
        .is_success()
        .then(|| serde_json::from_slice(body).ok())?
}

impl Event {
    fn subscriptions(&self, more: &str) -> Ask {
        let tenant = match &self.tenant {
            Some(tenant) => format!("tenantId={}", path::encode(tenant)),
            None => "withoutTenantId=true".to_owned(),
        };
        let name = path::encode(&self.name);
        get(self.layout.process(&format!(
            "/runtime/event-subscriptions?eventType=signal&eventName={name}&{tenant}{more}&size={CANDIDATES_MAX}"
        )))
    }
}

impl Signal for Event {
    fn engine(&self) -> &Engine {
        &Engine::DEFAULT
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    fn starts(&self) -> Option<Ask> {
        Some(self.subscriptions("&withoutProcessInstanceId=true"))
    }

    fn read_starts(&self, status: StatusCode, body: &[u8]) -> Option<bool> {
        let page = page(status, body)?;
        let is_cut = page.total > page.data.len();
        let starts = |row: &Row| {
            row.process_instance_id.is_none()
                && row.execution_id.is_none()
                && row.process_definition_id.is_some()
                && !row.is_private()
        };
        // Among many cases there may be one that was not looked at.
        Some(is_cut || page.data.iter().any(starts))
    }

    fn question(&self) -> Ask {
        self.subscriptions("")
    }

    /// Each execution once: it hears the signal by all of its events.
    fn waiting(&self, status: StatusCode, body: &[u8]) -> Option<Fits> {
        let page = page(status, body)?;
        let is_cut = page.total > page.data.len();
        let mut seen = HashSet::new();
        let mut waiting = Vec::new();
        for row in page.data {
            let is_start = row.execution_id.is_none() && row.process_definition_id.is_some();
            if is_start || row.is_private() {
                continue;
            }
            let (Some(id), Some(instance)) = (row.execution_id, row.process_instance_id) else {
                // A case: only a signal for all reaches it.
                return Some(Fits::Unclear);
            };
            if seen.insert(id.clone()) {
                waiting.push(Candidate::new(id, instance));
            }
        }
        // Of so many the asker knows that there may be more.
        let may_lack = is_cut && waiting.len() < CANDIDATES_MAX;
        Some(if may_lack {
            Fits::Unclear
        } else {
            Fits::These(waiting)
        })
    }

    fn unclear(&self) -> String {
        format!(
            "a case waits for it, or more than {CANDIDATES_MAX} events do: who waits cannot be told one by one"
        )
    }

    fn to_one(&self, execution: &str) -> Option<Single> {
        let text = |text: &str| to_raw_value(text).ok();
        let (action, name) = (text(ACTION)?, text(&self.name)?);
        let mut members: BTreeMap<&str, &RawValue> =
            BTreeMap::from([("action", &*action), ("signalName", &*name)]);
        members.extend(self.members.raw().filter(|(name, _)| *name == "variables"));
        let at = format!("/runtime/executions/{}", path::encode(execution));
        Some(Single {
            at: Some((Method::PUT, self.layout.process(&at))),
            body: Bytes::from(serde_json::to_vec(&members).ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "an answer that cannot be read fails the test"
    )]
    use super::*;
    use crate::dialect::{Dialect, Flowable, Found, Head};
    use serde_json::{Value, json};

    fn heard(method: Method, path: &str, body: &str) -> Result<Box<dyn Signal>, Unread> {
        let dialect = Flowable::new(Layout::Boot).unwrap();
        let headers = http::HeaderMap::new();
        let head = Head {
            method: &method,
            path,
            query: None,
            headers: &headers,
        };
        let Found::Route(found) = dialect.find(&head) else {
            panic!("no route");
        };
        dialect.signal(&found, body.as_bytes())
    }

    fn alarm() -> Box<dyn Signal> {
        let body = r#"{"signalName":"a b","variables":[{"name":"n","value":1.50}],"tenantId":""}"#;
        heard(Method::POST, "/process-api/runtime/signals", body).unwrap()
    }

    fn row(execution: Option<&str>, definition: Option<&str>, configuration: Value) -> Value {
        json!({ "executionId": execution, "processInstanceId": execution, "processDefinitionId": definition,
            "configuration": configuration, "tenantId": "" })
    }

    fn list(rows: &[Value], total: usize) -> Vec<u8> {
        json!({ "data": rows, "total": total })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn sites_say_themselves_what_starts_and_who_waits() {
        let signal = alarm();
        let asked = signal.starts().unwrap().path;
        assert_eq!(
            asked,
            "/process-api/runtime/event-subscriptions?eventType=signal&eventName=a%20b&withoutTenantId=true&withoutProcessInstanceId=true&size=200"
        );
        let start = row(None, Some("p:1:x"), Value::Null);
        let waits = row(Some("e"), Some("p:1:x"), Value::Null);
        let private = row(Some("f"), Some("p:1:x"), "processInstance".into());
        let case = row(None, None, Value::Null);
        let starts = |rows: &[Value]| signal.read_starts(StatusCode::OK, &list(rows, rows.len()));
        assert_eq!(starts(std::slice::from_ref(&start)), Some(true));
        assert_eq!(starts(std::slice::from_ref(&case)), Some(false));
        assert_eq!(signal.read_starts(StatusCode::NOT_FOUND, b"{}"), None);

        let rows = [start, waits.clone(), waits, private];
        let told = signal.waiting(StatusCode::OK, &list(&rows, 4));
        let one = Candidate::new("e".into(), "e".into());
        assert_eq!(told, Some(Fits::These(vec![one])));
        let told = signal.waiting(StatusCode::OK, &list(&rows, 201));
        assert_eq!(told, Some(Fits::Unclear));
        let told = signal.waiting(StatusCode::OK, &list(&[case], 1));
        assert_eq!(told, Some(Fits::Unclear));
    }

    #[test]
    fn one_execution_is_told_in_the_words_for_one() {
        let one = alarm().to_one("e/1").unwrap();
        let at = (Method::PUT, "/process-api/runtime/executions/e%2F1".into());
        assert_eq!(one.at, Some(at));
        assert_eq!(
            one.body,
            r#"{"action":"signalEventReceived","signalName":"a b","variables":[{"name":"n","value":1.50}]}"#
        );
    }

    #[test]
    fn an_action_is_a_signal_without_a_tenant_or_is_left_to_the_engine() {
        let put = |body| heard(Method::PUT, "/process-api/runtime/executions", body);
        let body = r#"{"action":"signalEventReceived","signalName":"s","tenantId":"t"}"#;
        assert_eq!(put(body).unwrap().tenant(), None);
        let other = r#"{"action":"trigger","signalName":"s"}"#;
        assert_eq!(put(other).unwrap_err(), Unread::Nameless);
    }
}
