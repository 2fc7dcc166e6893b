//! Start timers in `engine-rest`: job definitions of the type `timer-start-event`.
//!
//! Owns paths and shapes. A new version of a definition has new job definitions, active ones; a job that is made later by a
//! suspended job definition is suspended too.

use super::EngineRest;
use super::deploys::{get, ok, prefix};
use crate::dialect::timers::{Due, Standing, StartTimer, Timers, Wanted};
use crate::dialect::{Ask, Operation, path};
use homing_mapping_store::Engine;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// Jobs of one job definition that are read. A start timer has one.
const JOBS_MAX: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    process_definition_key: String,
    tenant_id: Option<String>,
    activity_id: Option<String>,
    job_configuration: Option<String>,
    suspended: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    id: String,
    due_date: Option<String>,
}

fn put(engine: &Engine, path: &str, body: Value) -> Ask {
    Ask {
        method: Method::PUT,
        path: format!("{}{path}", prefix(engine)),
        body: Some(body),
    }
}

/// Activating a definition activates all its job definitions and jobs.
const WAKING: [&str; 8] = [
    "updateSuspensionStateJobDefinitions",
    "updateSuspensionStateJobDefinition",
    "updateSuspensionStateBy",
    "updateJobSuspensionState",
    "updateProcessDefinitionSuspensionState",
    "updateProcessDefinitionSuspensionStateById",
    "updateProcessDefinitionSuspensionStateByKey",
    "updateProcessDefinitionSuspensionStateByKeyAndTenantId",
];

impl Timers for EngineRest {
    fn wakes(&self, operation: &Operation) -> bool {
        WAKING.contains(&&*operation.name)
    }

    fn list(&self, engine: &Engine, wanted: Wanted<'_>, first: usize, max: usize) -> Ask {
        let filter = match wanted {
            Wanted::Active => "active=true".to_owned(),
            Wanted::OfKey(key) => format!("processDefinitionKey={}", path::encode(key)),
        };
        get(
            engine,
            &format!(
                "/job-definition?jobType=timer-start-event&{filter}&sortBy=jobDefinitionId&sortOrder=asc&firstResult={first}&maxResults={max}"
            ),
        )
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Option<Vec<StartTimer>> {
        if matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        ) {
            return Some(Vec::new());
        }
        let rows: Vec<Row> = ok(status, body)?;
        let timer = |row: Row| StartTimer {
            id: row.id,
            key: row.process_definition_key,
            tenant: row.tenant_id,
            event: row.activity_id.unwrap_or_default(),
            repeats: row
                .job_configuration
                .is_some_and(|text| text.starts_with("CYCLE")),
            standing: match row.suspended {
                true => Standing::Held,
                false => Standing::Active,
            },
        };
        Some(rows.into_iter().map(timer).collect())
    }

    fn turn(&self, engine: &Engine, timer: &str, to: Standing) -> Ask {
        let path = format!("/job-definition/{}/suspended", path::encode(timer));
        let suspended = to == Standing::Held;
        // Without its jobs, the one that waits already would still go off.
        put(
            engine,
            &path,
            json!({ "suspended": suspended, "includeJobs": true }),
        )
    }

    fn due(&self, engine: &Engine, timer: &str) -> Ask {
        let id = path::encode(timer);
        get(
            engine,
            &format!("/job?jobDefinitionId={id}&maxResults={JOBS_MAX}"),
        )
    }

    fn read_due(&self, status: StatusCode, body: &[u8]) -> Option<Vec<Due>> {
        let jobs: Vec<Job> = ok(status, body)?;
        let due = |job: Job| Due {
            id: job.id,
            at: job.due_date,
        };
        Some(jobs.into_iter().map(due).collect())
    }

    fn set_due(&self, engine: &Engine, due: &str, at: &str) -> Ask {
        let path = format!("/job/{}/duedate", path::encode(due));
        put(engine, &path, json!({ "duedate": at }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "an answer that cannot be read fails the test"
    )]
    use super::*;

    #[test]
    fn a_start_timer_is_read_as_the_engines_write_it() {
        let engine = EngineRest::new().unwrap();
        let body = br#"[{"id":"j1","processDefinitionId":"k:1:x","processDefinitionKey":"k","jobType":"timer-start-event",
            "jobConfiguration":"CYCLE: R/PT5S","activityId":"every5","suspended":false,"overridingJobPriority":null,"tenantId":null,"deploymentId":"d"}]"#;
        let timers = engine.read(StatusCode::OK, body).unwrap();
        assert_eq!(
            timers,
            [StartTimer {
                id: "j1".into(),
                key: "k".into(),
                tenant: None,
                event: "every5".into(),
                repeats: true,
                standing: Standing::Active
            }]
        );
        assert_eq!(engine.read(StatusCode::NOT_FOUND, b"<html>"), Some(vec![]));
        assert_eq!(engine.read(StatusCode::BAD_GATEWAY, b"[]"), None);
        assert_eq!(engine.read(StatusCode::OK, b"<html>"), None);
    }

    #[test]
    fn a_timer_is_held_together_with_what_waits_already() {
        let engine = EngineRest::new().unwrap();
        let ask = engine.turn(&Engine::named("x"), "j/1", Standing::Held);
        assert_eq!(ask.path, "/engine/x/job-definition/j%2F1/suspended");
        let body = ask.body.unwrap();
        assert_eq!(body, json!({ "suspended": true, "includeJobs": true }));
    }
}
