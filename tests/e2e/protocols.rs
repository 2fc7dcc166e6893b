//! What clients may speak: HTTP/2, TLS, websockets, PROXY headers, and the corners of HTTP/1.1.

mod authority;
mod sites;
mod tls;
mod trust;

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use homing_harness::{
    clock::eventually,
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    ports::loopback,
    router::{Builder, Router},
};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use sites::RawSite;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const DIALECT: &str = r#"
[[dialect]]
name = "anything"
rules = [{ path = "/app/**", class = "any" }]
"#;
const SOON: Duration = Duration::from_secs(10);

fn builder(name: &str, endpoint: &str) -> Builder {
    Builder::new(name)
        .site_with("a", "anything", &[endpoint], "")
        .tables(DIALECT)
}

async fn echo() -> Result<FakeSite> {
    FakeSite::start(|seen| Reply::json(200, &json!({ "target": seen.target }))).await
}

type Http2 = http2::SendRequest<Full<Bytes>>;

async fn speak_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Http2> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut Http2, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
    Ok(timeout(SOON, sender.send_request(request)).await??)
}

async fn connect(router: &Router) -> Result<TcpStream> {
    Ok(TcpStream::connect(loopback(router.port())).await?)
}

/// What arrives until the text does.
async fn until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> Result<String> {
    let mut got = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&got).contains(text) {
            anyhow::ensure!(stream.read_buf(&mut got).await? > 0, "it ended early");
        }
        Ok(())
    };
    let read = timeout(SOON, reading).await;
    let got = String::from_utf8_lossy(&got).into_owned();
    read.with_context(|| format!("waited for {text:?}, got {got:?}"))?
        .with_context(|| format!("waited for {text:?}, got {got:?}"))?;
    Ok(got)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_by_prior_knowledge_reaches_the_site_as_http1() -> Promise {
    let site = echo().await?;
    let router = builder("h2c", &site.endpoint("")).start().await?;
    let mut sender = speak_http2(connect(&router).await?).await?;
    let request = Request::post("http://shop.test/app/orders?x=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::from("hello"))?;
    let answer = ask(&mut sender, request).await?;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["homing-site"], "a");
    assert!(!answer.headers().contains_key("connection"));
    let seen = site.seen().pop().context("nothing arrived")?;
    assert_eq!(
        (seen.target.as_str(), &seen.body[..]),
        ("/app/orders?x=1", &b"hello"[..])
    );
    assert_eq!(seen.header("host"), Some("shop.test"));
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));

    for target in ["/app/../b", "/app/a%2fb", "/app//b", "/app/a;b"] {
        let request = Request::get(format!("http://shop.test{target}")).body(Full::default())?;
        let refused = ask(&mut sender, request).await?;
        assert_eq!(refused.status(), 400, "{target}");
        let text = refused.into_body().collect().await?.to_bytes();
        assert!(
            String::from_utf8_lossy(&text).contains("(rule "),
            "{target}"
        );
    }
    assert_eq!(site.seen().len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_share_a_connection() -> Promise {
    let site = echo().await?;
    let router = builder("h2-many", &site.endpoint("")).start().await?;
    let sender = speak_http2(connect(&router).await?).await?;
    let asked = (0..300).map(|number| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let target = format!("/app/{number}");
            let request = Request::get(format!("http://h{target}")).body(Full::default())?;
            let answer = ask(&mut sender, request).await?;
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::ensure!(
                String::from_utf8_lossy(&body).contains(&format!("\"{target}\"")),
                "{target} got {body:?}"
            );
            Ok(())
        })
    });
    for asked in asked.collect::<Vec<_>>() {
        asked.await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_is_a_tunnel_to_the_site() -> Promise {
    let site = RawSite::start(|head| {
        assert!(head.to_ascii_lowercase().contains("upgrade: echo"));
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi:".into()
    })
    .await?;
    let router = builder("tunnel", &site.endpoint())
        .tables("[timeouts]\ntunnel = \"2s\"")
        .start()
        .await?;
    let ask = b"GET /app/socket HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut client = connect(&router).await?;
    client.write_all(ask).await?;
    let answer = until(&mut client, "hi:").await?;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("\r\nupgrade: echo\r\n")
    );
    // Not a word of HTTP any more.
    client.write_all(b"\0\n\r GET / \xff").await?;
    let mut back = [0; 10];
    timeout(SOON, client.read_exact(&mut back)).await??;
    assert_eq!(&back, b"\0\n\r GET / ");
    client.read_u8().await?;
    client.shutdown().await?;
    let mut rest = Vec::new();
    timeout(SOON, client.read_to_end(&mut rest)).await??;
    assert_eq!(
        rest, b"bye",
        "the site may speak after the client has closed"
    );

    let mut silent = connect(&router).await?;
    silent.write_all(ask).await?;
    until(&mut silent, "hi:").await?;
    timeout(SOON, silent.read_to_end(&mut rest)).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_client_passes_before_the_site_agrees() -> Promise {
    let site = RawSite::start(|_| "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno".into()).await?;
    let router = builder("no-tunnel", &site.endpoint()).start().await?;
    let ask = "GET /app/socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut hasty = connect(&router).await?;
    hasty
        .write_all(format!("{ask}GET /app/smuggled HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
        .await?;
    let answer = until(&mut hasty, "upgrade-pipelined").await?;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(site.heads().len(), 0);

    let mut patient = connect(&router).await?;
    patient.write_all(ask.as_bytes()).await?;
    let answer = until(&mut patient, "\r\n\r\nno").await?;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    patient
        .write_all(b"GET /app/next HTTP/1.1\r\nHost: h\r\n\r\n")
        .await?;
    until(&mut patient, "\r\n\r\nno").await?;
    let heads = site.heads();
    assert_eq!(heads.len(), 2);
    assert!(heads[1].starts_with("GET /app/next HTTP/1.1\r\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_asked_for_only_when_it_is_wanted() -> Promise {
    let site = echo().await?;
    let router = builder("expect", &site.endpoint("")).start().await?;
    let head = |target: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
    };
    let mut client = connect(&router).await?;
    client.write_all(head("/app/a").as_bytes()).await?;
    until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await?;
    client.write_all(b"hello").await?;
    until(&mut client, "\"/app/a\"").await?;
    let seen = site.seen().pop().context("nothing arrived")?;
    assert_eq!(
        (seen.header("expect"), &seen.body[..]),
        (None, &b"hello"[..])
    );

    for target in ["/elsewhere", "/app//a"] {
        let mut client = connect(&router).await?;
        client.write_all(head(target).as_bytes()).await?;
        let answer = until(&mut client, "\"status\":4").await?;
        assert!(answer.starts_with("HTTP/1.1 40"), "{target}: {answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_reach_a_client_that_takes_them() -> Promise {
    let site = RawSite::start(|head| {
        assert!(head.to_ascii_lowercase().contains("te: trailers"), "{head}");
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n".into()
    })
    .await?;
    let router = builder("trailers", &site.endpoint()).start().await?;
    let mut client = connect(&router).await?;
    client
        .write_all(b"GET /app/a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        .await?;
    let answer = until(&mut client, "42\r\n\r\n").await?;
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("\r\n0\r\nx-sum: 42\r\n"),
        "{answer}"
    );

    let mut sender = speak_http2(connect(&router).await?).await?;
    let request = Request::get("http://h/app/a")
        .header("te", "trailers")
        .body(Full::default())?;
    let answer = ask(&mut sender, request)
        .await?
        .into_body()
        .collect()
        .await?;
    let trailers = answer.trailers().context("no trailers")?;
    assert_eq!(trailers["x-sum"], "42");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_of_a_request_reach_the_site() -> Promise {
    let site = RawSite::start(|bytes| {
        // The head and the body may arrive in two pieces; the answer comes behind the trailer.
        if bytes.to_ascii_lowercase().contains("x-sum: 42") {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into()
        } else {
            String::new()
        }
    })
    .await?;
    let router = builder("request-trailers", &site.endpoint())
        .start()
        .await?;
    let mut client = connect(&router).await?;
    client
        .write_all(
            b"POST /app/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
              5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
        )
        .await?;
    until(&mut client, "\r\n\r\nok").await?;
    let sent = site.heads().concat().to_ascii_lowercase();
    assert!(
        sent.contains("5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n"),
        "{sent}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_in_front_says_who_the_client_is() -> Promise {
    let site = echo().await?;
    let router = builder("proxied", &site.endpoint(""))
        .listener("trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true")
        .start()
        .await?;
    let request = b"GET /app/a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let v1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\n".to_vec();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([192, 0, 2, 8, 127, 0, 0, 1, 1, 2, 3, 4]);
    for (header, client) in [(v1, "192.0.2.7"), (v2, "192.0.2.8")] {
        let mut stream = connect(&router).await?;
        // In pieces, as a network may bring it.
        for piece in [&header[..5], &header[5..], request] {
            stream.write_all(piece).await?;
            tokio::task::yield_now().await;
        }
        until(&mut stream, "\"/app/a\"").await?;
        let seen = site.seen().pop().context("nothing arrived")?;
        // The proxied client is not a trusted proxy itself.
        assert_eq!(seen.header("x-forwarded-for"), Some(client));
    }
    let before = site.seen().len();
    let mut bare = connect(&router).await?;
    bare.write_all(request).await?;
    let mut rest = Vec::new();
    let _ = timeout(SOON, bare.read_to_end(&mut rest)).await?;
    assert_eq!((rest.len(), site.seen().len()), (0, before));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_send_a_proxy_header_may_not_connect() -> Promise {
    let site = echo().await?;
    let router = builder("unproxied", &site.endpoint(""))
        .listener("trusted_proxies = [\"192.0.2.0/24\"]\nproxy_protocol = true")
        .start()
        .await?;
    let mut stream = connect(&router).await?;
    let _ = stream
        .write_all(b"PROXY TCP4 1.2.3.4 127.0.0.1 1 2\r\nGET /app/a HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    let mut rest = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await?;
    assert_eq!((rest.len(), site.seen().len()), (0, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_dawdles_is_told_so_and_closed() -> Promise {
    let site = echo().await?;
    let router = builder("dawdling", &site.endpoint(""))
        .tables("[timeouts]\nhead = \"500ms\"\nkeepalive_downstream = \"1s\"\n[limits]\nbody_bytes_per_second = 1000\n")
        .start()
        .await?;
    let mut slow_head = connect(&router).await?;
    slow_head.write_all(b"GET /app/a HTTP/1.1\r\nHost:").await?;
    let answer = until(&mut slow_head, "timeout head reached").await?;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");

    let mut slow_body = connect(&router).await?;
    slow_body
        .write_all(b"POST /app/slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\nhello")
        .await?;
    let mut idle = connect(&router).await?;
    idle.write_all(b"GET /app/a HTTP/1.1\r\nHost: h\r\n\r\n")
        .await?;
    until(&mut idle, "\"/app/a\"").await?;
    let unused = connect(&router).await?;
    for (name, mut stream) in [("slow body", slow_body), ("idle", idle), ("unused", unused)] {
        let mut rest = Vec::new();
        let ended = timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{name} was not closed");
        assert!(!String::from_utf8_lossy(&rest).contains(" 200 "), "{name}");
    }
    eventually("the limits are counted", SOON, async || {
        let text = router.admin().get("/metrics").await?.text();
        let all = ["limit=\"head\"", "limit=\"body_bytes_per_second\""];
        Ok(all.iter().all(|limit| text.contains(limit)).then_some(()))
    })
    .await?;
    Ok(())
}
