//! Where the ids of the engine's own making stand in the requests and answers of this API.
//!
//! Owns the names of members and parameters, beside those that the table of members has. Must not rewrite anything.

use super::EngineRest;
use crate::dialect::operation::Operation;
use crate::dialect::path;
use crate::dialect::table::lines;
use crate::dialect::virtual_ids::{Inside, Own, VirtualIds, Way, What};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::collections::HashSet;
use std::sync::Arc;

/// Members that hold ids and name no owner of a query.
const MORE: [&str; 17] = [
    "batchJobDefinitionId",
    "calledCaseInstanceId",
    "calledProcessInstanceId",
    "callingProcessDefinitionId",
    "definitionId",
    "executionIds",
    "historyConfiguration",
    "incidentIds",
    "monitorJobDefinitionId",
    "parentActivityInstanceId",
    "parentCaseExecutionId",
    "parentId",
    "restartedProcessInstanceId",
    "seedJobDefinitionId",
    "targetProcessDefinitionId",
    "transitionInstanceId",
    "transitionInstanceIds",
];
/// Members that hold ids of the engine's, or whatever a client has put there.
const CHOSEN: [&str; 3] = ["caseInstanceId", "configuration", "parentTaskId"];
/// Members that hold what is not the engine's own.
const CONTENT: [&str; 11] = [
    "correlationKeys",
    "extensionProperties",
    "localCorrelationKeys",
    "localVariables",
    "processVariables",
    "processVariablesLocal",
    "properties",
    "triggerVariables",
    "value",
    "valueInfo",
    "variables",
];
/// Members that hold users or groups, whose ids are names.
const PEOPLE: [&str; 6] = ["assignee", "group", "groupUsers", "groups", "owner", "user"];
/// Members whose members' names are ids.
const NAMED: [&str; 4] = [
    "deployedCaseDefinitions",
    "deployedDecisionDefinitions",
    "deployedDecisionRequirementsDefinitions",
    "deployedProcessDefinitions",
];
/// Paths about what has no ids of the engine's making.
const OTHERS: [&str; 9] = [
    "/engine",
    "/group",
    "/identity",
    "/metrics",
    "/schema",
    "/telemetry",
    "/tenant",
    "/user",
    "/version",
];
/// Answers that are somebody's content.
const CONTENTS: [&str; 5] = [
    "/data",
    "/deployed-form",
    "/deployed-start-form",
    "/diagram",
    "/rendered-form",
];
/// Parameters of paths that are ids.
const PARAMS: [&str; 5] = [
    "{attachmentId}",
    "{commentId}",
    "{id}",
    "{operationId}",
    "{resourceId}",
];
/// What stays readable in a value of a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// Names of members that hold ids.
#[derive(Debug)]
pub(super) struct Names(HashSet<&'static str>);

impl Names {
    pub(super) fn read(members: &'static str) -> Names {
        let known = lines(members).filter_map(|(_, line)| line.split('\t').next());
        Names(known.chain(MORE).collect())
    }

    fn what(&self, name: &str) -> Option<What> {
        if CHOSEN.contains(&name) {
            return Some(What::Chosen);
        }
        self.0.contains(name).then_some(What::Id)
    }
}

impl VirtualIds for EngineRest {
    fn member(&self, inside: Inside, name: &str, way: Way) -> Inside {
        match name {
            "id" if inside == Inside::OthersIds => Inside::Content,
            // A client may choose the id of a task that it makes.
            "id" if way == Way::In => Inside::Texts(What::Chosen),
            "id" => Inside::Texts(What::Id),
            "href" => Inside::Texts(What::Link),
            _ if CONTENT.contains(&name) => Inside::Content,
            _ if NAMED.contains(&name) => Inside::Named,
            _ if PEOPLE.contains(&name) => Inside::OthersIds,
            _ => match (self.ids.what(name), inside) {
                (Some(what), _) => Inside::Texts(what),
                (None, Inside::OthersIds) => Inside::OthersIds,
                (None, _) => Inside::Members,
            },
        }
    }

    fn body(&self, path: &str, _way: Way) -> Option<Inside> {
        let path = path.split('?').next().unwrap_or(path);
        let (operation, _) = self.pattern(path)?;
        let pattern = &*operation.path;
        if is_others(pattern) || CONTENTS.iter().any(|end| pattern.ends_with(end)) {
            return None;
        }
        // Rows about activities, which are named as in the model.
        let about_one = pattern.ends_with("/statistics") && pattern.contains('{');
        Some(if about_one {
            Inside::OthersIds
        } else {
            Inside::Members
        })
    }

    fn target(&self, target: &str, own: &Own, way: Way) -> Option<String> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let (operation, params) = self.pattern(path)?;
        if is_others(&operation.path) {
            return None;
        }
        let mut rewritten = String::with_capacity(target.len());
        let mut copied = 0;
        let places = operation
            .path
            .split('/')
            .filter(|part| part.starts_with('{'));
        for (at, name) in places.enumerate() {
            let place = params.place(at)?;
            let Some(id) = path::decode(&path[place.clone()]).filter(|_| PARAMS.contains(&name))
            else {
                continue;
            };
            let id = own.id(&id, What::Id, way);
            rewritten.push_str(&path[copied..place.start]);
            rewritten.extend(path::encode(&id));
            copied = place.end;
        }
        rewritten.push_str(&path[copied..]);
        if let Some(query) = query {
            let pairs: Vec<String> = query
                .split('&')
                .map(|pair| self.pair(pair, own, way))
                .collect();
            rewritten.push('?');
            rewritten.push_str(&pairs.join("&"));
        }
        (rewritten != target).then_some(rewritten)
    }
}

impl EngineRest {
    /// Any operation of the pattern that this path has.
    fn pattern(&self, path: &str) -> Option<(&Arc<Operation>, path::Params)> {
        let (_, below) = EngineRest::engine(path)?;
        let (end, params) = self.table.tree.find(path, below)?;
        Some((self.table.of_pattern(end)?, params))
    }

    /// One pair of a query; its value may be a list.
    fn pair(&self, pair: &str, own: &Own, way: Way) -> String {
        let known = pair.split_once('=').and_then(|(name, value)| {
            let what = match name {
                "id" => Some(What::Id),
                name => self.ids.what(name),
            };
            Some((name, value, what?))
        });
        let Some((name, value, what)) = known else {
            return pair.to_owned();
        };
        let Ok(text) = percent_decode_str(value).decode_utf8() else {
            return pair.to_owned();
        };
        let ids: Vec<String> = text
            .split(',')
            .map(|id| utf8_percent_encode(&own.id(id, what, way), PLAIN).to_string())
            .collect();
        format!("{name}={}", ids.join(","))
    }
}

/// Whether an operation is about people, or about the engine itself.
fn is_others(pattern: &str) -> bool {
    OTHERS.iter().any(|other| {
        let below = pattern.strip_prefix(other);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a table that cannot be read fails the test"
    )]
    use super::*;

    #[test]
    fn ids_in_paths_and_queries_are_rewritten_where_they_are_ids() {
        let dialect = EngineRest::new().unwrap();
        let own = Own::of("a", "/engine-rest");
        for (outside, native) in [
            ("/task/a.8/complete", "/task/8/complete"),
            ("/task/8", "/task/~8"),
            ("/engine/default/task/a.8", "/engine/default/task/8"),
            ("/task/a.8/variables/a.8", "/task/8/variables/a.8"),
            (
                "/deployment/a.1/resources/a.2/data",
                "/deployment/1/resources/2/data",
            ),
            (
                "/process-definition/a.order:1:3",
                "/process-definition/order:1:3",
            ),
            (
                "/process-definition/key/a.1/start",
                "/process-definition/key/a.1/start",
            ),
            ("/user/a.1/profile?id=a.1", "/user/a.1/profile?id=a.1"),
            (
                "/task?processInstanceId=a.5&taskIdIn=a.1%2Cb.2,a.3&name=a.5&caseInstanceId=5",
                "/task?processInstanceId=5&taskIdIn=1,b.2,3&name=a.5&caseInstanceId=5",
            ),
        ] {
            let rewritten = dialect.target(outside, &own, Way::In);
            assert_eq!(rewritten.as_deref().unwrap_or(outside), native);
        }
        let out = dialect.target("/task/8", &own, Way::Out);
        assert_eq!(out.as_deref(), Some("/task/a.8"));
    }
}
