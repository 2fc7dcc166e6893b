//! Java names that stand for calls over HTTP, to a real server in a process of its own: what is sent, what an answer does, what
//! goes wrong, and that a call outlives the engine that makes it.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod called;
mod judge;
mod support;

use called::{Called, answer_here};
use homing_engine::{Delegate, Executor, HttpCall, Limits, Node, Options, StartError};
use http::Method;
use judge::Judge;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::postgres::Server;
use support::process::{Process, serve as serve_here};
use support::{Engine, eventually, flows, model};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

/// Not a test: the server that is called.
#[tokio::test]
#[ignore = "started by the others"]
async fn answer() {
    answer_here().await;
}

/// Not a test: the engine that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the others"]
async fn serve() {
    serve_here().await;
}

fn charging() -> String {
    model(&format!(
        r#"<startEvent id="s"/><serviceTask id="c" camunda:class="com.example.Charge"/>
        <boundaryEvent id="b" attachedToRef="c"><errorEventDefinition camunda:errorCodeVariable="code" camunda:errorMessageVariable="said"/></boundaryEvent>
        <endEvent id="e"/><endEvent id="x"/>{}"#,
        flows("s>c c>e b>x")
    ))
}

/// A name for each path of the server, tried twice in short order.
fn call(url: &Url, path: &str, change: impl FnOnce(&mut HttpCall)) -> (String, Delegate) {
    let mut call = HttpCall::to(url, path);
    call.retry = "R2/PT0.01S".to_owned();
    change(&mut call);
    (
        "com.example.Charge".to_owned(),
        Delegate::Http(Box::new(call)),
    )
}

async fn engine((name, does): (String, Delegate)) -> Engine {
    let engine = Engine::with(|options| {
        options.delegates = BTreeMap::from([(name, does)]);
        options.limits = Limits {
            http_answer_bytes: 1024 * 1024,
            ..Limits::default()
        };
    })
    .await;
    engine.deploy(&charging()).await;
    engine
}

async fn works(engine: &Engine) -> Vec<Json> {
    let list = engine.get("/engine-rest/external-task").await;
    list.as_array().unwrap().clone()
}

async fn metric(engine: &Engine, name: &str) -> Json {
    engine
        .get(&format!("/engine-rest/metrics/{name}/sum"))
        .await["result"]
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_takes_variables_there_and_members_of_the_answer_back() {
    let called = Called::start().await;
    let engine = engine(call(&called.url, "/held?of=${order}", |call| {
        call.send = Some(vec!["amount".to_owned()]);
        call.headers = vec![("x-shop".to_owned(), "7".to_owned())];
        call.authorization = Some("Bearer geheim".to_owned());
    }))
    .await;
    let variables = json!({ "amount": { "value": 41 }, "order": { "value": "a/b?ü" } });
    let instance = engine.begin("p", variables).await;
    eventually("the call is made", async || !called.asked().is_empty()).await;
    // Whoever looks sees an external task, and which engine has it.
    let work = works(&engine).await.remove(0);
    assert_eq!(work["topicName"], "homing-http:com.example.Charge");
    assert_eq!(work["activityId"], "c");
    assert!(
        work["workerId"]
            .as_str()
            .unwrap()
            .starts_with("engine http ")
    );
    assert!(!work["lockExpirationTime"].is_null());
    called.open();
    engine.eventually_state(&instance, "COMPLETED").await;
    assert_eq!(engine.path(&instance).await, "s c e");
    assert_eq!(engine.variable(&instance, "charged").await, 42);
    let asked = called.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let asked = &asked[0];
    assert_eq!(asked["method"], "POST");
    assert_eq!(asked["target"], "/held?of=a%2Fb%3F%C3%BC");
    assert_eq!(asked["body"], json!({ "amount": 41 }));
    for (name, value) in [
        ("idempotency-key", work["id"].as_str().unwrap()),
        ("homing-process-instance", &instance),
        ("authorization", "Bearer geheim"),
        ("x-shop", "7"),
        ("content-type", "application/json"),
        ("host", called.url.authority()),
    ] {
        assert_eq!(asked["headers"][name], value, "{name}");
    }
    assert_eq!(metric(&engine, "homing-http-calls").await, 1);
    assert_eq!(metric(&engine, "homing-http-calls-failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_one_variable_or_a_bpmn_error_where_that_is_said() {
    let called = Called::start().await;
    let whole = engine(call(&called.url, "/text", |call| {
        call.method = Method::GET;
        call.result = Some("words".to_owned());
    }))
    .await;
    let instance = whole.begin("p", json!({ "amount": { "value": 1 } })).await;
    whole.eventually_state(&instance, "COMPLETED").await;
    assert_eq!(whole.variable(&instance, "words").await, "plain words");
    assert_eq!(called.asked()[0]["body"], Json::Null);
    for (path, code, said) in [
        ("/missing", "NOT_FOUND", Json::from("no such order")),
        ("/sold", "SOLD", Json::Null),
    ] {
        let engine = engine(call(&called.url, path, |call| {
            call.errors.insert(404, "NOT_FOUND".to_owned());
        }))
        .await;
        let instance = engine.begin("p", json!({})).await;
        engine.eventually_state(&instance, "COMPLETED").await;
        assert_eq!(engine.path(&instance).await, "s c! b x", "{path}");
        assert_eq!(engine.variable(&instance, "code").await, code);
        assert_eq!(engine.variable(&instance, "said").await, said);
    }
}

/// Two tries, then an incident; gives its message.
async fn incident(engine: &Engine) -> String {
    engine.begin("p", json!({})).await;
    eventually("there is an incident", async || {
        let found = engine.get("/engine-rest/incident").await;
        !found.as_array().unwrap().is_empty()
    })
    .await;
    let incident = engine.get("/engine-rest/incident").await[0].clone();
    assert_eq!(incident["incidentType"], "failedExternalTask");
    assert_eq!(incident["activityId"], "c");
    let work = works(engine).await.remove(0);
    assert_eq!(work["retries"], 0);
    assert_eq!(metric(engine, "homing-http-calls").await, 2);
    assert_eq!(metric(engine, "homing-http-calls-failed").await, 2);
    incident["incidentMessage"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_tried_again_and_then_an_incident_with_its_reason() {
    let called = Called::start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = Url::parse(&format!("http://{}", nobody.local_addr().unwrap())).unwrap();
    drop(nobody);
    for (url, path, why) in [
        (&free, "/", "no connection"),
        (&called.url, "/busy", "/busy answered 503"),
        (&called.url, "/moved", "/moved answered 302"),
        (&called.url, "/large", "limit http_answer_bytes reached"),
        (&called.url, "/stuck", "no whole answer within 200 ms"),
        (&called.url, "/${nowhere}", "nowhere"),
    ] {
        let engine = engine(call(url, path, |call| {
            call.timeout = match path {
                "/stuck" => Duration::from_millis(200),
                _ => Duration::from_secs(10),
            };
        }))
        .await;
        let message = incident(&engine).await;
        assert!(message.contains(why), "{path}: {message}");
        assert!(message.starts_with("POST http://127.0.0.1"), "{message}");
        let hits = if path == "/large" { 2 } else { 0 };
        assert_eq!(metric(&engine, "homing-limit-hits").await, hits, "{path}");
        let id = works(&engine).await[0]["id"].as_str().unwrap().to_owned();
        let details = format!("/engine-rest/external-task/{id}/errorDetails");
        let details = engine.call(Method::GET, &details, None).await;
        if path == "/busy" {
            assert_eq!(details.bytes, b"come back");
        }
    }
    // Each try has the same key, and another instance another one.
    let key = |asked: &Json| asked["headers"]["idempotency-key"].clone();
    let asked = called.asked();
    let keys: Vec<Json> = asked.iter().map(key).collect();
    assert_eq!(keys.len(), 8, "{asked:?}");
    assert!(keys.chunks(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
    assert!(
        keys.windows(3).all(|three| three[0] != three[2]),
        "{keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_gives_new_tries_and_an_engine_without_an_executor_calls_nobody() {
    let called = Called::start().await;
    let engine = engine(call(&called.url, "/${path}", |_| {})).await;
    engine.node.set_executor(Executor::Disabled);
    let instance = engine
        .begin("p", json!({ "path": { "value": "busy" } }))
        .await;
    // Longer than any pause of the loop.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(works(&engine).await[0]["workerId"], Json::Null);
    assert_eq!(called.asked(), Vec::<Json>::new());
    engine.node.set_executor(Executor::Enabled);
    eventually("the tries are used up", async || {
        works(&engine).await[0]["retries"] == 0
    })
    .await;
    let set = format!("/engine-rest/process-instance/{instance}/variables/path");
    engine.put(&set, json!({ "value": "charge" })).await;
    let id = works(&engine).await[0]["id"].as_str().unwrap().to_owned();
    let retries = format!("/engine-rest/external-task/{id}/retries");
    engine.put(&retries, json!({ "retries": 1 })).await;
    engine.eventually_state(&instance, "COMPLETED").await;
    assert_eq!(engine.variable(&instance, "charged").await, 1);
    assert_eq!(engine.variable(&instance, "lines").await, "[1,2]");
    assert_eq!(engine.get("/engine-rest/incident").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_called_stops_the_start_by_name() {
    let url = Url::parse("https://127.0.0.1:1").unwrap();
    let none = tempfile::NamedTempFile::new().unwrap();
    let path = none.path().to_owned();
    for (why, delegate) in [
        ("Error parsing", call(&url, "/${", |_| {})),
        (
            "retry cycle",
            call(&url, "/", |c| c.retry = "often".to_owned()),
        ),
        (
            "no certificate",
            call(&url, "/", |c| c.ca = Some(path.clone())),
        ),
        (
            "no header",
            call(&url, "/", |c| c.headers = vec![("a b".into(), "1".into())]),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let started = Node::start(Options {
            bind: ([127, 0, 0, 1], 0).into(),
            store_url: format!("sqlite:{}", folder.path().join("e.db").display()),
            delegates: BTreeMap::from([delegate]),
            ..Options::default()
        })
        .await;
        match started {
            Err(error @ StartError::Delegate(..)) => {
                let said = error.to_string();
                assert!(
                    said.contains(why) && said.contains("com.example.Charge"),
                    "{said}"
                );
            }
            other => panic!("{why}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_an_engine_that_is_killed_is_made_again_with_the_same_key() {
    let called = Called::start().await;
    let server = Server::start();
    let url = server.database("called");
    let mut first = Process::calling(&url, "first", &called.url).await;
    first.deploy(&charging()).await;
    let body = json!({ "variables": { "amount": { "value": 41 } } });
    let started = first.post("/engine-rest/process-definition/key/p/start", body);
    let instance = started.await["id"].as_str().unwrap().to_owned();
    eventually("the first call is made", async || {
        !called.asked().is_empty()
    })
    .await;
    first.kill();
    let second = Process::calling(&url, "second", &called.url).await;
    eventually("the second call is made", async || {
        called.asked().len() == 2
    })
    .await;
    called.open();
    let path = format!("/engine-rest/history/process-instance/{instance}");
    eventually("it is done", async || {
        second.get(&path).await["state"] == "COMPLETED"
    })
    .await;
    let asked = called.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(
        asked[0]["headers"]["idempotency-key"],
        asked[1]["headers"]["idempotency-key"]
    );
    let mut judge = Judge::new(&url).await;
    assert_eq!(judge.orphans().await, Vec::<String>::new());
    for (count, of) in [
        (0, "work".to_owned()),
        (0, "inst".to_owned()),
        (
            1,
            format!(
                "h_act WHERE inst = '{instance}' AND act = 'c' AND ended IS NOT NULL AND canceled = 0"
            ),
        ),
        (
            1,
            format!("h_var WHERE inst = '{instance}' AND name = 'charged' AND num = 42"),
        ),
    ] {
        assert_eq!(judge.count(&of).await, count, "{of}");
    }
}

/// A server with a certificate of its own that says the same to everybody; where it is, and the certificate.
async fn encrypted() -> (Url, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (key, chain) = (
        made.signing_key.serialize_der(),
        vec![made.cert.der().clone()],
    );
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, rustls::pki_types::PrivateKeyDer::Pkcs8(key.into()))
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut read = vec![0; 16 * 1024];
            let _ = stream.read(&mut read).await;
            let said = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"charged\": 42}";
            drop(stream.write_all(said).await);
            drop(stream.shutdown().await);
        }
    });
    let url = Url::parse(&format!("https://localhost:{port}")).unwrap();
    (url, made.cert.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_only_who_is_trusted_is_called() {
    let (url, certificate) = encrypted().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let trusting = engine(call(&url, "/", |call| {
        call.ca = Some(file.path().to_owned())
    }))
    .await;
    let instance = trusting.begin("p", json!({})).await;
    trusting.eventually_state(&instance, "COMPLETED").await;
    assert_eq!(trusting.variable(&instance, "charged").await, 42);
    let message = incident(&engine(call(&url, "/", |_| {})).await).await;
    assert!(message.contains("no TLS"), "{message}");
}
