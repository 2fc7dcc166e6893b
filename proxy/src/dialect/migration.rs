//! Plans of migration that a request holds: what they name of which every site has its own copy.
//!
//! Owns Flowable's document of a migration. Pure. Must not know which copies there are.

use super::Matched;
use homing_mapping_store::key::ID_LENGTH_MAX;
use homing_mapping_store::{Kind, RoutingKey};
use serde_json::{Map, Value};

/// What a plan says of its target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// Definitions that it names by id.
    pub names: Vec<RoutingKey>,
    /// Why it cannot be sent to several sites.
    pub alone: Option<&'static str>,
}

/// How a kind of definition is named: by id, or by key and version.
const TARGETS: [(Kind, &str, &str); 2] = [
    (
        Kind::PROCESS_DEFINITION,
        "toProcessDefinitionId",
        "toProcessDefinitionVersion",
    ),
    (
        Kind::CASE_DEFINITION,
        "toCaseDefinitionId",
        "toCaseDefinitionVersion",
    ),
];

/// Reads the plan. `None`: the operation takes none.
pub(super) fn read(found: &Matched<'_>, body: &[u8]) -> Option<Migration> {
    let path = &*found.operation.path;
    if !path.contains("migrat") {
        return None;
    }
    // What is no document, an engine refuses in its own words.
    let document: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let mut migration = Migration::default();
    for (kind, id, version) in TARGETS {
        let id = document.get(id).and_then(Value::as_str);
        match id.filter(|id| !id.is_empty() && id.len() <= ID_LENGTH_MAX) {
            Some(id) => {
                let key = RoutingKey::of(found.engine.clone(), kind, id);
                migration.names.push(key);
            }
            None if document.get(version).is_some_and(|it| !it.is_null()) => {
                migration.alone = Some(
                    "each site counts the versions of a definition by itself: name the target by its id, which is translated for each site",
                );
            }
            None => {}
        }
    }
    if path.contains("/batch-migrate") {
        migration.alone = Some(
            "each site makes a batch of its own, and nothing makes one of them: take the operation without a batch",
        );
    }
    Some(migration)
}
