//! Form fields of user tasks and start events, as the real engine keeps them; and other values that are looked at before
//! they are taken.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use hyper::Method;
use serde_json::{Value as Json, json};
use support::{Engine, flows, model};

const FIELDS: &str = r#"<extensionElements><camunda:formData>
<camunda:formField id="t" type="string" defaultValue="abc"><camunda:validation><camunda:constraint name="minlength" config="2"/><camunda:constraint name="maxlength" config="4"/></camunda:validation></camunda:formField>
<camunda:formField id="d" type="date" defaultValue="31/12/2026"/><camunda:formField id="d2" type="date" datePattern="yyyy-MM-dd"/>
<camunda:formField id="ro" type="string" defaultValue="r"><camunda:validation><camunda:constraint name="readonly"/></camunda:validation></camunda:formField>
<camunda:formField id="en" type="enum" defaultValue="a"><camunda:value id="a" name="A"/></camunda:formField>
<camunda:formField id="b" type="boolean"/><camunda:formField id="l" type="long"/>
<camunda:formField id="n" type="long" defaultValue="${1+4}"><camunda:validation><camunda:constraint name="required"/><camunda:constraint name="min" config="3"/><camunda:constraint name="max" config="9"/></camunda:validation></camunda:formField>
</camunda:formData></extensionElements>"#;

/// A start event and a user task with the same fields.
fn asked() -> String {
    model(&format!(
        r#"<startEvent id="s">{FIELDS}</startEvent><userTask id="u">{FIELDS}</userTask>{}"#,
        flows("s>u")
    ))
}

/// What is submitted, and what the real engine says; nothing: it takes it.
fn submissions() -> Vec<(Json, &'static str)> {
    vec![
        (
            json!({ "t": { "value": "x" } }),
            "Invalid value submitted for form field 't': validation of minlength(2) failed.",
        ),
        (
            json!({ "t": { "value": "12345" } }),
            "Invalid value submitted for form field 't': validation of maxlength(4) failed.",
        ),
        (
            json!({ "ro": { "value": "w" } }),
            "Invalid value submitted for form field 'ro': validation of readonly failed.",
        ),
        (
            json!({ "n": { "value": 1 } }),
            "Invalid value submitted for form field 'n': validation of min(3) failed.",
        ),
        (
            json!({ "n": { "value": "abc" } }),
            "Invalid value submitted for form field 'n': validation of min(3) failed.",
        ),
        (
            json!({ "n": { "value": 10 } }),
            "Invalid value submitted for form field 'n': validation of max(9) failed.",
        ),
        (
            json!({ "b": { "value": 5 } }),
            "Value '5' is not of type Boolean.",
        ),
        (json!({ "l": { "value": "x" } }), "For input string: \"x\""),
        (
            json!({ "d": { "value": "x" } }),
            "Could not parse value 'x' as date using date format 'dd/MM/yyyy'.",
        ),
        (
            json!({ "d": { "value": 5 } }),
            "Value '5' cannot be transformed into a Date.",
        ),
        (
            json!({ "en": { "value": "zzz" } }),
            "Invalid value for enum form property: zzz",
        ),
    ]
}

async fn variables(engine: &Engine, path: &str) -> Json {
    let all = engine.get(&format!("/engine-rest{path}")).await;
    let all = all.as_object().unwrap().iter();
    let shown = all.map(|(name, v)| (name.clone(), json!([v["type"], v["value"]])));
    Json::Object(shown.collect())
}

fn at_first() -> Json {
    json!({
        "t": ["String", "abc"], "d": ["String", "31/12/2026"], "d2": ["String", ""], "ro": ["String", "r"],
        "en": ["String", "a"], "b": ["Boolean", null], "l": ["Long", null], "n": ["Long", 5],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_form_shows_its_defaults_and_takes_only_what_fits() {
    let engine = Engine::without_executor().await;
    engine.deploy(&asked()).await;
    let base = "/process-definition/key/p";
    assert_eq!(
        variables(&engine, &format!("{base}/form-variables")).await,
        at_first()
    );
    let two = variables(&engine, &format!("{base}/form-variables?variableNames=t,b")).await;
    assert_eq!(
        two,
        json!({ "t": ["String", "abc"], "b": ["Boolean", null] })
    );
    let form = engine.get(&format!("/engine-rest{base}/startForm")).await;
    let key = form["key"].as_str().unwrap();
    assert!(
        key.starts_with("embedded:engine://engine/:engine/process-definition/p:1:"),
        "{key}"
    );
    let submit = format!("/engine-rest{base}/submit-form");
    for (values, wanted) in submissions() {
        let answer = engine
            .send(Method::POST, &submit, json!({ "variables": values }))
            .await;
        assert_eq!(answer.status, 500, "{values}: {}", answer.json());
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with(wanted), "{values}: {message}");
    }
    assert_eq!(
        engine.get("/engine-rest/process-instance/count").await["count"],
        0
    );
    let said = json!({ "d2": { "value": "2026-02-03" }, "extra": { "value": 9 }, "l": { "value": "7" }, "b": { "value": "true" } });
    let started = engine
        .post(&submit, json!({ "variables": said, "businessKey": "k" }))
        .await;
    let path = format!(
        "/process-instance/{}/variables",
        started["id"].as_str().unwrap()
    );
    assert_eq!(
        variables(&engine, &path).await,
        json!({
            "t": ["String", "abc"], "d": ["Date", "2026-12-31T00:00:00.000+0000"], "d2": ["Date", "2026-02-03T00:00:00.000+0000"],
            "ro": ["String", "r"], "en": ["String", "a"], "b": ["Boolean", true], "l": ["Long", 7], "n": ["Long", 5],
            "extra": ["Integer", 9],
        })
    );
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_form_shows_variables_before_defaults_and_completes_its_task() {
    let engine = Engine::without_executor().await;
    engine.deploy(&asked()).await;
    let id = engine
        .begin(
            "p",
            json!({ "x": { "value": 1 }, "l": { "value": 3, "type": "Long" },
        "d": { "value": "2026-05-06T00:00:00.000+0000", "type": "Date" } }),
        )
        .await;
    let task = engine.tasks(&id).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut wanted = at_first();
    wanted["x"] = json!(["Integer", 1]);
    wanted["l"] = json!(["Long", 3]);
    wanted["d"] = json!(["String", "06/05/2026"]);
    assert_eq!(
        variables(&engine, &format!("/task/{task}/form-variables")).await,
        wanted
    );
    let form = engine.get(&format!("/engine-rest/task/{task}/form")).await;
    assert_eq!(
        form["key"],
        format!("embedded:engine://engine/:engine/task/{task}/rendered-form")
    );
    let submit = format!("/engine-rest/task/{task}/submit-form");
    for (values, wanted) in submissions() {
        let answer = engine
            .send(Method::POST, &submit, json!({ "variables": values }))
            .await;
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert_eq!(
            (answer.status, message),
            (500, format!("Cannot submit task form {task}: {wanted}"))
        );
    }
    engine
        .post(&submit, json!({ "variables": { "n": { "value": 4 } } }))
        .await;
    assert_eq!(engine.state(&id).await, "COMPLETED");
    assert_eq!(engine.variable(&id, "n").await, 4);
    assert_eq!(engine.variable(&id, "ro").await, "r");
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_cannot_be_kept_is_refused_at_deploy_with_its_field() {
    let engine = Engine::without_executor().await;
    let field = |inner: &str| {
        let data = format!(
            "<extensionElements><camunda:formData>{inner}</camunda:formData></extensionElements>"
        );
        model(&format!(
            r#"<startEvent id="s">{data}</startEvent><endEvent id="e"/>{}"#,
            flows("s>e")
        ))
    };
    let rule = |rule: &str| {
        field(&format!(
            r#"<camunda:formField id="f" type="long"><camunda:validation><camunda:constraint {rule}/></camunda:validation></camunda:formField>"#
        ))
    };
    for (xml, wanted) in [
        (
            field(r#"<camunda:formField id="f" type="money"/>"#),
            "unknown type 'money'",
        ),
        (
            field(r#"<camunda:formField id="f"/>"#),
            "form field must have a 'type' attribute",
        ),
        (
            field(r#"<camunda:formField type="long"/>"#),
            "attribute id must be set for FormFieldGroup",
        ),
        (
            field(r#"<camunda:formField id="f" type="date" datePattern="EEE"/>"#),
            "the date pattern 'EEE' is not built",
        ),
        (
            rule(r#"name="zz""#),
            "Cannot find validator implementation for name 'zz'.",
        ),
        (
            rule(r#"name="min" config="q""#),
            "the constraint 'min' needs a whole number",
        ),
        (rule(r#"name="validator" config="com.Foo""#), "not built"),
    ] {
        let answer = engine
            .upload(&[("deployment-name", "f")], &[("f.bpmn", &xml)])
            .await;
        assert_eq!(answer.status, 400, "{wanted}");
        let problem = &answer.json()["details"]["f.bpmn"]["errors"][0];
        assert!(
            problem["message"].as_str().unwrap().contains(wanted),
            "{problem}"
        );
        assert!(problem["line"].as_u64().unwrap() > 1, "{problem}");
    }
    engine.node.shutdown().await;
}

/// Variables as the real engine takes and refuses them.
#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_not_of_their_type_are_refused() {
    let engine = Engine::without_executor().await;
    engine
        .deploy(&model(&format!(
            r#"<startEvent id="s"/><userTask id="u"/>{}"#,
            flows("s>u")
        )))
        .await;
    let id = engine.begin("p", json!({})).await;
    let path = format!("/engine-rest/process-instance/{id}/variables/v");
    for (value, kind, status) in [
        (json!("2026-01-01"), "Date", 400),
        (json!("2026-01-01T00:00:00"), "Date", 400),
        (json!("2026-01-01T00:00:00Z"), "Date", 400),
        (json!("2026-01-01T00:00:00.000Z"), "Date", 400),
        (json!("2026-01-01T00:00:00.000+00:00"), "Date", 400),
        (json!("2026-01-01T00:00:00.000+0200"), "Date", 204),
        (json!(5), "Date", 400),
        (json!("x"), "Zzz", 400),
        (json!(null), "Zzz", 400),
        (json!(5), "String", 204),
        (json!("5"), "Integer", 204),
        (json!(5.5), "Integer", 400),
        (json!(true), "Integer", 400),
        (json!("x"), "Boolean", 400),
        (json!(99_999_999_999_i64), "Integer", 400),
    ] {
        let answer = engine
            .send(Method::PUT, &path, json!({ "value": value, "type": kind }))
            .await;
        assert_eq!(answer.status, status, "{kind} {value}: {}", answer.json());
    }
    let said = engine
        .send(
            Method::PUT,
            &path,
            json!({ "value": "2026", "type": "Date" }),
        )
        .await;
    let message = said.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("Cannot convert value '2026' of type 'Date' to java type java.util.Date"),
        "{message}"
    );
    let start = "/engine-rest/process-definition/key/p/start";
    for body in [
        json!({ "variables": { "": { "value": 1 } } }),
        json!({ "variables": { "a": 5 } }),
        json!({ "variables": [] }),
    ] {
        assert_eq!(
            engine.send(Method::POST, start, body.clone()).await.status,
            400,
            "{body}"
        );
    }
    let case = engine
        .send(Method::POST, start, json!({ "caseInstanceId": "c" }))
        .await;
    assert_eq!(case.status, 501);
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claiming_for_nobody_gives_a_task_back() {
    let engine = Engine::without_executor().await;
    engine
        .deploy(&model(&format!(
            r#"<startEvent id="s"/><userTask id="u"/>{}"#,
            flows("s>u")
        )))
        .await;
    let id = engine.begin("p", json!({})).await;
    let task = format!(
        "/engine-rest/task/{}",
        engine.tasks(&id).await[0]["id"].as_str().unwrap()
    );
    let claim = format!("{task}/claim");
    for (user, status, holder) in [
        (json!({}), 204, json!(null)),
        (json!({ "userId": "joe" }), 204, json!("joe")),
        (json!({ "userId": "ann" }), 500, json!("joe")),
        (json!({ "userId": null }), 204, json!(null)),
    ] {
        assert_eq!(
            engine.send(Method::POST, &claim, user.clone()).await.status,
            status,
            "{user}"
        );
        assert_eq!(engine.get(&task).await["assignee"], holder, "{user}");
    }
    let far = json!({ "priority": 99_999_999_999_i64 });
    assert_eq!(
        engine.send(Method::PUT, &task, far.clone()).await.status,
        400
    );
    assert_eq!(
        engine
            .send(Method::POST, "/engine-rest/task/create", far.clone())
            .await
            .status,
        400
    );
    assert_eq!(
        engine
            .send(Method::PUT, "/engine-rest/job/no/priority", far)
            .await
            .status,
        400
    );
    engine.node.shutdown().await;
}

/// What lists are asked for, and how the real engine answers.
#[expect(clippy::too_many_lines, reason = "a table of requests and answers")]
#[tokio::test(flavor = "multi_thread")]
async fn filters_of_a_wrong_type_and_questions_too_large_are_refused() {
    let engine = Engine::without_executor().await;
    let many = |n: usize| (0..n).map(|i| format!("i{i}")).collect::<Vec<String>>();
    for (body, status) in [
        (json!({ "name": 5 }), 200),
        (json!({ "name": { "a": 1 } }), 400),
        (json!({ "name": ["a"] }), 400),
        (json!({ "taskDefinitionKeyIn": "a" }), 400),
        (json!({ "taskDefinitionKeyIn": { "a": 1 } }), 400),
        (json!({ "taskDefinitionKeyIn": [5] }), 200),
        (json!({ "taskDefinitionKeyIn": [{ "a": 1 }] }), 400),
        (json!({ "assigned": "yes" }), 400),
        (json!({ "assigned": 5 }), 200),
        (json!({ "priority": "abc" }), 400),
        (json!({ "priority": "5" }), 200),
        (json!({ "priority": 99_999_999_999_i64 }), 400),
        (json!({ "dueBefore": "abc" }), 400),
        (json!({ "processVariables": "x" }), 400),
        (json!({ "processInstanceIdIn": many(29_000) }), 200),
        (json!({ "processInstanceIdIn": many(70_000) }), 400),
        (
            json!({ "orQueries": vec![json!({ "name": "a", "nameLike": "b" }); 250] }),
            200,
        ),
        (
            json!({ "orQueries": vec![json!({ "name": "a" }); 3000] }),
            400,
        ),
        (
            json!({ "processVariables": vec![json!({ "name": "a", "operator": "eq", "value": 1 }); 250] }),
            200,
        ),
        (
            json!({ "processVariables": vec![json!({ "name": "a", "operator": "eq", "value": 1 }); 3000] }),
            400,
        ),
    ] {
        let answer = engine
            .send(Method::POST, "/engine-rest/task", body.clone())
            .await;
        let text = body.to_string();
        assert_eq!(
            answer.status,
            status,
            "{}: {}",
            &text[..text.len().min(200)],
            answer.json()
        );
    }
    for (path, status) in [
        ("/task?sortBy=caseInstanceId&sortOrder=asc", 501),
        ("/task?sortBy=zz&sortOrder=asc", 400),
        ("/process-definition?sortBy=category&sortOrder=asc", 501),
        ("/history/task?sortBy=taskDescription&sortOrder=asc", 200),
        ("/history/task?sortBy=activityInstanceId&sortOrder=asc", 200),
        (
            "/history/incident?sortBy=causeIncidentId&sortOrder=asc",
            200,
        ),
        (
            "/history/incident?sortBy=historyConfiguration&sortOrder=asc",
            501,
        ),
    ] {
        let answer = engine
            .call(Method::GET, &format!("/engine-rest{path}"), None)
            .await;
        assert_eq!(answer.status, status, "{path}: {}", answer.json());
    }
    let said = engine
        .call(Method::GET, "/engine-rest/task?assigned=yes", None)
        .await;
    assert_eq!(
        said.json()["message"],
        "Cannot set query parameter 'assigned' to value 'yes': Cannot convert value yes to java type java.lang.Boolean"
    );
    engine.node.shutdown().await;
}
