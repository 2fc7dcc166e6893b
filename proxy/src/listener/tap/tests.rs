//! What the module above promises.

use super::*;
use crate::forward::arriving::Arriving;
use crate::gate::rule::Rule;
use crate::listener::http1::connection::Connection;
use http_body_util::{BodyExt, Full};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn limits() -> Limits {
    Limits {
        gate: GateLimits {
            target_bytes: 1000,
            headers: 20,
        },
        head_bytes: 4096,
        head: Duration::from_millis(300),
        idle: Duration::from_millis(600),
        body_bytes_per_second: 1000,
        write: Duration::from_secs(1),
    }
}

/// The limits that a router has when nothing is configured.
pub(super) fn product() -> Limits {
    Limits {
        gate: GateLimits {
            target_bytes: 8192,
            headers: 100,
        },
        head_bytes: 32 * 1024,
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        body_bytes_per_second: 240,
        write: Duration::from_secs(60),
    }
}

/// Sends all and closes its side; what comes of it.
pub(super) async fn whole(bytes: &[u8]) -> Exchange {
    talk(product(), &[bytes], Duration::ZERO, Client::Closes).await
}

#[derive(PartialEq)]
enum Client {
    Closes,
    Waits,
}

/// Sends pieces with pauses, and waits for the server to close.
async fn exchange(pieces: &[&[u8]], pause: Duration) -> Exchange {
    talk(limits(), pieces, pause, Client::Waits).await
}

/// What a server behind the tap saw and the client got.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) seen: Vec<String>,
    got: String,
}

impl Exchange {
    fn refused(&self) -> Option<Rule> {
        let number = self
            .seen
            .iter()
            .find_map(|seen| seen.strip_prefix("! /")?.split(' ').next()?.parse().ok());
        number.and_then(Rule::numbered)
    }
}

async fn talk(limits: Limits, pieces: &[&[u8]], pause: Duration, client_side: Client) -> Exchange {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::new(Shared::new());
        let tap = Tap::new(stream, limits, Arc::clone(&shared));
        let service = move |request: http::Request<Arriving>| {
            let (log, running) = (Arc::clone(&log), shared.begin());
            let shared = Arc::clone(&shared);
            async move {
                let line = format!(
                    "{} {}",
                    request.method(),
                    request.uri().path_and_query().unwrap()
                );
                let body = request.into_body().collect().await;
                let end = body.map_or_else(
                    |_| "broken".into(),
                    |body| String::from_utf8_lossy(&body.to_bytes()).into_owned(),
                );
                log.lock().unwrap().push(format!("{line} {end}"));
                if running.asks_for_upgrade() {
                    shared.answered(Upgrade::Declined);
                }
                http::Response::new(Full::new(bytes::Bytes::from(line)))
            }
        };
        let _ = Connection::new(tap, limits.gate.headers)
            .serve(service)
            .await;
    });
    let mut client = TcpStream::connect(address).await.unwrap();
    client.set_nodelay(true).unwrap();
    for piece in pieces {
        let _ = client.write_all(piece).await;
        tokio::time::sleep(pause).await;
    }
    if client_side == Client::Closes {
        let _ = client.shutdown().await;
    }
    let mut got = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut got))
        .await
        .expect("the tap ends every connection");
    drop(client);
    tokio::time::timeout(Duration::from_secs(3), server)
        .await
        .expect("the server lets go")
        .unwrap();
    let seen = seen.lock().unwrap().clone();
    Exchange {
        seen,
        got: String::from_utf8_lossy(&got).into_owned(),
    }
}

async fn at_once(bytes: &str) -> Exchange {
    exchange(&[bytes.as_bytes()], Duration::ZERO).await
}

const A: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const B: &str = "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
const C: &str = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nX: y\r\n\r\n";

#[tokio::test]
async fn requests_pass_in_any_cut() {
    let all = format!("{A}{B}{C}{A}");
    let want = ["GET /a ", "POST /b hello", "POST /c abcde", "GET /a "];
    assert_eq!(at_once(&all).await.seen, want);
    for size in [1, 2, 3, 7, 40] {
        let pieces: Vec<&[u8]> = all.as_bytes().chunks(size).collect();
        assert_eq!(
            exchange(&pieces, Duration::from_micros(50)).await.seen,
            want,
            "pieces of {size}"
        );
    }
}

#[tokio::test]
async fn a_refused_head_is_answered_after_those_before_it_and_nothing_follows() {
    let bad = "GET /x HTTP/1.1\nHost: h\r\n\r\n";
    let exchange = at_once(&format!("{A}{bad}{B}")).await;
    assert_eq!(exchange.seen.len(), 2, "{exchange:?}");
    assert_eq!(exchange.refused(), Some(Rule::LineEnd));
    assert_eq!(exchange.got.matches("HTTP/1.1 200").count(), 2);
    assert!(exchange.got.contains("connection: close"));
}

#[tokio::test]
async fn a_bad_chunk_breaks_the_body_and_nothing_follows() {
    let bad =
        "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n";
    let exchange = at_once(&format!("{bad}{A}")).await;
    assert_eq!(exchange.seen, ["POST /c broken"]);
}

#[tokio::test]
async fn a_slow_head_is_refused_and_an_idle_connection_closed() {
    let exchange = exchange(&[A.as_bytes(), b"GET /"], Duration::from_millis(20)).await;
    assert_eq!(exchange.refused(), Some(Rule::HeadLate), "{exchange:?}");
    let begun = clock_now();
    let exchange = at_once(A).await;
    assert_eq!(exchange.seen, ["GET /a "]);
    assert!((Duration::from_millis(590)..Duration::from_secs(2)).contains(&begun.elapsed()));
}

#[tokio::test]
async fn a_trickled_head_is_refused_though_it_never_stops() {
    let head = A.as_bytes();
    let pieces: Vec<&[u8]> = head.chunks(1).collect();
    let exchange = exchange(&pieces, Duration::from_millis(20)).await;
    assert_eq!(exchange.refused(), Some(Rule::HeadLate), "{exchange:?}");
}

#[tokio::test]
async fn a_slow_body_is_cut() {
    let begun = clock_now();
    let exchange = exchange(
        &[b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\nhello"],
        Duration::ZERO,
    )
    .await;
    assert_eq!(exchange.seen, ["POST /b broken"]);
    assert!((Duration::from_millis(290)..Duration::from_secs(3)).contains(&begun.elapsed()));
}

#[tokio::test]
async fn a_long_head_is_refused_by_name() {
    let long = format!(
        "GET /a HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "a".repeat(5000)
    );
    assert_eq!(at_once(&long).await.refused(), Some(Rule::HeadBytes));
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(5000));
    assert_eq!(at_once(&long).await.refused(), Some(Rule::TargetBytes));
}

#[tokio::test]
async fn nothing_may_follow_an_upgrade_before_its_answer() {
    let upgrade = "GET /u HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let together = at_once(&format!("{upgrade}{A}")).await;
    assert_eq!(
        together.refused(),
        Some(Rule::UpgradePipelined),
        "{together:?}"
    );
    let apart = exchange(
        &[upgrade.as_bytes(), A.as_bytes()],
        Duration::from_millis(50),
    )
    .await;
    assert_eq!(
        apart.seen,
        ["GET /u ", "GET /a "],
        "a declined upgrade goes on"
    );
}

fn clock_now() -> std::time::Instant {
    crate::clock::now()
}
