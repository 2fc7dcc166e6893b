//! Promises about locating and about learning.

use super::*;
use http::StatusCode;

fn key(text: &str) -> RoutingKey {
    text.parse().unwrap()
}

fn judged(of: &str, status: u16, body: &str) -> Presence {
    DIALECT.judge_probe(
        &key(of),
        StatusCode::from_u16(status).unwrap(),
        body.as_bytes(),
    )
}

#[test]
fn what_runs_is_asked_for_before_what_was() {
    assert_eq!(
        DIALECT.locate(&key("process-instance:a b/".trim_end_matches('/'))),
        ["/process-instance/a%20b", "/history/process-instance/a%20b"]
    );
    assert_eq!(
        DIALECT.locate(&key("blue/task:1")),
        ["/engine/blue/task/1", "/engine/blue/history/task?taskId=1"]
    );
    assert_eq!(
        DIALECT.locate(&key("process-definition:p:1:2")),
        ["/process-definition/p:1:2"]
    );
    for unlocatable in [
        "user:mary",
        "business-key:b",
        "tenant:t",
        "task:..",
        "task:a/b",
        "task:a\\b",
        "task:a\nb",
    ] {
        assert_eq!(
            DIALECT.locate(&key(unlocatable)),
            Vec::<String>::new(),
            "{unlocatable}"
        );
    }
}

#[test]
fn every_probe_is_a_get_of_the_table_and_every_held_key_has_one() {
    for operation in DIALECT.operations() {
        let (_, class) = classified(
            operation.method.as_ref().unwrap().as_str(),
            &sample(&operation.path),
            Some(""),
        );
        let Class::Keyed(keyed) = class else { continue };
        let probes = DIALECT.locate(&keyed.key);
        assert!(!probes.is_empty(), "{}", operation.name);
        for probe in probes {
            let (name, class) = classified("GET", &probe, None);
            assert!(
                matches!(class.name(), "keyed" | "gather"),
                "{probe} is {name}"
            );
        }
    }
}

#[test]
fn only_the_thing_itself_proves_that_it_is_there() {
    let Presence::Present(facts) = judged("task:t", 200, r#"{"id":"t","processInstanceId":"p"}"#)
    else {
        panic!()
    };
    let facts: Vec<_> = facts
        .iter()
        .map(|fact| format!("{} {:?}", fact.key, fact.durability))
        .collect();
    assert_eq!(facts, ["task:t Cached", "process-instance:p Row"]);
    let Presence::Present(facts) =
        judged("task:t", 200, r#"[{"id":"t","processInstanceId":null}]"#)
    else {
        panic!()
    };
    assert_eq!(facts[0].durability, Durability::Row);
    assert!(matches!(
        judged("user-operation:o", 200, r#"[{"id":"x","operationId":"o"}]"#),
        Presence::Present(_)
    ));
    assert_eq!(judged("incident:i", 200, "[]"), Presence::Absent);
    for body in [
        r#"{"count":3}"#,
        r#"{"id":"other"}"#,
        r#"[{"id":"other"}]"#,
        "<html>",
        "",
        "null",
        r#"{"id":"t""#,
    ] {
        assert_eq!(judged("task:t", 200, body), Presence::Unclear, "{body}");
    }
}

#[test]
fn only_the_engines_own_word_proves_that_it_is_absent() {
    let absent =
        r#"{"type":"InvalidRequestException","message":"No matching task with id t","code":null}"#;
    assert_eq!(judged("task:t", 404, absent), Presence::Absent);
    assert_eq!(
        judged("task:t", 404, &absent.replace("InvalidRequest", "Rest")),
        Presence::Absent
    );
    for body in [
        r#"{"type":"NotFoundException","message":"HTTP 404 Not Found","code":null}"#,
        r#"{"type":"RestException","message":"HTTP 404 Not Found","code":null}"#,
        r#"{"type":"QueryParamException","message":"x","code":null}"#,
        "<html>404</html>",
        "",
    ] {
        assert_eq!(judged("task:t", 404, body), Presence::Unclear, "{body}");
    }
    for status in [204, 301, 400, 401, 403, 405, 500, 503] {
        assert_eq!(
            judged("task:t", status, absent),
            Presence::Unclear,
            "{status}"
        );
    }
}

#[test]
fn an_execution_may_be_known_as_its_instance() {
    assert_eq!(
        DIALECT.broader(&key("blue/execution:1")),
        Some(key("blue/process-instance:1"))
    );
    assert_eq!(
        DIALECT.broader(&key("case-execution:1")),
        Some(key("case-instance:1"))
    );
    assert_eq!(DIALECT.broader(&key("task:1")), None);
}

fn learned(method: &str, path: &str, status: u16, body: &str) -> String {
    let headers = HeaderMap::new();
    let head = Head {
        method: &method.parse().unwrap(),
        path,
        query: None,
        headers: &headers,
    };
    let Found::Route(found) = DIALECT.find(&head) else {
        panic!("{path}")
    };
    let answer = Answer {
        engine: &found.engine,
        status: StatusCode::from_u16(status).unwrap(),
        headers: &headers,
        body: body.as_bytes(),
    };
    let facts = DIALECT.extract(found.operation, &answer);
    facts
        .iter()
        .map(|fact| {
            format!(
                "{}{}",
                fact.key,
                if fact.durability == Durability::Row {
                    "!"
                } else {
                    ""
                }
            )
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_start_teaches_the_instance_but_not_what_the_client_chose() {
    let body = r#"{"links":[{"href":"x"}],"id":"p","definitionId":"o:1:2","businessKey":"b","caseInstanceId":"any","ended":false}"#;
    assert_eq!(
        learned("POST", "/process-definition/key/o/start", 200, body),
        "process-instance:p! process-definition:o:1:2"
    );
    assert_eq!(
        learned(
            "POST",
            "/engine/blue/process-definition/key/o/start",
            200,
            body
        ),
        "blue/process-instance:p! blue/process-definition:o:1:2"
    );
    assert_eq!(
        learned("POST", "/process-definition/key/o/start", 500, body),
        ""
    );
}

#[test]
fn lists_teach_in_both_of_their_forms() {
    let row = r#"{"id":"t","processInstanceId":"p","executionId":"e"}"#;
    let expected = "task:t process-instance:p! execution:e";
    assert_eq!(learned("GET", "/task", 200, &format!("[{row}]")), expected);
    assert_eq!(
        learned(
            "POST",
            "/task",
            200,
            &format!(r#"{{"_embedded":{{"task":[{row}]}},"count":1}}"#)
        ),
        expected
    );
    let sub = r#"[{"processInstance":{"id":"p"},"execution":null},{"execution":{"id":"e","processInstanceId":"q"}}]"#;
    assert_eq!(
        learned("POST", "/message", 200, sub),
        "process-instance:p! execution:e process-instance:q!"
    );
    let deployed = r#"{"id":"d","deployedProcessDefinitions":{"o:1:2":{"id":"o:1:2"}},"deployedCaseDefinitions":null}"#;
    assert_eq!(
        learned("POST", "/deployment/create", 200, deployed),
        "deployment:d process-definition:o:1:2"
    );
    assert_eq!(
        learned(
            "POST",
            "/process-instance/delete",
            200,
            r#"{"id":"b","type":"x"}"#
        ),
        "batch:b!"
    );
    assert_eq!(
        learned(
            "POST",
            "/external-task/fetchAndLock",
            200,
            r#"[{"id":"x","processInstanceId":"p"}]"#
        ),
        "external-task:x process-instance:p!"
    );
}

#[test]
fn an_engine_without_such_things_does_not_have_this_one() {
    let own = r#"{"type":"NotImplementedException","message":"getBatch is not built in Homing's engine","code":null}"#;
    assert_eq!(judged("batch:1", 501, own), Presence::Absent);
    for other in ["", "Not Implemented", r#"{"type":"RestException"}"#] {
        assert_eq!(judged("batch:1", 501, other), Presence::Unclear, "{other}");
    }
}
