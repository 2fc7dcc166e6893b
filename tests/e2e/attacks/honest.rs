//! Honest clients beside an attack: each of their requests must be answered, and how long that took is kept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use homing_harness::{clock::Stopwatch, ports::loopback, router::Router};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};

/// Between two requests of one client, so that idle and attacked rounds ask equally often.
const PAUSE: Duration = Duration::from_millis(5);
/// Just below the time after which the router closes an idle connection in these tests; counted from the last question,
/// because the router counts from its answer, which a busy machine brings late.
const IDLE_MAX: Duration = Duration::from_millis(900);

pub(super) struct Honest {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<Vec<Duration>>>>,
}

impl Honest {
    /// Two clients on kept HTTP/1.1 connections, one that connects anew each time, and one on HTTP/2.
    pub(super) fn begin(router: &Router) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for fresh in [false, false, true] {
            // Each keeps a connection of its own: of two in common one could idle while the other one is used.
            let (stop, kept, port) = (Arc::clone(&stop), router.client(""), router.port());
            clients.push(tokio::spawn(async move {
                let mut took = Vec::new();
                let mut answered = Stopwatch::start();
                while !stop.load(Ordering::Relaxed) {
                    let client = if fresh {
                        homing_harness::client::Client::new(loopback(port), "")
                    } else {
                        kept.clone()
                    };
                    let watch = Stopwatch::start();
                    let mut answer = client.get("/app/honest").await;
                    if answer.is_err() && !fresh && answered.is_past(IDLE_MAX) {
                        // A kept connection that idled for so long may be closed while it is used again (RFC 9112,
                        // section 9.6): a machine that stood still is no attack's success.
                        answer = client.get("/app/honest").await;
                    }
                    answer?.expect(200)?;
                    took.push(watch.elapsed());
                    answered = watch;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(took)
            }));
        }
        clients.push(tokio::spawn(over_http2(router.port(), Arc::clone(&stop))));
        Self { stop, clients }
    }

    /// How long each answer took, the quickest first; an error if one request was not answered with 200.
    pub(super) async fn end(self) -> Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(client.await?.context("an honest client")?);
        }
        all.sort_unstable();
        ensure!(!all.is_empty(), "the honest clients were never answered");
        Ok(Latencies(all))
    }
}

type Sender = http2::SendRequest<Full<Bytes>>;

async fn connect(port: u16) -> Result<Sender> {
    let stream = TcpStream::connect(loopback(port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn get(sender: &mut Sender) -> Result<()> {
    let request = Request::get("http://h/app/honest").body(Full::<Bytes>::default())?;
    let answer = sender.send_request(request).await?;
    ensure!(answer.status() == 200, "{} over HTTP/2", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}

async fn over_http2(port: u16, stop: Arc<AtomicBool>) -> Result<Vec<Duration>> {
    let mut sender = connect(port).await?;
    let mut took = Vec::new();
    let mut answered = Stopwatch::start();
    while !stop.load(Ordering::Relaxed) {
        let watch = Stopwatch::start();
        let mut answer = get(&mut sender).await;
        if answer.is_err() && answered.is_past(IDLE_MAX) {
            sender = connect(port).await?;
            answer = get(&mut sender).await;
        }
        answer?;
        took.push(watch.elapsed());
        answered = watch;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(took)
}

pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn p99(&self) -> Duration {
        self.0[(self.0.len() * 99 / 100).min(self.0.len() - 1)]
    }
}
