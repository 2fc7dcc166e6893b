//! Promises about errors, health, identity and intents.

use super::*;
use crate::dialect::merge::{Casing, Habits, Nulls};
use http::StatusCode;

const BROKEN: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

#[test]
fn nothing_was_executed_only_if_no_connection_was_had() {
    let none = br#"{"type":"CannotCreateTransactionException","message":"Could not open JDBC Connection for transaction","code":null}"#;
    assert!(DIALECT.not_executed(BROKEN, none));
    assert!(!DIALECT.not_executed(StatusCode::OK, none));
    for body in [
        "",
        "<html>",
        r#"{"type":"RestException","message":"CannotCreateTransactionException"}"#,
    ] {
        assert!(!DIALECT.not_executed(BROKEN, body.as_bytes()), "{body}");
    }
}

#[test]
fn an_engine_that_may_not_serve_has_done_nothing_only_if_it_says_so() {
    let refused = |executed: &str| {
        let body = format!(
            r#"{{"type":"NotServingException","message":"m","code":null,"reason":"fenced"{executed}}}"#
        );
        DIALECT.not_executed(StatusCode::SERVICE_UNAVAILABLE, body.as_bytes())
    };
    assert!(refused(r#","executed":false"#));
    assert!(!refused(r#","executed":true"#));
    assert!(!refused(""));
}

#[test]
fn a_broken_transaction_is_open_unless_the_database_spoke() {
    let open = |kind: &str, code: Value| {
        let message = "Cannot instantiate process definition x: An exception occurred in the persistence layer. Please check";
        let body = json!({"type": kind, "message": message, "code": code}).to_string();
        DIALECT.unknown_outcome(BROKEN, body.as_bytes())
    };
    assert!(open("RestException", json!(0)));
    assert!(open("ProcessEnginePersistenceException", Value::Null));
    assert!(!open("RestException", json!(10001)));
    assert!(!open("OptimisticLockingException", json!(0)));
    assert!(!DIALECT.unknown_outcome(
        BROKEN,
        br#"{"type":"RestException","message":"other","code":0}"#
    ));
}

#[test]
fn health_needs_an_answer_out_of_the_database() {
    assert_eq!(DIALECT.health().unwrap().path, "/deployment/count?id=none");
    assert_eq!(
        DIALECT.judge_health(StatusCode::OK, br#"{"count":0}"#),
        Health::Good
    );
    assert_eq!(
        DIALECT.judge_health(StatusCode::UNAUTHORIZED, b""),
        Health::Guarded
    );
    for (status, body) in [
        (200, "<html>"),
        (200, "{}"),
        (404, "{}"),
        (500, "{}"),
        (302, ""),
    ] {
        let judged = DIALECT.judge_health(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert!(matches!(judged, Health::Bad(_)), "{status} {body}");
    }
    assert_eq!(DIALECT.write_health().unwrap().method, Method::DELETE);
}

#[test]
fn identity_is_the_installation_of_the_database() {
    let body = br#"{"installation":"8343cc7a-8ad1-42d4-97d2-43452c0bdfa3","product":{"name":"x"}}"#;
    assert_eq!(
        DIALECT.read_identity(StatusCode::OK, body).as_deref(),
        Some("8343cc7a-8ad1-42d4-97d2-43452c0bdfa3")
    );
    assert_eq!(DIALECT.read_identity(StatusCode::OK, b"{}"), None);
    assert_eq!(DIALECT.read_identity(BROKEN, body), None);
}

#[test]
fn how_lists_are_sorted_is_told_by_the_database_that_the_engine_names() {
    let told = |vendor: &str| {
        let body = json!({"installation": "x", "product": {"internals": {"database": {"vendor": vendor}}}});
        DIALECT.read_habits(body.to_string().as_bytes())
    };
    for vendor in ["PostgreSQL", "Oracle", "DB2/LINUXX8664"] {
        let (nulls, casing) = (Nulls::High, Casing::Unknown);
        assert_eq!(told(vendor), Some(Habits { nulls, casing }), "{vendor}");
    }
    for (vendor, casing) in [
        ("H2", Casing::All),
        ("SQLite", Casing::Ascii),
        ("MySQL", Casing::Unknown),
        ("MariaDB", Casing::Unknown),
        ("Microsoft SQL Server", Casing::Unknown),
    ] {
        let nulls = Nulls::Low;
        assert_eq!(told(vendor), Some(Habits { nulls, casing }), "{vendor}");
    }
    assert_eq!(told("something new"), None);
    assert_eq!(DIALECT.read_habits(b"{}"), None);
}

#[test]
fn answers_that_say_that_there_was_nothing_to_do_are_known() {
    let says = |message: &str| json!({"type": "x", "message": message, "code": 0}).to_string();
    let bad = StatusCode::BAD_REQUEST;
    let empty = says("No process instance ids given: process Instance Ids is empty");
    assert!(DIALECT.selects_nothing(bad, empty.as_bytes()));
    assert!(!DIALECT.selects_nothing(StatusCode::FORBIDDEN, empty.as_bytes()));
    assert!(!DIALECT.selects_nothing(bad, says("retries is null").as_bytes()));
    let over = says("Unable to delete batch with id 'x'");
    assert!(DIALECT.batch_is_over(bad, over.as_bytes()));
    assert!(!DIALECT.batch_is_over(StatusCode::FORBIDDEN, over.as_bytes()));
    let gone = says("Execution 'x' has not subscribed to a signal event with name 's'.");
    assert!(DIALECT.waits_no_more(StatusCode::INTERNAL_SERVER_ERROR, gone.as_bytes()));
    assert!(!DIALECT.waits_no_more(bad, over.as_bytes()));
}

#[test]
fn engine_clients_find_their_message_in_our_errors() {
    assert_eq!(
        Value::Object(DIALECT.error_members("gone")),
        json!({"message": "gone", "code": null})
    );
}

const WINDOW: Window = Window {
    from_ms: 1_767_225_600_123,
    to_ms: 1_767_225_660_000,
};

#[test]
fn an_unknown_start_is_looked_for_by_all_that_is_known_of_it() {
    let class = class(
        "POST",
        "/engine/blue/process-definition/key/order/start",
        r#"{"businessKey":"B"}"#,
    );
    let intent = DIALECT.intent(&class);
    let ask = DIALECT.resolve_intent(&intent, WINDOW).unwrap();
    assert_eq!(
        (ask.method.as_str(), ask.path.as_str()),
        (
            "POST",
            "/engine/blue/history/process-instance?maxResults=50"
        )
    );
    assert_eq!(
        ask.body.unwrap(),
        json!({
            "processDefinitionKey": "order", "processInstanceBusinessKey": "B", "withoutTenantId": true,
            "startedAfter": "2026-01-01T00:00:00.123+0000", "startedBefore": "2026-01-01T00:01:00.000+0000",
            "sorting": [{"sortBy": "startTime", "sortOrder": "asc"}, {"sortBy": "instanceId", "sortOrder": "asc"}],
        })
    );
    let found = DIALECT
        .read_resolved(&intent, StatusCode::OK, br#"[{"id":"p"},{"id":"q"}]"#)
        .unwrap();
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["blue/process-instance:p", "blue/process-instance:q"]
    );
    assert_eq!(DIALECT.read_resolved(&intent, StatusCode::OK, b"{}"), None);
    assert_eq!(DIALECT.read_resolved(&intent, BROKEN, b"[]"), None);
}

#[test]
fn an_intent_by_id_or_tenant_says_so() {
    let body = |target: &str| {
        let intent = DIALECT.intent(&class("POST", target, "{}"));
        DIALECT
            .resolve_intent(&intent, WINDOW)
            .unwrap()
            .body
            .unwrap()
    };
    let by_id = body("/process-definition/o:1:2/start");
    assert_eq!(
        (
            by_id.get("processDefinitionId"),
            by_id.get("withoutTenantId")
        ),
        (Some(&json!("o:1:2")), None)
    );
    assert_eq!(
        body("/case-definition/key/c/tenant-id/t/create")["tenantIdIn"],
        json!(["t"])
    );
    assert_eq!(DIALECT.intent(&class("GET", "/task/1", "")), Value::Null);
    assert_eq!(
        DIALECT.resolve_intent(
            &DIALECT.intent(&class("POST", "/task/create", "{}")),
            WINDOW
        ),
        None
    );
    assert_eq!(
        DIALECT.resolve_intent(&json!({"kind": "cow"}), WINDOW),
        None
    );
}
