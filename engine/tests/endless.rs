//! What does not end, grows without end, comes twice at once or meets a database that goes away: a clear answer, nothing
//! half stored, and nobody else hurt.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod judge;
mod support;

use http::Method;
use judge::Judge;
use serde_json::{Value as Json, json};
use std::time::Duration;
use support::postgres::Server;
use support::{Answer, Engine, eventually, flows, model, models};

/// A process with one element between its start and a user task.
fn around(element: &str) -> String {
    model(&format!(
        r#"<startEvent id="s"/>{element}<userTask id="u"/><endEvent id="e"/>{}"#,
        flows("s>x x>u u>e")
    ))
}

fn script(text: &str) -> String {
    around(&format!(
        r#"<scriptTask id="x" scriptFormat="javascript"><script><![CDATA[{text}]]></script></scriptTask>"#
    ))
}

fn expression(text: &str) -> String {
    around(&format!(
        r#"<serviceTask id="x" camunda:expression="{text}" camunda:resultVariable="r"/>"#
    ))
}

/// Two processes that call each other for ever.
fn circle() -> String {
    let process = |key: &str, called: &str| {
        format!(
            r#"<process id="{key}" isExecutable="true" camunda:historyTimeToLive="P1D"><startEvent id="s_{key}"/>
            <callActivity id="c_{key}" calledElement="{called}"/><endEvent id="e_{key}"/>{}</process>"#,
            flows(&format!("s_{key}>c_{key} c_{key}>e_{key}"))
        )
    };
    models(&format!("{}{}", process("p", "q"), process("q", "p")))
}

async fn start(engine: &Engine, key: &str, variables: Json) -> Answer {
    let path = format!("/engine-rest/process-definition/key/{key}/start");
    engine
        .send(Method::POST, &path, json!({ "variables": variables }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_or_grows_without_end_is_stopped_and_hurts_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("engine.db").display());
    let engine = Engine::with(|options| options.store_url.clone_from(&url)).await;
    let good = model(&format!(
        r#"<startEvent id="s"/><userTask id="t"/><endEvent id="e"/>{}"#,
        flows("s>t t>e")
    ));
    engine
        .deploy(&good.replace(r#"process id="p""#, r#"process id="good""#))
        .await;
    let bystander = engine.begin("good", json!({})).await;
    let twice = "big.replace('x', big)";
    for (text, said) in [
        (circle(), "in a circle"),
        (script("while (true) {}"), "longer than"),
        (
            script("const all = []; while (true) all.push(new Array(1000).fill(1));"),
            "memory",
        ),
        (script("let s = 'x'; for (;;) s += s;"), "too long"),
        (script("(function f() { return f() + 1; })()"), "stack"),
        (
            expression(&format!("${{{twice}.replace('x', big)}}")),
            "longer than",
        ),
        (
            around(
                r#"<task id="x"><multiInstanceLoopCharacteristics><loopCardinality>100000000</loopCardinality></multiInstanceLoopCharacteristics></task>"#,
            ),
            "the limit is",
        ),
    ] {
        engine.deploy(&text).await;
        let answer = start(
            &engine,
            "p",
            json!({ "big": { "value": "x".repeat(3000) } }),
        )
        .await;
        let told = answer.json();
        let message = told["message"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 500, "{told}");
        assert!(message.contains(said) && told["type"].is_string(), "{told}");
        // A script's end names its element.
        assert!(
            !text.contains("scriptTask") || message.contains("'x'"),
            "{told}"
        );
        let live = engine.get("/engine-rest/process-instance").await;
        assert_eq!(live.as_array().unwrap().len(), 1, "half stored: {live}");
    }
    let orphans = Judge::new(&url).await.orphans().await;
    assert!(orphans.is_empty(), "{orphans:?}");
    let task = engine.tasks(&bystander).await[0]["id"].clone();
    engine.complete_task(&task, json!({})).await;
    assert_eq!(engine.state(&bystander).await, "COMPLETED");
    engine.node.shutdown().await;
}

/// A process that calls itself over an asynchronous mark, as long as `n` is not nought.
fn recursion() -> String {
    model(&format!(
        r#"<startEvent id="s"/><exclusiveGateway id="g"/>
        <callActivity id="x" calledElement="p" camunda:asyncBefore="true"><extensionElements><camunda:in sourceExpression="${{n - 1}}" target="n"/></extensionElements></callActivity>
        <endEvent id="e"/><endEvent id="z"/><sequenceFlow id="on" sourceRef="g" targetRef="x"><conditionExpression xsi:type="tFormalExpression">${{n != 0}}</conditionExpression></sequenceFlow>
        <sequenceFlow id="off" sourceRef="g" targetRef="z"><conditionExpression xsi:type="tFormalExpression">${{n == 0}}</conditionExpression></sequenceFlow>{}"#,
        flows("s>g x>e")
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_a_circle_over_jobs_come_to_an_incident_and_a_deep_recursion_to_its_end() {
    const DEPTH: i64 = 20;
    let engine = Engine::with(|options| {
        options.limits.call_depth = u32::try_from(DEPTH).unwrap();
    })
    .await;
    let text = recursion();
    engine.deploy(&text).await;
    // As deep as is allowed: it ends, and everybody above it.
    let deep = engine.begin("p", json!({ "n": { "value": DEPTH } })).await;
    eventually("the recursion ends", async || {
        engine.state(&deep).await == "COMPLETED"
    })
    .await;
    let ended = engine
        .get("/engine-rest/history/process-instance/count?completed=true")
        .await;
    assert_eq!(ended["count"], DEPTH + 1);
    // One more, and a circle that nobody would ever end.
    for n in [DEPTH + 1, -1] {
        let above = engine.begin("p", json!({ "n": { "value": n } })).await;
        let incident = async || {
            let all = engine
                .get("/engine-rest/incident?incidentType=failedJob")
                .await;
            let of_its_own = |one: &&Json| one["rootCauseIncidentId"] == one["id"];
            all.as_array().unwrap().iter().find(of_its_own).cloned()
        };
        eventually("the call fails", async || incident().await.is_some()).await;
        let message = incident().await.unwrap()["incidentMessage"]
            .as_str()
            .unwrap()
            .to_owned();
        let line = text
            .split("<callActivity")
            .next()
            .unwrap()
            .matches('\n')
            .count()
            + 1;
        assert!(
            message.contains("limit call_depth reached") && message.contains("in a circle"),
            "{message}"
        );
        assert!(
            message.contains(&format!(" (element 'x', line {line}, column ")),
            "{message}"
        );
        let live = engine.get("/engine-rest/process-instance/count").await;
        assert_eq!(live["count"], DEPTH + 1, "nothing is half stored");
        let gone = engine
            .send(
                Method::DELETE,
                &format!("/engine-rest/process-instance/{above}"),
                json!({}),
            )
            .await;
        assert_eq!(gone.status, 204, "{}", gone.json());
        let left = engine.get("/engine-rest/process-instance/count").await;
        assert_eq!(left["count"], 0, "they go with the topmost");
    }
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_nest_too_deep_are_refused_where_they_stand() {
    let engine = Engine::without_executor().await;
    for text in [
        format!("${{{}1{}}}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("${{{}1}}", "-".repeat(50_000)),
        format!("${{{}}}", ["1"; 50_000].join("+")),
    ] {
        let answer = engine
            .upload(
                &[("deployment-name", "x")],
                &[("x.bpmn", &expression(&text))],
            )
            .await;
        let told = answer.json();
        assert_eq!(answer.status, 400, "{told}");
        let error = &told["details"]["x.bpmn"]["errors"][0];
        assert_eq!(error["mainElementId"], "x", "{error}");
        assert!(error["line"].as_i64() > Some(1), "{error}");
    }
    assert_eq!(
        engine.get("/engine-rest/deployment/count").await["count"],
        0
    );
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deployments_at_once_over_two_engines_get_versions_of_their_own() {
    const EACH: usize = 6;
    let server = Server::start();
    let url = server.database("deployments");
    let mut engines = Vec::new();
    for name in ["a", "b"] {
        let with = Engine::with(|options| {
            options.store_url.clone_from(&url);
            options.name = name.to_owned();
        });
        engines.push(std::sync::Arc::new(with.await));
    }
    let mut all = tokio::task::JoinSet::new();
    for number in 0..2 * EACH {
        let engine = engines[number % 2].clone();
        all.spawn(async move {
            let text = around(&format!(r#"<task id="x" name="{number}"/>"#));
            let files: &[(&str, &str)] = &[("test.bpmn", &text)];
            let answer = engine.upload(&[("deployment-name", "same")], files).await;
            assert_eq!(answer.status, 200, "{}", answer.json());
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    let versions = server.ask(
        "deployments",
        "SELECT string_agg(version::text, ' ' ORDER BY version) FROM definition WHERE key = 'p'",
    );
    let wanted: Vec<String> = (1..=2 * EACH).map(|n| n.to_string()).collect();
    assert_eq!(versions, wanted.join(" "));
    let half = "SELECT (SELECT COUNT(*) FROM deployment) - (SELECT COUNT(DISTINCT deployment) FROM resource)";
    assert_eq!(server.ask("deployments", half), "0");
    for engine in engines {
        std::sync::Arc::into_inner(engine)
            .unwrap()
            .node
            .shutdown()
            .await;
    }
}

/// The session dies while the step's transaction waits for a row that somebody else holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_step_whose_database_session_dies_leaves_nothing_and_can_be_done_again() {
    let server = Server::start();
    let url = server.database("away");
    let engine = Engine::with(|options| options.store_url.clone_from(&url)).await;
    let text = model(&format!(
        r#"<startEvent id="s"/><userTask id="a"/><userTask id="b"/><endEvent id="e"/>{}"#,
        flows("s>a a>b b>e")
    ));
    engine.deploy(&text).await;
    let id = engine.begin("p", json!({})).await;
    let other = engine.begin("p", json!({})).await;
    let task = engine.tasks(&id).await[0]["id"].clone();
    let mut holder = server.hang(
        "away",
        &format!("BEGIN; SELECT 1 FROM inst WHERE id = '{id}' FOR UPDATE; SELECT pg_sleep(600)"),
    );
    let asleep =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = 'away'";
    eventually("the row is held", async || {
        server.ask("away", asleep) == "1"
    })
    .await;
    let address = engine.node.address();
    let path = format!("/engine-rest/task/{}/complete", task.as_str().unwrap());
    let step = tokio::spawn(async move {
        let body = Some(("application/json", b"{}".to_vec()));
        support::request(address, Method::POST, &path, body).await
    });
    let waits = "SELECT COUNT(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'away'";
    eventually("the step waits for it", async || {
        server.ask("away", waits) == "1"
    })
    .await;
    // Others go on meanwhile.
    let theirs = engine.tasks(&other).await[0]["id"].clone();
    engine.complete_task(&theirs, json!({})).await;
    server.ask(
        "away",
        "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'away'",
    );
    let answer: Answer = tokio::time::timeout(Duration::from_secs(60), step)
        .await
        .unwrap()
        .unwrap();
    let told = answer.json();
    assert!(answer.status >= 500, "{told}");
    assert!(
        told["message"].is_string() && told["type"].is_string(),
        "{told}"
    );
    server.ask(
        "away",
        "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = 'away'",
    );
    holder.wait().unwrap();
    assert_eq!(engine.path(&id).await, "s a…");
    let orphans = Judge::new(&url).await.orphans().await;
    assert!(orphans.is_empty(), "{orphans:?}");
    engine.complete_task(&task, json!({})).await;
    assert_eq!(engine.path(&id).await, "s a b…");
    engine.node.shutdown().await;
}
