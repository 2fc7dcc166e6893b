//! Start timers in Flowable: jobs of the type `timer-start-event`, listed among the timer jobs.
//!
//! Owns paths and shapes. Nothing holds such a job back for a while: what is to go off elsewhere is taken away here, and comes with the next
//! version of the definition only. Suspending the definition would hold it, but nobody could start it at that site then; and a start timer
//! that is rescheduled loses its definition and never goes off again.

use super::Flowable;
use super::answers::get;
use crate::dialect::timers::{Due, Standing, StartTimer, Timers, Wanted};
use crate::dialect::{Ask, Operation, path};
use homing_mapping_store::Engine;
use http::{Method, StatusCode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Page {
    data: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    process_definition_id: Option<String>,
    tenant_id: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    key: String,
}

/// In `KEY:VERSION:UNIQUE`; the id of a definition with a long key is no more than unique.
fn key(definition: &str) -> Option<&str> {
    let (head, _) = definition.rsplit_once(':')?;
    let (key, version) = head.rsplit_once(':')?;
    (!key.is_empty() && version.parse::<u64>().is_ok()).then_some(key)
}

impl Timers for Flowable {
    fn comes_back(&self) -> bool {
        false
    }

    /// When the newest version goes, the timers of the one before it are made anew.
    fn wakes(&self, operation: &Operation) -> bool {
        operation.method.as_ref() == Some(&Method::DELETE)
            && &*operation.path == "/repository/deployments/{deploymentId}"
    }

    /// They cannot be asked for by the key of a definition.
    fn list(&self, _: &Engine, _: Wanted<'_>, first: usize, max: usize) -> Ask {
        get(self.layout.process(&format!(
            "/management/timer-jobs?handlerType=timer-start-event&sort=id&order=asc&start={first}&size={max}"
        )))
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Option<Vec<StartTimer>> {
        let page: Page = match status.is_success() {
            true => serde_json::from_slice(body).ok()?,
            false => return None,
        };
        let timer = |row: Row| {
            let definition = row.process_definition_id.unwrap_or_default();
            StartTimer {
                id: row.id,
                key: key(&definition).unwrap_or_default().to_owned(),
                tenant: row.tenant_id.filter(|tenant| !tenant.is_empty()),
                event: definition,
                repeats: false,
                standing: Standing::Active,
            }
        };
        Some(page.data.into_iter().map(timer).collect())
    }

    fn naming(&self, timer: &StartTimer) -> Option<Ask> {
        let is_unnamed = timer.key.is_empty() && !timer.event.is_empty();
        let id = path::encode(&timer.event);
        let path = format!("/repository/process-definitions/{id}");
        is_unnamed.then(|| get(self.layout.process(&path)))
    }

    fn read_name(&self, status: StatusCode, body: &[u8]) -> Option<String> {
        let named: Named = match status.is_success() {
            true => serde_json::from_slice(body).ok()?,
            false => return None,
        };
        Some(named.key)
    }

    fn turn(&self, _: &Engine, timer: &str, _: Standing) -> Ask {
        Ask {
            method: Method::DELETE,
            ..self.due(&Engine::DEFAULT, timer)
        }
    }

    fn due(&self, _: &Engine, timer: &str) -> Ask {
        let id = path::encode(timer);
        get(self.layout.process(&format!("/management/timer-jobs/{id}")))
    }

    fn read_due(&self, _: StatusCode, _: &[u8]) -> Option<Vec<Due>> {
        None
    }

    fn set_due(&self, engine: &Engine, due: &str, _: &str) -> Ask {
        self.due(engine, due)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "an answer that cannot be read fails the test"
    )]
    use super::*;
    use crate::dialect::flowable::Layout;

    #[test]
    fn a_start_timer_is_known_by_its_definition() {
        let flowable = Flowable::new(Layout::Boot).unwrap();
        let body = br#"{"data":[{"id":"j1","processDefinitionId":"beat:2:x","handlerType":"timer-start-event","tenantId":""},
            {"id":"j2","processDefinitionId":"only-unique","tenantId":"t"},{"id":"j3","processDefinitionId":null,"tenantId":""}],"total":3}"#;
        let timers = flowable.read(StatusCode::OK, body).unwrap();
        let keys: Vec<(&str, Option<&str>)> = timers
            .iter()
            .map(|timer| (timer.key.as_str(), timer.tenant.as_deref()))
            .collect();
        assert_eq!(keys, [("beat", None), ("", Some("t")), ("", None)]);
        let naming: Vec<Option<String>> = timers
            .iter()
            .map(|timer| flowable.naming(timer).map(|ask| ask.path))
            .collect();
        let asked = "/process-api/repository/process-definitions/only-unique";
        assert_eq!(naming, [None, Some(asked.to_owned()), None]);
        let named = flowable.read_name(StatusCode::OK, br#"{"id":"only-unique","key":"long"}"#);
        assert_eq!(named.as_deref(), Some("long"));
        assert_eq!(flowable.read(StatusCode::BAD_GATEWAY, b"{}"), None);
        let taken = flowable.turn(&Engine::DEFAULT, "j1", Standing::Held);
        assert_eq!(
            (taken.method, taken.path.as_str()),
            (Method::DELETE, "/process-api/management/timer-jobs/j1")
        );
    }
}
