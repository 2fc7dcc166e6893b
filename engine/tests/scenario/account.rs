//! What there is to see after a step, without ids and times.

use super::Site;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

pub(super) struct Account<'s> {
    pub(super) site: &'s Site,
    keys: Vec<String>,
    unordered: bool,
    /// Instances that were there before; a shared database has others.
    before: BTreeSet<String>,
}

fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

impl<'s> Account<'s> {
    pub(super) async fn new(site: &'s Site, keys: &[String], unordered: bool) -> Account<'s> {
        let mut account = Account {
            site,
            keys: keys.to_vec(),
            unordered,
            before: BTreeSet::new(),
        };
        account.before = account
            .instances()
            .await
            .iter()
            .map(|i| text(&i["id"]))
            .collect();
        account
    }

    /// Instances of this scenario in order of start.
    pub(super) async fn instances(&self) -> Vec<Json> {
        let mut out = Vec::new();
        for key in &self.keys {
            let path = format!(
                "/history/process-instance?processDefinitionKey={key}&sortBy=startTime&sortOrder=asc"
            );
            out.extend(
                self.site
                    .get(&path)
                    .await
                    .as_array()
                    .unwrap()
                    .iter()
                    .cloned(),
            );
        }
        out.retain(|i| !self.before.contains(&text(&i["id"])));
        out
    }

    /// The first instance that still runs.
    pub(super) async fn root(&self) -> String {
        let running = self
            .instances()
            .await
            .into_iter()
            .find(|i| i["endTime"].is_null());
        running.map_or_else(|| "none".to_owned(), |i| text(&i["id"]))
    }

    async fn below(&self, path: &str) -> Vec<(Json, Vec<Json>)> {
        let mut out = Vec::new();
        for instance in self.instances().await {
            let rows = self
                .site
                .get(&format!("{path}{}", text(&instance["id"])))
                .await;
            out.push((instance, rows.as_array().unwrap().clone()));
        }
        out
    }

    /// The first open user task of an element.
    pub(super) async fn task(&self, element: &str) -> String {
        let all = self
            .below(&format!(
                "/task?taskDefinitionKey={element}&sortBy=created&sortOrder=asc&processInstanceId="
            ))
            .await;
        all.iter()
            .flat_map(|(_, rows)| rows)
            .next()
            .map_or_else(|| "none".to_owned(), |t| text(&t["id"]))
    }

    /// The first job of an element.
    pub(super) async fn job(&self, element: &str) -> String {
        let all = self
            .below(&format!("/job?activityId={element}&processInstanceId="))
            .await;
        all.iter()
            .flat_map(|(_, rows)| rows)
            .next()
            .map_or_else(|| "none".to_owned(), |j| text(&j["id"]))
    }

    /// The job by which a timer starts instances of a process.
    pub(super) async fn start_job(&self, element: &str, key: &str) -> String {
        let path = format!("/job?activityId={element}&processDefinitionKey={key}");
        let rows = self.site.get(&path).await;
        rows[0]["id"].as_str().unwrap_or("none").to_owned()
    }

    /// The account.
    pub(super) async fn now(&self) -> String {
        let mut blocks = Vec::new();
        for instance in self.instances().await {
            let id = text(&instance["id"]);
            let (key, state) = (
                text(&instance["processDefinitionKey"]),
                text(&instance["state"]),
            );
            let mut block = format!("  {key} {state}\n");
            for line in [
                self.path(&id).await,
                self.variables(&id).await,
                self.waits(&id).await,
            ] {
                if !line.is_empty() {
                    block.push_str(&format!("    {line}\n"));
                }
            }
            blocks.push((self.keys.iter().position(|k| *k == key), block));
        }
        if self.unordered {
            // Instances of one key that began at the same moment have no order either.
            blocks.sort();
        }
        blocks.into_iter().map(|(_, block)| block).collect()
    }

    async fn path(&self, id: &str) -> String {
        let rows = self.site.post("/history/activity-instance", json!({ "processInstanceId": id, "sorting": [{ "sortBy": "occurrence", "sortOrder": "asc" }] })).await;
        let mut shown = rows
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let mark = if row["canceled"] == true {
                    "!"
                } else if row["endTime"].is_null() {
                    "~"
                } else {
                    ""
                };
                format!(
                    "{}:{}{mark}",
                    text(&row["activityId"]),
                    text(&row["activityType"])
                )
            })
            .collect::<Vec<_>>();
        if self.unordered {
            shown.sort();
        }
        shown.join(" ")
    }

    async fn variables(&self, id: &str) -> String {
        let rows = self
            .site
            .get(&format!(
                "/history/variable-instance?processInstanceId={id}&deserializeValues=false"
            ))
            .await;
        let mut shown: Vec<String> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let whose = if text(&row["activityInstanceId"]) == id {
                    ""
                } else {
                    "'"
                };
                format!(
                    "{}{whose}={}:{}",
                    text(&row["name"]),
                    text(&row["type"]),
                    text(&row["value"])
                )
            })
            .collect();
        shown.sort();
        shown.join(" ")
    }

    async fn waits(&self, id: &str) -> String {
        let mut shown = Vec::new();
        for (path, show) in WAITS {
            let rows = self
                .site
                .get(&format!("/{path}?processInstanceId={id}"))
                .await;
            shown.extend(rows.as_array().unwrap().iter().map(show));
        }
        shown.sort();
        shown.join("; ")
    }
}

/// A list, and the line for each of its rows.
type Shown = (&'static str, fn(&Json) -> String);

/// What can be waited for.
const WAITS: [Shown; 5] = [
    ("task", |row| {
        let [id, name, who] = ["taskDefinitionKey", "name", "assignee"].map(|f| text(&row[f]));
        format!(
            "task {id} name={name} assignee={who} prio={}",
            row["priority"]
        )
    }),
    ("external-task", |row| {
        let [id, topic, error] = ["activityId", "topicName", "errorMessage"].map(|f| text(&row[f]));
        let (retries, priority) = (&row["retries"], &row["priority"]);
        format!("work {id} {topic} retries={retries} error={error} prio={priority}")
    }),
    ("job", |row| {
        let due = if row["dueDate"].is_null() {
            ""
        } else {
            " timed"
        };
        let failed = if row["exceptionMessage"].is_null() {
            ""
        } else {
            " failed"
        };
        let (retries, priority, suspended) = (&row["retries"], &row["priority"], &row["suspended"]);
        format!("job retries={retries} prio={priority} suspended={suspended}{due}{failed}")
    }),
    ("event-subscription", |row| {
        let [kind, name, at] = ["eventType", "eventName", "activityId"].map(|f| text(&row[f]));
        format!("listens {kind} {name} at {at}")
    }),
    ("incident", |row| {
        let [kind, at] = ["incidentType", "activityId"].map(|f| text(&row[f]));
        format!("incident {kind} at {at}")
    }),
];
