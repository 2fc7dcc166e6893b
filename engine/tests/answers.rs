//! What single requests are answered, wrong ones above all: the answers of Operaton are kept beside the requests, and this
//! engine must give the same.
//!
//! `cargo test -p homing-engine --test answers -- --ignored record` with `HOMING_ORACLE=http://HOST:PORT` set to a fresh
//! Operaton writes the answers to one file of requests anew, the one that `HOMING_SCENARIO` names. A request that begins with `~` is compared without the message, whose words are our
//! own; one that begins with `!` by its status alone: Operaton answers it in the words of its JSON library.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use hyper::Method;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use support::{Answer, Engine, flows, models, request};

/// What of an answer without an error is compared.
const SHOWN: [&str; 15] = [
    "p",
    "q",
    "value",
    "count",
    "retries",
    "suspended",
    "workerId",
    "variables",
    "lockExpirationTime",
    "activityId",
    "jobType",
    "jobConfiguration",
    "overridingJobPriority",
    "priority",
    "dueDate",
];

fn file(name: &str, kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/answers/{name}.{kind}"))
}

async fn send(address: SocketAddr, method: &str, path: &str, body: Option<&str>) -> Answer {
    let method: Method = method.parse().unwrap();
    let kind = if body.is_some_and(|text| text.starts_with("--zzz")) {
        "multipart/form-data; boundary=zzz"
    } else {
        "application/json"
    };
    let body = body.map(|text| (kind, text.as_bytes().to_vec()));
    request(address, method, &format!("/engine-rest{path}"), body).await
}

/// A process of one step, or of what is given in its place.
fn process(key: &str, inner: &str) -> String {
    format!(
        r#"<process id="{key}" isExecutable="true" camunda:historyTimeToLive="P1D"><startEvent id="s_{key}"/>{inner}<endEvent id="e_{key}"/>{}</process>"#,
        flows(&format!("s_{key}>x_{key} x_{key}>e_{key}"))
    )
}

/// Processes that wait for signals, and such that a signal starts.
fn signals() -> String {
    let ring = r#"<signalEventDefinition signalRef="rung"/>"#;
    let twice = format!(
        r#"<subProcess id="x_ring_twice"><startEvent id="is"/><intermediateCatchEvent id="ic">{ring}</intermediateCatchEvent><endEvent id="ie"/>{}</subProcess>
            <boundaryEvent id="b_ring_twice" attachedToRef="x_ring_twice">{ring}</boundaryEvent>"#,
        flows("is>ic ic>ie")
    );
    let starts = |key: &str| {
        process(
            key,
            &format!(
                r#"<startEvent id="z_{key}"><signalEventDefinition signalRef="go"/></startEvent><userTask id="x_{key}"/>{}"#,
                flows(&format!("z_{key}>x_{key}"))
            ),
        )
    };
    let plain = format!(r#"<intermediateCatchEvent id="x_ring">{ring}</intermediateCatchEvent>"#);
    [
        r#"<signal id="rung" name="ring"/><signal id="go" name="go"/>"#.to_owned(),
        process("ring", &plain),
        process("ring_twice", &twice),
        starts("go_one"),
        starts("go_two"),
    ]
    .concat()
}

/// Deploys the processes; gives the ids that requests name.
async fn ids(address: SocketAddr, name: &str) -> Vec<(String, String)> {
    let signals = if name == "states" {
        signals()
    } else {
        String::new()
    };
    let text = models(&format!(
        r#"<message id="m" name="answers"/>{signals}{}{}{}{}{}"#,
        process(
            "ans_work",
            r#"<serviceTask id="x_ans_work" camunda:type="external" camunda:topic="answers"/>"#
        ),
        process("ans_task", r#"<userTask id="x_ans_task"/>"#),
        process("ans_none", r#"<manualTask id="x_ans_none"/>"#),
        process(
            "ans_message",
            r#"<receiveTask id="x_ans_message" messageRef="m"/>"#
        ),
        process(
            "ans_job",
            r#"<serviceTask id="x_ans_job" camunda:expression="${nowhere}" camunda:asyncBefore="true"/>
            <boundaryEvent id="b_ans_job" attachedToRef="x_ans_job"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></boundaryEvent>"#
        ),
    ));
    let body = format!(
        "--zzz\r\nContent-Disposition: form-data; name=\"m\"; filename=\"answers.bpmn\"\r\n\r\n{text}\r\n--zzz--\r\n"
    );
    let deployed = send(address, "POST", "/deployment/create", Some(&body)).await;
    assert_eq!(deployed.status, 200, "{}", deployed.json());
    let mut ids = Vec::new();
    let definitions = deployed.json()["deployedProcessDefinitions"].clone();
    for definition in definitions.as_object().unwrap().values() {
        let key = definition["key"].as_str().unwrap();
        ids.push((format!("def:{key}"), text_of(&definition["id"])));
    }
    for (name, key, lists) in [
        ("work", "ans_work", "external-task"),
        ("held", "ans_work", "external-task"),
        ("task", "ans_task", "task"),
        ("other", "ans_task", "task"),
        ("job", "ans_job", "job"),
    ] {
        let path = format!("/process-definition/key/{key}/start");
        let body = json!({ "variables": { "p": { "value": 7 } } }).to_string();
        let started = send(address, "POST", &path, Some(&body)).await.json();
        let instance = text_of(&started["id"]);
        let path = format!("/{lists}?processInstanceId={instance}");
        let found = send(address, "GET", &path, None).await.json();
        ids.push((name.to_owned(), text_of(&found[0]["id"])));
        ids.push((format!("{name}:instance"), instance));
    }
    if name == "states" {
        let started = send(
            address,
            "POST",
            "/process-definition/key/ring/start",
            Some("{}"),
        );
        ids.push(("ring".to_owned(), text_of(&started.await.json()["id"])));
    }
    let path = "/job-definition?processDefinitionKey=ans_job&activityIdIn=x_ans_job";
    let found = send(address, "GET", path, None).await.json();
    ids.push(("jobs".to_owned(), text_of(&found[0]["id"])));
    ids
}

fn text_of(json: &Json) -> String {
    json.as_str().unwrap_or("?").to_owned()
}

fn shown(answer: &Answer) -> String {
    let body = answer.json();
    if answer.status >= 300 {
        let (kind, code, message) = (&body["type"], &body["code"], &body["message"]);
        return format!("{} {kind} {code} {message}", answer.status);
    }
    let first = if body.is_array() { &body[0] } else { &body };
    let fields = SHOWN.iter().filter_map(|name| {
        let value = first.get(*name).filter(|value| !value.is_null())?;
        let value = if *name == "lockExpirationTime" {
            json!("some")
        } else {
            value.clone()
        };
        Some(format!(" {name}={value}"))
    });
    format!("{}{}", answer.status, fields.collect::<String>())
}

/// Sends all requests; gives a line for each answer.
async fn play(address: SocketAddr, name: &str) -> Vec<String> {
    let ids = ids(address, name).await;
    let mut out = Vec::new();
    let requests = std::fs::read_to_string(file(name, "txt")).unwrap();
    for line in requests.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut wanted = line.trim_start_matches(['~', '!']).to_owned();
        for (name, id) in &ids {
            wanted = wanted.replace(&format!("<{name}>"), id);
        }
        let mut words = wanted.splitn(3, ' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let mut answered = shown(&send(address, method, path, words.next()).await);
        for (name, id) in &ids {
            answered = answered.replace(id, &format!("<{name}>"));
        }
        out.push(format!("{line}\n    -> {answered}"));
    }
    out
}

/// As much of an answer as is compared.
fn compared(answer: &str) -> String {
    let words = match answer.chars().next() {
        Some('~') => 4,
        Some('!') => 2,
        _ => return answer.to_owned(),
    };
    let (request, answered) = answer.split_once("\n    ").unwrap();
    let kept: Vec<&str> = answered.split(' ').take(words).collect();
    format!("{request}\n    {}", kept.join(" "))
}

/// Plays a file here, and compares.
async fn compare(engine: Engine, name: &str) {
    let played = play(engine.node.address(), name).await;
    engine.node.shutdown().await;
    let kept = std::fs::read_to_string(file(name, "golden")).unwrap();
    let wanted: Vec<&str> = kept.split("\n\n").map(str::trim).collect();
    assert_eq!(played.len(), wanted.len(), "record the answers anew");
    let differ: Vec<String> = played
        .iter()
        .zip(wanted)
        .filter(|(ours, theirs)| compared(ours) != compared(theirs))
        .map(|(ours, theirs)| format!("{theirs}\n here: {}", ours.lines().last().unwrap()))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn single_requests_are_answered_as_operaton_answers_them() {
    compare(Engine::without_executor().await, "requests").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_delegated_or_raised_is_answered_as_operaton_answers_it() {
    compare(Engine::without_executor().await, "states").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_what_they_select_in_operaton() {
    compare(Engine::without_executor().await, "filters").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_the_same_on_postgresql() {
    let server = support::postgres::Server::start();
    for name in ["filters", "states"] {
        let engine = Engine::with(|options| {
            options.executor = homing_engine::Executor::Disabled;
            options.store_url = server.database(name);
        })
        .await;
        compare(engine, name).await;
    }
}

/// Writes down what Operaton answers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a running Operaton"]
async fn record() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool for people, not a setting of the product"
    )]
    let oracle =
        std::env::var("HOMING_ORACLE").expect("HOMING_ORACLE is the address of an Operaton");
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool for people, not a setting of the product"
    )]
    let name = std::env::var("HOMING_SCENARIO").expect("HOMING_SCENARIO is one of the files");
    let address = oracle.trim_start_matches("http://").parse().unwrap();
    let played = play(address, &name).await;
    std::fs::write(file(&name, "golden"), format!("{}\n", played.join("\n\n"))).unwrap();
}
