//! Undoing what one site did when another one refused the same.
//!
//! Owns which answers can be taken back. Must not send anything.

use crate::dialect::{Ask, Operation, Undo};
use http::Method;
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
pub(super) fn undo(operation: &Operation, body: &[u8]) -> Undo {
    if &*operation.path != "/deployment/create" {
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
    let id =
        percent_encoding::utf8_percent_encode(&deployed.id, percent_encoding::NON_ALPHANUMERIC);
    Undo::By(Ask {
        method: Method::DELETE,
        path: format!("/deployment/{id}"),
        body: None,
    })
}
