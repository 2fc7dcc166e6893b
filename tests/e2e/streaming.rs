//! Bodies of any length pass in both directions without being held in memory.

use anyhow::{Context, Result, ensure};
use homing_harness::{
    fake_site::{Content, FakeSite, Reply},
    outcome::Promise,
    ports::loopback,
    router::{self, Router},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const GIB: u64 = 1 << 30;
const GROWTH_MAX: u64 = 64 << 20;
static PIECE: [u8; 64 * 1024] = [b'h'; 64 * 1024];

const DIALECT: &str = r#"
[[dialect]]
name = "files"
rules = [{ path = "/**", class = "any" }]
"#;

async fn files() -> Result<(FakeSite, Router)> {
    let origin = FakeSite::start(|seen| match seen.target.as_str() {
        "/source" => Reply {
            status: 200,
            headers: Vec::new(),
            body: Content::Stream(GIB),
        },
        _ => Reply::text(200, "text/plain", &String::from_utf8_lossy(&seen.body)),
    })
    .await?;
    let router = router::Builder::new("files")
        .site_with("a", "files", &[&origin.endpoint("")], "health = \"tcp\"")
        .tables(DIALECT)
        .start()
        .await?;
    // One request first, so that what every router needs once is not counted.
    router.client("").get("/hello").await?.expect(200)?;
    Ok((origin, router))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_goes_up_in_little_memory() -> Promise {
    let (origin, router) = files().await?;
    let before = router.resident_bytes()?;
    let mut stream = TcpStream::connect(loopback(router.port())).await?;
    let head = format!(
        "POST /sink HTTP/1.1\r\nHost: files\r\nConnection: close\r\nContent-Length: {GIB}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut highest = before;
    for number in 0..GIB / PIECE.len() as u64 {
        stream.write_all(&PIECE).await?;
        if number % 512 == 0 {
            highest = highest.max(router.resident_bytes()?);
        }
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.ends_with(&GIB.to_string()), "{answer}");
    assert!(
        origin
            .seen()
            .iter()
            .any(|seen| seen.target == "/sink" && seen.whole)
    );
    assert!(
        highest - before < GROWTH_MAX,
        "grew by {} MiB",
        (highest - before) >> 20
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_comes_down_in_little_memory() -> Promise {
    let (_origin, router) = files().await?;
    let before = router.resident_bytes()?;
    let mut stream = TcpStream::connect(loopback(router.port())).await?;
    stream
        .write_all(b"GET /source HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n")
        .await?;
    let highest = drain(&mut stream, &router).await?;
    assert!(
        highest.saturating_sub(before) < GROWTH_MAX,
        "grew by {} MiB",
        (highest - before) >> 20
    );
    Ok(())
}

/// A reader that stops reading stops the site, instead of filling the router.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_the_site_back() -> Promise {
    let (_origin, router) = files().await?;
    let before = router.resident_bytes()?;
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(loopback(router.port())).await?;
        stream
            .write_all(b"GET /source HTTP/1.1\r\nHost: files\r\nConnection: close\r\n\r\n")
            .await?;
        // The answer has begun; nothing more is read.
        stream.readable().await?;
        readers.push(stream);
    }
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let grown = router.resident_bytes()?.saturating_sub(before);
        assert!(grown < GROWTH_MAX, "grew by {} MiB", grown >> 20);
    }
    Ok(())
}

/// Reads to the end and returns the router's highest resident memory meanwhile.
async fn drain(stream: &mut TcpStream, router: &Router) -> Result<u64> {
    let mut chunk = vec![0; 256 * 1024];
    let (mut total, mut reads, mut highest) = (0_u64, 0_u64, 0_u64);
    let mut head = Vec::new();
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        if head.len() < 1024 {
            head.extend_from_slice(&chunk[..read.min(1024)]);
        }
        total += read as u64;
        reads += 1;
        if reads % 512 == 1 {
            highest = highest.max(router.resident_bytes()?);
        }
    }
    let head = String::from_utf8_lossy(&head);
    ensure!(
        head.starts_with("HTTP/1.1 200"),
        "{}",
        head.lines().next().context("no answer")?
    );
    ensure!(total > GIB, "only {total} bytes came down");
    Ok(highest)
}
