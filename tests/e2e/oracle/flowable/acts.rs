//! What clients of Flowable do: start, work on tasks, change, work as external workers, and ask for what is not there.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Script, rows};
use crate::oracle::step::{Check, Step};

const API: &str = "/process-api/runtime";

impl Script {
    pub(super) async fn start(&mut self) -> Result<()> {
        let number = self.started;
        self.started += 1;
        let process = ["order-MARK", "order-MARK", "wait-MARK"][self.random.usize(..3)];
        let instance = format!("{process}/MARK-{number}");
        let city = ["Ulm", "Kiel", "ulm"][self.random.usize(..3)];
        let body = json!({ "processDefinitionKey": process, "businessKey": format!("MARK-{number:03}"),
            "returnVariables": self.random.bool(), "variables": [
                { "name": "prio", "type": "integer", "value": 10 * self.random.usize(..8) },
                { "name": "city", "type": "string", "value": city },
                { "name": "flag", "type": "boolean", "value": self.random.bool() },
                { "name": "amount", "type": "double", "value": 4.75 } ] });
        let step = Step::post(format!("{API}/process-instances"), body).naming("/id", &*instance);
        let seen = self.step(&step).await?;
        anyhow::ensure!(seen.status == 201, "starting: {}", seen.plain);
        self.look(&format!("{instance}#0")).await
    }

    pub(super) async fn task(&mut self) -> Result<()> {
        let tasks: Vec<(String, String)> = self
            .live
            .iter()
            .flat_map(|(instance, live)| {
                live.tasks
                    .iter()
                    .map(|task| (instance.clone(), task.clone()))
            })
            .collect();
        let Some((instance, task)) = self.random.choice(&tasks).cloned() else {
            return Ok(());
        };
        let at = |path: &str| format!("{API}/tasks/{{{{{task}}}}}{path}");
        let user = ["mary", "john", "demo"][self.random.usize(..3)];
        let number = self.random.usize(..100);
        let action =
            |action: &str| Step::post(at(""), json!({ "action": action, "assignee": user }));
        let steps = match self.random.usize(..12) {
            0 => vec![action("claim"), Step::get(at(""))],
            1 => vec![action("delegate"), action("resolve"), Step::get(at(""))],
            2 => vec![
                Step::put(
                    at(""),
                    json!({ "name": format!("Task {}", number % 5), "priority": number,
                    "description": "blue", "owner": "demo", "dueDate": "2031-05-05T10:00:00.000Z" }),
                ),
                Step::get(at("")),
            ],
            3 => vec![
                Step::post(
                    at("/variables"),
                    json!([{ "name": "note", "scope": "local", "type": "string", "value": "x" }]),
                ),
                Step::get(at("/variables")),
                Step::get(at("/variables/prio")),
                Step::get(at("/variables/nothing")),
            ],
            4 => vec![
                Step::post(at("/comments"), json!({ "message": "seen" })).check(Check::Status),
                Step::get(at("/comments")).check(Check::Status),
            ],
            5 => vec![
                Step::post(
                    at("/identitylinks"),
                    json!({ "user": user, "type": "candidate" }),
                ),
                Step::get(at("/identitylinks")),
            ],
            6 => vec![
                action("nonsense"),
                Step::get(at("/form")).check(Check::Status),
            ],
            _ => vec![Step::post(
                at(""),
                json!({ "action": "complete",
                "variables": [{ "name": "done", "type": "integer", "value": number }] }),
            )],
        };
        for step in steps {
            self.step(&step).await?;
        }
        self.settle().await?;
        self.look(&instance).await
    }

    pub(super) async fn instance(&mut self) -> Result<()> {
        let live: Vec<String> = self.live.keys().cloned().collect();
        let Some(instance) = self.random.choice(&live).cloned() else {
            return Ok(());
        };
        let at = |path: &str| format!("{API}/process-instances/{{{{{instance}}}}}{path}");
        let number = self.random.usize(..100);
        let steps = match self.random.usize(..9) {
            0 => vec![
                Step::put(
                    at("/variables"),
                    json!([{ "name": "prio", "type": "integer", "value": number }]),
                ),
                Step::get(at("/variables/prio")),
            ],
            1 => vec![
                Step::put(at(""), json!({ "action": "suspend" })),
                Step::put(at(""), json!({ "action": "activate" })),
            ],
            2 => vec![
                Step::delete(at("/variables/flag")),
                Step::get(at("/variables/flag")),
            ],
            3 => vec![
                Step::get(at("/identitylinks")),
                Step::get(at("/diagram")).check(Check::Status),
            ],
            4 => vec![Step::delete(at("?deleteReason=tidied"))],
            5 => {
                let signal = json!({ "signalName": "nobody-MARK" });
                vec![Step::post(format!("{API}/signals"), signal).check(Check::Status)]
            }
            _ => self.arrives(&instance),
        };
        for step in steps {
            self.step(&step).await?;
        }
        self.settle().await?;
        self.look(&instance).await
    }

    /// What a waiting execution waits for comes.
    fn arrives(&mut self, instance: &str) -> Vec<Step> {
        let waits = self.live.get(instance).map(|live| live.waits.clone());
        let Some((execution, activity)) = self.random.choice(&waits.unwrap_or_default()).cloned()
        else {
            return Vec::new();
        };
        let at = format!("{API}/executions/{{{{{execution}}}}}");
        let body = if activity == "on-message" {
            json!({ "action": "messageEventReceived", "messageName": "paid-MARK" })
        } else {
            json!({ "action": "signalEventReceived", "signalName": "wake-MARK" })
        };
        vec![Step::get(&*at), Step::put(at, body)]
    }

    /// A worker fetches everything that waits, and is done with it or is not.
    pub(super) async fn work(&mut self) -> Result<()> {
        let acquire = json!({ "topic": "ship-MARK", "lockDuration": "PT10M", "numberOfTasks": 1000, "workerId": "w" });
        let path = "/external-job-api/acquire/jobs";
        let answers = {
            let step = Step::post(path, acquire).check(Check::Status);
            let mut answers = Vec::new();
            let all = Step::get("/external-job-api/jobs?size=1000").check(Check::Status);
            for side in &mut self.sides {
                let waiting = side.run(&all).await?;
                for row in rows(&waiting.raw) {
                    let of = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
                    let instance = side.names.text(&of("processInstanceId"));
                    side.names.name(&format!("{instance}/job"), &of("id"));
                }
                let seen = side.run(&step).await?;
                anyhow::ensure!(seen.status == 200, "{}: {}", side.title, seen.plain);
                let mut jobs: Vec<Value> = rows(&seen.raw)
                    .map(|row| side.names.plain(row)["id"].clone())
                    .collect();
                jobs.sort_by_key(Value::to_string);
                answers.push(jobs);
            }
            answers
        };
        self.steps += 1;
        let (reference, others) = answers.split_first().context("no side")?;
        for (side, jobs) in self.sides[1..].iter().zip(others) {
            if jobs != reference {
                self.differences.push(format!(
                    "step {}: {}: acquired {jobs:?}, not {reference:?}",
                    self.steps, side.title
                ));
            }
        }
        for job in reference.clone() {
            let job = job.as_str().context("no id")?.to_owned();
            let (instance, _) = job.rsplit_once("/job").context("no instance")?;
            let at = |what: &str| format!("{path}/{{{{{job}}}}}{what}");
            let complete = |worker: &str| {
                let shipped = json!([{ "name": "shipped", "type": "boolean", "value": true }]);
                Step::post(
                    at("/complete"),
                    json!({ "workerId": worker, "variables": shipped }),
                )
            };
            // Each is ended: one that is handed back keeps its instance locked, which holds up all others of its engine, and
            // that is all jobs at one engine and some over several sites.
            let steps = match self.random.usize(..6) {
                0 => vec![Step::post(
                    at("/fail"),
                    json!({ "workerId": "w", "errorMessage": "no", "retries": 1, "retryTimeout": "PT0S" }),
                )],
                1 => vec![Step::post(
                    at("/bpmnError"),
                    json!({ "workerId": "w", "errorCode": "refused" }),
                )],
                2 => vec![complete("nobody").check(Check::Status), complete("w")],
                _ => vec![complete("w")],
            };
            for step in steps {
                self.step(&step).await?;
            }
            self.settle().await?;
            self.look(instance).await?;
        }
        let free = Step::post(
            "/external-job-api/unacquire/jobs",
            json!({ "workerId": "w" }),
        );
        self.step(&free.check(Check::Status)).await?;
        Ok(())
    }

    /// Nothing of this kind, words that mean nothing, numbers that are none.
    pub(super) async fn bad(&mut self) -> Result<()> {
        let reads = [
            "/tasks?sort=nonsense",
            "/tasks?size=many",
            "/tasks?order=up&sort=name",
            "/tasks/none",
            "/tasks?dueBefore=yesterday",
            "/process-instances?sort=age",
            "/process-instances/none/variables",
            "/executions?sort=none",
            "/no/such/thing",
        ];
        let step = Step::get(format!("{API}{}", reads[self.random.usize(..reads.len())]));
        self.step(&step.check(Check::Status)).await?;
        let ended = self.random.choice(&self.ended).cloned();
        if let Some(ended) = ended {
            self.step(
                &Step::get(format!("{API}/process-instances/{{{{{ended}}}}}")).check(Check::Status),
            )
            .await?;
        }
        let body = json!({ "processDefinitionKey": "none-MARK" });
        self.step(&Step::post(format!("{API}/process-instances"), body).check(Check::Status))
            .await?;
        Ok(())
    }
}
