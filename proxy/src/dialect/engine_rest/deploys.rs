//! Deployments in `engine-rest`: what is asked about them, and how answers read.
//!
//! Owns paths and shapes. Relies on `bundle` for the form that carries content.

use super::{EngineRest, again, bundle};
use crate::dialect::deploys::{Bundle, Definition, Deployed, Deploys};
use crate::dialect::{Ask, path};
use homing_mapping_store::{Engine, Kind};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Versions of one definition, or deployments of one name, that are looked through for one that is the same.
const CANDIDATES_MAX: usize = 100;
/// Definitions of one deployment that are read.
const DEFINITIONS_MAX: usize = 1_000;

/// Where definitions of a kind are listed.
const LISTS: [(Kind, &str); 4] = [
    (Kind::PROCESS_DEFINITION, "process-definition"),
    (Kind::CASE_DEFINITION, "case-definition"),
    (Kind::DECISION_DEFINITION, "decision-definition"),
    (
        Kind::DECISION_REQUIREMENTS_DEFINITION,
        "decision-requirements-definition",
    ),
];

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    key: String,
    #[serde(default, rename = "deploymentId")]
    deployment: String,
    #[serde(default)]
    name: Option<String>,
}

/// The maps of what was deployed are null when there is nothing new.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    id: String,
    deployed_process_definitions: Option<BTreeMap<String, Row>>,
    deployed_case_definitions: Option<BTreeMap<String, Row>>,
    deployed_decision_definitions: Option<BTreeMap<String, Row>>,
    deployed_decision_requirements_definitions: Option<BTreeMap<String, Row>>,
}

pub(super) fn get(engine: &Engine, path: &str) -> Ask {
    Ask {
        method: Method::GET,
        path: format!("{}{path}", prefix(engine)),
        body: None,
    }
}

pub(super) fn prefix(engine: &Engine) -> String {
    engine
        .name()
        .map(|name| format!("/engine/{}", path::encode(name)))
        .unwrap_or_default()
}

pub(super) fn ok<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Option<T> {
    status
        .is_success()
        .then(|| serde_json::from_slice(body).ok())
        .flatten()
}

fn of_tenant(tenant: Option<&str>) -> String {
    match tenant {
        Some(tenant) => format!("tenantIdIn={}", path::encode(tenant)),
        None => "withoutTenantId=true".to_owned(),
    }
}

impl Deploys for EngineRest {
    fn read(&self, content_type: &str, _: Option<&str>, body: &[u8]) -> Option<Bundle> {
        bundle::read(content_type, body)
    }

    fn again(
        &self,
        content_type: &str,
        body: &[u8],
        names: &[String],
        source: Option<&str>,
    ) -> Option<(String, Vec<u8>)> {
        again::again(content_type, body, names, source)
    }

    fn path(&self, engine: &Engine) -> String {
        format!("{}/deployment/create", prefix(engine))
    }

    fn read_deployed(&self, body: &[u8]) -> Option<Deployed> {
        let created: Created = serde_json::from_slice(body).ok()?;
        let maps = [
            (
                Kind::PROCESS_DEFINITION,
                created.deployed_process_definitions,
            ),
            (Kind::CASE_DEFINITION, created.deployed_case_definitions),
            (
                Kind::DECISION_DEFINITION,
                created.deployed_decision_definitions,
            ),
            (
                Kind::DECISION_REQUIREMENTS_DEFINITION,
                created.deployed_decision_requirements_definitions,
            ),
        ];
        let definitions = maps.into_iter().flat_map(|(kind, map)| {
            let rows = map.unwrap_or_default().into_values();
            rows.map(move |row| Definition {
                kind,
                key: row.key,
                id: row.id,
            })
        });
        Some(Deployed {
            id: created.id,
            definitions: definitions.collect(),
        })
    }

    fn remove(&self, engine: &Engine, id: &str, query: Option<&str>) -> Ask {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Ask {
            method: Method::DELETE,
            path: format!("{}/deployment/{}{query}", prefix(engine), path::encode(id)),
            body: None,
        }
    }

    fn running(&self, engine: &Engine, id: &str) -> Ask {
        let id = path::encode(id);
        get(
            engine,
            &format!("/process-instance/count?deploymentId={id}"),
        )
    }

    fn read_count(&self, status: StatusCode, body: &[u8]) -> Option<u64> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        ok::<Count>(status, body).map(|count| count.count)
    }

    fn candidates(&self, engine: &Engine, bundle: &Bundle) -> Ask {
        let tenant = of_tenant(bundle.tenant.as_deref());
        let list = bundle.keys.first().and_then(|(kind, key)| {
            let (_, list) = LISTS.iter().find(|(of, _)| of == kind)?;
            Some((list, key))
        });
        let path = match list {
            Some((list, key)) => format!(
                "/{list}?key={}&{tenant}&sortBy=version&sortOrder=desc&maxResults={CANDIDATES_MAX}",
                path::encode(key)
            ),
            None => format!(
                "/deployment?name={}&{tenant}&sortBy=deploymentTime&sortOrder=desc&maxResults={CANDIDATES_MAX}",
                path::encode(&bundle.name)
            ),
        };
        get(engine, &path)
    }

    fn read_candidates(
        &self,
        bundle: &Bundle,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<String>> {
        let rows: Vec<Row> = ok(status, body)?;
        let id = |row: Row| {
            if bundle.keys.is_empty() {
                row.id
            } else {
                row.deployment
            }
        };
        Some(rows.into_iter().rev().map(id).collect())
    }

    fn resources(&self, engine: &Engine, deployment: &str) -> Ask {
        let id = path::encode(deployment);
        get(engine, &format!("/deployment/{id}/resources"))
    }

    fn read_resources(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>> {
        let rows: Vec<Row> = ok(status, body)?;
        rows.into_iter()
            .map(|row| Some((row.id, row.name?)))
            .collect()
    }

    fn content(&self, engine: &Engine, deployment: &str, resource: &str) -> Ask {
        let (id, resource) = (path::encode(deployment), path::encode(resource));
        get(
            engine,
            &format!("/deployment/{id}/resources/{resource}/data"),
        )
    }

    fn definitions(&self, engine: &Engine, deployment: &str) -> Vec<(Kind, Ask)> {
        let id = path::encode(deployment);
        let ask = |list: &str| {
            get(
                engine,
                &format!("/{list}?deploymentId={id}&maxResults={DEFINITIONS_MAX}"),
            )
        };
        LISTS
            .iter()
            .map(|(kind, list)| (*kind, ask(list)))
            .collect()
    }

    fn read_definitions(
        &self,
        kind: Kind,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<Definition>> {
        // An engine that knows no such definitions has none.
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED) {
            return Some(Vec::new());
        }
        let rows: Vec<Row> = ok(status, body)?;
        let definition = |row: Row| Definition {
            kind,
            key: row.key,
            id: row.id,
        };
        Some(rows.into_iter().map(definition).collect())
    }

    fn newest(&self, engine: &Engine, max: usize) -> Ask {
        get(
            engine,
            &format!("/deployment?sortBy=deploymentTime&sortOrder=desc&maxResults={max}"),
        )
    }

    fn read_newest(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>> {
        let rows: Vec<Row> = ok(status, body)?;
        let named = |row: Row| (row.id, row.name.unwrap_or_default());
        Some(rows.into_iter().map(named).collect())
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
    fn an_answer_names_the_sites_own_ids() {
        let engine = EngineRest::new().unwrap();
        let body = br#"{"links":[],"id":"d1","name":null,"deployedProcessDefinitions":{"p:1:x":{"id":"p:1:x","key":"p","deploymentId":"d1","name":null}},
            "deployedCaseDefinitions":null,"deployedDecisionDefinitions":null,"deployedDecisionRequirementsDefinitions":null}"#;
        let deployed = engine.read_deployed(body).unwrap();
        assert_eq!(deployed.id, "d1");
        assert_eq!(deployed.definitions.len(), 1);
        assert_eq!(
            (
                deployed.definitions[0].key.as_str(),
                deployed.definitions[0].id.as_str()
            ),
            ("p", "p:1:x")
        );
        assert_eq!(engine.read_deployed(b"<html>"), None);
    }

    #[test]
    fn candidates_are_of_the_same_key_and_tenant_oldest_first() {
        let engine = EngineRest::new().unwrap();
        let mut bundle = Bundle {
            name: "a name".into(),
            keys: vec![(Kind::PROCESS_DEFINITION, "p".into())],
            ..Bundle::default()
        };
        let ask = engine.candidates(&Engine::named("second"), &bundle);
        assert_eq!(
            ask.path,
            "/engine/second/process-definition?key=p&withoutTenantId=true&sortBy=version&sortOrder=desc&maxResults=100"
        );
        let body = br#"[{"id":"p:2:y","deploymentId":"d2"},{"id":"p:1:x","deploymentId":"d1"}]"#;
        let ids = engine
            .read_candidates(&bundle, StatusCode::OK, body)
            .unwrap();
        assert_eq!(ids, ["d1", "d2"]);
        assert_eq!(
            engine.read_candidates(&bundle, StatusCode::BAD_GATEWAY, body),
            None
        );
        bundle.keys.clear();
        bundle.tenant = Some("t/1".into());
        let ask = engine.candidates(&Engine::DEFAULT, &bundle);
        assert!(
            ask.path
                .starts_with("/deployment?name=a%20name&tenantIdIn=t%2F1&"),
            "{}",
            ask.path
        );
    }
}
