//! Whatever fails while an instance runs says which element of the model it was, and where that stands.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::{Delegate, Executor, Limits};
use hyper::Method;
use serde_json::{Value as Json, json};
use support::{Engine, eventually, models};

/// What a wrong place of the models ends with: it stands alone in its line, so that the line tells whether it was found.
const START: &str = "/engine-rest/process-definition/key/p/start";

async fn engine(executor: Executor) -> Engine {
    Engine::with(|options| {
        options.executor = executor;
        options.limits = Limits {
            variable_bytes: 100_000,
            ..Limits::default()
        };
        let script = Delegate::Script("nobody.here()".to_owned());
        options
            .delegates
            .insert("com.example.Fails".to_owned(), script);
    })
    .await
}

/// A process that starts, comes to the elements given, and ends.
fn around(elements: &str) -> String {
    models(&format!(
        "<process id=\"p\" isExecutable=\"true\" camunda:historyTimeToLive=\"P1D\">\n<startEvent id=\"s\"/>\n\
         <sequenceFlow id=\"f1\" sourceRef=\"s\" targetRef=\"x\"/>\n<sequenceFlow id=\"f2\" sourceRef=\"x\" targetRef=\"e\"/>\n\
         <endEvent id=\"e\"/>\n{elements}\n</process>"
    ))
}

/// The line of a text in a model.
fn line(model: &str, text: &str) -> usize {
    let before = model.split_once(text).unwrap().0;
    before.matches('\n').count() + 1
}

/// A message ends with the element and its line.
fn placed(message: &Json, element: &str, line: usize) {
    let message = message.as_str().unwrap();
    let place = format!(" (element '{element}', line {line}, column ");
    let found = message.rfind(&place);
    assert!(found.is_some(), "{message}: wanted{place}");
    assert!(message.ends_with(')'), "{message}");
    assert_eq!(message.matches(" (element '").count(), 1, "{message}");
}

/// Elements with a mistake, the element and a text of the line that have to be told, and words of the reason.
const MISTAKES: [(&str, &str, &str, &str); 23] = [
    (
        "<serviceTask id=\"x\" camunda:expression=\"${nobody}\"/>",
        "x",
        "<serviceTask",
        "nobody",
    ),
    (
        "<serviceTask id=\"x\" camunda:expression=\"${1 + true}\"/>",
        "x",
        "<serviceTask",
        "expression",
    ),
    (
        "<serviceTask id=\"x\" camunda:class=\"com.example.Fails\"/>",
        "x",
        "<serviceTask",
        "nobody",
    ),
    (
        "<scriptTask id=\"x\" scriptFormat=\"javascript\"><script>\nthrow new Error('no')</script></scriptTask>",
        "x",
        "<scriptTask",
        "no",
    ),
    (
        "<scriptTask id=\"x\" scriptFormat=\"javascript\"><script>while (true) {}</script></scriptTask>",
        "x",
        "<scriptTask",
        "limit script_time reached",
    ),
    (
        "<scriptTask id=\"x\" scriptFormat=\"javascript\"><script>new Uint8Array(64 * 1024 * 1024)</script></scriptTask>",
        "x",
        "<scriptTask",
        "limit script_memory reached",
    ),
    (
        "<scriptTask id=\"x\" scriptFormat=\"javascript\" camunda:resultVariable=\"v\"><script>'x'.repeat(100001)</script></scriptTask>",
        "x",
        "<scriptTask",
        "limit variable_bytes reached",
    ),
    (
        "<scriptTask id=\"x\" scriptFormat=\"javascript\" camunda:resultVariable=\"v\"><script>1 / 3</script></scriptTask>\n\
      <exclusiveGateway id=\"g\"/>\n<sequenceFlow id=\"f3\" sourceRef=\"x\" targetRef=\"g\"/>\n\
      <sequenceFlow id=\"f5\" sourceRef=\"g\" targetRef=\"e\"><conditionExpression>${v > 2}</conditionExpression></sequenceFlow>\n<sequenceFlow id=\"f4\" sourceRef=\"g\" targetRef=\"e\">\n<conditionExpression>${v > 1}</conditionExpression></sequenceFlow>",
        "g",
        "<exclusiveGateway",
        "ENGINE-02004",
    ),
    (
        "<task id=\"x\"/>\n<sequenceFlow id=\"f3\" sourceRef=\"x\" targetRef=\"e\">\n<conditionExpression>${nobody > 1}</conditionExpression>\n</sequenceFlow>",
        "f3",
        "<conditionExpression",
        "nobody",
    ),
    (
        "<task id=\"x\"/>\n<sequenceFlow id=\"f3\" sourceRef=\"x\" targetRef=\"e\">\n<conditionExpression language=\"javascript\">nobody()</conditionExpression>\n</sequenceFlow>",
        "f3",
        "<sequenceFlow id=\"f3\"",
        "nobody",
    ),
    (
        "<task id=\"x\">\n<extensionElements><camunda:inputOutput>\n<camunda:inputParameter name=\"i\">${nobody}</camunda:inputParameter>\n</camunda:inputOutput></extensionElements></task>",
        "x",
        "<camunda:inputParameter",
        "nobody",
    ),
    (
        "<task id=\"x\">\n<extensionElements><camunda:inputOutput>\n<camunda:outputParameter name=\"o\">${nobody}</camunda:outputParameter>\n</camunda:inputOutput></extensionElements></task>",
        "x",
        "<camunda:outputParameter",
        "nobody",
    ),
    (
        "<userTask id=\"x\" camunda:dueDate=\"tomorrow\"/>",
        "x",
        "<userTask",
        "tomorrow",
    ),
    (
        "<userTask id=\"x\" name=\"${nobody}\"/>",
        "x",
        "<userTask",
        "nobody",
    ),
    (
        "<userTask id=\"x\"/>\n<boundaryEvent id=\"b\" attachedToRef=\"x\">\n<timerEventDefinition id=\"t\">\n<timeDuration>${nobody}</timeDuration></timerEventDefinition></boundaryEvent>",
        "b",
        "<timeDuration",
        "nobody",
    ),
    (
        "<userTask id=\"x\"/>\n<boundaryEvent id=\"b\" attachedToRef=\"x\">\n<timerEventDefinition>\n<timeCycle>${'never'}</timeCycle></timerEventDefinition></boundaryEvent>",
        "b",
        "<boundaryEvent",
        "never",
    ),
    (
        "<userTask id=\"x\"/>\n<subProcess id=\"sub\" triggeredByEvent=\"true\">\n<startEvent id=\"ss\"><timerEventDefinition>\n<timeDate>${nobody}</timeDate></timerEventDefinition></startEvent></subProcess>",
        "ss",
        "<timeDate",
        "nobody",
    ),
    (
        "<task id=\"x\">\n<multiInstanceLoopCharacteristics camunda:collection=\"${nobody}\"/></task>",
        "x",
        "<multiInstance",
        "nobody",
    ),
    (
        "<task id=\"x\">\n<multiInstanceLoopCharacteristics camunda:collection=\"${'text'}\"/></task>",
        "x",
        "<task",
        "no list",
    ),
    (
        "<task id=\"x\">\n<multiInstanceLoopCharacteristics><loopCardinality>100000</loopCardinality></multiInstanceLoopCharacteristics></task>",
        "x",
        "<task",
        "limit multi_instances reached",
    ),
    (
        "<callActivity id=\"x\" calledElement=\"nobody\"/>",
        "x",
        "<callActivity",
        "no processes deployed with key 'nobody'",
    ),
    (
        "<callActivity id=\"x\" calledElement=\"p\"/>",
        "x",
        "<callActivity",
        "limit unit_instances reached",
    ),
    (
        "<callActivity id=\"x\" calledElement=\"q\">\n<extensionElements>\n<camunda:in sourceExpression=\"${nobody}\" target=\"t\"/></extensionElements></callActivity>",
        "x",
        "<camunda:in ",
        "nobody",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_model_is_told_with_element_and_line() {
    let engine = engine(Executor::Disabled).await;
    for (elements, element, text, reason) in MISTAKES {
        let model = around(elements);
        engine.deploy(&model).await;
        let answer = engine.send(Method::POST, START, json!({})).await;
        let message = answer.json()["message"].clone();
        assert_eq!(answer.status, 500, "{elements}: {message}");
        assert!(message.as_str().unwrap().contains(reason), "{message}");
        placed(&message, element, line(&model, text));
    }
    let left = engine.get("/engine-rest/process-instance/count").await;
    assert_eq!(left["count"], 0, "{left}");
    engine.node.shutdown().await;
}

/// A loop without a wait state, and what comes back from a call.
#[tokio::test(flavor = "multi_thread")]
async fn loops_and_what_calls_give_back_are_told_too() {
    let engine = engine(Executor::Disabled).await;
    let model = around(
        "<task id=\"x\"/>\n<task id=\"y\"/>\n<sequenceFlow id=\"f3\" sourceRef=\"x\" targetRef=\"y\"/>\n<sequenceFlow id=\"f4\" sourceRef=\"y\" targetRef=\"x\"/>",
    );
    engine.deploy(&model).await;
    let endless = engine.send(Method::POST, START, json!({})).await.json();
    let message = endless["message"].as_str().unwrap();
    assert!(
        message.contains("limit operations_per_step reached"),
        "{message}"
    );
    assert!(message.contains(" (element '"), "{message}");

    let mut model = around(
        "<callActivity id=\"x\" calledElement=\"q\">\n<extensionElements>\n<camunda:out sourceExpression=\"${nobody}\" target=\"t\"/></extensionElements></callActivity>",
    );
    let called = "<process id=\"q\" isExecutable=\"true\" camunda:historyTimeToLive=\"P1D\"><startEvent id=\"qs\"/></process></definitions>";
    model = model.replace("</definitions>", called);
    engine.deploy(&model).await;
    let answer = engine.send(Method::POST, START, json!({})).await;
    assert_eq!(answer.status, 500);
    placed(
        &answer.json()["message"],
        "x",
        line(&model, "<camunda:out "),
    );
    engine.node.shutdown().await;
}

/// A job, its incident and its log say it as the caller is told it, however long the expression is.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_incidents_say_the_place() {
    let engine = engine(Executor::Enabled).await;
    for long in ["", &format!("'{}' == ", "x".repeat(900))] {
        let model = around(&format!(
            "<serviceTask id=\"x\" camunda:asyncBefore=\"true\" camunda:expression=\"${{{long}nobody}}\"/>"
        ));
        engine.deploy(&model).await;
        let instance = engine.begin("p", json!({})).await;
        let of = |what: &str| format!("/engine-rest/{what}?processInstanceId={instance}");
        let (incidents, jobs) = (of("incident"), of("job"));
        eventually("the job fails", async || {
            !engine.get(&incidents).await.as_array().unwrap().is_empty()
        })
        .await;
        let line = line(&model, "<serviceTask");
        let job = &engine.get(&jobs).await[0];
        placed(&job["exceptionMessage"], "x", line);
        assert!(job["exceptionMessage"].as_str().unwrap().chars().count() <= 666);
        placed(
            &engine.get(&incidents).await[0]["incidentMessage"],
            "x",
            line,
        );
        let log = format!("{}&failureLog=true", of("history/job-log"));
        placed(&engine.get(&log).await[0]["jobExceptionMessage"], "x", line);
        let trace = format!(
            "/engine-rest/job/{}/stacktrace",
            job["id"].as_str().unwrap()
        );
        let trace = engine.call(Method::GET, &trace, None).await;
        placed(
            &Json::from(String::from_utf8(trace.bytes).unwrap()),
            "x",
            line,
        );
    }
    engine.node.shutdown().await;
}
