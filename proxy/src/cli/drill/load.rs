//! Reads through a router while a site is switched.
//!
//! Owns what is asked and the judgement of each answer. Must not know how far the switch has come, but for the place that
//! takes over. Reads only: a drill changes nothing of what lives at a site.

use crate::cli::Exit;
use crate::cli::client::{Call, exchange};
use crate::cli::output;
use crate::clock;
use http_body_util::BodyExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Things of a site that are read.
pub(super) const KEYS_MAX: usize = 50;
/// Clients that read.
const CLIENTS: usize = 4;
/// Between two reads of a client: the load is there to be judged.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait for an answer; a router holds a request for 8 s at most while a site is switched.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// An answer that took longer was held.
const HELD_AFTER: Duration = Duration::from_millis(250);

/// One answer, or why there is none.
enum Read {
    Good { site: String, installation: String },
    Failed(String),
}

/// What has been seen so far.
#[derive(Default, Clone)]
pub(super) struct Seen {
    pub(super) good: u64,
    pub(super) failed: BTreeMap<String, u64>,
    pub(super) wrong_site: u64,
    pub(super) held: u64,
    pub(super) slowest: Duration,
    /// Of the way that is under way.
    way: u64,
    from: String,
    to: String,
    /// The last answer of the place that is left.
    pub(super) last: Option<Instant>,
    /// The first answer of the place that takes over.
    pub(super) first: Option<Instant>,
}

impl Seen {
    /// All that failed.
    pub(super) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// Shared by everybody who reads.
#[derive(Default)]
pub(super) struct Tally {
    seen: Mutex<Seen>,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// From here on the site is on its way.
    pub(super) fn sets_out(&self, from: &str, to: &str) {
        let mut seen = self.lock();
        seen.way += 1;
        (seen.from, seen.to) = (from.to_owned(), to.to_owned());
        (seen.last, seen.first) = (None, None);
    }

    fn judge(&self, read: Read, site: &str, (way, moved): (u64, bool), began: Instant) {
        let now = clock::now();
        let took = now.saturating_duration_since(began);
        let mut seen = self.lock();
        let (answered_by, installation) = match read {
            Read::Good { site, installation } => (site, installation),
            Read::Failed(why) => {
                *seen.failed.entry(why).or_default() += 1;
                return;
            }
        };
        seen.good += 1;
        seen.slowest = seen.slowest.max(took);
        seen.held += u64::from(took > HELD_AFTER);
        let known = installation == seen.from || installation == seen.to;
        // Asked after somebody had been answered by the other place, on the same way.
        let late = way == seen.way && moved && installation == seen.from;
        if answered_by != site || (seen.way > 0 && !known) || late {
            seen.wrong_site += 1;
        } else if seen.way > 0 && installation == seen.to {
            seen.first.get_or_insert(now);
        } else if seen.way > 0 {
            seen.last = Some(now);
        }
    }

    fn now(&self) -> (u64, bool) {
        let seen = self.lock();
        (seen.way, seen.first.is_some())
    }
}

/// The clients.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

fn place(data: &str) -> Result<String, Exit> {
    let place = data
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'));
    place.map(str::to_owned).ok_or_else(|| {
        output::complain(Exit::Usage, "--data is http://HOST:PORT of a data listener")
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    let built = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    built.map_err(|error| output::complain(Exit::Failed, &error.to_string()))
}

/// Those of the paths that answer 200 from this site.
pub(super) fn good(data: &str, site: &str, paths: &[String]) -> Result<Vec<String>, Exit> {
    let place = place(data)?;
    Ok(runtime()?.block_on(async {
        let mut good = Vec::new();
        for path in paths {
            match read(&place, path).await {
                Read::Good { site: home, .. } if home == site => good.push(path.clone()),
                Read::Good { .. } | Read::Failed(_) => {}
            }
        }
        good
    }))
}

impl Load {
    /// Reads until it is stopped.
    pub(super) fn start(
        data: &str,
        site: &str,
        paths: Vec<String>,
        tally: Arc<Tally>,
    ) -> Result<Load, Exit> {
        let (place, site) = (place(data)?, site.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let runtime = runtime()?;
        let work = move || {
            runtime.block_on(async {
                let next = AtomicUsize::new(0);
                let clients = (0..CLIENTS).map(|_| async {
                    while !stopped.load(Ordering::Relaxed) {
                        let path = &paths[next.fetch_add(1, Ordering::Relaxed) % paths.len()];
                        let (asked, began) = (tally.now(), clock::now());
                        tally.judge(read(&place, path).await, &site, asked, began);
                        tokio::time::sleep(PAUSE).await;
                    }
                });
                futures_util::future::join_all(clients).await;
                lost(&place, &paths).await
            })
        };
        let spawned = std::thread::Builder::new().name("drill".into()).spawn(work);
        let thread = spawned.map_err(|error| output::complain(Exit::Failed, &error.to_string()))?;
        Ok(Load { stop, thread })
    }

    /// Ends it; answers what was there before and is not any more.
    pub(super) fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| vec!["the load broke down, so nothing is known".to_owned()])
    }
}

async fn lost(place: &str, paths: &[String]) -> Vec<String> {
    let mut lost = Vec::new();
    for path in paths {
        if let Read::Failed(why) = read(place, path).await {
            lost.push(format!("{path}: {why}"));
        }
    }
    lost
}

async fn read(place: &str, path: &str) -> Read {
    match tokio::time::timeout(ANSWER_WITHIN, ask(place, path)).await {
        Ok(Ok(read)) => read,
        Ok(Err(why)) => Read::Failed(format!("no answer: {why}")),
        Err(_) => Read::Failed("no answer in time".to_owned()),
    }
}

async fn ask(place: &str, path: &str) -> Result<Read, String> {
    let stream = TcpStream::connect(place).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let answer = exchange(stream, place, Call::get(path)).await?;
    let (head, body) = answer.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let read = (header("homing-site"), header("homing-installation"));
    let body = body.collect().await.map_err(|error| error.to_string())?;
    if head.status.is_success() {
        let (site, installation) = read;
        return Ok(Read::Good { site, installation });
    }
    let problem: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let reason = problem["reason"].as_str().unwrap_or("without a reason");
    Ok(Read::Failed(format!("{} {reason}", head.status.as_u16())))
}
