//! What the module above promises.

use super::*;
use http::{HeaderValue, StatusCode};

const LIMITS: Limits = Limits {
    target_bytes: 100,
    headers: 8,
};

fn over_http2(uri: &str, lines: &[(&'static str, &'static str)]) -> Result<(), Rule> {
    let mut head = HeaderMap::new();
    for (name, value) in lines {
        head.append(*name, HeaderValue::from_static(value));
    }
    stream(&Method::GET, &uri.parse().unwrap(), &head, LIMITS)
}

#[test]
fn a_stream_names_one_host() {
    assert_eq!(over_http2("https://h/a", &[]), Ok(()));
    assert_eq!(over_http2("https://h/a", &[("host", "H")]), Ok(()));
    assert_eq!(over_http2("/a", &[("host", "h")]), Ok(()));
    assert_eq!(over_http2("/a", &[]), Err(Rule::HostMissing));
    assert_eq!(
        over_http2("https://h/a", &[("host", "i")]),
        Err(Rule::HostDiffers)
    );
    assert_eq!(
        over_http2("https://h/a", &[("host", "h"), ("host", "h")]),
        Err(Rule::HostDouble)
    );
    assert_eq!(over_http2("https://u@h/a", &[]), Err(Rule::HostOdd));
}

#[test]
fn a_stream_is_fit_to_be_a_request_of_http1() {
    for (uri, lines, rule) in [
        ("https://h/a/../b", &[][..], Rule::DotSegment),
        ("https://h/a%2fb", &[], Rule::EncodedSlash),
        ("https://h//a", &[], Rule::EmptySegment),
        (
            "https://h/a",
            &[("connection", "close")],
            Rule::ConnectionHeader,
        ),
        (
            "https://h/a",
            &[("transfer-encoding", "chunked")],
            Rule::ConnectionHeader,
        ),
        (
            "https://h/a",
            &[("upgrade", "websocket")],
            Rule::ConnectionHeader,
        ),
        ("https://h/a", &[("te", "gzip")], Rule::ConnectionHeader),
        (
            "https://h/a",
            &[("x_forwarded_for", "1.2.3.4")],
            Rule::HeaderLookalike,
        ),
        ("*", &[("host", "h")], Rule::TargetForm),
    ] {
        assert_eq!(over_http2(uri, lines), Err(rule), "{uri} {lines:?}");
    }
    assert_eq!(over_http2("https://h/a", &[("te", "trailers")]), Ok(()));
    let long = format!("https://h/{}", "a".repeat(100));
    assert_eq!(over_http2(&long, &[]), Err(Rule::TargetBytes));
    assert_eq!(
        over_http2("https://h/a", &[("x", "y"); 9]),
        Err(Rule::Headers)
    );
}

#[test]
fn a_refusal_of_the_tap_is_explained_by_the_pipeline() {
    for rule in Rule::ALL {
        let head = mark(*rule);
        let target = head.split(' ').nth(1).unwrap();
        let method = Method::from_bytes(b"!").unwrap();
        let admitted = admit(
            &method,
            &target.parse().unwrap(),
            Version::HTTP_11,
            &HeaderMap::new(),
            "r1",
            LIMITS,
        );
        let problem = admitted.unwrap_err();
        assert_eq!(problem.status(), rule.status());
        assert!(problem.detail.contains(rule.as_str()), "{}", problem.detail);
    }
}

#[test]
fn nobody_can_send_the_mark() {
    let head = mark(Rule::Method);
    assert_eq!(head::inspect(head.as_bytes(), LIMITS), Err(Rule::Method));
    assert_eq!(head::inspect_method(b"!"), Err(Rule::Method));
}

#[test]
fn a_limit_has_its_own_status() {
    assert_eq!(
        problem(Rule::TargetBytes).status(),
        StatusCode::URI_TOO_LONG
    );
    assert_eq!(
        problem(Rule::HeadBytes).status(),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    assert_eq!(problem(Rule::HeadBytes).reason, Reason::LimitExceeded);
    assert_eq!(problem(Rule::LineEnd).reason, Reason::BadRequest);
}
