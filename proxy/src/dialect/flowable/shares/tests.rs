//! Which writes are what, and what a site's answer says of them.

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use super::*;
use crate::classify::Class;
use crate::dialect::flowable::Layout;
use crate::dialect::shares::Shared;
use crate::dialect::{Dialect, Found, Head};
use http::HeaderMap;

fn dialect() -> Flowable {
    Flowable::new(Layout::Boot).unwrap()
}

fn shared(method: Method, path: &str, body: &str) -> Shared {
    let dialect = dialect();
    let path = format!("/process-api/identity{path}");
    let head = Head {
        method: &method,
        path: &path,
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

const USER: &str = r#"{"id":"u/1","firstName":"A","password":"secret","other":"secret"}"#;

#[test]
fn a_kept_user_has_no_password_and_is_made_with_one_that_nobody_knows() {
    let made = write(Method::POST, "/users", USER);
    assert_eq!(made.id.as_deref(), Some("u/1"));
    let kept = dialect().keepable(&made, USER.as_bytes()).unwrap();
    assert_eq!(kept.left_out, LeftOut::Password);
    assert!(!String::from_utf8_lossy(&kept.content).contains("secret"));
    // What was kept still says that it lacks something.
    let again = dialect().keepable(&made, &kept.content).unwrap();
    assert_eq!(again, kept);
    let ask = dialect().ask(&made, None, &kept.content, "random").unwrap();
    assert_eq!(
        (ask.method, ask.path.as_str()),
        (Method::POST, "/process-api/identity/users")
    );
    assert_eq!(
        ask.body.unwrap(),
        json!({"id": "u/1", "firstName": "A", "password": "random"})
    );
    let look = dialect().look(&made, None, &kept.content).unwrap();
    assert_eq!(look.path, "/process-api/identity/users/u%2F1");
}

#[test]
fn who_has_no_password_needs_none_at_the_other_sites() {
    let body = r#"{"id":"u","password":null}"#;
    let made = write(Method::POST, "/users", body);
    let kept = dialect().keepable(&made, body.as_bytes()).unwrap();
    assert_eq!(kept.left_out, LeftOut::Nothing);
    let ask = dialect().ask(&made, None, &kept.content, "random").unwrap();
    assert_eq!(ask.body.unwrap(), json!({"id": "u"}));
}

#[test]
fn a_change_makes_needless_only_what_named_the_same() {
    let set = write(Method::PUT, "/users/u", "{}");
    let facet = |body: &str| {
        let kept = dialect().keepable(&set, body.as_bytes()).unwrap();
        (dialect().facet(&set, &kept.content).unwrap(), kept.left_out)
    };
    let name = facet(r#"{"firstName":"A"}"#);
    assert_eq!(name, facet(r#"{"firstName":null}"#));
    assert_ne!(name, facet(r#"{"firstName":"A","email":"e"}"#));
    let secret = facet(r#"{"firstName":"A","password":"p"}"#);
    assert_eq!(secret.1, LeftOut::Password);
    assert_ne!(secret.0, name.0);
    // Taking it away is one of these changes, too.
    assert_eq!(facet(r#"{"firstName":"A","password":null}"#), secret);
    let kept = dialect().keepable(&set, br#"{"email":"e","password":"p"}"#);
    let ask = dialect().ask(&set, None, &kept.unwrap().content, "random");
    assert_eq!(ask.unwrap().body.unwrap(), json!({"email": "e"}));
}

#[test]
fn what_looks_like_something_kept_hides_no_password() {
    let body = r#"{"id":"u","password":"secret","profile":{"id":"v"}}"#;
    let made = write(Method::POST, "/users", body);
    assert_eq!(dialect().keepable(&made, body.as_bytes()), None);
    let body = r#"{"password":"secret","profile":{"firstName":"A"}}"#;
    let set = write(Method::PUT, "/users/u", body);
    let kept = dialect().keepable(&set, body.as_bytes()).unwrap();
    assert!(!String::from_utf8_lossy(&kept.content).contains("secret"));
    assert_eq!(kept.left_out, LeftOut::Password);
}

#[test]
fn a_membership_names_its_user_in_the_body_or_is_left_to_an_engine() {
    let joined = write(Method::POST, "/groups/g/members", r#"{"userId":"u"}"#);
    let ask = dialect().ask(&joined, None, b"{}", "").unwrap();
    assert_eq!(ask.path, "/process-api/identity/groups/g/members");
    assert_eq!(ask.body.unwrap(), json!({"userId": "u"}));
    let left = joined.inverse(None).unwrap();
    let ask = dialect().ask(&left, None, b"", "").unwrap();
    assert_eq!(
        (ask.method, ask.path.as_str()),
        (Method::DELETE, "/process-api/identity/groups/g/members/u")
    );
    let seen = |body: &[u8]| dialect().seen(&joined, b"{}", &HashSet::new(), StatusCode::OK, body);
    assert_eq!(seen(br#"{"data":[],"total":0}"#), Seen::Absent);
    assert_eq!(
        seen(br#"{"data":[{"id":"u"}],"total":1}"#),
        Seen::There(None)
    );
    let nobody = write(Method::POST, "/groups/g/members", "{}");
    assert_eq!(dialect().keepable(&nobody, b"{}"), None);
}

#[test]
fn a_site_has_it_if_it_shows_all_that_was_written() {
    let set = write(Method::PUT, "/groups/g", "{}");
    let seen = |written: &[u8], status, body: &[u8]| {
        dialect().seen(&set, written, &HashSet::new(), status, body)
    };
    let ok = StatusCode::OK;
    let there = br#"{"id":"g","name":"N","type":null}"#;
    assert_eq!(seen(br#"{"name":"N"}"#, ok, there), Seen::There(None));
    assert_eq!(seen(br#"{"type":null}"#, ok, there), Seen::There(None));
    assert_eq!(seen(br#"{"name":null}"#, ok, there), Seen::Other(None));
    let gone = br#"{"message":"Not found","exception":"Could not find a group with id 'g'."}"#;
    assert_eq!(seen(b"{}", StatusCode::NOT_FOUND, gone), Seen::Absent);
    assert_eq!(seen(b"{}", StatusCode::NOT_FOUND, b"{}"), Seen::Unclear);
    assert_eq!(seen(b"{}", ok, b"<html>"), Seen::Unclear);
}

#[test]
fn what_is_no_user_or_group_goes_to_every_site_at_once() {
    let info = r#"{"key":"k","value":"v"}"#;
    assert_eq!(shared(Method::POST, "/users/u/info", info), Shared::Once);
    assert_eq!(shared(Method::PUT, "/users/u/picture", ""), Shared::Once);
    let read = shared(Method::GET, "/users/u/info", "");
    assert_eq!(read, Shared::Read(None));
}
