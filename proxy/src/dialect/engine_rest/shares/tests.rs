//! Which writes are what, and what a site's answer says of them.

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use super::*;
use crate::classify::Class;
use crate::dialect::shares::Shared;
use crate::dialect::{Dialect, Found, Head};
use http::HeaderMap;

fn dialect() -> EngineRest {
    EngineRest::new().unwrap()
}

fn shared(method: Method, path: &str, body: &str) -> Shared {
    let dialect = dialect();
    let head = Head {
        method: &method,
        path,
        query: None,
        headers: &HeaderMap::new(),
    };
    let Found::Route(found) = dialect.find(&head) else {
        panic!("{path} is no operation");
    };
    let class = dialect.classify(&found, &head, Some(body.as_bytes()));
    let Class::Shared(_, shared) = class else {
        panic!("{path} is {class:?}")
    };
    shared
}

fn write(method: Method, path: &str, body: &str) -> Write {
    let shared = shared(method, path, body);
    let Shared::Write(write) = shared else {
        panic!("{path} is {shared:?}")
    };
    write
}

const USER: &str =
    r#"{"profile":{"id":"u/1","firstName":"A"},"credentials":{"password":"secret"}}"#;

#[test]
fn a_kept_user_has_no_password_and_is_made_with_one_that_nobody_knows() {
    let made = write(Method::POST, "/engine/second/user/create", USER);
    assert_eq!(made.id.as_deref(), Some("u/1"));
    let kept = dialect().keepable(&made, USER.as_bytes()).unwrap();
    assert_eq!(kept.left_out, LeftOut::Password);
    assert!(!String::from_utf8_lossy(&kept.content).contains("secret"));
    let ask = dialect().ask(&made, None, &kept.content, "random").unwrap();
    assert_eq!(
        (ask.method, ask.path.as_str()),
        (Method::POST, "/engine/second/user/create")
    );
    let body = ask.body.unwrap();
    assert_eq!(body["credentials"]["password"], "random");
    assert_eq!(body["profile"]["id"], "u/1");
    let look = dialect().look(&made, None, &kept.content).unwrap();
    assert_eq!(look.path, "/engine/second/user/u%2F1/profile");
}

#[test]
fn passwords_are_never_a_write_that_is_kept() {
    let body = r#"{"password":"secret"}"#;
    let told = shared(Method::PUT, "/user/u/credentials", body);
    assert_eq!(told, Shared::Password("u".into()));
    assert_eq!(shared(Method::POST, "/user/u/unlock", ""), Shared::Once);
    let verify = shared(Method::POST, "/identity/verify", body);
    assert_eq!(verify, Shared::Read(None));
}

#[test]
fn memberships_name_both_and_are_looked_for_in_a_list() {
    let cases = [
        ("/group/g/members/u", "/user?id=u&memberOfGroup=g"),
        ("/tenant/g/user-members/u", "/user?id=u&memberOfTenant=g"),
        ("/tenant/g/group-members/u", "/group?id=u&memberOfTenant=g"),
    ];
    for (path, list) in cases {
        for (method, verb) in [
            (Method::PUT, SharedVerb::Join),
            (Method::DELETE, SharedVerb::Leave),
        ] {
            let write = write(method.clone(), path, "");
            assert_eq!(write.verb, verb);
            let ask = dialect().ask(&write, None, b"", "").unwrap();
            assert_eq!(
                (ask.method, ask.path.as_str(), ask.body),
                (method, path, None)
            );
            assert_eq!(dialect().look(&write, None, b"").unwrap().path, list);
            let seen = |body: &str| {
                let none = HashSet::new();
                dialect().seen(&write, b"", &none, StatusCode::OK, body.as_bytes())
            };
            assert_eq!(seen("[]"), Seen::Absent);
            assert_eq!(seen(r#"[{"id":"u"}]"#), Seen::There(None));
            assert_eq!(seen("<html>"), Seen::Unclear);
        }
    }
}

#[test]
fn what_is_there_with_another_content_is_told_from_what_was_written() {
    let set = write(Method::PUT, "/user/u/profile", "{}");
    let content = br#"{"id":"u","firstName":"A","email":null}"#;
    let seen = |status: u16, body: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        dialect().seen(&set, content, &HashSet::new(), status, body.as_bytes())
    };
    let there = r#"{"id":"u","firstName":"A","lastName":"B","email":null}"#;
    assert_eq!(seen(200, there), Seen::There(None));
    assert_eq!(
        seen(200, r#"{"id":"u","firstName":"Z"}"#),
        Seen::Other(None)
    );
    assert_eq!(
        seen(404, r#"{"type":"InvalidRequestException"}"#),
        Seen::Absent
    );
    for (status, body) in [(404, "<html>"), (401, "{}"), (500, there), (200, "[1]")] {
        assert_ne!(seen(status, body), Seen::There(None), "{status} {body}");
        assert_ne!(seen(status, body), Seen::Other(None), "{status} {body}");
    }
}

#[test]
fn a_filter_has_an_id_of_each_site_and_one_that_is_taken_is_another_ones() {
    let content = r#"{"resourceType":"Task","name":"My filter","query":{"assignee":"u"}}"#;
    let make = write(Method::POST, "/filter/create", content);
    let look = dialect().look(&make, None, content.as_bytes()).unwrap();
    assert_eq!(look.path, "/filter?resourceType=Task&name=My%20filter");
    let rows = r#"[{"id":"1","resourceType":"Task","name":"My filter","query":{"assignee":"u","x":1}},
        {"id":"2","resourceType":"Task","name":"My filter","query":{}}]"#;
    let seen = |taken: &[&str]| {
        let taken = taken.iter().map(|id| (*id).to_owned()).collect();
        dialect().seen(
            &make,
            content.as_bytes(),
            &taken,
            StatusCode::OK,
            rows.as_bytes(),
        )
    };
    assert_eq!(seen(&[]), Seen::There(Some("1".into())));
    assert_eq!(seen(&["1"]), Seen::Other(Some("2".into())));
    assert_eq!(seen(&["1", "2"]), Seen::Absent);
    let gone = write(Method::DELETE, "/filter/1", "");
    assert_eq!(dialect().ask(&gone, None, b"", ""), None);
    let ask = dialect().ask(&gone, Some("2"), b"", "").unwrap();
    assert_eq!(ask.path, "/filter/2");
    assert_eq!(dialect().read_id(br#"{"id":"1"}"#).as_deref(), Some("1"));
    let undone = make.inverse(Some("2")).unwrap();
    assert_eq!(
        (undone.verb, undone.id.as_deref()),
        (SharedVerb::Drop, Some("2"))
    );
}

#[test]
fn a_user_of_the_same_id_with_another_name_is_not_taken_for_it() {
    let make = write(Method::POST, "/user/create", USER);
    let kept = dialect().keepable(&make, USER.as_bytes()).unwrap().content;
    let seen = |body: &str| {
        dialect().seen(
            &make,
            &kept,
            &HashSet::new(),
            StatusCode::OK,
            body.as_bytes(),
        )
    };
    assert_eq!(seen(r#"{"id":"u/1","firstName":"A"}"#), Seen::There(None));
    assert_eq!(seen(r#"{"id":"u/1","firstName":"B"}"#), Seen::Other(None));
}
