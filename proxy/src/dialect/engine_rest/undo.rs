//! Undoing what one site did when another one refused the same.
//!
//! Owns which answers can be taken back. Must not send anything.

use crate::dialect::deploys::Deploys;
use crate::dialect::{Operation, Undo};
use homing_mapping_store::Engine;
use serde::Deserialize;

/// What a deployment's answer says. The maps of what was deployed are null when every resource was a duplicate: then
/// the answer shows an older deployment, which is not ours to delete.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deployed {
    id: String,
    deployed_process_definitions: Option<serde::de::IgnoredAny>,
    deployed_case_definitions: Option<serde::de::IgnoredAny>,
    deployed_decision_definitions: Option<serde::de::IgnoredAny>,
    deployed_decision_requirements_definitions: Option<serde::de::IgnoredAny>,
}

/// How to undo what this answer says was done.
pub(super) fn undo(
    deploys: &dyn Deploys,
    operation: &Operation,
    engine: &Engine,
    body: &[u8],
) -> Undo {
    if !["/deployment/create", "/deployment/{id}/redeploy"].contains(&&*operation.path) {
        return Undo::Impossible;
    }
    let Ok(deployed) = serde_json::from_slice::<Deployed>(body) else {
        return Undo::Impossible;
    };
    let new = deployed.deployed_process_definitions.is_some()
        || deployed.deployed_case_definitions.is_some()
        || deployed.deployed_decision_definitions.is_some()
        || deployed
            .deployed_decision_requirements_definitions
            .is_some();
    if !new {
        // Nothing but forms or scripts, or only duplicates: which of the two cannot be told.
        return Undo::Impossible;
    }
    Undo::By(deploys.remove(engine, &deployed.id, None))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]
    use super::*;
    use crate::dialect::engine_rest::EngineRest;
    use crate::dialect::{Dialect, Found, Head};
    use http::{HeaderMap, Method};

    fn undone(path: &str, body: &str) -> Undo {
        let dialect = EngineRest::new().unwrap();
        let head = Head {
            method: &Method::POST,
            path,
            query: None,
            headers: &HeaderMap::new(),
        };
        let Found::Route(found) = dialect.find(&head) else {
            panic!("{path} is no operation");
        };
        undo(&dialect, found.operation, &found.engine, body.as_bytes())
    }

    fn by(undo: Undo) -> Option<(Method, String)> {
        match undo {
            Undo::By(ask) => Some((ask.method, ask.path)),
            Undo::Nothing | Undo::Impossible => None,
        }
    }

    #[test]
    fn a_deployment_is_undone_in_the_engine_that_it_was_made_in() {
        let body = r#"{"id":"a/1","deployedProcessDefinitions":{}}"#;
        let deleted = |path: &str| Some((Method::DELETE, path.to_owned()));
        assert_eq!(
            by(undone("/deployment/create", body)),
            deleted("/deployment/a%2F1")
        );
        assert_eq!(
            by(undone("/engine/second/deployment/create", body)),
            deleted("/engine/second/deployment/a%2F1")
        );
    }

    #[test]
    fn what_may_have_been_there_before_is_never_undone() {
        for body in [r#"{"id":"a","deployedProcessDefinitions":null}"#, "<html>"] {
            assert_eq!(by(undone("/deployment/create", body)), None);
        }
    }
}
