//! What the script has made so far, as the reference side shows it, and the look that finds and names it.
//!
//! The same look is taken at every side; what it shows is itself compared. Must not change anything. Relies on names
//! that follow from content: what two sides call `approve` of one instance is the same task.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::{
    side::{Seen, Side},
    step::Step,
};

/// Every process of the models.
pub(super) const KEYS: &str =
    "flow-MARK,wait-MARK,told-MARK,both-MARK,open-MARK,parent-MARK,child-MARK";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Activity,
    Execution,
    Task,
    External,
    Subscription,
    Job,
    Incident,
    Variable,
}

/// Symbols of what there is, by instance.
#[derive(Default)]
pub(super) struct World {
    pub(super) live: Vec<String>,
    pub(super) ended: Vec<String>,
    pub(super) definitions: Vec<String>,
    pub(super) deployments: Vec<String>,
    pub(super) keys: usize,
    /// What stands outside of instances, by what it is: cases, batches, definitions of other kinds.
    further: BTreeMap<String, Vec<String>>,
    things: BTreeMap<String, Vec<(Thing, String)>>,
}

impl World {
    /// Any thing of this kind that is there.
    pub(super) fn any(&self, random: &mut fastrand::Rng, thing: Thing) -> Option<String> {
        let all: Vec<&String> = self
            .things
            .values()
            .flatten()
            .filter(|(kind, _)| *kind == thing)
            .map(|(_, symbol)| symbol)
            .collect();
        (!all.is_empty()).then(|| all[random.usize(..all.len())].clone())
    }

    /// Something of this kind has this symbol.
    pub(super) fn add(&mut self, kind: &str, symbol: String) {
        let all = self.further.entry(kind.to_owned()).or_default();
        if !all.contains(&symbol) {
            all.push(symbol);
        }
    }

    /// Any thing of what stands outside of instances.
    pub(super) fn further(&self, random: &mut fastrand::Rng, kind: &str) -> Option<String> {
        random.choice(self.further.get(kind)?).cloned()
    }

    /// Any thing of this kind, of an activity.
    pub(super) fn at(
        &self,
        random: &mut fastrand::Rng,
        thing: Thing,
        activity: &str,
    ) -> Option<String> {
        let all: Vec<&String> = self
            .things
            .values()
            .flatten()
            .filter(|(kind, symbol)| *kind == thing && symbol.contains(activity))
            .map(|(_, symbol)| symbol)
            .collect();
        (!all.is_empty()).then(|| all[random.usize(..all.len())].clone())
    }

    pub(super) fn instance(&self, random: &mut fastrand::Rng) -> Option<String> {
        (!self.live.is_empty()).then(|| self.live[random.usize(..self.live.len())].clone())
    }

    /// A business key that has been used.
    pub(super) fn key(&self, random: &mut fastrand::Rng) -> String {
        format!("MARK-{:02}", random.usize(..self.keys.max(1)) * 7 % 23)
    }

    /// What the reference has shown of an instance.
    pub(super) fn note(&mut self, instance: &str, look: &Look) {
        if look.is_live {
            if !self.live.iter().any(|live| live == instance) {
                self.live.push(instance.to_owned());
            }
            self.things.insert(instance.to_owned(), look.things.clone());
        } else {
            self.live.retain(|live| live != instance);
            self.things.remove(instance);
            if !self.ended.iter().any(|ended| ended == instance) {
                self.ended.push(instance.to_owned());
            }
        }
    }
}

/// One instance at one side.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) is_live: bool,
    pub(super) things: Vec<(Thing, String)>,
    /// Everything that was shown.
    pub(super) shown: Vec<(String, Seen)>,
}

const PARTS: [(Thing, &str, &str, &[&str]); 6] = [
    (
        Thing::Task,
        "task",
        "/task?processInstanceId=",
        &["taskDefinitionKey", "name"],
    ),
    (
        Thing::External,
        "external",
        "/external-task?processInstanceId=",
        &["activityId"],
    ),
    (
        Thing::Subscription,
        "waits",
        "/event-subscription?processInstanceId=",
        &["activityId", "eventType"],
    ),
    (Thing::Job, "job", "/job?processInstanceId=", &["dueDate"]),
    (
        Thing::Incident,
        "incident",
        "/incident?processInstanceId=",
        &["activityId", "incidentType"],
    ),
    (
        Thing::Variable,
        "variable",
        "/variable-instance?processInstanceIdIn=",
        &["name", "taskId"],
    ),
];

/// Instances that nobody has named yet get their names; whether the side has any such.
pub(super) async fn discover(side: &mut Side) -> Result<Vec<String>> {
    let list = Step::get(format!("/process-instance?processDefinitionKeyIn={KEYS}"));
    let seen = side.run(&list).await?;
    let mut new: Vec<(String, String)> = Vec::new();
    for row in seen.raw.as_array().into_iter().flatten() {
        let id = text(row, "id");
        if !side.names.knows(id) {
            let base = format!(
                "{}/{}",
                text(row, "definitionKey"),
                text(row, "businessKey")
            );
            new.push((side.names.text(&base), id.to_owned()));
        }
    }
    new.sort();
    Ok(new
        .iter()
        .map(|(base, id)| side.names.name(base, id))
        .collect())
}

/// Looks at one instance and names what is in it.
pub(super) async fn look(side: &mut Side, instance: &str) -> Result<Look> {
    let mut look = Look::default();
    let path = format!("/process-instance/{{{{{instance}}}}}/activity-instances");
    let tree = side.run(&Step::get(&path)).await?;
    look.is_live = tree.status == 200;
    if !look.is_live {
        let path = format!("/history/process-instance/{{{{{instance}}}}}");
        let ended = side.run(&Step::get(&path)).await?;
        look.shown.push((path, ended));
        return Ok(look);
    }
    let mut rows = Vec::new();
    for (_, _, path, _) in PARTS {
        let path = format!("{path}{{{{{instance}}}}}");
        let seen = side.run(&Step::get(&path)).await?;
        rows.push((path, seen));
    }
    // What repeats is told apart by its counter, so that comes first; then the tasks, then where everything is.
    for row in of(&rows[5].1).filter(|row| text(row, "name") == "loopCounter") {
        let base = format!("{instance}/loop {}", row["value"]);
        side.names
            .name(&format!("{base}/execution"), text(row, "executionId"));
        side.names
            .name(&format!("{base}/activity"), text(row, "activityInstanceId"));
    }
    named(side, instance, 0, &rows[0].1, &mut look);
    branch(side, instance, &tree.raw, &mut look);
    for (number, (_, seen)) in rows.iter().enumerate().skip(1) {
        named(side, instance, number, seen, &mut look);
    }
    rows.push((path, tree));
    look.shown = rows
        .into_iter()
        .map(|(path, seen)| {
            let plain = side.names.plain(&seen.raw);
            (path, Seen { plain, ..seen })
        })
        .collect();
    look.things.sort();
    Ok(look)
}

fn of(seen: &Seen) -> impl Iterator<Item = &Value> {
    seen.raw.as_array().into_iter().flatten()
}

fn text<'r>(row: &'r Value, member: &str) -> &'r str {
    row[member].as_str().unwrap_or("")
}

fn named(side: &mut Side, instance: &str, part: usize, seen: &Seen, look: &mut Look) {
    let (thing, word, _, members) = PARTS[part];
    let mut found: Vec<(String, String, String)> = of(seen)
        .map(|row| {
            let content: Vec<String> = members
                .iter()
                .map(|member| side.names.text(text(row, member)))
                .collect();
            let base = format!("{instance}/{word}/{}", content.join("/"));
            let id = text(row, "id").to_owned();
            (base, side.names.plain(row).to_string(), id)
        })
        .collect();
    found.sort();
    for (base, _, id) in found {
        let symbol = side.names.name(&base, &id);
        look.things.push((thing, symbol));
    }
}

/// Activities and executions, from the root down.
fn branch(side: &mut Side, instance: &str, node: &Value, look: &mut Look) {
    let activity = side.names.text(text(node, "activityId"));
    let symbol = side
        .names
        .name(&format!("{instance}/activity/{activity}"), text(node, "id"));
    look.things.push((Thing::Activity, symbol));
    for execution in node["executionIds"].as_array().into_iter().flatten() {
        let base = format!("{instance}/execution/{activity}");
        let symbol = side.names.name(&base, execution.as_str().unwrap_or(""));
        look.things.push((Thing::Execution, symbol));
    }
    let mut inner: Vec<(String, &Value)> = node["childActivityInstances"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|child| (side.names.plain(child).to_string(), child))
        .collect();
    inner.sort_by(|one, two| one.0.cmp(&two.0));
    for (_, child) in inner {
        branch(side, instance, child, look);
    }
}
