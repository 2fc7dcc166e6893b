//! What a client of HTTP/1.x sees, byte by byte.

use super::connection::Connection;
use crate::forward::arriving::Arriving;
use crate::forward::body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

type Answer = Response<UnsyncBoxBody<Bytes, body::Error>>;

fn full(text: &'static str) -> UnsyncBoxBody<Bytes, body::Error> {
    Full::new(Bytes::from_static(text.as_bytes()))
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn pieces(pieces: Vec<Result<Frame<Bytes>, body::Error>>) -> UnsyncBoxBody<Bytes, body::Error> {
    StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
}

fn data(text: &'static str) -> Result<Frame<Bytes>, body::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// A client's end, and what became of the server's.
fn serve<F>(
    service: impl Fn(Request<Arriving>) -> F + Send + Sync + 'static,
) -> (DuplexStream, JoinHandle<std::io::Result<()>>)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let (client, ours) = tokio::io::duplex(1 << 20);
    let server = tokio::spawn(async move { Connection::new(ours, 100).serve(service).await });
    (client, server)
}

/// Sends, closes nothing, and reads until the server closes or says nothing for a while.
async fn talk(client: &mut DuplexStream, bytes: &str) -> String {
    client.write_all(bytes.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let mut piece = [0_u8; 4096];
    while let Ok(Ok(count)) =
        tokio::time::timeout(Duration::from_millis(150), client.read(&mut piece)).await
    {
        if count == 0 {
            got.extend_from_slice(b"<closed>");
            break;
        }
        got.extend_from_slice(&piece[..count]);
    }
    let text = String::from_utf8(got).unwrap();
    let lines = text.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

/// Answers by path.
async fn by_path(request: Request<Arriving>) -> Answer {
    let mut answer = Response::new(full("hello"));
    let headers = answer.headers_mut();
    match request.uri().path() {
        "/nothing" => {
            *answer.body_mut() = Empty::new().map_err(|never| match never {}).boxed_unsync()
        }
        "/none" => *answer.status_mut() = http::StatusCode::NO_CONTENT,
        "/close" => {
            headers.insert("connection", HeaderValue::from_static("close"));
        }
        "/stream" => *answer.body_mut() = pieces(vec![data("one"), data(""), data("two")]),
        "/trailers" => {
            headers.insert("trailer", HeaderValue::from_static("x-sum"));
            let trailers: HeaderMap = [
                (
                    HeaderName::from_static("x-sum"),
                    HeaderValue::from_static("7"),
                ),
                (
                    HeaderName::from_static("x-other"),
                    HeaderValue::from_static("8"),
                ),
            ]
            .into_iter()
            .collect();
            *answer.body_mut() = pieces(vec![data("one"), Ok(Frame::trailers(trailers))]);
        }
        "/cut" => *answer.body_mut() = pieces(vec![data("one"), Err(body::Error::Untaken)]),
        "/short" => {
            headers.insert("content-length", HeaderValue::from_static("9"));
            *answer.body_mut() = pieces(vec![data("one")]);
        }
        "/echo" => {
            let whole = request.into_body().collect().await;
            let text = whole.map_or_else(
                |error| format!("broken: {error:?}"),
                |whole| String::from_utf8_lossy(&whole.to_bytes()).into_owned(),
            );
            *answer.body_mut() = Full::new(Bytes::from(text))
                .map_err(|never| match never {})
                .boxed_unsync();
        }
        _ => {}
    }
    answer
}

async fn once(bytes: &str) -> String {
    let (mut client, _server) = serve(by_path);
    talk(&mut client, bytes).await
}

#[tokio::test]
async fn an_answer_says_where_it_ends() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let cases = [
        (
            get("/"),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ),
        (
            get("/nothing"),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
        (get("/none"), "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            get("/stream"),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        ),
        // Trailers are for those who take them.
        (
            get("/trailers"),
            "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        ),
        (
            "GET /trailers HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        ),
        (
            get("/close"),
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello<closed>",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello<closed>",
        ),
        // HTTP/1.0 knows neither chunks nor kept connections, unless it asks for the latter.
        (
            "GET /stream HTTP/1.0\r\nHost: h\r\n\r\n".into(),
            "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nonetwo<closed>",
        ),
        (
            "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n".into(),
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello",
        ),
        // What broke off is not ended.
        (
            get("/cut"),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none<closed>",
        ),
        (
            get("/short"),
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none<closed>",
        ),
    ];
    for (asked, wanted) in cases {
        assert_eq!(once(&asked).await, wanted, "{asked}");
    }
}

#[tokio::test]
async fn every_answer_is_dated_once() {
    let (mut client, _server) = serve(|_| async {
        let mut answer = Response::new(full(""));
        answer.headers_mut().insert(
            "date",
            HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"),
        );
        answer
    });
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let mut got = vec![0; 1024];
    let count = client.read(&mut got).await.unwrap();
    let text = String::from_utf8_lossy(&got[..count]).into_owned();
    assert_eq!(text.matches("date: ").count(), 1, "{text}");
    let (mut client, _server) = serve(by_path);
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let count = client.read(&mut got).await.unwrap();
    let text = String::from_utf8_lossy(&got[..count]).into_owned();
    let date = text
        .lines()
        .find_map(|line| line.strip_prefix("date: "))
        .unwrap();
    assert!(httpdate::parse_http_date(date).is_ok(), "{text}");
}

#[tokio::test]
async fn a_body_arrives_however_it_is_framed_and_cut() {
    let bodies = [
        ("Content-Length: 5\r\n\r\nhello", "hello"),
        ("Content-Length: 0\r\n\r\n", ""),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "hello",
        ),
    ];
    for (framed, wanted) in bodies {
        let whole = format!("POST /echo HTTP/1.1\r\nHost: h\r\n{framed}");
        for at in (1..whole.len()).step_by(3) {
            let (mut client, _server) = serve(by_path);
            client.write_all(&whole.as_bytes()[..at]).await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(&whole.as_bytes()[at..]).await.unwrap();
            // The next request follows at once.
            let got = talk(&mut client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
            assert!(
                got.contains(&format!("\r\n\r\n{wanted}HTTP/1.1 200 OK")),
                "{at}: {got}"
            );
            assert!(got.ends_with("\r\n\r\nhello"), "{at}: {got}");
        }
    }
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let asked = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1GET /none HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n3";
    let got = once(asked).await;
    assert_eq!(
        got,
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n3"
    );
}

#[tokio::test]
async fn a_body_is_asked_for_when_it_is_wanted() {
    let (mut client, _server) = serve(by_path);
    let head =
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(
        talk(&mut client, head).await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    assert_eq!(
        talk(&mut client, "ok").await,
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    );
    // Who sends it unasked is not asked.
    let got = talk(&mut client, &format!("{head}ok")).await;
    assert_eq!(got, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    // Nor who sends what nobody wants; its connection cannot go on.
    let unwanted = head.replace("/echo", "/");
    let got = talk(&mut client, &unwanted).await;
    assert_eq!(
        got,
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello<closed>"
    );
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_with_it() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dropped);
    let (mut client, server) = serve(move |_| {
        let counts = Counts(Arc::clone(&counter));
        async move {
            std::future::pending::<()>().await;
            drop(counts);
            Response::new(full(""))
        }
    });
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(client);
    let ended = tokio::time::timeout(Duration::from_secs(3), server).await;
    assert!(ended.unwrap().unwrap().is_err());
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_next_piece_is_asked_for_when_the_one_before_has_gone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let (client, ours) = tokio::io::duplex(4 * 1024);
    let service = move |_: Request<Arriving>| {
        let counter = Arc::clone(&counter);
        let endless = futures_util::stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok::<_, body::Error>(Frame::data(Bytes::from(vec![b'x'; 10_000])))
        });
        async move { Response::new(StreamBody::new(endless).boxed_unsync()) }
    };
    let server = tokio::spawn(async move { Connection::new(ours, 100).serve(service).await });
    let mut client = client;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(asked.load(Ordering::SeqCst) <= 3, "{asked:?}");
    drop(client);
    assert!(server.await.unwrap().is_err());
}

#[tokio::test]
async fn an_idle_connection_that_shall_end_closes_and_a_busy_one_answers_first() {
    let (mut client, ours) = tokio::io::duplex(1 << 16);
    let connection = Arc::new(Connection::new(ours, 100));
    connection.end();
    let serving = Arc::clone(&connection);
    let server = tokio::spawn(async move { serving.serve(by_path).await });
    let got = talk(&mut client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(got.is_empty() || got.ends_with("<closed>"), "{got}");
    server.await.unwrap().unwrap();
}
