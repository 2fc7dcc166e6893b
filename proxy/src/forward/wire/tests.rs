//! What the wire promises: every answer read alike however it is cut, and nothing sent twice.

use super::{Error, Wire};
use crate::forward::dial::Stream;
use crate::forward::payload::{Payload, Whole};
use crate::forward::send::{Outgoing, Repeat};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt;
use std::future::poll_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn wire() -> (Wire, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    (Wire::new(Stream::Other(Box::new(ours))), theirs)
}

fn asking(method: Method, lines: &[(&'static str, &'static str)], payload: Payload) -> Outgoing {
    let mut headers = HeaderMap::new();
    for (name, value) in [("host", "h")].iter().chain(lines) {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    Outgoing {
        method,
        target: "/a?b=1".parse().unwrap(),
        headers,
        payload,
        repeat: Repeat::Safe,
    }
}

/// An answer as its reader sees it, or what was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Whole {
        status: u16,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
        trailers: usize,
    },
    Malformed,
    Cut,
}

async fn answer(wire: &mut Wire, outgoing: &mut Outgoing) -> Result<Seen, Error> {
    wire.begin(outgoing);
    let head = poll_fn(|cx| wire.poll_head(cx, outgoing)).await?;
    let (mut body, mut trailers) = (Vec::new(), 0);
    while !wire.is_end() {
        let Some(frame) = poll_fn(|cx| wire.poll_frame(cx)).await else {
            break;
        };
        match frame?.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers += frame.into_trailers().unwrap().len(),
        }
    }
    Ok(Seen::Whole {
        status: head.status.as_u16(),
        headers: pairs(&head.headers),
        body,
        trailers,
    })
}

fn pairs(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

/// The site sends these pieces and closes.
async fn seen(method: Method, pieces: &[&[u8]]) -> (Seen, bool) {
    let (mut wire, mut site) = wire();
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let site = tokio::spawn(async move {
        for piece in pieces {
            site.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        // A request that was refused unread ends in a reset, which a duplex stream cannot show.
        drop(site);
    });
    let seen = answer(&mut wire, &mut asking(method, &[], Payload::Empty)).await;
    site.await.unwrap();
    let seen = seen.unwrap_or_else(|error| match error {
        Error::Malformed(_) => Seen::Malformed,
        Error::Cut(_) => Seen::Cut,
        Error::NotSent(_) | Error::Client(_) => panic!("{error}"),
    });
    (seen, wire.is_clean())
}

async fn seen_by_hyper(method: Method, bytes: &[u8]) -> Seen {
    let (ours, mut site) = tokio::io::duplex(1 << 20);
    let io = hyper_util::rt::TokioIo::new(ours);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri("/a?b=1")
        .header("host", "h")
        .body(http_body_util::Empty::<Bytes>::new())
        .unwrap();
    let bytes = bytes.to_vec();
    tokio::spawn(async move {
        let mut request = [0_u8; 1024];
        let _ = site.read(&mut request).await.unwrap();
        site.write_all(&bytes).await.unwrap();
    });
    let wrong = |error: &hyper::Error| {
        if error.is_parse()
            || error.is_body_write_aborted()
            || std::error::Error::source(error).is_some() && !error.is_incomplete_message()
        {
            Seen::Malformed
        } else {
            Seen::Cut
        }
    };
    match sender.send_request(request).await {
        Err(error) => wrong(&error),
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            match body.collect().await {
                Err(error) => wrong(&error),
                Ok(body) => Seen::Whole {
                    status: head.status.as_u16(),
                    headers: pairs(&head.headers),
                    trailers: body.trailers().map_or(0, HeaderMap::len),
                    body: body.to_bytes().to_vec(),
                },
            }
        }
    }
}

/// Answers, and whether the connection can be used again.
const ANSWERS: &[(&str, bool)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
    (
        "HTTP/1.1 200\r\ncontent-length: 2\r\nX-Empty:\r\nX-Two: a\r\nX-Two: b\r\n\r\nok",
        true,
    ),
    ("HTTP/1.1 204 No Content\r\n\r\n", true),
    (
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        true,
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", true),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA;x=\"1\"\r\n0123456789\r\n00f  \r\n0123456789abcde\r\n0\r\n\r\n",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n",
        true,
    ),
    ("HTTP/1.1 200 OK\r\n\r\nuntil the end", false),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil the end",
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nuntil the end",
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        false,
    ),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
    (
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        true,
    ),
    (
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        true,
    ),
    ("HTTP/1.1 500 \r\nContent-Length: 2\r\n\r\nok", true),
    // Somebody speaks unasked: the answer passes, the connection does not.
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        false,
    ),
    ("HTTP/1.1 204 No Content\r\n\r\nevil", false),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nevil",
        false,
    ),
];

/// What is no answer.
const WRONG: &[(&str, Seen)] = &[
    ("", Seen::Cut),
    ("HTTP/1.1 200 OK\r\nContent-Le", Seen::Cut),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        Seen::Cut,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        Seen::Cut,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        Seen::Cut,
    ),
    ("<html>down</html>\r\n\r\n", Seen::Malformed),
    ("HTTP/2.0 200 OK\r\n\r\n", Seen::Malformed),
    ("HTTP/1.1 2000 OK\r\n\r\n", Seen::Malformed),
    ("HTTP/1.1 099 OK\r\n\r\n", Seen::Malformed),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        Seen::Malformed,
    ),
    (
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        Seen::Malformed,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokok\r\n0\r\n\r\n",
        Seen::Malformed,
    ),
    ("HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n", Seen::Malformed),
    (
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        Seen::Malformed,
    ),
];

#[tokio::test]
async fn an_answer_reads_the_same_however_it_is_cut_into_pieces() {
    for (bytes, again) in ANSWERS {
        let bytes = bytes.as_bytes();
        let (whole, clean) = seen(Method::GET, &[bytes]).await;
        assert!(matches!(whole, Seen::Whole { .. }), "{whole:?}");
        assert_eq!(clean, *again, "{}", bytes.escape_ascii());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(seen(Method::GET, &single).await.0, whole);
        for at in 1..bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(
                seen(Method::GET, &[first, second]).await.0,
                whole,
                "at {at} of {}",
                bytes.escape_ascii()
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_from_what_was_cut() {
    for (bytes, wanted) in WRONG {
        let bytes = bytes.as_bytes();
        let (got, clean) = seen(Method::GET, &[bytes]).await;
        assert_eq!(got, *wanted, "{}", bytes.escape_ascii());
        assert!(!clean);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(
            &seen(Method::GET, &single).await.0,
            wanted,
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[tokio::test]
async fn hyper_reads_the_same_answers() {
    for (bytes, _) in ANSWERS {
        let theirs = seen_by_hyper(Method::GET, bytes.as_bytes()).await;
        assert_eq!(
            seen(Method::GET, &[bytes.as_bytes()]).await.0,
            theirs,
            "{bytes:?}"
        );
    }
    for (bytes, _) in WRONG {
        let theirs = seen_by_hyper(Method::GET, bytes.as_bytes()).await;
        assert!(
            !matches!(theirs, Seen::Whole { .. }),
            "{bytes:?}: {theirs:?}"
        );
    }
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_travel_on() {
    let bytes = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (Seen::Whole { headers, body, .. }, _) = seen(Method::GET, &[bytes.as_bytes()]).await
    else {
        panic!("no answer");
    };
    assert_eq!(body, b"hello");
    assert!(headers.iter().all(|(name, _)| name != "content-length"));
}

#[tokio::test]
async fn nothing_follows_the_answer_to_head() {
    let bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    let (Seen::Whole { headers, body, .. }, clean) = seen(Method::HEAD, &[bytes.as_bytes()]).await
    else {
        panic!("no answer");
    };
    assert_eq!(headers, [("content-length".to_owned(), b"9".to_vec())]);
    assert!(body.is_empty() && clean);
}

#[tokio::test]
async fn heads_are_bounded() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "a".repeat(70_000));
    assert_eq!(
        seen(Method::GET, &[long.as_bytes()]).await.0,
        Seen::Malformed
    );
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(101));
    assert_eq!(
        seen(Method::GET, &[many.as_bytes()]).await.0,
        Seen::Malformed
    );
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1{}",
        ";a".repeat(2_000)
    );
    assert_eq!(
        seen(Method::GET, &[endless.as_bytes()]).await.0,
        Seen::Malformed
    );
}

async fn written(mut outgoing: Outgoing) -> String {
    let (mut wire, mut site) = wire();
    let site = tokio::spawn(async move {
        let mut read = Vec::new();
        let mut piece = vec![0_u8; 1 << 16];
        loop {
            let wait =
                tokio::time::timeout(std::time::Duration::from_millis(200), site.read(&mut piece));
            match wait.await {
                Ok(Ok(count)) if count > 0 => read.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        site.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8(read).unwrap()
    });
    answer(&mut wire, &mut outgoing).await.unwrap();
    assert!(wire.is_clean());
    site.await.unwrap()
}

#[tokio::test]
async fn a_request_says_where_it_ends() {
    let get = asking(Method::GET, &[("accept", "*/*")], Payload::Empty);
    assert_eq!(
        written(get).await,
        "GET /a?b=1 HTTP/1.1\r\nhost: h\r\naccept: */*\r\n\r\n"
    );
    let empty = asking(Method::POST, &[("content-length", "0")], Payload::Empty);
    assert_eq!(
        written(empty).await,
        "POST /a?b=1 HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"
    );
    // Whatever the head said before: the body is as long as it is.
    let post = asking(
        Method::POST,
        &[("content-length", "9")],
        Payload::from(Bytes::from_static(b"{}")),
    );
    assert_eq!(
        written(post).await,
        "POST /a?b=1 HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"
    );
    let long = "x".repeat(100_000);
    let post = asking(Method::POST, &[], Payload::from(Bytes::from(long.clone())));
    assert_eq!(
        written(post).await,
        format!("POST /a?b=1 HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n{long}")
    );
}

#[tokio::test]
async fn trailers_that_were_announced_follow_the_chunks() {
    let trailers: HeaderMap = [("x-sum", "7"), ("x-unannounced", "1"), ("host", "evil")]
        .into_iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
    let whole = Whole::with_trailers(Bytes::from_static(b"hello"), trailers);
    let post = asking(
        Method::POST,
        &[("trailer", "X-Sum, host")],
        Payload::Whole(whole),
    );
    assert_eq!(
        written(post).await,
        "POST /a?b=1 HTTP/1.1\r\nhost: h\r\ntrailer: X-Sum, host\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"
    );
}

#[tokio::test]
async fn what_was_not_sent_is_given_back() {
    let (mut wire, site) = wire();
    assert!(wire.is_open());
    drop(site);
    let mut post = asking(Method::POST, &[], Payload::from(Bytes::from_static(b"{}")));
    assert!(matches!(
        answer(&mut wire, &mut post).await,
        Err(Error::NotSent(_))
    ));
    assert_eq!(post.payload.bytes().as_deref(), Some(&b"{}"[..]));
    assert_eq!(post.headers.len(), 1);
    assert!(!wire.is_open());
}

#[tokio::test]
async fn behind_tls_a_failed_write_proves_nothing() {
    let (ours, site) = tokio::io::duplex(64);
    let mut wire = Wire::secured(Stream::Other(Box::new(ours)));
    drop(site);
    let mut post = asking(Method::POST, &[], Payload::from(Bytes::from_static(b"{}")));
    assert!(matches!(
        answer(&mut wire, &mut post).await,
        Err(Error::Cut(_))
    ));
}

#[tokio::test]
async fn an_early_answer_is_heard_and_ends_the_connection() {
    let (ours, mut site) = tokio::io::duplex(64);
    let mut wire = Wire::new(Stream::Other(Box::new(ours)));
    let site = tokio::spawn(async move {
        let mut read = [0_u8; 32];
        site.read_exact(&mut read).await.unwrap();
        site.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            .await
            .unwrap();
        site
    });
    let mut post = asking(
        Method::POST,
        &[],
        Payload::from(Bytes::from(vec![b'x'; 50_000])),
    );
    let Ok(Seen::Whole { status, body, .. }) = answer(&mut wire, &mut post).await else {
        panic!("no answer");
    };
    assert_eq!((status, body.as_slice()), (413, &b"no"[..]));
    assert!(!wire.is_clean(), "half a request is on it");
    drop(site.await.unwrap());
}

#[tokio::test]
async fn a_kept_connection_on_which_somebody_speaks_unasked_is_not_used() {
    let (mut wire, mut site) = wire();
    let get = || asking(Method::GET, &[], Payload::Empty);
    site.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    answer(&mut wire, &mut get()).await.unwrap();
    assert!(wire.is_clean() && wire.is_open());
    site.write_all(b"HTTP/1.1 408 Timeout\r\n\r\n")
        .await
        .unwrap();
    assert!(!wire.is_open());
}

#[tokio::test]
async fn a_connection_that_leaves_http_keeps_what_was_read_too_far() {
    let (mut wire, mut site) = wire();
    site.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nfirst")
        .await
        .unwrap();
    let mut get = asking(Method::GET, &[], Payload::Empty);
    wire.begin(&mut get);
    let head = poll_fn(|cx| wire.poll_head(cx, &mut get)).await.unwrap();
    assert_eq!(head.status, 101);
    let (first, mut stream) = wire.into_rest();
    assert_eq!(&first[..], b"first");
    site.write_all(b"second").await.unwrap();
    let mut read = [0_u8; 6];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"second");
}
