//! What reads bytes that others wrote must neither crash nor hang on any of them.
//!
//! Seven targets: gate, head, chunked, body sniff, config, key text, journal. Each also checks what it can: that bytes
//! in pieces are judged like bytes at once, and that what was written can be read back.

#[expect(
    unreachable_pub,
    dead_code,
    reason = "others use it too, and what it expects"
)]
#[path = "../corpus/cases.rs"]
mod cases;
mod driver;

use driver::{kept, run};
use homing_config::{Inputs, Purpose, Style, load};
use homing_harness::outcome::Promise;
use homing_mapping_store::{
    RoutingKey,
    journal::{frame::any_follows, record::Record},
};
use homing_proxy::{
    dialect::{Dialect as _, Found, Head, engine_rest::EngineRest},
    gate::{
        self, Limits,
        chunked::Chunked,
        head::{has_bare_line_end, inspect},
    },
};
use http::HeaderMap;

const LIMITS: Limits = Limits {
    target_bytes: 8 * 1024,
    headers: 100,
};
const HTTP_WORDS: [&str; 16] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    " ",
    ":",
    "Host: h\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "HTTP/1.1",
    "HTTP/1.0",
    "%2f",
    "..;",
    "http://h",
    "Connection: upgrade\r\nUpgrade: x\r\n",
    "0\r\n\r\n",
];

/// The corpus of requests, and what broke this target once.
fn requests(target: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let cases = cases::all().into_iter().map(|case| case.bytes);
    Ok(cases.chain(kept(target)?).collect())
}

/// Head and what follows, as a request on the wire.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    Some(bytes.split_at(end))
}

#[test]
fn no_bytes_break_the_head() -> Promise {
    run("head", &requests("head")?, &HTTP_WORDS, |bytes| {
        let _ = inspect(bytes, LIMITS);
        let _ = has_bare_line_end(bytes, bytes.len() / 2);
        if let Some((head, _)) = split(bytes)
            && inspect(head, LIMITS).is_ok()
        {
            assert!(!has_bare_line_end(head, 0), "admitted with a bare line end");
        }
    })?;
    Ok(())
}

/// A head as the parser hands it to the gate.
fn parsed(head: &[u8]) -> Option<(http::Method, http::Uri, HeaderMap)> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).ok()?.is_complete() {
        return None;
    }
    let (method, uri) = (request.method?.parse().ok()?, request.path?.parse().ok()?);
    let mut fields = HeaderMap::new();
    for header in request.headers.iter() {
        fields.append(
            http::HeaderName::try_from(header.name).ok()?,
            http::HeaderValue::from_bytes(header.value).ok()?,
        );
    }
    Some((method, uri, fields))
}

#[test]
fn no_bytes_break_the_gate() -> Promise {
    run("gate", &requests("gate")?, &HTTP_WORDS, |bytes| {
        let Some((method, uri, fields)) = split(bytes).and_then(|(head, _)| parsed(head)) else {
            return;
        };
        for version in [http::Version::HTTP_2, http::Version::HTTP_11] {
            let admitted = gate::admit(&method, &uri, version, &fields, "r1", LIMITS);
            // HTTP/1.x was judged on the wire, by the head.
            if admitted.is_ok() && version == http::Version::HTTP_2 {
                assert!(!uri.path().contains("//"), "an empty segment passed");
            }
        }
    })?;
    Ok(())
}

/// How far a chunked body goes, and how it ends, when it arrives in pieces of this size.
fn followed(bytes: &[u8], size: usize) -> Result<(usize, bool), &'static str> {
    let (mut body, mut at) = (Chunked::begin(), 0);
    for piece in bytes.chunks(size.max(1)) {
        at += body.take(piece).map_err(gate::rule::Rule::as_str)?;
    }
    Ok((at, body.is_done()))
}

#[test]
fn a_chunked_body_is_the_same_in_any_cut() -> Promise {
    let mut bodies = kept("chunked")?;
    let requests = cases::all();
    let following = requests
        .iter()
        .filter_map(|case| Some(split(&case.bytes)?.1));
    bodies.extend(
        following
            .filter(|body| !body.is_empty())
            .map(<[u8]>::to_vec),
    );
    run("chunked", &bodies, &HTTP_WORDS, |bytes| {
        let whole = followed(bytes, bytes.len());
        for size in [1, 2, 7] {
            assert_eq!(whole, followed(bytes, size), "in pieces of {size}");
        }
    })?;
    Ok(())
}

#[test]
fn no_body_breaks_the_search_for_keys() -> Promise {
    let words = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "true",
        "\"businessKey\"",
        "\"variables\"",
        "\"processInstanceId\"",
        "\"processInstanceIds\"",
        "\"topics\"",
        "\\ud800",
        "1e999",
        "{\"a\":",
    ];
    let paths = [
        "/process-definition/key/order/start",
        "/message",
        "/task",
        "/process-instance/delete",
        "/external-task/fetchAndLock",
        "/signal",
        "/modification/execute",
    ];
    let (dialect, headers) = (EngineRest::new()?, HeaderMap::new());
    run("body-sniff", &kept("body-sniff")?, &words, |bytes| {
        for path in paths {
            let head = Head {
                method: &http::Method::POST,
                path,
                query: None,
                headers: &headers,
            };
            let Found::Route(found) = dialect.find(&head) else {
                continue;
            };
            let class = dialect.classify(&found, &head, Some(bytes));
            let again = dialect.classify(&found, &head, Some(bytes));
            assert_eq!(format!("{class:?}"), format!("{again:?}"));
            let _ = dialect.fetch(path, bytes);
        }
    })?;
    Ok(())
}

#[test]
fn no_text_breaks_the_configuration() -> Promise {
    let words = [
        "[",
        "]",
        "[[",
        "]]",
        "=",
        "\"",
        "'''",
        "\n",
        "#",
        "{",
        "}",
        ",",
        ".",
        "[[site]]\n",
        "[limits]\n",
        "name = ",
        "\"10s\"",
        "-1",
        "9999999999999999999",
        "true",
        "http://",
        "\\u0000",
        "sqlite:",
    ];
    run("config", &kept("config")?, &words, |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if let Err(report) = load(&Inputs::text("homing.toml", text), Purpose::Check) {
            assert!(!report.render(Style::Plain).is_empty());
        }
    })?;
    Ok(())
}

#[test]
fn a_key_reads_back_as_it_was_written() -> Promise {
    let words = [
        "process-instance:",
        "task:",
        "/",
        ":",
        "%",
        "%2F",
        "business-key:",
        "\0",
        "user:",
        "default/",
        "9f8b1c1e-57e1-11ee-8c99-0242ac120002",
        "\u{e9}",
    ];
    run("key-text", &kept("key-text")?, &words, |bytes| {
        if let Ok(key) = String::from_utf8_lossy(bytes).parse::<RoutingKey>() {
            let written = key.to_string();
            assert_eq!(written.parse::<RoutingKey>().ok(), Some(key), "{written:?}");
        }
    })?;
    Ok(())
}

/// The bytes as a record's payload, with the length and sum that it needs to be looked at.
fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default();
    let sum = crc32fast::hash(payload);
    [&length.to_le_bytes(), &sum.to_le_bytes(), payload].concat()
}

#[test]
fn no_bytes_break_the_journal() -> Promise {
    let words = [
        "\0\0\0\0",
        "\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "process-instance:a",
        "\"r\":\"outcome\"",
        "\"r\":\"shipped\"",
        "-1",
        "18446744073709551616",
        "9f8b1c1e-57e1-11ee-8c99-0242ac120002",
    ];
    run("journal", &kept("journal")?, &words, |bytes| {
        let _ = Record::decode(bytes);
        let _ = any_follows(&bytes[..bytes.len().min(1024)]);
        if let Some((record, length)) = Record::decode(&framed(bytes)) {
            assert_eq!(length, bytes.len() + 8);
            let written = record.encode();
            let again = Record::decode(&written).map(|(again, length)| (again.encode(), length));
            assert_eq!(
                again,
                Some((written.clone(), written.len())),
                "it reads back"
            );
        }
    })?;
    Ok(())
}
