//! One model: deployed, every definition started, and driven until it ends, waits for somebody else, or has an incident.
//!
//! Owns the driving and the words for what came of it. Must not judge whether that is right. What it lacks is given by `given`.

use crate::given::{Corpus, Given};
use crate::support::{Answer, Engine};
use hyper::Method;
use roxmltree::Document;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Rounds of jobs and tasks before a process counts as one that goes on.
const ROUNDS_MAX: usize = 30;

/// Deploys a model, runs it, and removes it again; gives what came of it in a few words.
pub(crate) async fn outcome(engine: &Engine, corpus: &Corpus, path: &str, model: &str) -> String {
    let name = path.rsplit('/').next().unwrap();
    let answer = engine
        .upload(&[("deployment-name", "model")], &[(name, model)])
        .await;
    if answer.status != 200 {
        return refused(&answer, model);
    }
    let deployed = answer.json();
    let definitions = deployed["deployedProcessDefinitions"].as_object().cloned();
    let mut outcomes = BTreeSet::new();
    for definition in definitions.unwrap_or_default().values() {
        let mut given = Given::new(corpus, path);
        outcomes.insert(run(engine, definition["id"].as_str().unwrap(), &mut given).await);
        given.take_away(engine).await;
    }
    crate::given::undeploy(engine, deployed["id"].as_str().unwrap()).await;
    if outcomes.is_empty() {
        return "nothing to run".to_owned();
    }
    outcomes.into_iter().collect::<Vec<_>>().join("; ")
}

/// The reasons, each with its element and line.
fn refused(answer: &Answer, model: &str) -> String {
    // What cannot be read as XML has no elements.
    let has_elements = Document::parse(model).is_ok();
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["type"]),
        (400, &json!("ParseException")),
        "{body}"
    );
    let mut reasons = BTreeSet::new();
    for resource in body["details"].as_object().unwrap().values() {
        for error in resource["errors"].as_array().unwrap() {
            let reason = error["message"].as_str().unwrap();
            assert!(!reason.is_empty(), "{body}");
            assert!(
                error["line"].as_u64().is_some_and(|line| line > 0),
                "{body}"
            );
            assert!(
                error["mainElementId"].is_string() || !has_elements,
                "{body}"
            );
            reasons.insert(without_names(reason));
        }
    }
    assert!(!reasons.is_empty(), "{body}");
    let reasons: Vec<String> = reasons.into_iter().collect();
    format!("refused: {}", reasons.join("; "))
}

/// A message with what is in quotes left out: kinds of refusals, not each of them.
pub(crate) fn without_names(message: &str) -> String {
    let parts = message.split('\'').enumerate();
    parts
        .map(|(at, part)| if at % 2 == 0 { part } else { "…" })
        .collect()
}

async fn run(engine: &Engine, definition: &str, given: &mut Given<'_>) -> String {
    let path = format!("/engine-rest/process-definition/{definition}/start");
    let mut refusal = None;
    let instance = loop {
        let body = json!({ "variables": given.variables() });
        let answer = engine.send(Method::POST, &path, body).await;
        if answer.status == 200 {
            break answer.json()["id"].as_str().unwrap().to_owned();
        }
        // What is told is what it lacked at first.
        let refused = refusal.get_or_insert_with(|| told(&answer));
        if !given.gives(engine, &answer, None).await {
            return format!("not started: {refused}");
        }
    };
    let mut trouble = BTreeSet::new();
    let mut triggered = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let open = open(engine, &instance).await;
        if open.is_empty() {
            return "ends".to_owned();
        }
        let mut moved = false;
        for one in &open {
            moved |= push(engine, one, given, &mut trouble).await;
        }
        moved |= work(engine, given, &mut trouble).await;
        if !moved {
            for one in &open {
                moved |= trigger(engine, one, &mut triggered).await;
            }
        }
        if !moved {
            return stands(engine, &open, trouble).await;
        }
    }
    "goes on".to_owned()
}

/// Sends the messages and signals that one instance waits for, and lets its receive tasks go on, each once. Did anything move?
async fn trigger(
    engine: &Engine,
    instance: &str,
    triggered: &mut BTreeSet<(String, String)>,
) -> bool {
    let mut moved = false;
    let path = format!("/engine-rest/event-subscription?processInstanceId={instance}");
    let mut waiting = Vec::new();
    for row in engine.get(&path).await.as_array().unwrap() {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let (execution, name) = (text("executionId"), text("eventName"));
        let call = match row["eventType"].as_str().unwrap() {
            "message" => (
                format!("/engine-rest/execution/{execution}/messageSubscriptions/{name}/trigger"),
                json!({}),
            ),
            "signal" => (
                "/engine-rest/signal".to_owned(),
                json!({ "name": name, "executionId": execution }),
            ),
            _ => continue,
        };
        waiting.push((text("activityId"), call));
    }
    let tree = format!("/engine-rest/process-instance/{instance}/activity-instances");
    let tree = engine.call(Method::GET, &tree, None).await.json();
    for (activity, execution) in receiving(&tree) {
        let path = format!("/engine-rest/execution/{execution}/signal");
        waiting.push((activity, (path, json!({}))));
    }
    for (activity, (path, body)) in waiting {
        if triggered.insert((instance.to_owned(), activity)) {
            let path = path.replace(' ', "%20");
            moved |= engine.send(Method::POST, &path, body).await.status < 400;
        }
    }
    moved
}

/// The receive tasks in a tree of activity instances, each with its execution.
fn receiving(tree: &Json) -> Vec<(String, String)> {
    let children = tree["childActivityInstances"].as_array();
    let mut found: Vec<_> = children.into_iter().flatten().flat_map(receiving).collect();
    if tree["activityType"] == "receiveTask" {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        found.push((text(&tree["activityId"]), text(&tree["executionIds"][0])));
    }
    found
}

/// What is left of the instance's hierarchy.
async fn open(engine: &Engine, instance: &str) -> Vec<String> {
    let path = format!(
        "/engine-rest/history/process-instance?rootProcessInstanceId={instance}&unfinished=true"
    );
    let rows = engine.get(&path).await;
    let ids = rows.as_array().unwrap().iter();
    ids.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Runs jobs and completes tasks of one instance. Did anything move?
async fn push(
    engine: &Engine,
    instance: &str,
    given: &mut Given<'_>,
    trouble: &mut BTreeSet<String>,
) -> bool {
    let mut moved = false;
    for (list, verb) in [("job", "execute"), ("task", "complete")] {
        let retries = if list == "job" {
            "&withRetriesLeft=true"
        } else {
            ""
        };
        let rows = engine
            .get(&format!(
                "/engine-rest/{list}?processInstanceId={instance}{retries}"
            ))
            .await;
        for row in rows.as_array().unwrap() {
            let path = format!("/engine-rest/{list}/{}/{verb}", row["id"].as_str().unwrap());
            let answer = engine.send(Method::POST, &path, json!({})).await;
            // What an earlier one ended is not there any more.
            let gone = answer.json()["message"].as_str().is_some_and(|message| {
                message.contains("task is null") || message.contains("No job found")
            });
            let gives = answer.status >= 400 && given.gives(engine, &answer, Some(instance)).await;
            if answer.status >= 400 && !gone && !gives {
                trouble.insert(told(&answer));
            }
            // A task that cannot be completed stays as it is; a job that fails has a try less.
            moved |= answer.status < 400 || gone || gives || list == "job";
        }
    }
    moved
}

/// Completes all external tasks.
async fn work(engine: &Engine, given: &mut Given<'_>, trouble: &mut BTreeSet<String>) -> bool {
    let mut moved = false;
    let topics = engine.get("/engine-rest/external-task/topic-names").await;
    for topic in topics.as_array().unwrap() {
        for task in engine.fetch(topic.as_str().unwrap()).await {
            let path = format!(
                "/engine-rest/external-task/{}/complete",
                task["id"].as_str().unwrap()
            );
            let answer = engine
                .send(Method::POST, &path, json!({ "workerId": "w" }))
                .await;
            let instance = task["processInstanceId"].as_str();
            let gives = answer.status >= 400 && given.gives(engine, &answer, instance).await;
            if gives {
                let path = format!(
                    "/engine-rest/external-task/{}/unlock",
                    task["id"].as_str().unwrap()
                );
                engine.send(Method::POST, &path, json!({})).await;
            } else if answer.status >= 400 {
                trouble.insert(told(&answer));
            }
            moved |= answer.status < 400 || gives;
        }
    }
    moved
}

/// What an instance stands at that nothing of its own moves.
async fn stands(engine: &Engine, open: &[String], trouble: BTreeSet<String>) -> String {
    let mut waits = BTreeSet::new();
    let mut incidents = BTreeSet::new();
    for one in open {
        let rows = engine
            .get(&format!("/engine-rest/incident?processInstanceId={one}"))
            .await;
        for row in rows.as_array().unwrap() {
            let message = row["incidentMessage"].as_str().unwrap_or_default();
            assert!(!message.is_empty(), "an incident without a reason: {row}");
            incidents.insert(without_names(message));
        }
        let rows = engine
            .get(&format!(
                "/engine-rest/event-subscription?processInstanceId={one}"
            ))
            .await;
        for row in rows.as_array().unwrap() {
            waits.insert(row["eventType"].as_str().unwrap().to_owned());
        }
    }
    let joined = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join("; ");
    if !incidents.is_empty() {
        format!("incident: {}", joined(incidents))
    } else if !trouble.is_empty() {
        format!("stands: {}", joined(trouble))
    } else if waits.is_empty() {
        "waits".to_owned()
    } else {
        format!("waits for {}", joined(waits))
    }
}

/// The reason of a refusal, which is never empty and never a fault.
fn told(answer: &Answer) -> String {
    let body = answer.json();
    let message = body["message"].as_str().unwrap_or_default();
    assert!(
        !message.is_empty() && !message.contains("the engine has a fault"),
        "{} {body}",
        answer.status
    );
    without_ids(&without_names(message))
}

/// Ids differ each time.
fn without_ids(message: &str) -> String {
    let words = message.split(' ').map(|word| {
        let id = word.matches('-').count() >= 4 && word.len() >= 36;
        if id { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}
