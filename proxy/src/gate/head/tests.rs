//! What the module above promises.

use super::*;

const LIMITS: Limits = Limits {
    target_bytes: 200,
    headers: 5,
};

fn ask(head: &str) -> Result<Follows, Rule> {
    inspect(head.as_bytes(), LIMITS)
}

#[test]
fn an_ordinary_request_passes() {
    assert_eq!(
        ask("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n"),
        Ok(Follows::Nothing)
    );
    assert_eq!(
        ask("POST /a HTTP/1.1\r\nhost:h\r\nContent-Length: 5\t \r\n\r\n"),
        Ok(Follows::Length(5))
    );
    assert_eq!(
        ask("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"),
        Ok(Follows::Chunks)
    );
    assert_eq!(
        ask("\r\nGET http://h/a HTTP/1.0\r\nHost: H\r\nX: \tcaf\u{e9}\r\n\r\n"),
        Ok(Follows::Nothing)
    );
}

#[test]
fn only_a_whole_websocket_request_waits_for_its_answer() {
    let with = |extra: &str| ask(&format!("GET /a HTTP/1.1\r\nHost: h\r\n{extra}\r\n"));
    assert_eq!(
        with("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
        Ok(Follows::Upgrade)
    );
    assert_eq!(with("Upgrade: websocket\r\n"), Ok(Follows::Nothing));
    assert_eq!(with("Connection: upgrade\r\n"), Ok(Follows::Nothing));
    assert_eq!(
        with("Connection: upgrade\r\nUpgrade: h2c\r\n"),
        Ok(Follows::Nothing)
    );
    assert_eq!(
        with("Connection: upgrade\r\nUpgrade: a, b\r\n"),
        Ok(Follows::Nothing)
    );
    assert_eq!(
        with("Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 1\r\n"),
        Ok(Follows::Length(1))
    );
    assert_eq!(
        ask("GET /a HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"),
        Ok(Follows::Nothing)
    );
}

#[test]
fn too_many_headers_and_too_long_a_target_have_names() {
    let many = format!("GET /a HTTP/1.1\r\n{}\r\n", "Host: h\r\n".repeat(6));
    assert_eq!(ask(&many), Err(Rule::HostDouble));
    let many = format!("GET /a HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(5));
    assert_eq!(ask(&many), Err(Rule::Headers));
    assert_eq!(
        ask(&format!(
            "GET /{} HTTP/1.1\r\nHost: h\r\n\r\n",
            "a".repeat(200)
        )),
        Err(Rule::TargetBytes)
    );
}

#[test]
fn a_bare_line_end_is_seen_before_the_head_is_whole() {
    assert!(has_bare_line_end(b"GET / HTTP/1.1\n", 0));
    assert!(!has_bare_line_end(b"GET / HTTP/1.1\r\nHost: h\r", 0));
    assert!(has_bare_line_end(b"GET / HTTP/1.1\r\nHost: h\n", 16));
    assert!(has_bare_line_end(b"\n", 0));
}

proptest::proptest! {
    #[test]
    fn what_passes_reads_the_same_to_the_parser(
        method in "[A-Z]{1,8}|[ -~]{0,4}",
        target in "/[a-z/.;%0-9\\\\]{0,12}(\\?[ -~]{0,8})?|[ -~]{0,12}",
        headers in proptest::collection::vec("(Host|Content-Length|Transfer-Encoding|X_Y|[!-~]{1,5})(: ?|:|\\t:)([0-9]{1,3}|chunked|h|[\\t -~]{0,8})(\\r\\n|\\n|\\r\\n )", 0..5),
    ) {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{}\r\n", headers.concat());
        if ask(&head).is_ok() {
            let mut fields = [httparse::EMPTY_HEADER; 8];
            let mut parsed = httparse::Request::new(&mut fields);
            let read = parsed.parse(head.as_bytes());
            proptest::prop_assert_eq!(read, Ok(httparse::Status::Complete(head.len())));
            proptest::prop_assert_eq!(parsed.method, Some(method.as_str()));
            proptest::prop_assert_eq!(parsed.path, Some(target.as_str()));
            proptest::prop_assert!(target.parse::<http::Uri>().is_ok(), "{}", target);
            let hosts = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host")).count();
            proptest::prop_assert_eq!(hosts, 1);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0_u8.., 0..300)) {
        let _ = inspect(&bytes, LIMITS);
    }
}
