//! What clients are told when something is wrong, in the engine's own shape.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::{Node, Options};
use hyper::Method;
use serde_json::{Value as Json, json};
use sqlx::Connection as _;
use support::postgres::Server;
use support::{Engine, flows, model};

fn shape(answer: &support::Answer) -> (u16, String, bool) {
    let body = answer.json();
    let kind = body["type"].as_str().unwrap_or_default().to_owned();
    (answer.status, kind, body["message"].is_string())
}

#[expect(clippy::too_many_lines, reason = "a table of requests and answers")]
#[tokio::test(flavor = "multi_thread")]
async fn unknown_things_are_refused_as_the_real_engine_refuses_them() {
    let engine = Engine::without_executor().await;
    let cases = [
        (
            Method::GET,
            "/process-instance/none",
            404,
            "InvalidRequestException",
        ),
        (Method::GET, "/task/none", 404, "InvalidRequestException"),
        (Method::POST, "/task/none/complete", 500, "RestException"),
        (
            Method::POST,
            "/process-definition/key/none/start",
            404,
            "RestException",
        ),
        (
            Method::POST,
            "/process-definition/none/start",
            500,
            "RestException",
        ),
        (
            Method::POST,
            "/external-task/none/complete",
            404,
            "RestException",
        ),
        (
            Method::POST,
            "/job/none/execute",
            404,
            "InvalidRequestException",
        ),
        (Method::POST, "/message", 400, "RestException"),
        (Method::GET, "/no-such-route", 404, "NotFoundException"),
        (Method::DELETE, "/version", 405, "NotAllowedException"),
        (
            Method::GET,
            "/task?maxResults=many",
            404,
            "QueryParamException",
        ),
        (
            Method::GET,
            "/task?sortBy=name",
            400,
            "InvalidRequestException",
        ),
        (
            Method::GET,
            "/task?sortBy=colour&sortOrder=asc",
            400,
            "InvalidRequestException",
        ),
        (Method::GET, "/user", 501, "NotImplementedException"),
        (
            Method::GET,
            "/history/batch/count",
            501,
            "NotImplementedException",
        ),
        (
            Method::GET,
            "/task?withCommentAttachmentInfo=true",
            501,
            "NotImplementedException",
        ),
    ];
    for (method, path, status, kind) in cases {
        let body = json!({ "workerId": "w", "messageName": "nobody" });
        let answer = engine
            .send(method.clone(), &format!("/engine-rest{path}"), body)
            .await;
        assert_eq!(
            shape(&answer),
            (status, kind.to_owned(), true),
            "{method} {path}: {}",
            answer.json()
        );
        assert_eq!(
            answer.content_type.as_deref(),
            Some("application/json"),
            "{path}"
        );
    }
    // As the real engine: no such instance is no error here.
    let answer = engine
        .send(
            Method::PUT,
            "/engine-rest/process-instance/none/suspended",
            json!({ "suspended": true }),
        )
        .await;
    assert_eq!(answer.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_worker_that_holds_a_task_may_answer_it() {
    let engine = Engine::without_executor().await;
    let task = "<serviceTask id=\"x\" camunda:type=\"external\" camunda:topic=\"t\"/>";
    engine
        .deploy(&model(&format!(
            "<startEvent id=\"s\"/>{task}<endEvent id=\"e\"/>{}",
            flows("s>x x>e")
        )))
        .await;
    engine.begin("p", json!({})).await;
    let work = engine.fetch("t").await;
    let path = format!(
        "/engine-rest/external-task/{}/complete",
        work[0]["id"].as_str().unwrap()
    );
    let answer = engine
        .send(Method::POST, &path, json!({ "workerId": "other" }))
        .await;
    assert_eq!(answer.status, 400);
    let told = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(
        told.contains("cannot be completed by worker 'other'. It is locked by worker 'w'."),
        "{told}"
    );
    assert!(
        engine.fetch("t").await.is_empty(),
        "a locked task is not given twice"
    );
    assert_eq!(
        engine
            .send(Method::POST, &path, json!({ "workerId": "w" }))
            .await
            .status,
        204
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_fetch_is_answered_as_soon_as_there_is_work() {
    let engine = Engine::without_executor().await;
    let task = "<serviceTask id=\"x\" camunda:type=\"external\" camunda:topic=\"t\"/>";
    engine
        .deploy(&model(&format!(
            "<startEvent id=\"s\"/>{task}<endEvent id=\"e\"/>{}",
            flows("s>x x>e")
        )))
        .await;
    let body = json!({ "workerId": "w", "maxTasks": 1, "asyncResponseTimeout": 20_000,
                       "topics": [{ "topicName": "t", "lockDuration": 1000 }] });
    let begun = tokio::time::Instant::now();
    let (fetched, _) = tokio::join!(
        engine.post("/engine-rest/external-task/fetchAndLock", body),
        engine.begin("p", json!({}))
    );
    assert_eq!(fetched.as_array().map(Vec::len), Some(1));
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(15),
        "it waited for its timeout"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_models_leave_nothing_behind() {
    let engine = Engine::without_executor().await;
    let bomb =
        "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><definitions>&b;</definitions>";
    let good = model(&format!(
        "<startEvent id=\"s\"/><endEvent id=\"e\"/>{}",
        flows("s>e")
    ));
    let bad = good.replace("<endEvent id=\"e\"/>", "<complexGateway id=\"e\"/>");
    // An id that is used twice, also where flows begin and end.
    let twice = good.replace(
        "<endEvent id=\"e\"/>",
        "<endEvent id=\"e\"/><task id=\"e\"/>",
    );
    let flow_twice = model(&format!(
        "<startEvent id=\"s\"/><task id=\"t\"/><endEvent id=\"e\"/>{0}{0}",
        "<sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"t\"/>"
    ));
    let all = [
        "",
        "not xml",
        bomb,
        bad.as_str(),
        twice.as_str(),
        flow_twice.as_str(),
    ];
    for text in all {
        let answer = engine
            .upload(
                &[("deployment-name", "x")],
                &[("good.bpmn", &good), ("bad.bpmn", text)],
            )
            .await;
        assert_eq!(
            shape(&answer),
            (400, "ParseException".to_owned(), true),
            "{text}"
        );
        let told = answer.json();
        assert!(
            told["message"]
                .as_str()
                .unwrap()
                .starts_with("ENGINE-09005 Could not parse BPMN process."),
            "{told}"
        );
        assert!(
            told["details"]["bad.bpmn"]["errors"][0]["line"].is_number(),
            "{told}"
        );
    }
    assert_eq!(
        engine.get("/engine-rest/deployment/count").await["count"],
        0
    );
    assert_eq!(
        engine.get("/engine-rest/process-definition/count").await["count"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_rests_is_stopped() {
    let engine = Engine::without_executor().await;
    let text = model(&format!(
        "<startEvent id=\"s\"/><exclusiveGateway id=\"g\"/><task id=\"t\"/>{}",
        flows("s>g g>t t>g")
    ));
    engine.deploy(&text).await;
    let answer = engine
        .send(
            Method::POST,
            "/engine-rest/process-definition/key/p/start",
            json!({}),
        )
        .await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.json()["message"].as_str().unwrap().contains("limit"),
        "{}",
        answer.json()
    );
    assert_eq!(
        engine.get("/engine-rest/process-instance/count").await,
        json!({ "count": 0 })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_keep_their_types() {
    let engine = Engine::without_executor().await;
    engine
        .deploy(&model(&format!(
            "<startEvent id=\"s\"/><userTask id=\"u\"/>{}",
            flows("s>u")
        )))
        .await;
    let variables = json!({
        "b": { "value": true, "type": "Boolean" }, "i": { "value": 7, "type": "integer" }, "l": { "value": 9_000_000_000_i64, "type": "Long" },
        "d": { "value": 1.5, "type": "Double" }, "t": { "value": "x", "type": "String" }, "n": { "value": null, "type": "Null" },
        "when": { "value": "2026-01-02T03:04:05.006+0100", "type": "Date" }, "j": { "value": "{\"a\":[1]}", "type": "Json" },
        "f": { "value": "aGVsbG8=", "type": "File", "valueInfo": { "filename": "a.txt", "mimetype": "text/plain" } },
        "raw": { "value": "aGVsbG8=", "type": "Bytes" },
    });
    let id = engine.begin("p", variables).await;
    let all = engine
        .get(&format!("/engine-rest/process-instance/{id}/variables"))
        .await;
    let typed = |name: &str| (all[name]["type"].clone(), all[name]["value"].clone());
    assert_eq!(typed("i"), (json!("Integer"), json!(7)));
    assert_eq!(typed("l"), (json!("Long"), json!(9_000_000_000_i64)));
    assert_eq!(
        typed("when"),
        (json!("Date"), json!("2026-01-02T02:04:05.006+0000"))
    );
    assert_eq!(typed("j"), (json!("Json"), json!("{\"a\":[1]}")));
    assert_eq!(typed("n"), (json!("Null"), Json::Null));
    let file = engine
        .call(
            Method::GET,
            &format!("/engine-rest/process-instance/{id}/variables/f/data"),
            None,
        )
        .await;
    assert_eq!(
        (file.bytes.as_slice(), file.content_type.as_deref()),
        (b"hello".as_slice(), Some("text/plain"))
    );
    let path = format!("/engine-rest/process-instance/{id}/variables/x");
    let answer = engine
        .send(
            Method::PUT,
            &path,
            json!({ "value": "no", "type": "Integer" }),
        )
        .await;
    assert_eq!(answer.status, 400);
    let found = engine
        .send(
            Method::POST,
            "/engine-rest/process-instance",
            json!({ "variables": [{ "name": "l", "operator": "gt", "value": 5 }] }),
        )
        .await;
    assert_eq!(found.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_question_does_not_mean_is_refused_and_not_ignored() {
    let engine = Engine::without_executor().await;
    let user = model(&format!(
        "<startEvent id=\"s\"/><userTask id=\"u\"/>{}",
        flows("s>u")
    ));
    engine.deploy(&user).await;
    for (path, body, status) in [
        ("/task", json!({ "orQueries": "x" }), 400),
        ("/task", json!({ "orQueries": [5] }), 400),
        ("/task", json!({ "sorting": "x" }), 400),
        ("/task", json!({ "sorting": [5] }), 400),
        (
            "/task/count",
            json!({ "sorting": [{ "sortBy": "name" }] }),
            400,
        ),
        (
            "/task",
            json!({ "sorting": [{ "sortBy": "name", "sortOrder": "asc" }] }),
            200,
        ),
        (
            "/process-definition/key/p/start",
            json!({ "variables": { "pw": { "value": "s", "valueInfo": { "transient": true } } } }),
            501,
        ),
        (
            "/process-definition/key/p/start",
            json!({ "variables": { "x": { "value": "<broken", "type": "Xml" } } }),
            400,
        ),
        ("/deployment/create", json!({}), 415),
    ] {
        let answer = engine
            .send(Method::POST, &format!("/engine-rest{path}"), body.clone())
            .await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.json());
        assert!(status == 200 || shape(&answer).2, "{path} {body}");
    }
    let id = engine.begin("p", json!({ "a": { "value": 1 } })).await;
    let gone = format!("/engine-rest/process-instance/{id}/variables/a");
    engine.call(Method::DELETE, &gone, None).await;
    let history = |more: &str| format!("/engine-rest/history/variable-instance/count{more}");
    assert_eq!(engine.get(&history("")).await["count"], 0);
    assert_eq!(
        engine.get(&history("?includeDeleted=true")).await["count"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_a_router_is_no_engines_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "sqlite:{}?mode=rwc",
        folder.path().join("homing.db").display()
    );
    let server = Server::start();
    let url = server.database("router");
    let tables = "CREATE TABLE mappings (id BIGINT); CREATE TABLE suffixes (id BIGINT)";
    server.execute("router", tables);
    let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
    sqlx::raw_sql(tables)
        .execute(&mut connection)
        .await
        .unwrap();
    for store_url in [file.clone(), url] {
        let options = Options {
            bind: ([127, 0, 0, 1], 0).into(),
            store_url,
            ..Options::default()
        };
        let refused = Node::start(options).await.unwrap_err().to_string();
        assert!(refused.contains("the store of a router"), "{refused}");
    }
    let count = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.ask("router", count).trim(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_comes_in_the_encoding_that_it_names() {
    let engine = Engine::without_executor().await;
    let xml = model(&format!(
        r#"<startEvent id="s"/><userTask id="u" name="Prüfung"/><endEvent id="e"/>{}"#,
        flows("s>u u>e")
    ));
    let wide = xml.replace("UTF-8", "UTF-16");
    let wide: Vec<u8> = wide.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin = xml.replace("UTF-8", "ISO-8859-1");
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let part = "--zzz\r\nContent-Disposition: form-data; name=\"m\"; filename=\"m.bpmn\"\r\n\r\n";
    for bytes in [[vec![0xff, 0xfe], wide].concat(), latin, xml.into_bytes()] {
        let body = [part.as_bytes(), &bytes, b"\r\n--zzz--\r\n"].concat();
        let body = Some(("multipart/form-data; boundary=zzz", body));
        let path = "/engine-rest/deployment/create";
        let deployed = engine.call(Method::POST, path, body).await;
        assert_eq!(deployed.status, 200, "{}", deployed.json());
        let instance = engine.begin("p", json!({})).await;
        assert_eq!(engine.tasks(&instance).await[0]["name"], "Prüfung");
        let shown = engine
            .get("/engine-rest/process-definition/key/p/xml")
            .await;
        assert!(shown["bpmn20Xml"].as_str().unwrap().contains("Prüfung"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_ended_or_waits_is_told_as_the_real_engine_tells_it() {
    let engine = Engine::without_executor().await;
    for (path, methods) in [
        ("/task/x", "HEAD, DELETE, GET, OPTIONS, PUT"),
        (
            "/engine/default/process-instance",
            "HEAD, POST, GET, OPTIONS",
        ),
        ("/external-task/fetchAndLock", "POST, OPTIONS"),
    ] {
        let path = format!("/engine-rest{path}");
        let answer = support::request(engine.node.address(), Method::OPTIONS, &path, None).await;
        let told = String::from_utf8(answer.bytes.clone()).unwrap();
        assert_eq!((answer.status, told.as_str()), (200, methods), "{path}");
    }
    let called = r#"<startEvent id="s2"/><userTask id="u2"/>"#.to_owned() + &flows("s2>u2");
    let caller = format!(
        r#"<startEvent id="s"/><callActivity id="c" calledElement="q"/>
        <boundaryEvent id="b" attachedToRef="c"><messageEventDefinition messageRef="paid"/></boundaryEvent>{}"#,
        flows("s>c")
    );
    engine
        .deploy(&model(&called).replace(r#"process id="p""#, r#"process id="q""#))
        .await;
    engine.deploy(&model(&caller)).await;
    engine.begin("p", json!({})).await;
    let body = json!({ "messageName": "paid" });
    let answer = engine
        .send(Method::POST, "/engine-rest/message", body)
        .await;
    assert_eq!(answer.status, 204, "{}", answer.json());
    let below = engine
        .get("/engine-rest/history/process-instance?processDefinitionKey=q")
        .await;
    assert_eq!(
        below[0]["deleteReason"],
        "Cancel scope activity Activity(b) executed."
    );
    let task = engine
        .get("/engine-rest/history/task?processDefinitionKey=q")
        .await;
    assert_eq!(task[0]["taskState"], "Deleted");
    let many = r#"<startEvent id="s"/><userTask id="u" camunda:asyncBefore="true"><multiInstanceLoopCharacteristics><loopCardinality>2</loopCardinality></multiInstanceLoopCharacteristics></userTask>"#;
    engine
        .deploy(&model(&(many.to_owned() + &flows("s>u"))))
        .await;
    let id = engine.begin("p", json!({})).await;
    let tree = engine
        .get(&format!(
            "/engine-rest/process-instance/{id}/activity-instances"
        ))
        .await;
    let waits = &tree["childTransitionInstances"][0];
    assert_eq!(waits["activityId"], "u#multiInstanceBody", "{tree}");
    assert_eq!(waits["activityType"], "multiInstanceBody", "{tree}");
    engine.node.shutdown().await;
}
