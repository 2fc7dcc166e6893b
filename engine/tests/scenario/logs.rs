//! What the logs of history hold after all steps, without ids and times; the order within one moment is left open.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use super::account::Account;
use super::{Scenario, Site};
use serde_json::Value as Json;

fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Is it there, and of what?
fn given(value: &Json) -> &'static str {
    if value.is_null() { "no" } else { "yes" }
}

fn state(row: &Json) -> &'static str {
    let all = [
        ("creationLog", "created"),
        ("failureLog", "failed"),
        ("successLog", "done"),
        ("deletionLog", "deleted"),
    ];
    let is = all.into_iter().find(|(field, _)| row[*field] == true);
    is.map_or("nothing", |(_, name)| name)
}

/// The element of an activity instance, or the instance.
fn place(row: &Json, activity: &str) -> String {
    let id = text(&row[activity]);
    if id == text(&row["processInstanceId"]) {
        return "instance".to_owned();
    }
    id.split(':').next().unwrap_or_default().to_owned()
}

fn job(row: &Json) -> String {
    let fields = [
        "activityId",
        "jobDefinitionType",
        "jobDefinitionConfiguration",
    ];
    let [at, kind, configuration] = fields.map(|field| text(&row[field]));
    format!(
        "job {at} {} {kind} {configuration} retries={} prio={} due={} error={} failed={}",
        state(row),
        row["jobRetries"],
        row["jobPriority"],
        given(&row["jobDueDate"]),
        given(&row["jobExceptionMessage"]),
        text(&row["failedActivityId"]),
    )
}

fn work(row: &Json) -> String {
    let fields = ["activityId", "topicName", "workerId", "errorMessage"];
    let [at, topic, worker, error] = fields.map(|field| text(&row[field]));
    format!(
        "work {at} {} {topic} worker={worker} retries={} prio={} error={error} in={}",
        state(row),
        row["retries"],
        row["priority"],
        place(row, "activityInstanceId"),
    )
}

fn detail(row: &Json) -> String {
    let [kind, name, of] = ["type", "variableName", "variableType"].map(|field| text(&row[field]));
    format!(
        "{kind} {name}={}:{of} rev={} initial={}",
        // Whatever made an object, its own form is not compared.
        if of == "Object" {
            "some".to_owned()
        } else {
            text(&row["value"])
        },
        row["revision"],
        row["initial"],
    )
}

/// Where instances of a definition stand.
async fn standing(site: &Site, key: &str) -> String {
    let path = format!("/process-definition/key/{key}/statistics?failedJobs=true&incidents=true");
    let rows = site.get(&path).await;
    let line = |row: &Json| {
        let (id, failed) = (text(&row["id"]), &row["failedJobs"]);
        let incidents = row["incidents"].as_array().unwrap().iter();
        let incidents =
            incidents.map(|of| format!(" {}={}", text(&of["incidentType"]), of["incidentCount"]));
        let incidents: String = incidents.collect();
        format!(
            "    stands {id} {} failed={failed}{incidents}\n",
            row["instances"]
        )
    };
    let mut lines: Vec<String> = rows.as_array().unwrap().iter().map(line).collect();
    lines.sort();
    match lines.concat() {
        lines if lines.is_empty() => lines,
        lines => format!("  {key} now\n{lines}"),
    }
}

impl Scenario {
    /// Plays the steps; gives what the logs hold.
    pub(crate) async fn logs(&self, site: &Site) -> String {
        let Ok(deployment) = self.deploy(site).await else {
            return String::new();
        };
        let mut account = Account::new(site, &self.keys, self.unordered).await;
        for step in &self.steps {
            self.step(site, step, &mut account).await;
        }
        let mut blocks = account.logs().await;
        for key in &self.keys {
            blocks.push(standing(site, key).await);
        }
        blocks.sort();
        let path = format!("/deployment/{deployment}?cascade=true");
        site.call(hyper::Method::DELETE, &path, None).await;
        blocks.concat()
    }
}

/// A list, and the line for each of its rows.
type Shown = (&'static str, fn(&Json) -> String);

impl Account<'_> {
    async fn logs(&self) -> Vec<String> {
        let lists: [Shown; 3] = [
            ("job-log", job),
            ("external-task-log", work),
            ("detail", detail),
        ];
        let mut out = Vec::new();
        for instance in self.instances().await {
            let id = text(&instance["id"]);
            let mut lines = Vec::new();
            for (list, show) in lists {
                let path =
                    format!("/history/{list}?processInstanceId={id}&deserializeValues=false");
                let rows = self.site.get(&path).await;
                lines.extend(rows.as_array().unwrap().iter().map(show));
            }
            lines.sort();
            let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
            out.push(format!(
                "  {}\n{lines}",
                text(&instance["processDefinitionKey"])
            ));
        }
        out
    }
}
