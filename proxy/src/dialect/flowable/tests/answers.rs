//! What answers of Flowable mean.

use super::*;

const NOT_FOUND: &str =
    r#"{"message":"Not found","exception":"Could not find a task with id 't1'."}"#;

fn judged(key: &str, status: u16, body: &str) -> Presence {
    LazyLock::force(&DIALECT);
    let status = StatusCode::from_u16(status).unwrap();
    DIALECT.judge_probe(&key.parse().unwrap(), status, body.as_bytes())
}

#[test]
fn only_the_engines_own_word_says_absent() {
    assert_eq!(judged("task:t1", 404, NOT_FOUND), Presence::Absent);
    let container =
        r#"{"timestamp":"2026-11-22T02:03:40Z","status":404,"error":"Not Found","path":"/x"}"#;
    for (status, body) in [
        (404, container),
        (404, "<html>"),
        (200, "{}"),
        (200, r#"{"id":"t2"}"#),
        (401, ""),
        (500, NOT_FOUND),
    ] {
        assert_eq!(
            judged("task:t1", status, body),
            Presence::Unclear,
            "{status} {body}"
        );
    }
}

#[test]
fn what_is_there_teaches_the_instance_that_it_is_part_of() {
    let facts = |key: &str, body: &str| -> Vec<String> {
        let judged = judged(key, 200, body);
        let Presence::Present(facts) = judged else {
            panic!("{judged:?}");
        };
        facts
            .iter()
            .map(|fact| format!("{} {:?}", fact.key, fact.durability))
            .collect()
    };
    assert_eq!(
        facts(
            "task:t1",
            r#"{"id":"t1","processInstanceId":"p1","scopeId":null}"#
        ),
        ["task:t1 Cached", "process-instance:p1 Row"]
    );
    assert_eq!(
        facts("task:t1", r#"{"id":"t1","processInstanceId":null}"#),
        ["task:t1 Row"]
    );
    assert_eq!(
        facts("task:t1", r#"{"id":"t1","scopeId":"c1"}"#),
        ["task:t1 Cached"]
    );
}

#[test]
fn every_kind_of_key_in_the_table_can_be_located_or_is_known_not_to() {
    let (_, operations) = DIALECT.operations().split_last().unwrap();
    let mut lost: BTreeSet<String> = BTreeSet::new();
    for operation in operations {
        let method = operation.method.as_ref().unwrap().as_str();
        if let Class::Keyed(keyed) = class(method, &sample(&operation.path), "")
            && DIALECT.locate(&keyed.key).is_empty()
        {
            lost.insert(keyed.key.kind.name().to_owned());
        }
    }
    let known: Vec<&str> = lost.iter().map(String::as_str).collect();
    assert_eq!(known, ["detail", "variable"]);
    assert_eq!(
        DIALECT.locate(&"task:a b".parse().unwrap()),
        [
            "/process-api/runtime/tasks/a%20b",
            "/process-api/history/historic-task-instances/a%20b"
        ]
    );
    assert_eq!(
        DIALECT.locate(&"task:a/b".parse().unwrap()),
        Vec::<String>::new()
    );
}

#[test]
fn a_database_is_known_by_the_property_that_homing_keeps_in_it() {
    let fresh = r#"{"schema.version":"7.2.0.2","next.dbid":"1"}"#;
    let marked = r#"{"schema.version":"7.2.0.2","homing.identity":"abc"}"#;
    let read = |body: &str| DIALECT.read_identity(StatusCode::OK, body.as_bytes());
    assert_eq!((read(fresh), read(marked).as_deref()), (None, Some("abc")));
    assert_eq!(
        DIALECT.read_identity(StatusCode::NOT_FOUND, marked.as_bytes()),
        None
    );
    let mark = DIALECT.mark("abc").unwrap();
    assert_eq!(mark.path, "/process-api/management/engine-properties");
    assert_eq!(
        mark.body,
        Some(json!({ "name": "homing.identity", "value": "abc" }))
    );
    let health = |status: u16, body: &str| {
        DIALECT.judge_health(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    };
    assert_eq!(health(200, fresh), Health::Good);
    assert_eq!(health(401, ""), Health::Guarded);
    for (status, body) in [(200, "{}"), (200, "[]"), (404, ""), (500, "{}")] {
        assert!(
            matches!(health(status, body), Health::Bad(_)),
            "{status} {body}"
        );
    }
}

#[test]
fn a_lost_start_is_looked_for_by_what_is_known_of_it() {
    let start = class(
        "POST",
        "/process-api/runtime/process-instances",
        r#"{"processDefinitionKey":"review","businessKey":"k"}"#,
    );
    let intent = DIALECT.intent(&start);
    let window = Window {
        from_ms: 0,
        to_ms: 1_500,
    };
    let ask = DIALECT.resolve_intent(&intent, window).unwrap();
    assert_eq!(ask.path, "/process-api/query/historic-process-instances");
    assert_eq!(
        ask.body,
        Some(json!({
            "processDefinitionKey": "review", "processBusinessKey": "k",
            "startedAfter": "1970-01-01T00:00:00.000Z", "startedBefore": "1970-01-01T00:00:01.500Z",
            "sort": "startTime", "order": "asc", "start": 0, "size": 50
        }))
    );
    let found = DIALECT.read_resolved(&intent, StatusCode::OK, br#"{"data":[{"id":"p1"}]}"#);
    assert_eq!(found, Some(vec!["process-instance:p1".parse().unwrap()]));
    assert_eq!(DIALECT.read_resolved(&intent, StatusCode::OK, b"[]"), None);
}

#[test]
fn errors_of_the_database_say_whether_anything_was_done() {
    let error =
        |words: &str| json!({ "message": "Internal server error", "exception": words }).to_string();
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let nothing = error("Could not open JDBC Connection for transaction");
    assert!(DIALECT.not_executed(status, nothing.as_bytes()));
    assert!(!DIALECT.unknown_outcome(status, nothing.as_bytes()));
    assert!(DIALECT.unknown_outcome(status, error("JDBC rollback failed").as_bytes()));
    assert!(!DIALECT.unknown_outcome(status, error("no such process").as_bytes()));
    assert_eq!(
        DIALECT.error_members("no"),
        json!({ "exception": "no" }).as_object().unwrap().clone()
    );
}

#[test]
fn a_deployment_is_undone_where_it_was_made() {
    let undone = |path: &str, body: &str| {
        looked_up("POST", path, |found, _| {
            DIALECT.undo(found.operation, &Engine::DEFAULT, body.as_bytes())
        })
        .unwrap()
    };
    let expected = Ask {
        method: http::Method::DELETE,
        path: "/cmmn-api/cmmn-repository/deployments/d1".into(),
        body: None,
    };
    let deployed = r#"{"id":"d1","name":"x"}"#;
    assert_eq!(
        undone("/cmmn-api/cmmn-repository/deployments", deployed),
        Undo::By(expected)
    );
    assert_eq!(
        undone("/process-api/repository/deployments", "{}"),
        Undo::Impossible
    );
    assert_eq!(
        undone("/process-api/runtime/tasks", deployed),
        Undo::Impossible
    );
}

#[test]
fn answers_teach_what_lives_where() {
    let task =
        r#"{"data":[{"id":"t1","processInstanceId":"p1","scopeId":null},{"id":"t2"}],"total":2}"#;
    let headers = HeaderMap::new();
    let facts = looked_up("GET", "/process-api/runtime/tasks", |found, _| {
        DIALECT.extract(
            found.operation,
            &Answer {
                engine: &Engine::DEFAULT,
                status: StatusCode::OK,
                headers: &headers,
                body: task.as_bytes(),
            },
        )
    });
    let told: Vec<(String, Durability)> = facts
        .unwrap()
        .into_iter()
        .map(|fact| (fact.key.to_string(), fact.durability))
        .collect();
    assert_eq!(
        told,
        [
            ("task:t1".to_owned(), Durability::Cached),
            ("process-instance:p1".to_owned(), Durability::Row),
            ("task:t2".to_owned(), Durability::Row)
        ]
    );
}

#[test]
fn work_is_asked_for_by_topic() {
    let body = br#"{"topic":"pay","lockDuration":"PT5M","numberOfTasks":3,"workerId":"w","scopeType":"bpmn"}"#;
    let fetch = DIALECT
        .fetch("/external-job-api/acquire/jobs", body)
        .unwrap();
    assert_eq!((fetch.max, fetch.wait), (3, None));
    let asked: Value = serde_json::from_slice(&fetch.body(2, None)).unwrap();
    assert_eq!(
        asked,
        json!({ "topic": "pay", "lockDuration": "PT5M", "numberOfTasks": 2, "workerId": "w", "scopeType": "bpmn" })
    );
    for strange in [
        "[]",
        r#"{"topic":"pay"}"#,
        r#"{"topic":"pay","lockDuration":"PT5M","workerId":"w","numberOfTasks":0}"#,
    ] {
        assert!(DIALECT.fetch("", strange.as_bytes()).is_none(), "{strange}");
    }
}
