//! The tree of activity instances, drawn from an instance's document.

use super::answer::{Answer, json};
use super::error::Refused;
use crate::machine::{Definition, Document, Node, NodeKey, Role, Wait};
use crate::runtime::Handle;
use axum::extract::{Path, State};
use serde_json::{Value as Json, json};

/// `/process-instance/{id}/activity-instances`
pub(super) async fn activity_instances(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Answer {
    let loaded = handle.store().load(&id).await?;
    let missing = || Refused::missing(format!("Process instance with id {id} does not exist"));
    let document = loaded.ok_or_else(missing)?.document;
    let definition = handle.definition(&document.definition).await?;
    let incidents = handle.store().incidents_of(&id).await?;
    Ok(json(
        Tree {
            document: &document,
            definition: &definition,
            incidents: &incidents,
        }
        .instance(Document::ROOT),
    ))
}

struct Tree<'a> {
    document: &'a Document,
    definition: &'a Definition,
    /// Execution, id and element of each.
    incidents: &'a [(String, String, String)],
}

impl Tree<'_> {
    fn instance(&self, key: NodeKey) -> Json {
        let Some(node) = self.document.nodes.get(&key) else {
            return Json::Null;
        };
        let children: Vec<(NodeKey, &Node)> = self
            .document
            .children(key)
            .into_iter()
            .filter_map(|k| self.document.nodes.get(&k).map(|n| (k, n)))
            .collect();
        let inside = children
            .iter()
            .filter(|(_, n)| n.activity.is_some())
            .map(|(k, _)| self.instance(*k));
        let between = children
            .iter()
            .filter(|(_, n)| waits_between(n))
            .map(|(_, n)| self.transition(key, n));
        let (element, name, kind) = self.shown(node);
        let parent = if key == Document::ROOT {
            Json::Null
        } else {
            self.document.parent_activity(key).into()
        };
        json!({
            "id": node.activity,
            "parentActivityInstanceId": parent,
            "activityId": element,
            "activityName": name,
            "name": name,
            "activityType": kind,
            "processInstanceId": self.document.id,
            "processDefinitionId": self.document.definition,
            "childActivityInstances": inside.collect::<Vec<_>>(),
            "childTransitionInstances": between.collect::<Vec<_>>(),
            "executionIds": [node.id],
            "incidentIds": self.incident_ids(node),
            "incidents": self.incidents(node),
        })
    }

    fn transition(&self, scope: NodeKey, node: &Node) -> Json {
        let (element, name, kind) = self.shown(node);
        let parent = self
            .document
            .nodes
            .get(&scope)
            .and_then(|n| n.activity.clone());
        json!({
            "id": node.id,
            "parentActivityInstanceId": parent,
            "activityId": element,
            "activityName": name,
            "activityType": kind,
            "executionId": node.id,
            "processInstanceId": self.document.id,
            "processDefinitionId": self.document.definition,
            "targetActivityId": element,
            "incidentIds": self.incident_ids(node),
            "incidents": self.incidents(node),
        })
    }

    fn incident_ids(&self, node: &Node) -> Vec<&str> {
        let here = self.incidents.iter().filter(|(at, _, _)| *at == node.id);
        here.map(|(_, id, _)| id.as_str()).collect()
    }

    fn incidents(&self, node: &Node) -> Vec<Json> {
        let here = self.incidents.iter().filter(|(at, _, _)| *at == node.id);
        here.map(|(_, id, element)| json!({ "id": id, "activityId": element }))
            .collect()
    }

    fn shown(&self, node: &Node) -> (Json, Json, Json) {
        let Some(at) = &node.at else {
            let process = &self.definition.process;
            return (
                self.document.definition.as_str().into(),
                process.name.clone().into(),
                "processDefinition".into(),
            );
        };
        let element = self.definition.process.get(at);
        let name: Json = element.and_then(|e| e.name.clone()).into();
        // A job before or after a multi-instance activity is its body's.
        let around = element.is_some_and(|e| e.multi.is_some())
            && node.role != Role::Inner
            && waits_between(node);
        if node.role == Role::Body || around {
            return (
                format!("{at}#multiInstanceBody").into(),
                name,
                "multiInstanceBody".into(),
            );
        }
        (
            at.as_str().into(),
            name,
            element.map_or(Json::Null, |e| e.type_name.as_str().into()),
        )
    }
}

fn waits_between(node: &Node) -> bool {
    node.activity.is_none() && matches!(node.wait, Wait::Before { .. } | Wait::After { .. })
}
