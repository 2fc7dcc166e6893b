//! What is larger than the engine takes is refused by name, whoever brings it, and nothing of it is kept.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use base64::Engine as _;
use homing_engine::{Executor, Limits};
use hyper::Method;
use serde_json::{Value as Json, json};
use support::{Answer, Engine, eventually, flows, model};

const LIMIT: usize = 10_000;
const BODY: usize = 60_000;
/// Code of Operaton's errors about values that a column does not take.
const TOO_LARGE: i64 = 10_002;

async fn engine(executor: Executor) -> Engine {
    Engine::with(|options| {
        options.executor = executor;
        options.limits = Limits {
            variable_bytes: LIMIT,
            body_bytes: BODY,
            ..Limits::default()
        };
    })
    .await
}

fn text(bytes: usize) -> Json {
    json!({ "value": "x".repeat(bytes), "type": "String" })
}

/// It was refused for its size, and says so.
fn refused(answer: &Answer) {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["code"]),
        (500, &json!(TOO_LARGE)),
        "{body}"
    );
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains("limit variable_bytes reached"),
        "{message}"
    );
}

async fn count(engine: &Engine, what: &str) -> Json {
    engine.get(&format!("/engine-rest/{what}/count")).await["count"].clone()
}

async fn hits(engine: &Engine) -> Json {
    engine
        .get("/engine-rest/metrics/homing-limit-hits/sum")
        .await["result"]
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_set_values_up_to_the_limit_and_no_larger() {
    let engine = engine(Executor::Disabled).await;
    let task = "<startEvent id=\"s\"/><userTask id=\"t\"/><endEvent id=\"e\"/>";
    engine
        .deploy(&model(&format!("{task}{}", flows("s>t t>e"))))
        .await;
    let start = "/engine-rest/process-definition/key/p/start";
    let bytes = base64::engine::general_purpose::STANDARD.encode(vec![7; LIMIT]);
    for value in [
        text(LIMIT),
        json!({ "value": bytes, "type": "Bytes" }),
        json!({ "value": bytes, "type": "File", "valueInfo": { "filename": "f" } }),
        json!({ "value": format!("[\"{}\"]", "x".repeat(LIMIT)), "type": "Json" }),
        json!({ "value": format!("<a>{}</a>", "x".repeat(LIMIT)), "type": "Xml" }),
        json!({ "value": "x".repeat(LIMIT), "type": "Object",
                "valueInfo": { "objectTypeName": "T", "serializationDataFormat": "f" } }),
    ] {
        let body = json!({ "variables": { "small": text(1), "v": value } });
        refused(&engine.send(Method::POST, start, body).await);
    }
    let long = json!({ "variables": { "n".repeat(LIMIT + 1): text(0) } });
    refused(&engine.send(Method::POST, start, long).await);
    assert_eq!(count(&engine, "process-instance").await, 0);
    assert_eq!(count(&engine, "history/process-instance").await, 0);
    assert_eq!(count(&engine, "history/variable-instance").await, 0);
    assert_eq!(hits(&engine).await, 7);

    // The name counts too, and what is exactly as large as may be is kept as it is.
    let instance = engine.begin("p", json!({ "v": text(LIMIT - 1) })).await;
    let kept = engine.variable(&instance, "v").await;
    assert_eq!(kept.as_str().unwrap().len(), LIMIT - 1);
    let at = format!("/engine-rest/process-instance/{instance}/variables");
    let larger =
        json!({ "modifications": { "w": text(1), "v": text(LIMIT) }, "deletions": ["none"] });
    refused(&engine.send(Method::POST, &at, larger).await);
    refused(
        &engine
            .send(Method::PUT, &format!("{at}/v"), text(LIMIT))
            .await,
    );
    refused(&upload(&engine, &format!("{at}/b/data"), LIMIT).await);
    assert_eq!(
        upload(&engine, &format!("{at}/b/data"), LIMIT - 1)
            .await
            .status,
        204
    );
    let task = engine.tasks(&instance).await[0]["id"].clone();
    let task = task.as_str().unwrap();
    let local = format!("/engine-rest/task/{task}/localVariables/v");
    refused(&engine.send(Method::PUT, &local, text(LIMIT)).await);
    let complete = format!("/engine-rest/task/{task}/complete");
    let body = json!({ "variables": { "w": text(LIMIT) } });
    refused(&engine.send(Method::POST, &complete, body).await);
    assert_eq!(count(&engine, "task").await, 1);
    assert_eq!(count(&engine, "variable-instance").await, 2);
    engine.node.shutdown().await;
}

async fn upload(engine: &Engine, path: &str, bytes: usize) -> Answer {
    let mut body =
        b"--zzz\r\nContent-Disposition: form-data; name=\"data\"; filename=\"f\"\r\n\r\n".to_vec();
    body.extend(vec![7; bytes]);
    body.extend(b"\r\n--zzz--\r\n");
    let body = Some(("multipart/form-data; boundary=zzz", body));
    engine.call(Method::POST, path, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_refused_and_can_still_complete() {
    let engine = engine(Executor::Disabled).await;
    let work = "<startEvent id=\"s\"/><serviceTask id=\"x\" camunda:type=\"external\" camunda:topic=\"t\"/><endEvent id=\"e\"/>";
    engine
        .deploy(&model(&format!("{work}{}", flows("s>x x>e"))))
        .await;
    let instance = engine.begin("p", json!({})).await;
    let task = engine.fetch("t").await[0]["id"].clone();
    let path = format!(
        "/engine-rest/external-task/{}/complete",
        task.as_str().unwrap()
    );
    let large = json!({ "workerId": "w", "variables": { "v": text(LIMIT) }, "localVariables": { "l": text(1) } });
    refused(&engine.send(Method::POST, &path, large).await);
    assert_eq!(count(&engine, "history/variable-instance").await, 0);
    engine.complete_work(&task, json!({ "v": text(5) })).await;
    assert_eq!(engine.state(&instance).await, "COMPLETED");
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_and_messages_are_held_to_it_too() {
    let engine = engine(Executor::Disabled).await;
    let grow = "<startEvent id=\"s\"/><task id=\"x\"><extensionElements><camunda:inputOutput>\
                <camunda:outputParameter name=\"b\">${a}${a}</camunda:outputParameter></camunda:inputOutput></extensionElements>\
                </task><receiveTask id=\"r\" messageRef=\"paid\"/><endEvent id=\"e\"/>";
    engine
        .deploy(&model(&format!("{grow}{}", flows("s>x x>r r>e"))))
        .await;
    let start = "/engine-rest/process-definition/key/p/start";
    let body = json!({ "variables": { "a": text(LIMIT / 2) } });
    refused(&engine.send(Method::POST, start, body).await);
    assert_eq!(count(&engine, "history/process-instance").await, 0);
    let instance = engine.begin("p", json!({ "a": text(LIMIT / 2 - 1) })).await;
    let message = json!({ "messageName": "paid", "processVariables": { "m": text(LIMIT) } });
    refused(
        &engine
            .send(Method::POST, "/engine-rest/message", message)
            .await,
    );
    assert_eq!(count(&engine, "event-subscription").await, 1);
    assert_eq!(engine.state(&instance).await, "ACTIVE");
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_makes_too_much_fails_its_job_and_leaves_nothing() {
    let engine = engine(Executor::Enabled).await;
    let script = format!(
        "<startEvent id=\"s\"/><scriptTask id=\"x\" scriptFormat=\"javascript\" camunda:asyncBefore=\"true\">\
         <script>execution.setVariable('small', 1); execution.setVariable('v', 'x'.repeat({LIMIT}));</script></scriptTask><endEvent id=\"e\"/>"
    );
    engine
        .deploy(&model(&format!("{script}{}", flows("s>x x>e"))))
        .await;
    let instance = engine.begin("p", json!({})).await;
    let incidents = format!("/engine-rest/incident?processInstanceId={instance}");
    eventually("the job has failed for good", async || {
        engine.get(&incidents).await.as_array().unwrap().len() == 1
    })
    .await;
    let incident = engine.get(&incidents).await[0].clone();
    let message = incident["incidentMessage"].as_str().unwrap();
    assert!(
        message.contains("limit variable_bytes reached"),
        "{message}"
    );
    assert_eq!(count(&engine, "history/variable-instance").await, 0);
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_queue_that_is_too_large_goes_to_the_dead_letters() {
    let engine = engine(Executor::Enabled).await;
    let task = "<startEvent id=\"s\"/><userTask id=\"t\"/><endEvent id=\"e\"/>";
    engine
        .deploy(&model(&format!("{task}{}", flows("s>t t>e"))))
        .await;
    let settings = json!({ "attempts": 2, "backoff_ms": 10, "deliver": { "start": "p" } });
    engine.put("/homing/queues/q", settings).await;
    for (key, bytes) in [("large", LIMIT), ("small", 10)] {
        let message = json!({ "key": key, "body": { "v": "x".repeat(bytes) } });
        engine.post("/homing/queues/q/messages", message).await;
    }
    eventually("the large one is dead", async || {
        engine.get("/homing/queues/q/count").await["dead"] == 1
    })
    .await;
    eventually("the small one is delivered", async || {
        count(&engine, "process-instance").await == 1
    })
    .await;
    assert_eq!(count(&engine, "history/process-instance").await, 1);
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_with_the_name_of_the_limit() {
    let engine = engine(Executor::Disabled).await;
    let path = "/engine-rest/message";
    for bytes in [BODY, 4 * BODY] {
        let body = json!({ "messageName": "m", "processVariables": { "v": text(bytes) } });
        let answer = engine.send(Method::POST, path, body).await;
        let said = answer.json();
        assert_eq!(
            (answer.status, &said["type"]),
            (413, &json!("InvalidRequestException"))
        );
        let message = said["message"].as_str().unwrap();
        assert!(message.starts_with("limit body_bytes reached"), "{message}");
    }
    let answer = engine
        .upload(
            &[("deployment-name", "d")],
            &[("a.bpmn", &"x".repeat(BODY))],
        )
        .await;
    assert_eq!(answer.status, 413);
    assert_eq!(hits(&engine).await, 3);
    // A body below it is read.
    let body = json!({ "messageName": "m", "processVariables": { "v": text(10) } });
    assert_eq!(engine.send(Method::POST, path, body).await.status, 400);
    engine.node.shutdown().await;
}

/// Each of the steps was quadratic once: with so many it took longer than anybody waits.
#[tokio::test(flavor = "multi_thread")]
async fn many_variables_are_set_read_and_removed_at_once() {
    let engine = Engine::without_executor().await;
    let task = "<startEvent id=\"s\"/><userTask id=\"t\"/><endEvent id=\"e\"/>";
    engine
        .deploy(&model(&format!("{task}{}", flows("s>t t>e"))))
        .await;
    let names = |count: usize| (0..count).map(|n| format!("v{n}"));
    let many = 50_000;
    let variables: serde_json::Map<String, Json> = names(many)
        .map(|name| (name, json!({ "value": 1, "type": "Integer" })))
        .collect();
    let instance = engine.begin("p", Json::Object(variables)).await;
    let at = format!("/engine-rest/process-instance/{instance}/variables");
    assert_eq!(engine.get(&at).await.as_object().unwrap().len(), many);
    let deletions: Vec<String> = names(many - 1).collect();
    engine.post(&at, json!({ "deletions": deletions })).await;
    assert_eq!(count(&engine, "variable-instance").await, 1);
    engine.node.shutdown().await;
}

/// A token that doubles at each turn comes to the limit in about the time that one takes that only goes round.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_forks_for_ever_is_refused_and_costs_no_more_than_one_that_turns() {
    let engine = Engine::without_executor().await;
    let forks = format!(
        r#"<startEvent id="s"/><exclusiveGateway id="m"/><parallelGateway id="g"/>
        <sequenceFlow id="again" sourceRef="g" targetRef="m"/>{}"#,
        flows("s>m m>g g>m")
    );
    engine.deploy(&model(&forks)).await;
    let start = "/engine-rest/process-definition/key/p/start";
    let answer = engine.send(Method::POST, start, json!({})).await;
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 500, "{message}");
    assert!(
        message.contains("limit operations_per_step") || message.contains("limit executions"),
        "{message}"
    );
    assert_eq!(count(&engine, "process-instance").await, 0);
    assert_eq!(hits(&engine).await, 1);
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_none_is_is_refused_from_wherever_it_comes() {
    let engine = Engine::without_executor().await;
    let task = "<startEvent id=\"s\"/><userTask id=\"t\"/><serviceTask id=\"x\" camunda:expression=\"${n / 0}\" camunda:resultVariable=\"r\"/><endEvent id=\"e\"/>";
    engine
        .deploy(&model(&format!("{task}{}", flows("s>t t>x x>e"))))
        .await;
    let start = "/engine-rest/process-definition/key/p/start";
    for text in ["NaN", "Infinity", "-Infinity", "1e400"] {
        let body = json!({ "variables": { "n": { "value": text, "type": "Double" } } });
        let answer = engine.send(Method::POST, start, body).await;
        assert_eq!(answer.status, 400, "{text}: {}", answer.json());
    }
    let instance = engine
        .begin("p", json!({ "n": { "value": 1.5, "type": "Double" } }))
        .await;
    let task = engine.tasks(&instance).await[0]["id"].clone();
    let complete = format!("/engine-rest/task/{}/complete", task.as_str().unwrap());
    let answer = engine.send(Method::POST, &complete, json!({})).await;
    assert_eq!(answer.status, 500, "{}", answer.json());
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("not a finite number")
    );
    assert_eq!(engine.tasks(&instance).await.len(), 1);
    engine.node.shutdown().await;
}
