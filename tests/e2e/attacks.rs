//! Who attacks the router harms himself only: honest clients are answered all the time, memory stays bounded, no byte
//! of an attacker costs many of ours, and what can only be an attack is closed.

mod attacker;
mod crowd;
mod frames;
mod honest;

use std::{sync::LazyLock, time::Duration};

use anyhow::{Result, ensure};
use attacker::{Attack, End};
use frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Method, NEWEST, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, head, opening, remembered,
};
use homing_harness::{
    campaign,
    clock::eventually,
    fake_site::{Content, FakeSite, Reply},
    outcome::Promise,
    ports::loopback,
    router::{Builder, Router},
};
use honest::Honest;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const DIALECT: &str = r#"
[[dialect]]
name = "anything"
rules = [{ path = "/app/**", class = "any" }]
"#;
const CONNECTIONS: usize = 4;
const RESIDENT_GROWTH_MAX: u64 = 64 * 1024 * 1024;
const BYTES_OUT_PER_BYTE_MAX: u64 = 20;
/// What every connection may get whatever it sends: settings, a last answer, GOAWAY.
const BYTES_OUT_FREE: u64 = 64 * 1024;
/// More than all the buffers on the way hold.
const BIG_ANSWER: u64 = 32 * 1024 * 1024;
/// RFC 9113's, and what most clients have.
const USUAL_WINDOW: u32 = 65_535;
const BATCH: u32 = 64;

async fn site() -> Result<FakeSite> {
    FakeSite::start(|seen| {
        let mut reply = Reply::text(200, "text/plain", "ok");
        if seen.target.contains("/big") {
            reply.body = Content::Stream(BIG_ANSWER);
        }
        reply
    })
    .await
}

/// The client's streams of a batch.
fn streams(round: u32) -> impl Iterator<Item = u32> {
    (round * BATCH..(round + 1) * BATCH).map(|number| 2 * number + 1)
}

fn each(round: u32, frames: impl Fn(u32) -> Vec<Vec<u8>>) -> Vec<u8> {
    streams(round)
        .flat_map(|stream| frames(stream).concat())
        .collect()
}

fn request(stream: u32, flags: u8, method: Method, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &head(method, path))
}

static ATTACKS: LazyLock<Vec<Attack>> = LazyLock::new(|| {
    let usual = opening(USUAL_WINDOW);
    let begun = |request: Vec<u8>| [opening(USUAL_WINDOW), request].concat();
    let attack = |name, opening: &[u8], end, batch| Attack {
        name,
        opening: opening.to_vec(),
        batch,
        end,
        lasting: Duration::from_secs(1),
    };
    vec![
        attack("rapid reset", &usual, End::Closed, |round| {
            each(round, |stream| {
                vec![
                    request(stream, END_STREAM, Method::Get, "/app/a"),
                    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
                ]
            })
        }),
        // The error is ours to notice, so the reset is ours to send, and the request already runs.
        attack("made you reset", &usual, End::Closed, |round| {
            each(round, |stream| {
                vec![
                    request(stream, 0, Method::Post, "/app/a"),
                    frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes()),
                ]
            })
        }),
        attack(
            "continuation flood",
            &begun(frame(HEADERS, 0, 1, &head(Method::Get, "/app/a"))),
            End::Closed,
            |_| frame(CONTINUATION, 0, 1, &[]).repeat(BATCH as usize),
        ),
        attack(
            "endless head",
            &begun(frame(HEADERS, 0, 1, &head(Method::Get, "/app/a"))),
            End::Closed,
            |_| frame(CONTINUATION, 0, 1, &remembered("x", &"y".repeat(8_000))),
        ),
        attack("settings flood", &usual, End::Closed, |_| {
            frame(SETTINGS, 0, 0, &[]).repeat(BATCH as usize)
        }),
        attack("ping flood", &usual, End::Closed, |_| {
            frame(PING, 0, 0, &[7; 8]).repeat(BATCH as usize)
        }),
        attack(
            "empty data flood",
            &begun(request(1, 0, Method::Post, "/app/a")),
            End::Closed,
            |_| frame(DATA, 0, 1, &[]).repeat(BATCH as usize),
        ),
        // A remembered header of 4,000 bytes, named 4,000 times in every request.
        attack("header bomb", &usual, End::Bounded, |round| {
            let mut block = head(Method::Get, "/app/a");
            if round == 0 {
                block.extend(remembered("x", &"y".repeat(4_000)));
            }
            block.extend([NEWEST; 4_000]);
            frame(HEADERS, END_HEADERS | END_STREAM, 2 * round + 1, &block)
        }),
        // Closed only when the answers' time and the connection's are over.
        Attack {
            lasting: Duration::from_secs(10),
            ..attack("zero window", &opening(0), End::Closed, |round| {
                if round > 0 {
                    return Vec::new();
                }
                each(round, |stream| {
                    vec![request(stream, END_STREAM, Method::Get, "/app/big")]
                })
            })
        },
    ]
});

async fn one(router: &Router, attack: &'static Attack, idle: Duration) -> Result<()> {
    let before = router.resident_bytes()?;
    let lasting = campaign::figure(attack.lasting, Duration::from_secs(60));
    let honest = Honest::begin(router);
    let account = attacker::run(router.port(), attack, CONNECTIONS, lasting).await?;
    let grown = router.resident_bytes()?.saturating_sub(before);
    let latencies = honest.end().await?;
    campaign::measured(&format!(
        "{}: {} honest requests, p99 {:?} (idle {idle:?}), {} bytes in, {} out, {} connections closed, resident memory +{} KiB",
        attack.name,
        latencies.count(),
        latencies.p99(),
        account.sent(),
        account.received(),
        account.closed(),
        grown / 1024,
    ))?;
    ensure!(grown < RESIDENT_GROWTH_MAX, "memory grew by {grown} bytes");
    let free = BYTES_OUT_FREE * (account.closed() + CONNECTIONS as u64);
    ensure!(
        account.received() < account.sent() * BYTES_OUT_PER_BYTE_MAX + free,
        "{} bytes brought {}",
        account.sent(),
        account.received()
    );
    ensure!(
        attack.end == End::Bounded || account.closed() >= CONNECTIONS as u64,
        "only {} connections were closed",
        account.closed()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_by_http2_frames_disturb_nobody() -> Promise {
    let site = site().await?;
    let router = Builder::new("attacked")
        .site_with("a", "anything", &[&site.endpoint("")], "")
        .tables(DIALECT)
        .tables("[timeouts]\nresponse_idle = \"1s\"\nhead = \"1s\"\nkeepalive_downstream = \"1s\"")
        .start()
        .await?;
    let honest = Honest::begin(&router);
    tokio::time::sleep(campaign::figure(
        Duration::from_millis(500),
        Duration::from_secs(10),
    ))
    .await;
    let idle = honest.end().await?.p99();
    let mut wrong = Vec::new();
    for attack in ATTACKS.iter() {
        if let Err(error) = one(&router, attack, idle).await {
            wrong.push(format!("{}: {error:#}", attack.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_an_answer_gives_its_place_to_those_who_wait() -> Promise {
    const PLACES: usize = 4;
    let site = site().await?;
    let router = Builder::new("untaken")
        .site_with("a", "anything", &[&site.endpoint("")], "")
        .tables(DIALECT)
        .tables(&format!("[limits]\nin_flight_per_site = {PLACES}"))
        .start()
        .await?;
    let mut idlers = Vec::new();
    for _ in 0..PLACES {
        let mut idler = TcpStream::connect(loopback(router.port())).await?;
        idler
            .write_all(b"GET /app/big HTTP/1.1\r\nHost: h\r\n\r\n")
            .await?;
        idlers.push(idler);
    }
    eventually(
        "every place is taken",
        Duration::from_secs(10),
        async || {
            let big = site
                .seen()
                .iter()
                .filter(|seen| seen.target == "/app/big")
                .count();
            Ok((big == PLACES).then_some(()))
        },
    )
    .await?;
    for _ in 0..PLACES {
        router.client("").get("/app/a").await?.expect(200)?;
    }
    let hits = router
        .metric("homing_limit_hits_total{limit=\"untaken_while_wanted\"}")
        .await?;
    assert!(hits.is_some_and(|hits| hits >= 1.0), "{hits:?}");
    Ok(())
}
