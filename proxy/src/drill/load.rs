//! Reads through this router's own pipeline while a drill runs.
//!
//! Owns the clients: a thread of its own, because a connection of the data path never changes threads. Must not write
//! anything and does not judge (`tally`). Each read goes the whole way of a client's request, over a connection in memory.

use super::course::Probe;
use super::tally::{Read, Tally};
use crate::forward::arriving::Arriving;
use crate::forward::headers::{Origin, Trust};
use crate::pipeline::Pipeline;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Clients that read.
const CLIENTS: usize = 4;
/// Between two reads of a client: the load is there to be judged.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for an answer; a router holds a request for 8 s at most while a site is switched.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Bytes of an answer that wait for their reader.
const WINDOW: usize = 64 * 1024;
/// Bytes of an answer that are looked at: a refusal's reason stands there. The rest is read and left.
const LOOKED_AT: usize = 64 * 1024;

/// Clients at work; dropped, they leave.
pub struct Load {
    stop: Arc<AtomicBool>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Load {
    /// Reads until it is dropped. Without anything to read nobody reads.
    pub fn start(
        pipeline: &Arc<Pipeline>,
        probes: Vec<Probe>,
        tally: Arc<Tally>,
    ) -> std::io::Result<Load> {
        let stop = Arc::new(AtomicBool::new(false));
        if probes.is_empty() {
            return Ok(Load { stop });
        }
        let (stopped, pipeline) = (Arc::clone(&stop), Arc::clone(pipeline));
        let next = AtomicUsize::new(0);
        on_a_thread(async move {
            let clients = (0..CLIENTS).map(|_| async {
                while !stopped.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed) % probes.len();
                    let probe = &probes[at];
                    let asked = tally.asks(probe.subject());
                    let seen = probe.seen(read(&pipeline, probe).await);
                    tally.judge(probe.subject(), asked, seen);
                    tokio::time::sleep(PAUSE).await;
                }
            });
            futures_util::future::join_all(clients).await;
        })?;
        Ok(Load { stop })
    }
}

/// Each of these once, in order.
pub async fn each(pipeline: &Arc<Pipeline>, probes: Vec<Probe>) -> std::io::Result<Vec<Read>> {
    let pipeline = Arc::clone(pipeline);
    let (tell, hear) = tokio::sync::oneshot::channel();
    on_a_thread(async move {
        let mut answers = Vec::new();
        for probe in &probes {
            answers.push(read(&pipeline, probe).await);
        }
        // Nobody waits for it any more.
        let _ = tell.send(answers);
    })?;
    hear.await
        .map_err(|_| std::io::Error::other("the thread that reads has ended"))
}

fn on_a_thread(work: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("drill".into());
    thread.spawn(move || runtime.block_on(work))?;
    Ok(())
}

async fn read(pipeline: &Arc<Pipeline>, probe: &Probe) -> Read {
    match tokio::time::timeout(ANSWER_WITHIN, ask(pipeline, probe)).await {
        Ok(Ok(read)) => read,
        Ok(Err(why)) => Read::Failed(format!("no answer: {why}")),
        Err(_) => Read::Failed("no answer in time".to_owned()),
    }
}

fn request(pipeline: &Pipeline, probe: &Probe) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut request = Request::get(&probe.path)
        .header(header::HOST, "localhost")
        .header(header::USER_AGENT, "homing-drill");
    let topology = pipeline.topology.load();
    let site = topology.sites().find(|site| site.id.name() == probe.site);
    let account: Option<&HeaderValue> = site.and_then(|site| site.service_account.as_ref());
    if let Some(account) = account {
        request = request.header(header::AUTHORIZATION, account);
    }
    request.body(Empty::new())
}

async fn ask(pipeline: &Arc<Pipeline>, probe: &Probe) -> Result<Read, String> {
    let request = request(pipeline, probe).map_err(|error| error.to_string())?;
    let (near, far) = tokio::io::duplex(WINDOW);
    let serving = Arc::clone(pipeline);
    let service = service_fn(move |request| {
        let pipeline = Arc::clone(&serving);
        let origin = Origin::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Trust::Untrusted, "http");
        async move { Ok::<_, Infallible>(pipeline.handle(request.map(Arriving::from), origin).await) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    tokio::spawn(server.serve_connection(TokioIo::new(far), service));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(near)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    let (head, body) = answer.map_err(|error| error.to_string())?.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (site, installation) = (header("homing-site"), header("homing-installation"));
    let body = beginning(body).await?;
    if head.status.is_success() {
        return Ok(Read::Good { site, installation });
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reason = problem["reason"].as_str().unwrap_or("without a reason");
    Ok(Read::Failed(format!("{} {reason}", head.status.as_u16())))
}

async fn beginning(mut body: hyper::body::Incoming) -> Result<Vec<u8>, String> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        if let Some(data) = frame.data_ref() {
            let room = LOOKED_AT.saturating_sub(kept.len()).min(data.len());
            kept.extend_from_slice(&data[..room]);
        }
    }
    Ok(kept)
}
