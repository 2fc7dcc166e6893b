//! Promises of dialects that come from configuration.

use super::*;
use crate::classify::{Broadcast, Keyed, Refusal, Stays, Unknown};
use crate::dialect::{Durability, Learns, Merge, Resend};
use base64::Engine as _;
use http::HeaderMap;
use proptest::prelude::*;

fn rule(method: &str, path: &str, class: ClassName) -> RuleSpec {
    let method = Some(method.to_owned()).filter(|method| !method.is_empty());
    RuleSpec {
        method,
        path: path.into(),
        class,
        ..RuleSpec::default()
    }
}

fn keyed(path: &str, class: ClassName, key: KeySpec) -> RuleSpec {
    RuleSpec {
        kind: Some("order".into()),
        key: Some(key),
        ..rule("", path, class)
    }
}

fn create(path: &str, learn: LearnSpec) -> RuleSpec {
    RuleSpec {
        kind: Some("order".into()),
        learn: Some(learn),
        ..rule("POST", path, ClassName::Create)
    }
}

/// The example of the manual, and one rule for each source of keys.
fn orders() -> Generic {
    let session = RuleSpec {
        kind: Some("session".into()),
        key: Some(KeySpec::Cookie("SID".into())),
        learn: Some(LearnSpec::SetCookie("SID".into())),
        ..rule("", "/app/**", ClassName::Sticky)
    };
    let rules = [
        create("/orders", LearnSpec::Body("/id".into())),
        create("/by-header", LearnSpec::Header("X-Order".into())),
        create("/by-location", LearnSpec::Header("Location".into())),
        RuleSpec {
            key: Some(KeySpec::Body("/customer".into())),
            ..create("/beside", LearnSpec::Body("/id".into()))
        },
        keyed(
            "/orders/{id}/**",
            ClassName::Keyed,
            KeySpec::Path("id".into()),
        ),
        keyed("/query", ClassName::Keyed, KeySpec::Query("order".into())),
        keyed(
            "/header",
            ClassName::Keyed,
            KeySpec::Header("X-Order".into()),
        ),
        keyed("/body", ClassName::Keyed, KeySpec::Body("/order/id".into())),
        keyed("/bearer", ClassName::Keyed, KeySpec::Bearer("sub".into())),
        RuleSpec {
            merge: Some(MergeName::Concat),
            ..rule("GET", "/orders", ClassName::Gather)
        },
        rule("PUT", "/catalog/**", ClassName::Broadcast),
        session,
        rule("", "/internal/**", ClassName::Refuse),
        rule("GET", "/public/**", ClassName::Any),
    ];
    Generic::new("orders", &rules).unwrap()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn class(method: &str, target: &str, lines: &[(&'static str, &str)], body: Option<&str>) -> Class {
    let dialect = orders();
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let headers = headers(lines);
    let head = Head {
        method: &method.parse().unwrap(),
        path,
        query,
        headers: &headers,
    };
    match dialect.find(&head) {
        Found::NoRoute => Class::Refuse(Refusal::NoRoute),
        Found::MethodNotAllowed => Class::Refuse(Refusal::MethodNotAllowed),
        Found::Route(found) => dialect.classify(&found, &head, body.map(str::as_bytes)),
    }
}

fn held(key: &str, unknown: Unknown) -> Class {
    Class::Keyed(Keyed {
        key: key.parse().unwrap(),
        unknown,
    })
}

fn is_bad_key(class: &Class) -> bool {
    matches!(class, Class::Refuse(Refusal::BadKey(_)))
}

#[test]
fn every_place_of_a_key_is_read() {
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"sub":"7"}"#);
    let bearer = format!("Bearer h.{payload}.s");
    let seven = held("order:7", Unknown::Locate);
    assert_eq!(class("GET", "/orders/7", &[], None), seven);
    assert_eq!(class("PATCH", "/orders/%37/lines/3", &[], None), seven);
    assert_eq!(class("GET", "/query?a=b&order=7", &[], None), seven);
    assert_eq!(class("GET", "/header", &[("x-order", "7")], None), seven);
    assert_eq!(
        class("POST", "/body", &[], Some(r#"{"order":{"id":7}}"#)),
        seven
    );
    assert_eq!(
        class("GET", "/bearer", &[("authorization", &bearer)], None),
        seven
    );
    assert_eq!(
        class("GET", "/app/x", &[("cookie", "a=b; SID=7")], None),
        held("session:7", Unknown::Place)
    );
}

#[test]
fn a_key_that_is_missing_or_ambiguous_is_refused() {
    for (target, lines, body) in [
        ("/query", vec![], None),
        ("/query?order=", vec![], None),
        ("/query?order=7&order=8", vec![], None),
        ("/header", vec![], None),
        ("/header", vec![("x-order", "7"), ("x-order", "8")], None),
        ("/body", vec![], Some("{}")),
        ("/body", vec![], Some("nonsense")),
        ("/bearer", vec![("authorization", "Bearer x")], None),
        ("/orders/%zz", vec![], None),
    ] {
        let class = class("POST", target, &lines, body);
        assert!(is_bad_key(&class), "{target} {lines:?}: {class:?}");
    }
    assert!(is_bad_key(&class(
        "GET",
        &format!("/orders/{}", "x".repeat(1025)),
        &[],
        None
    )));
}

#[test]
fn a_body_that_is_too_long_to_be_read_hides_a_key_and_is_refused_only_where_one_is_needed() {
    assert!(matches!(
        class("POST", "/body", &[], None),
        Class::Refuse(Refusal::Unread(_))
    ));
    let Class::Create(create) = class("POST", "/beside", &[], None) else {
        panic!()
    };
    assert_eq!(create.business_key, None);
}

#[test]
fn what_any_site_can_answer_stays_with_its_user() {
    let stays = |class: &Class| matches!(class, Class::Any(any) if any.stays == Stays::WithUser);
    assert!(stays(&class("GET", "/public/x", &[], None)));
}

#[test]
fn rules_are_tried_in_order_and_methods_told_apart() {
    assert_eq!(class("GET", "/orders", &[], None).name(), "gather");
    assert_eq!(class("HEAD", "/orders", &[], None).name(), "gather");
    assert_eq!(class("POST", "/orders", &[], None).name(), "create");
    assert_eq!(
        class("PUT", "/orders", &[], None),
        Class::Refuse(Refusal::MethodNotAllowed)
    );
    assert_eq!(
        class("PUT", "/catalog", &[], None),
        Class::Broadcast(Broadcast::Same)
    );
    assert_eq!(
        class("GET", "/internal/x", &[], None),
        Class::Refuse(Refusal::ByRule)
    );
    assert_eq!(class("GET", "/public", &[], None).name(), "any");
    for path in [
        "/nothing",
        "/orders/7/../8",
        "/app/%2e%2e/orders/7",
        "/public/..;/internal",
        "",
    ] {
        assert_eq!(
            class("GET", path, &[], None),
            Class::Refuse(Refusal::NoRoute),
            "{path}"
        );
    }
}

#[test]
fn a_session_is_placed_when_it_has_no_key_yet() {
    let Class::Create(create) = class("GET", "/app", &[], None) else {
        panic!()
    };
    assert_eq!(create.kind.map(|kind| kind.name()), Some("session"));
}

fn learned(path: &str, status: u16, lines: &[(&'static str, &str)], body: &str) -> Vec<String> {
    let dialect = orders();
    let none = HeaderMap::new();
    let head = Head {
        method: &http::Method::POST,
        path,
        query: None,
        headers: &none,
    };
    let Found::Route(found) = dialect.find(&head) else {
        panic!("{path}")
    };
    let headers = headers(lines);
    let status = StatusCode::from_u16(status).unwrap();
    let answer = Answer {
        engine: &found.engine,
        status,
        headers: &headers,
        body: body.as_bytes(),
    };
    let facts = dialect.extract(found.operation, &answer);
    // Another router would place a session that it does not know.
    let kept = if path.starts_with("/app") {
        Durability::Shared
    } else {
        Durability::Row
    };
    assert!(facts.iter().all(|fact| fact.durability == kept));
    facts.iter().map(|fact| fact.key.to_string()).collect()
}

#[test]
fn answers_teach_through_bodies_headers_and_cookies() {
    assert_eq!(learned("/orders", 201, &[], r#"{"id":42}"#), ["order:42"]);
    assert_eq!(
        learned("/by-header", 201, &[("x-order", "o-1")], ""),
        ["order:o-1"]
    );
    for (header, value, key) in [
        ("location", "42", "order:42"),
        ("location", "/orders/42", "order:42"),
        ("location", "orders/42/", "order:42"),
        (
            "location",
            "https://shop:8080/orders/4%202;v=1?x=/y#/z",
            "order:4 2",
        ),
        ("x-order", "http://shop/orders/42", "order:42"),
    ] {
        let path = if header == "location" {
            "/by-location"
        } else {
            "/by-header"
        };
        assert_eq!(learned(path, 201, &[(header, value)], ""), [key], "{value}");
    }
    for nothing in ["/", "http://shop", "http://shop/", "/orders/%zz", "?x=/y"] {
        let taught = learned("/by-location", 201, &[("location", nothing)], "");
        assert!(taught.is_empty(), "{nothing}: {taught:?}");
    }
    let cookies = [
        ("set-cookie", "other=1"),
        ("set-cookie", "SID=abc; Path=/; HttpOnly"),
    ];
    assert_eq!(learned("/app/login", 302, &cookies, ""), ["session:abc"]);
}

#[test]
fn an_answer_that_failed_or_takes_a_cookie_away_teaches_nothing() {
    assert!(learned("/orders", 500, &[], r#"{"id":42}"#).is_empty());
    assert!(learned("/orders", 201, &[], r#"{"id":"#).is_empty());
    for cookie in ["SID=abc; Max-Age=0", "SID=; Path=/", "SIDE=abc", "SID"] {
        assert!(
            learned("/app", 200, &[("set-cookie", cookie)], "").is_empty(),
            "{cookie}"
        );
    }
    let twice = [("set-cookie", "SID=old"), ("set-cookie", "SID=new")];
    assert_eq!(learned("/app", 200, &twice, ""), ["session:new"]);
}

#[test]
fn operations_say_what_the_later_steps_need() {
    let dialect = orders();
    let of = |path: &str, method: Option<&str>| {
        let operations = dialect.operations.iter();
        let mut found = operations.filter(|one| {
            &*one.path == path
                && method.is_none_or(|method| one.method.as_ref().is_some_and(|m| m == method))
        });
        found.next().unwrap()
    };
    assert_eq!(of("/orders", Some("GET")).merge, Merge::Concat);
    assert_eq!(
        (
            of("/orders", Some("GET")).resend,
            of("/orders", Some("POST")).resend
        ),
        (Resend::Safe, Resend::Never)
    );
    assert_eq!(
        (
            of("/orders", Some("POST")).learns,
            of("/app/**", None).learns
        ),
        (Learns::Body, Learns::Headers)
    );
    assert_eq!(of("/catalog/**", None).merge, Merge::Each);
    assert_eq!(of("/header", None).resend, Resend::Never);
}

#[test]
fn everything_that_is_wrong_with_rules_is_said_at_once() {
    let rules = [
        rule("get", "/a", ClassName::Any),
        rule("", "a", ClassName::Any),
        rule("", "/a", ClassName::Keyed),
        RuleSpec {
            kind: Some("order".into()),
            ..rule("", "/a", ClassName::Keyed)
        },
        RuleSpec {
            kind: Some("order".into()),
            ..rule("", "/a", ClassName::Create)
        },
        rule("", "/a", ClassName::Gather),
        RuleSpec {
            merge: Some(MergeName::Sum),
            ..rule("", "/a", ClassName::Any)
        },
        keyed("/a/{id}", ClassName::Keyed, KeySpec::Path("other".into())),
        keyed("/a", ClassName::Keyed, KeySpec::Body("id".into())),
        keyed("/a", ClassName::Keyed, KeySpec::Header("a b".into())),
        keyed("/a", ClassName::Keyed, KeySpec::Cookie(String::new())),
        create("/a", LearnSpec::Body("id".into())),
        create("/a", LearnSpec::SetCookie(String::new())),
        RuleSpec {
            kind: Some("My Kind".into()),
            ..keyed("/a/{id}", ClassName::Keyed, KeySpec::Path("id".into()))
        },
        rule("", "/fine", ClassName::Any),
    ];
    let errors = Generic::new("x", &rules).unwrap_err();
    let numbers: Vec<usize> = errors.iter().map(RuleError::rule).collect();
    assert_eq!(numbers, (0..14).collect::<Vec<_>>(), "{errors:?}");
    insta::assert_snapshot!(
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

proptest! {
    #[test]
    fn no_request_makes_it_panic(
        path in "(/[ -~]{0,8}){0,5}",
        query in "[ -~]{0,30}",
        cookie in "[ -~]{0,30}",
        body in "[ -~]{0,30}",
    ) {
        for start in ["", "/orders", "/app", "/query", "/body"] {
            let _ = class("POST", &format!("{start}{path}?{query}"), &[("cookie", &cookie)], Some(&body));
        }
    }
}

#[test]
fn a_new_thing_with_a_business_key_is_placed_beside_the_others() {
    let business_key = |body| {
        let Class::Create(create) = class("POST", "/beside", &[], Some(body)) else {
            panic!("not a create");
        };
        create.business_key
    };
    assert_eq!(
        business_key(r#"{"customer":"anna"}"#).as_deref(),
        Some("anna")
    );
    assert_eq!(business_key("{}"), None);
}

#[test]
fn a_rule_without_a_method_is_a_read_for_requests_that_read() {
    let dialect = Generic::new(
        "orders",
        &[keyed(
            "/orders/{id}/**",
            ClassName::Keyed,
            KeySpec::Path("id".into()),
        )],
    )
    .unwrap();
    let resend = |method: &http::Method| match dialect.find(&Head {
        method,
        path: "/orders/7/state",
        query: None,
        headers: &HeaderMap::new(),
    }) {
        Found::Route(found) => found.operation.resend,
        Found::MethodNotAllowed | Found::NoRoute => panic!("{method} finds its rule"),
    };
    assert_eq!(resend(&http::Method::GET), Resend::Safe);
    assert_eq!(resend(&http::Method::HEAD), Resend::Safe);
    assert_eq!(resend(&http::Method::POST), Resend::Never);
}
