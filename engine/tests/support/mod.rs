//! A node on a database of its own, and a small client.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

pub(crate) mod kafka;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod rabbitmq;

use homing_engine::{Executor, Node, Options};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) struct Engine {
    pub(crate) node: Node,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.bytes).unwrap_or(Json::Null)
    }
}

impl Engine {
    pub(crate) async fn start() -> Engine {
        Engine::with(|_| {}).await
    }

    /// Jobs run only when a test says so, and the clock can be moved.
    pub(crate) async fn without_executor() -> Engine {
        Engine::with(|options| options.executor = Executor::Disabled).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Engine {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            store_url: format!("sqlite:{}", folder.path().join("engine.db").display()),
            test_clock: true,
            ..Options::default()
        };
        change(&mut options);
        Engine {
            node: Node::start(options).await.unwrap(),
            _folder: folder,
        }
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Answer {
        request(self.node.address(), method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Json {
        let answer = self.call(Method::GET, path, None).await;
        assert!(
            answer.status < 300,
            "GET {path}: {} {}",
            answer.status,
            answer.json()
        );
        answer.json()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Json) -> Answer {
        self.call(
            method,
            path,
            Some(("application/json", body.to_string().into_bytes())),
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: Json) -> Json {
        let answer = self.send(Method::POST, path, body).await;
        assert!(
            answer.status < 300,
            "POST {path}: {} {}",
            answer.status,
            answer.json()
        );
        answer.json()
    }

    pub(crate) async fn put(&self, path: &str, body: Json) {
        let answer = self.send(Method::PUT, path, body).await;
        assert!(
            answer.status < 300,
            "PUT {path}: {} {}",
            answer.status,
            answer.json()
        );
    }

    pub(crate) async fn upload(&self, fields: &[(&str, &str)], files: &[(&str, &str)]) -> Answer {
        let mut body = String::new();
        for (name, value) in fields {
            body.push_str(&format!(
                "--zzz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        for (name, text) in files {
            body.push_str(&format!(
                "--zzz\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n{text}\r\n"
            ));
        }
        body.push_str("--zzz--\r\n");
        let body = Some(("multipart/form-data; boundary=zzz", body.into_bytes()));
        self.call(Method::POST, "/engine-rest/deployment/create", body)
            .await
    }

    pub(crate) async fn deploy(&self, xml: &str) -> Json {
        let answer = self
            .upload(&[("deployment-name", "test")], &[("test.bpmn", xml)])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()
    }

    pub(crate) async fn begin(&self, key: &str, variables: Json) -> String {
        let path = format!("/engine-rest/process-definition/key/{key}/start");
        let started = self
            .post(
                &path,
                json!({ "variables": variables, "businessKey": "bk" }),
            )
            .await;
        started["id"].as_str().unwrap().to_owned()
    }

    /// Locks all external tasks of a topic.
    pub(crate) async fn fetch(&self, topic: &str) -> Vec<Json> {
        let body = json!({ "workerId": "w", "maxTasks": 100, "topics": [{ "topicName": topic, "lockDuration": 60000 }] });
        self.post("/engine-rest/external-task/fetchAndLock", body)
            .await
            .as_array()
            .unwrap()
            .clone()
    }

    pub(crate) async fn complete_work(&self, id: &Json, variables: Json) {
        let path = format!(
            "/engine-rest/external-task/{}/complete",
            id.as_str().unwrap()
        );
        self.post(&path, json!({ "workerId": "w", "variables": variables }))
            .await;
    }

    pub(crate) async fn tasks(&self, instance: &str) -> Vec<Json> {
        let tasks = self
            .get(&format!(
                "/engine-rest/task?processInstanceId={instance}&sortBy=name&sortOrder=asc"
            ))
            .await;
        tasks.as_array().unwrap().clone()
    }

    pub(crate) async fn complete_task(&self, id: &Json, variables: Json) {
        let path = format!("/engine-rest/task/{}/complete", id.as_str().unwrap());
        self.post(&path, json!({ "variables": variables })).await;
    }

    /// Runs the one job of an instance.
    pub(crate) async fn run_job(&self, instance: &str) {
        let jobs = self
            .get(&format!("/engine-rest/job?processInstanceId={instance}"))
            .await;
        assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
        self.post(
            &format!(
                "/engine-rest/job/{}/execute",
                jobs[0]["id"].as_str().unwrap()
            ),
            json!({}),
        )
        .await;
    }

    pub(crate) async fn state(&self, instance: &str) -> String {
        let found = self
            .get(&format!("/engine-rest/history/process-instance/{instance}"))
            .await;
        found["state"].as_str().unwrap().to_owned()
    }

    /// Ids of the elements that were entered, in order; cancelled ones end in `!`, open ones in `…`.
    pub(crate) async fn path(&self, instance: &str) -> String {
        let url = format!(
            "/engine-rest/history/activity-instance?processInstanceId={instance}&sortBy=occurrence&sortOrder=asc"
        );
        let rows = self.get(&url).await;
        let shown = rows.as_array().unwrap().iter().map(|row| {
            let id = row["activityId"].as_str().unwrap();
            let mark = if row["canceled"] == true {
                "!"
            } else if row["endTime"].is_null() {
                "…"
            } else {
                ""
            };
            format!("{id}{mark}")
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    pub(crate) async fn variable(&self, instance: &str, name: &str) -> Json {
        let url = format!(
            "/engine-rest/history/variable-instance?processInstanceId={instance}&variableName={name}"
        );
        self.get(&url).await[0]["value"].clone()
    }

    pub(crate) async fn eventually_state(&self, instance: &str, wanted: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.state(instance).await != wanted {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{instance} is not {wanted}: {}",
                self.path(instance).await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits until something is true.
pub(crate) async fn eventually(what: &str, check: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !check().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<(&str, Vec<u8>)>,
) -> Answer {
    try_request(address, method, path, body).await.unwrap()
}

/// The same where the engine may die meanwhile: then there is no answer.
pub(crate) async fn try_request(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<(&str, Vec<u8>)>,
) -> Option<Answer> {
    let stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    tokio::spawn(async move { drop(connection.await) });
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string());
    let mut bytes = Vec::new();
    if let Some((media, content)) = body {
        builder = builder.header("content-type", media);
        bytes = content;
    }
    let request = builder.body(Full::new(Bytes::from(bytes))).unwrap();
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let content_type = response
        .headers()
        .get("content-type")
        .map(|v| v.to_str().unwrap().to_owned());
    let bytes = response.into_body().collect().await.ok()?;
    Some(Answer {
        status,
        content_type,
        bytes: bytes.to_bytes().to_vec(),
    })
}

/// A model around the elements of one process `p`.
pub(crate) fn model(inner: &str) -> String {
    models(&format!(
        r#"<process id="p" isExecutable="true" camunda:historyTimeToLive="P1D">{inner}</process>"#
    ))
}

/// A file around processes and top-level elements.
pub(crate) fn models(inner: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" targetNamespace="http://test">
<message id="paid" name="paid"/><message id="begin" name="begin"/><signal id="alarm" name="alarm"/>
<error id="broken" errorCode="broken"/><escalation id="late" escalationCode="late"/>
{inner}</definitions>"#
    )
}

/// `a>b c>d` as sequence flows named after their ends.
pub(crate) fn flows(text: &str) -> String {
    let flows = text.split_whitespace().map(|flow| {
        let (from, to) = flow.split_once('>').unwrap();
        format!(r#"<sequenceFlow id="{from}_{to}" sourceRef="{from}" targetRef="{to}"/>"#)
    });
    flows.collect()
}
