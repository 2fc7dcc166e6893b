//! One process through every kind of wait, over real HTTP.

mod support;

use hyper::Method;
use serde_json::json;
use support::{Engine, flows, model};

fn order() -> String {
    model(&format!(
        r#"<startEvent id="s"/>
        <userTask id="approve" name="Approve ${{amount}}" camunda:assignee="${{boss}}" camunda:candidateGroups="sales,eu"/>
        <exclusiveGateway id="ok" default="ok_no"/>
        <sequenceFlow id="ok_yes" sourceRef="ok" targetRef="ship"><conditionExpression xsi:type="tFormalExpression">${{approved}}</conditionExpression></sequenceFlow>
        <sequenceFlow id="ok_no" sourceRef="ok" targetRef="rejected"/>
        <serviceTask id="ship" camunda:type="external" camunda:topic="shipping"/>
        <boundaryEvent id="slow" attachedToRef="ship"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></boundaryEvent>
        <intermediateCatchEvent id="wait"><messageEventDefinition messageRef="paid"/></intermediateCatchEvent>
        <intermediateCatchEvent id="pause"><timerEventDefinition><timeDuration>PT0.2S</timeDuration></timerEventDefinition></intermediateCatchEvent>
        <parallelGateway id="fork"/><scriptTask id="sum" scriptFormat="javascript" camunda:resultVariable="total"><script>amount * 2</script></scriptTask>
        <task id="note"/><parallelGateway id="join"/>
        <endEvent id="done"/><endEvent id="rejected"/><endEvent id="late_end"/>{}"#,
        flows(
            "s>approve approve>ok ship>wait wait>pause pause>fork fork>sum fork>note sum>join note>join join>done slow>late_end"
        )
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_goes_through_task_work_message_and_timer() {
    let engine = Engine::start().await;
    let deployed = engine.deploy(&order()).await;
    let definitions = deployed["deployedProcessDefinitions"].as_object().unwrap();
    assert_eq!(definitions.values().next().unwrap()["key"], "p");

    let started = engine
        .post(
            "/engine-rest/process-definition/key/p/start",
            json!({ "businessKey": "order-1", "withVariablesInReturn": true,
                    "variables": { "amount": { "value": 21, "type": "Integer" }, "boss": { "value": "ada" } } }),
        )
        .await;
    let id = started["id"].as_str().unwrap().to_owned();
    assert_eq!(started["variables"]["amount"]["type"], "Integer");
    assert_eq!(started["links"][0]["rel"], "self");

    let tasks = engine.tasks(&id).await;
    assert_eq!(
        (tasks[0]["name"].as_str(), tasks[0]["assignee"].as_str()),
        (Some("Approve 21"), Some("ada"))
    );
    let tree = engine
        .get(&format!(
            "/engine-rest/process-instance/{id}/activity-instances"
        ))
        .await;
    assert_eq!(tree["childActivityInstances"][0]["activityId"], "approve");
    engine
        .complete_task(&tasks[0]["id"], json!({ "approved": { "value": true } }))
        .await;

    let work = engine.fetch("shipping").await;
    assert_eq!(work[0]["businessKey"], "order-1");
    assert_eq!(work[0]["variables"]["amount"]["value"], 21);
    assert_eq!(engine.get("/engine-rest/job/count").await["count"], 1);
    engine
        .complete_work(&work[0]["id"], json!({ "parcel": { "value": "x1" } }))
        .await;
    assert_eq!(engine.get("/engine-rest/job/count").await["count"], 0);

    let waiting = engine
        .get("/engine-rest/event-subscription?eventType=message")
        .await;
    assert_eq!(waiting[0]["eventName"], "paid");
    let answer = engine
        .send(
            Method::POST,
            "/engine-rest/message",
            json!({ "messageName": "paid", "businessKey": "order-1" }),
        )
        .await;
    assert_eq!(answer.status, 204);

    engine.eventually_state(&id, "COMPLETED").await;
    assert_eq!(
        engine.path(&id).await,
        "s approve ok ship wait pause fork sum join note join done"
    );
    assert_eq!(engine.variable(&id, "total").await, 42);
    assert_eq!(
        engine.get("/engine-rest/process-instance/count").await["count"],
        0
    );
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("e.db").display());
    let first = Engine::with(|o| o.store_url.clone_from(&url)).await;
    first.deploy(&order()).await;
    let id = first
        .begin(
            "p",
            json!({ "amount": { "value": 1 }, "boss": { "value": "b" } }),
        )
        .await;
    let installation = first.get("/engine-rest/telemetry/data").await["installation"].clone();
    first.node.shutdown().await;

    let second = Engine::with(|o| o.store_url = url).await;
    assert_eq!(
        second.get("/engine-rest/telemetry/data").await["installation"],
        installation
    );
    let tasks = second.tasks(&id).await;
    second
        .complete_task(&tasks[0]["id"], json!({ "approved": { "value": false } }))
        .await;
    assert_eq!(second.path(&id).await, "s approve ok rejected");
    assert_eq!(second.state(&id).await, "COMPLETED");
}
