//! Models that name Java run where the names are mapped, and are refused by name where they are not.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::Delegate;
use hyper::Method;
use serde_json::json;
use std::collections::BTreeMap;
use support::{Engine, flows, model};

fn named() -> String {
    model(&format!(
        r#"<startEvent id="s"/><serviceTask id="c" camunda:class="com.example.Charge"/>
        <sendTask id="m" camunda:delegateExpression="${{mailer}}"/>
        <serviceTask id="a" camunda:expression="${{audit.note(execution)}}"/><endEvent id="e"/>{}"#,
        flows("s>c c>m m>a a>e")
    ))
}

fn mapped() -> BTreeMap<String, Delegate> {
    let script = "execution.setVariable('sent', execution.getVariable('charged') + 1)";
    let names = [
        ("com.example.Charge", Delegate::Topic("charge".to_owned())),
        ("${mailer}", Delegate::Script(script.to_owned())),
        ("${audit.note(execution)}", Delegate::Nothing),
    ];
    names.map(|(name, does)| (name.to_owned(), does)).into()
}

async fn engine(url: &str, delegates: BTreeMap<String, Delegate>) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.delegates = delegates;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn mapped_names_are_topics_scripts_or_nothing_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("engine.db").display());
    let plain = engine(&url, BTreeMap::new()).await;
    let refused = plain.upload(&[], &[("p.bpmn", &named())]).await;
    let words = refused.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(refused.status, 400, "{words}");
    for name in ["com.example.Charge", "mailer"] {
        assert!(words.contains(name), "{words}");
    }
    plain.node.shutdown().await;

    let java = engine(&url, mapped()).await;
    java.deploy(&named()).await;
    let instance = java.begin("p", json!({})).await;
    let waiting = java.begin("p", json!({})).await;
    let work = java.fetch("charge").await;
    assert_eq!(work.len(), 2);
    let charged = json!({ "charged": { "value": 41 } });
    let first = work
        .iter()
        .find(|one| one["processInstanceId"] == instance.as_str());
    java.complete_work(&first.unwrap()["id"], charged.clone())
        .await;
    assert_eq!(java.state(&instance).await, "COMPLETED");
    assert_eq!(java.path(&instance).await, "s c m a e");
    assert_eq!(java.variable(&instance, "sent").await, 42);
    java.node.shutdown().await;

    // Without the map nothing is lost: the instance stands still, and goes on where the names are known again.
    let without = engine(&url, BTreeMap::new()).await;
    let second = work
        .iter()
        .find(|one| one["processInstanceId"] == waiting.as_str());
    let id = second.unwrap()["id"].as_str().unwrap();
    let complete = format!("/engine-rest/external-task/{id}/complete");
    let body = json!({ "workerId": "w", "variables": charged });
    let answer = without.send(Method::POST, &complete, body.clone()).await;
    assert_eq!(answer.status, 500, "{}", answer.json());
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("mailer")
    );
    without.node.shutdown().await;
    let again = engine(&url, mapped()).await;
    let worker = second.unwrap()["workerId"].as_str().unwrap_or("w");
    let body = json!({ "workerId": worker, "variables": body["variables"] });
    let answer = again.send(Method::POST, &complete, body).await;
    assert_eq!(answer.status, 204);
    assert_eq!(again.variable(&waiting, "sent").await, 42);
    again.node.shutdown().await;
}
