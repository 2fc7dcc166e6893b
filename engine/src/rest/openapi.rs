//! The OpenAPI document of what this engine does, made of the table of operations and the tables of lists.
//!
//! Bodies and answers are those of the real engine's own documentation; here stand paths, names, parameters, errors.

use super::operations::{Built, OPERATIONS, Operation};
use crate::lists::{self, Filter};
use serde_json::{Map, Value as Json, json};

/// The operations of `/homing`: path, method, name, what it does.
const OWN: [(&str, &str, &str, &str); 13] = [
    (
        "/homing/bridges",
        "get",
        "getBridges",
        "The bridges of this node, and what they took",
    ),
    (
        "/homing/site",
        "get",
        "getSite",
        "The site's generation, holder, executor and quarantine, and this engine's standing",
    ),
    (
        "/homing/site",
        "put",
        "changeSite",
        "Raises the generation, names the holder, switches the executor, imposes or releases quarantine",
    ),
    (
        "/homing/engines",
        "get",
        "getEngines",
        "The engines that were ever here, with their switches",
    ),
    (
        "/homing/engines/{name}",
        "put",
        "switchEngine",
        "Switches the executor of one engine",
    ),
    (
        "/homing/instances",
        "get",
        "getLiveInstances",
        "Live instances that can be handed over",
    ),
    (
        "/homing/handovers",
        "get",
        "getHandOvers",
        "Hand-overs whose ids begin alike",
    ),
    (
        "/homing/handovers",
        "post",
        "exportInstance",
        "Takes an instance out of the live tables as a bundle",
    ),
    (
        "/homing/handovers/{id}",
        "get",
        "getHandOver",
        "How far a hand-over is at this site",
    ),
    (
        "/homing/handovers/{id}",
        "put",
        "stageInstance",
        "Keeps a bundle from another site, not yet alive",
    ),
    (
        "/homing/handovers/{id}/activate",
        "post",
        "activateInstance",
        "Brings a staged instance to life",
    ),
    (
        "/homing/handovers/{id}/entomb",
        "post",
        "entombInstance",
        "Says where an exported instance lives from now on",
    ),
    (
        "/homing/handovers/{id}/cancel",
        "post",
        "cancelHandOver",
        "Undoes an export or a stage",
    ),
];

/// The whole document.
pub(super) fn document() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for operation in OPERATIONS.iter().filter(|it| it.built == Built::Yes) {
        let path = format!("{}{}", super::BASE, operation.path);
        let method = operation.method.to_ascii_lowercase();
        let shown = shown(
            operation.name,
            operation.resource(),
            parameters(operation),
            None,
        );
        add(&mut paths, path, method, shown);
    }
    for (path, method, name, what) in OWN {
        let parts = path.split('/').filter(|part| part.starts_with('{'));
        let names = parts.map(|part| part.trim_matches(['{', '}']));
        let parameters = names.map(in_path).collect();
        let shown = shown(name, "homing", parameters, Some(what));
        add(&mut paths, path.to_owned(), method.to_owned(), shown);
    }
    for (below, method, name, what) in super::queue::OPERATIONS {
        let path = format!("{}{below}", super::queue::PATH);
        let parts = below.split('/').filter(|part| part.starts_with('{'));
        let names = parts.map(|part| part.trim_matches(['{', '}']));
        let shown = shown(name, "queues", names.map(in_path).collect(), Some(what));
        add(&mut paths, path, method.to_owned(), shown);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Homing engine",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The operations of engine-rest that are there. All others answer 501 with their name. Everything below /engine-rest is also there below /engine-rest/engine/default."
        },
        "paths": paths,
        "components": { "schemas": { "Error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": { "type": "string" },
                "message": { "type": "string" },
                "code": { "type": ["integer", "null"] }
            }
        } } }
    })
}

fn add(paths: &mut Map<String, Json>, path: String, method: String, operation: Json) {
    let entry = paths.entry(path).or_insert_with(|| json!({}));
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(method, operation);
    }
}

fn shown(name: &str, tag: &str, parameters: Vec<Json>, what: Option<&str>) -> Json {
    json!({
        "operationId": name,
        "summary": what,
        "tags": [tag],
        "parameters": parameters,
        "responses": {
            "2XX": { "description": "As the real engine answers" },
            "default": {
                "description": "Refused",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } }
            }
        }
    })
}

fn in_path(name: &str) -> Json {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn in_query(name: &str) -> Json {
    json!({ "name": name, "in": "query", "required": false, "schema": { "type": "string" } })
}

fn parameters(operation: &Operation) -> Vec<Json> {
    let mut out: Vec<Json> = operation.parameters().map(in_path).collect();
    let (path, count) = match operation.path.strip_suffix("/count") {
        Some(path) => (path, true),
        None => (operation.path, false),
    };
    let Some(list) = lists::behind(path).filter(|_| operation.method == "GET") else {
        return out;
    };
    let built = list
        .filters
        .iter()
        .filter(|(_, filter)| !matches!(filter, Filter::NotBuilt | Filter::Expression));
    out.extend(built.map(|(name, _)| in_query(name)));
    if !count {
        let sorts: Vec<&str> = list.sorts.iter().map(|(name, _)| *name).collect();
        out.push(json!({ "name": "sortBy", "in": "query", "schema": { "type": "string", "enum": sorts } }));
        out.push(json!({ "name": "sortOrder", "in": "query", "schema": { "type": "string", "enum": ["asc", "desc"] } }));
        for name in ["firstResult", "maxResults"] {
            out.push(json!({ "name": name, "in": "query", "schema": { "type": "integer" } }));
        }
    }
    out
}
