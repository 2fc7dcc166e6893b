//! Scenarios: a model, steps, and a normalised account of what each step left behind.
//!
//! A file has sections that begin with `==`: `process KEY` (elements of a process, `flows: a>b`), `top` (top-level
//! elements), `steps` (one a line), `unordered` (concurrent executions have no order in history), `differs` (lines `golden => ours`, each under a `#` reason).
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod account;
mod logs;

use crate::support::{Answer, flows, models, request};
use hyper::Method;
use serde_json::{Map, Value as Json, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) struct Scenario {
    pub(crate) name: String,
    model: String,
    keys: Vec<String>,
    steps: Vec<String>,
    differs: Vec<(String, String)>,
    /// Is the order of history among concurrent executions left open?
    unordered: bool,
    golden: std::path::PathBuf,
}

/// An engine under test.
pub(crate) struct Site {
    address: SocketAddr,
}

/// Where the scenarios and what Operaton answered are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// All scenarios, by name.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    files.iter().map(|path| Scenario::read(path)).collect()
}

impl Site {
    /// The Operaton at `HOMING_ORACLE`.
    pub(crate) fn oracle() -> Site {
        #[expect(
            clippy::disallowed_methods,
            reason = "a tool for people, not a setting of the product"
        )]
        let oracle =
            std::env::var("HOMING_ORACLE").expect("HOMING_ORACLE is the address of an Operaton");
        let address = oracle.trim_start_matches("http://").parse();
        Site::new(address.expect("HOMING_ORACLE is http://IP:PORT"))
    }

    pub(crate) fn new(address: SocketAddr) -> Site {
        Site { address }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Json>) -> Answer {
        let body = body.map(|b| ("application/json", b.to_string().into_bytes()));
        request(self.address, method, &format!("/engine-rest{path}"), body).await
    }

    async fn get(&self, path: &str) -> Json {
        let answer = self.call(Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()
    }

    async fn post(&self, path: &str, body: Json) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }
}

impl Scenario {
    pub(crate) fn read(path: &Path) -> Scenario {
        let text = std::fs::read_to_string(path).unwrap();
        let mut scenario = Scenario {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            model: String::new(),
            keys: Vec::new(),
            steps: Vec::new(),
            differs: Vec::new(),
            unordered: false,
            golden: path.with_extension("golden"),
        };
        let mut top = String::new();
        let mut processes = String::new();
        for section in text.split("\n== ").map(|s| s.trim_start_matches("== ")) {
            let (head, body) = section.split_once('\n').unwrap_or((section, ""));
            let lines = || {
                body.lines()
                    .map(str::trim)
                    .filter(|l| !l.is_empty() && !l.starts_with('#'))
            };
            match head
                .trim()
                .split_once(' ')
                .unwrap_or_else(|| (head.trim(), ""))
            {
                ("process", key) => {
                    let (id, attributes) = key.split_once(' ').unwrap_or((key, ""));
                    scenario.keys.push(id.to_owned());
                    let inner: String = lines()
                        .map(|line| {
                            line.strip_prefix("flows:")
                                .map_or_else(|| format!("{line}\n"), flows)
                        })
                        .collect();
                    processes.push_str(&format!(
                        "<process id=\"{id}\" isExecutable=\"true\" camunda:historyTimeToLive=\"P1D\" {attributes}>{inner}</process>"
                    ));
                }
                ("top", _) => top.push_str(body),
                ("steps", _) => scenario.steps = lines().map(str::to_owned).collect(),
                ("unordered", _) => scenario.unordered = true,
                ("differs", _) => {
                    let pairs = lines().map(|l| l.split_once(" => ").unwrap());
                    scenario.differs = pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
                }
                (other, _) => panic!("{}: unknown section {other}", scenario.name),
            }
        }
        scenario.model = models(&format!("{top}{processes}"));
        scenario
    }

    /// What Operaton gave, with the meant differences.
    pub(crate) fn expected(&self) -> String {
        let mut text = std::fs::read_to_string(&self.golden).unwrap_or_default();
        for (theirs, ours) in &self.differs {
            assert!(
                text.contains(theirs.as_str()),
                "{}: '{theirs}' is not in the golden answer",
                self.name
            );
            text = text.replace(theirs.as_str(), ours);
        }
        text
    }

    /// Plays the steps; gives the account.
    pub(crate) async fn play(&self, site: &Site) -> String {
        let mut out = String::new();
        let deployed = self.deploy(site).await;
        let Ok(deployment) = deployed else {
            return format!("deploy -> {}\n", deployed.unwrap_err());
        };
        let mut account = account::Account::new(site, &self.keys, self.unordered).await;
        for step in &self.steps {
            let answered = self.step(site, step, &mut account).await;
            out.push_str(&format!("> {step}{answered}\n{}", account.now().await));
        }
        site.call(
            Method::DELETE,
            &format!("/deployment/{deployment}?cascade=true"),
            None,
        )
        .await;
        out
    }

    async fn deploy(&self, site: &Site) -> Result<String, String> {
        let body = format!(
            "--zzz\r\nContent-Disposition: form-data; name=\"m\"; filename=\"{}.bpmn\"\r\n\r\n{}\r\n--zzz--\r\n",
            self.name, self.model
        );
        let body = Some(("multipart/form-data; boundary=zzz", body.into_bytes()));
        let answer = request(
            site.address,
            Method::POST,
            "/engine-rest/deployment/create",
            body,
        )
        .await;
        if answer.status == 200 {
            Ok(answer.json()["id"].as_str().unwrap().to_owned())
        } else {
            Err(format!("{} {}", answer.status, answer.json()["type"]))
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each verb of the scenario language"
    )]
    async fn step(&self, site: &Site, step: &str, account: &mut account::Account<'_>) -> String {
        let mut words = step.split_whitespace();
        let verb = words.next().unwrap();
        let (plain, variables) = arguments(words);
        let arg = |i: usize| plain.get(i).cloned().unwrap_or_default();
        let variables = Json::Object(variables);
        let answer = match verb {
            "start" => {
                let key = plain
                    .first()
                    .cloned()
                    .unwrap_or_else(|| self.keys[0].clone());
                let body = json!({ "variables": variables, "businessKey": "bk" });
                site.post(&format!("/process-definition/key/{key}/start"), body)
                    .await
            }
            "task" => {
                let id = account.task(&arg(0)).await;
                site.post(
                    &format!("/task/{id}/complete"),
                    json!({ "variables": variables }),
                )
                .await
            }
            "task-error" | "task-escalation" => {
                let id = account.task(&arg(0)).await;
                let what = if verb == "task-error" {
                    "bpmnError"
                } else {
                    "bpmnEscalation"
                };
                let body = json!({ "errorCode": arg(1), "escalationCode": arg(1), "variables": variables });
                site.post(&format!("/task/{id}/{what}"), body).await
            }
            "work" | "fail" | "error" => work(site, verb, &plain, variables).await,
            "message" | "message-all" => {
                let body = json!({ "messageName": arg(0), "all": verb == "message-all", "processVariables": variables });
                site.post("/message", body).await
            }
            "signal" => {
                site.post("/signal", json!({ "name": arg(0), "variables": variables }))
                    .await
            }
            "job" => {
                let id = account.job(&arg(0)).await;
                site.post(&format!("/job/{id}/execute"), json!({})).await
            }
            "delete-job" => {
                let id = account.job(&arg(0)).await;
                site.call(Method::DELETE, &format!("/job/{id}"), None).await
            }
            "start-job" => {
                let id = account.start_job(&arg(0), &self.keys[0]).await;
                site.post(&format!("/job/{id}/execute"), json!({})).await
            }
            "retries" | "no-retries" => {
                let id = account.job(&arg(0)).await;
                let retries = if verb == "retries" { 3 } else { 0 };
                let body = Some(json!({ "retries": retries }));
                site.call(Method::PUT, &format!("/job/{id}/retries"), body)
                    .await
            }
            "receive" => {
                let id = account.root().await;
                site.post(
                    &format!("/execution/{id}/signal"),
                    json!({ "variables": variables }),
                )
                .await
            }
            "set" => {
                let id = account.root().await;
                site.post(
                    &format!("/process-instance/{id}/variables"),
                    json!({ "modifications": variables }),
                )
                .await
            }
            "delete" => {
                let id = account.root().await;
                site.call(
                    Method::DELETE,
                    &format!("/process-instance/{id}?deleteReason=x"),
                    None,
                )
                .await
            }
            "suspend" | "resume" => {
                let id = account.root().await;
                let body = json!({ "suspended": verb == "suspend" });
                site.call(
                    Method::PUT,
                    &format!("/process-instance/{id}/suspended"),
                    Some(body),
                )
                .await
            }
            "modify" => {
                let id = account.root().await;
                let kind = arg(0);
                let body = json!({ "instructions": [{ "type": kind, "activityId": arg(1) }] });
                site.post(&format!("/process-instance/{id}/modification"), body)
                    .await
            }
            other => panic!("{}: unknown step {other}", self.name),
        };
        if answer.status < 300 {
            String::new()
        } else {
            format!(" -> {}", answer.status)
        }
    }
}

/// `a b x=1` as plain words and variables.
fn arguments<'a>(words: impl Iterator<Item = &'a str>) -> (Vec<String>, Map<String, Json>) {
    let (mut plain, mut variables) = (Vec::new(), Map::new());
    for word in words {
        match word.split_once('=') {
            Some((name, text)) => {
                let value = match serde_json::from_str::<Json>(text) {
                    Ok(value @ (Json::Array(_) | Json::Object(_))) => {
                        json!({ "type": "Json", "value": value.to_string() })
                    }
                    Ok(value) => json!({ "value": value }),
                    Err(_) => json!({ "value": text }),
                };
                variables.insert(name.to_owned(), value);
            }
            None => plain.push(word.to_owned()),
        }
    }
    (plain, variables)
}

/// Fetches one task of a topic and answers it.
async fn work(site: &Site, verb: &str, plain: &[String], variables: Json) -> Answer {
    let body = json!({ "workerId": "w", "maxTasks": 1, "topics": [{ "topicName": plain[0], "lockDuration": 600_000 }] });
    let fetched = site.post("/external-task/fetchAndLock", body).await;
    let fetched = fetched.json();
    let id = fetched[0]["id"].as_str().unwrap_or("none").to_owned();
    match verb {
        "work" => {
            let body = json!({ "workerId": "w", "variables": variables });
            site.post(&format!("/external-task/{id}/complete"), body)
                .await
        }
        "fail" => {
            let retries: i64 = plain[1].parse().unwrap();
            let body = json!({ "workerId": "w", "retries": retries, "errorMessage": "it failed", "retryTimeout": 0 });
            site.post(&format!("/external-task/{id}/failure"), body)
                .await
        }
        _ => {
            let body = json!({ "workerId": "w", "errorCode": plain[1], "errorMessage": "said", "variables": variables });
            site.post(&format!("/external-task/{id}/bpmnError"), body)
                .await
        }
    }
}
