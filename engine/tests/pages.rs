//! Forms as files: deployed, referred to, and found again.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use hyper::Method;
use serde_json::{Value as Json, json};
use support::{Engine, flows, model};

/// Tasks with each kind of form, as Operaton 1.0.3 answers them.
const PAGES: &str = r#"<startEvent id="s" camunda:formRef="start" camunda:formRefBinding="latest"/>
<userTask id="a" name="a" camunda:formRef="ask" camunda:formRefBinding="deployment"/>
<userTask id="b" name="b" camunda:formRef="${name}" camunda:formRefBinding="version" camunda:formRefVersion="1"/>
<userTask id="c" name="c" camunda:formRef="ask" camunda:formRefBinding="latest"/>
<userTask id="d" name="d" camunda:formKey="camunda-forms:deployment:ask.form"/>
<userTask id="e" name="e" camunda:formRef="nobody" camunda:formRefBinding="latest"/><userTask id="f" name="f"/>
<userTask id="g" name="g" camunda:formKey="embedded:deployment:page.html"/>
<userTask id="h" name="h" camunda:formKey="embedded:app:page.html"/>"#;

fn reference(key: &str, binding: &str, version: Option<i64>) -> Json {
    json!({ "key": key, "binding": binding, "version": version })
}

type Wanted<'a> = (&'static str, Json, Json, u16, &'a str);

/// Task, its key and reference, and what its form answers.
fn wanted<'a>(old: &'a str, new: &'a str) -> Vec<Wanted<'a>> {
    let none = Json::Null;
    let app = "embedded:app:page.html";
    let nobody = "No Operaton Form Definition was found for Operaton Form Ref: OperatonFormRefImpl [key=nobody, binding=latest, version=null]";
    let unset = "One of the attributes 'formKey' and 'operaton:formRef' must be supplied but none were set.";
    vec![
        (
            "a",
            none.clone(),
            reference("ask", "deployment", None),
            200,
            old,
        ),
        (
            "b",
            none.clone(),
            reference("ask", "version", Some(1)),
            200,
            old,
        ),
        (
            "c",
            none.clone(),
            reference("ask", "latest", None),
            200,
            new,
        ),
        (
            "d",
            "camunda-forms:deployment:ask.form".into(),
            none.clone(),
            200,
            old,
        ),
        (
            "e",
            none.clone(),
            reference("nobody", "latest", None),
            404,
            nobody,
        ),
        ("f", none.clone(), none.clone(), 400, unset),
        (
            "g",
            "embedded:deployment:page.html".into(),
            none.clone(),
            200,
            "<form>hi</form>",
        ),
        (
            "h",
            app.into(),
            none,
            400,
            "The form key 'embedded:app:page.html' does not reference a deployed form.",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn deployed_forms_are_found_by_key_and_reference_as_in_the_real_engine() {
    let engine = Engine::start().await;
    let model = model(&format!(
        "{PAGES}{}",
        flows("s>a s>b s>c s>d s>e s>f s>g s>h")
    ));
    let (old, new) = (
        r#"{"id":"ask","components":[1]}"#,
        r#"{"id":"ask","components":[2]}"#,
    );
    let start = r#"{"id":"start","components":[]}"#;
    let files = [
        ("p.bpmn", model.as_str()),
        ("ask.form", old),
        ("start.form", start),
        ("page.html", "<form>hi</form>"),
    ];
    assert_eq!(engine.upload(&[], &files).await.status, 200);
    assert_eq!(engine.upload(&[], &[("ask.form", new)]).await.status, 200);
    let definition = "/engine-rest/process-definition/key/p";
    let form = engine.get(&format!("{definition}/startForm")).await;
    assert_eq!(form["operatonFormRef"], reference("start", "latest", None));
    assert_eq!(form["key"], Json::Null);
    let path = format!("{definition}/deployed-start-form");
    let page = engine.call(Method::GET, &path, None).await;
    assert_eq!(
        (page.status, page.bytes.as_slice()),
        (200, start.as_bytes())
    );

    let instance = engine
        .begin("p", json!({ "name": { "value": "ask" } }))
        .await;
    for (task, (name, key, reference, status, text)) in
        engine.tasks(&instance).await.iter().zip(wanted(old, new))
    {
        assert_eq!(task["name"], name);
        let id = task["id"].as_str().unwrap();
        let at = |what: &str| format!("/engine-rest/task/{id}{what}");
        let (one, form) = (engine.get(&at("")).await, engine.get(&at("/form")).await);
        for (shown, field) in [(task, "formKey"), (&one, "formKey"), (&form, "key")] {
            assert_eq!(shown[field], key, "{name}: {shown}");
            for field in ["operatonFormRef", "camundaFormRef"] {
                assert_eq!(shown[field], reference, "{name}: {shown}");
            }
        }
        let page = engine.call(Method::GET, &at("/deployed-form"), None).await;
        assert_eq!(page.status, status, "{name}: {}", page.json());
        if status == 200 {
            assert_eq!(page.bytes, text.as_bytes(), "{name}");
            let media = if name == "g" {
                "application/xhtml+xml"
            } else {
                "application/json"
            };
            assert_eq!(page.content_type.as_deref(), Some(media));
        } else {
            assert_eq!(page.json()["message"], text);
            assert_eq!(page.json()["type"], "InvalidRequestException");
        }
    }
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_cannot_be_found_again_are_refused_and_deleted_with_their_deployment() {
    let engine = Engine::start().await;
    let (good, broken) = (r#"{"id":"ask"}"#, r#"{"id":"#);
    for (files, why) in [
        (
            vec![("a.form", broken)],
            "ENGINE-09033 Could not parse Operaton Form resource a.form.",
        ),
        (
            vec![("a.form", "[]")],
            "ENGINE-09033 Could not parse Operaton Form resource a.form.",
        ),
        (
            vec![("a.form", good), ("b.form", good)],
            "definitions with the same key 'ask'",
        ),
    ] {
        let refused = engine.upload(&[], &files).await;
        assert_eq!(refused.status, 500);
        assert_eq!(refused.json()["type"], "ProcessEngineException");
        assert!(
            refused.json()["message"].as_str().unwrap().contains(why),
            "{}",
            refused.json()
        );
    }
    assert_eq!(
        engine.get("/engine-rest/deployment/count").await["count"],
        0
    );
    let task = r#"<startEvent id="s"/><userTask id="u" camunda:formRef="ask" camunda:formRefBinding="latest"/>"#;
    engine
        .deploy(&model(&format!("{task}{}", flows("s>u"))))
        .await;
    let instance = engine.begin("p", json!({})).await;
    let id = engine.tasks(&instance).await[0]["id"].clone();
    let path = format!("/engine-rest/task/{}/deployed-form", id.as_str().unwrap());
    let first = engine.upload(&[], &[("a.form", good)]).await.json()["id"].clone();
    let newer = r#"{"id":"ask","components":[]}"#;
    let second = engine.upload(&[], &[("a.form", newer)]).await.json()["id"].clone();
    for (gone, wanted) in [(second, Some(good)), (first, None)] {
        let deployment = format!("/engine-rest/deployment/{}", gone.as_str().unwrap());
        assert_eq!(
            engine.call(Method::DELETE, &deployment, None).await.status,
            204
        );
        let page = engine.call(Method::GET, &path, None).await;
        match wanted {
            Some(text) => assert_eq!(page.bytes, text.as_bytes()),
            None => assert_eq!(page.status, 404),
        }
    }
    engine.node.shutdown().await;
}
