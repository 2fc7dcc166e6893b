//! Thousands of connections that do nothing, or as little as they can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use homing_harness::{
    campaign, clock::eventually, outcome::Promise, ports::loopback, router::Builder,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    DIALECT,
    frames::{self, HEADERS, Method, frame},
    honest::Honest,
    site,
};

/// What a connection does after it was opened.
#[derive(Clone, Copy)]
enum Sloth {
    Idle,
    SlowHead,
    SlowBody,
    /// HTTP/2: a head without its end.
    OpenHead,
}

const CROWD: [(Sloth, usize); 4] = [
    (Sloth::Idle, 5_000),
    (Sloth::SlowHead, 1_000),
    (Sloth::SlowBody, 500),
    (Sloth::OpenHead, 10),
];
/// Between two bytes of a slow client; far inside of any timeout between two bytes.
const DRIP: Duration = Duration::from_millis(500);
/// All deadlines are below this one, counted from the last connection's begin.
const CLOSED_WITHIN: Duration = Duration::from_secs(40);
const OPEN_FILES: u64 = 8_000;

impl Sloth {
    fn opening(self) -> Vec<u8> {
        match self {
            Sloth::Idle => Vec::new(),
            Sloth::SlowHead => b"GET /app/a HTTP/1.1\r\nHost: h\r\nX: ".to_vec(),
            Sloth::SlowBody => {
                b"POST /app/slow HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n".to_vec()
            }
            Sloth::OpenHead => [
                frames::opening(super::USUAL_WINDOW),
                frame(HEADERS, 0, 1, &frames::head(Method::Get, "/app/a")),
            ]
            .concat(),
        }
    }

    fn drips(self) -> bool {
        matches!(self, Sloth::SlowHead | Sloth::SlowBody)
    }

    /// Lives until the router closes it.
    async fn live(self, port: u16, open: &AtomicUsize) -> Result<()> {
        let mut stream = TcpStream::connect(loopback(port)).await?;
        stream.write_all(&self.opening()).await?;
        open.fetch_add(1, Ordering::Relaxed);
        let (mut from, mut to) = stream.split();
        let dripping = async {
            while self.drips() && to.write_all(b"x").await.is_ok() {
                sleep(DRIP).await;
            }
            std::future::pending::<()>().await;
        };
        let reading = async {
            let mut piece = [0; 1024];
            while let Ok(1..) = from.read(&mut piece).await {}
        };
        tokio::select! {
            () = dripping => {}
            () = reading => {}
        }
        open.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

/// This process and the routers that it starts need more sockets than usual.
fn allow_open_files() -> Result<()> {
    let found = getrlimit(Resource::Nofile);
    let enough = found.maximum.is_none_or(|maximum| maximum >= OPEN_FILES);
    anyhow::ensure!(
        enough,
        "this test needs {OPEN_FILES} open files; raise the limit"
    );
    let raised = Rlimit {
        current: found.maximum,
        maximum: found.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("raising the limit of open files")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_slow_connections_disturb_nobody_and_are_closed_in_time() -> Promise {
    allow_open_files()?;
    let site = site().await?;
    let router = Builder::new("crowded")
        .site_with("a", "anything", &[&site.endpoint("")], "")
        .tables(DIALECT)
        .tables("[timeouts]\nhead = \"8s\"\nkeepalive_downstream = \"12s\"")
        .start()
        .await?;
    let before = router.resident_bytes()?;
    let honest = Honest::begin(&router);
    let open = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    let all = CROWD.iter().map(|(_, count)| count).sum::<usize>();
    for (sloth, count) in CROWD {
        for _ in 0..count {
            let (open, port) = (Arc::clone(&open), router.port());
            crowd.spawn(async move { sloth.live(port, &open).await });
        }
    }
    eventually(
        "all are open at once",
        Duration::from_secs(10),
        async || Ok((open.load(Ordering::Relaxed) == all).then_some(())),
    )
    .await?;
    let grown = router.resident_bytes()?.saturating_sub(before);
    timeout(CLOSED_WITHIN, async {
        while let Some(member) = crowd.join_next().await {
            member??;
        }
        anyhow::Ok(())
    })
    .await
    .with_context(|| format!("{} are still open", open.load(Ordering::Relaxed)))??;
    let latencies = honest.end().await?;
    campaign::measured(&format!(
        "{all} slow connections: {} honest requests, p99 {:?}, resident memory +{} KiB",
        latencies.count(),
        latencies.p99(),
        grown / 1024
    ))?;
    for limit in ["head", "body_bytes_per_second"] {
        let hits = router
            .metric(&format!("homing_limit_hits_total{{limit=\"{limit}\"}}"))
            .await?;
        assert!(hits.is_some_and(|hits| hits >= 1.0), "{limit}: {hits:?}");
    }
    Ok(())
}
