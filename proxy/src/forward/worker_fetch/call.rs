//! One call for work to one site.
//!
//! Owns the call as a task of its own: it outlives the worker that it was made for, and gives back what it locked when
//! that worker has left. Must not choose the site.

use super::held::Held;
use super::line::{Desk, Slot};
use super::{Job, PARKED_FOR_MAX};
use crate::clock;
use crate::forward::body::Body;
use crate::forward::gather::Told;
use crate::forward::payload::Payload;
use crate::forward::send::{self, Outgoing, Repeat};
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::topology::Site;
use bytes::Bytes;
use homing_mapping_store::Generation;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Most bytes of one answer; tasks carry their variables.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// An engine that takes longer to say that it failed is in trouble.
const QUICK: Duration = Duration::from_millis(500);

/// Whether a call may be held back by the site until there is work.
pub(super) enum Waiting {
    Not,
    Parked(Duration, Slot),
}

/// What a site said.
pub(super) enum Answered {
    Tasks(Held),
    /// An error of the engine's own.
    Refused(Told),
    /// An engine in trouble, with its database perhaps.
    Failed(Told),
    Missing(Problem),
}

/// Starts the call. Whoever drops the receiver leaves; the call then ends by itself.
pub(super) fn start(
    job: &Arc<Job>,
    site: &Arc<Site>,
    desk: Arc<Desk>,
    max: usize,
    waiting: Waiting,
) -> oneshot::Receiver<Answered> {
    let (sender, receiver) = oneshot::channel();
    let (job, site) = (Arc::clone(job), Arc::clone(site));
    let under_way = desk.under_way().clone();
    under_way.spawn(run(job, site, desk, max, waiting, sender));
    receiver
}

async fn run(
    job: Arc<Job>,
    site: Arc<Site>,
    desk: Arc<Desk>,
    max: usize,
    waiting: Waiting,
    mut worker: oneshot::Sender<Answered>,
) {
    let began = clock::now();
    let (answered, slot) = match waiting {
        Waiting::Not => (ask(&job, &site, &desk, max, None).await, None),
        Waiting::Parked(slice, slot) => (
            parked(&job, &site, &desk, max, slice, &mut worker).await,
            Some(slot),
        ),
    };
    let is_in_trouble = match &answered {
        Answered::Missing(_) => true,
        // Engines answer a worker's own mistake with 500 as well: that is quick, and no other worker's trouble.
        Answered::Failed(told) => {
            !is_own_word(&told.body) || clock::now().saturating_duration_since(began) >= QUICK
        }
        Answered::Tasks(_) | Answered::Refused(_) => false,
    };
    if is_in_trouble {
        desk.avoid();
    }
    if let (Answered::Tasks(_), Some(slot)) = (&answered, &slot) {
        slot.answered();
    }
    let has_work = matches!(&answered, Answered::Tasks(held) if held.count() > 0);
    let line = slot.map(Slot::free);
    let left = worker.send(answered).err();
    let has_left = left.is_some();
    if let Some(Answered::Tasks(held)) = left {
        held.give_back().await;
    }
    // Somebody else has to go on: there may be more work, or nobody watches this site any more.
    if let Some(line) = line.filter(|_| has_work || has_left) {
        line.ring();
    }
}

/// Whether an error is told in the engines' own form, and not by something before them.
fn is_own_word(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Word {
        #[serde(rename = "type")]
        _kind: String,
    }
    serde_json::from_slice::<Word>(body).is_ok()
}

/// A call that the site may hold back. It never ends early without work, so that no site is asked in a tight loop.
async fn parked(
    job: &Arc<Job>,
    site: &Arc<Site>,
    desk: &Arc<Desk>,
    max: usize,
    slice: Duration,
    worker: &mut oneshot::Sender<Answered>,
) -> Answered {
    let slice = slice.min(PARKED_FOR_MAX);
    let began = clock::now();
    let room = desk.room();
    let answered = match &room {
        // One task only: this is what is stranded when the router dies now. Whoever wants more asks again at once.
        Some(_) => ask(job, site, desk, 1, Some(slice)).await,
        None => {
            pause(slice, worker).await;
            ask(job, site, desk, max, None).await
        }
    };
    if matches!(&answered, Answered::Tasks(held) if held.count() == 0) {
        pause(
            slice.saturating_sub(clock::now().duration_since(began)),
            worker,
        )
        .await;
    }
    answered
}

async fn pause(time: Duration, worker: &mut oneshot::Sender<Answered>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = worker.closed() => {}
    }
}

/// Asks for at most `max` tasks.
async fn ask(
    job: &Arc<Job>,
    site: &Arc<Site>,
    desk: &Arc<Desk>,
    max: usize,
    wait: Option<Duration>,
) -> Answered {
    let target = match Target::of(site, RouteSource::Default, Generation::default()) {
        Ok(target) => target,
        Err(problem) => return Answered::Missing(problem),
    };
    match told(job, &target, max, wait).await {
        Err(problem) => Answered::Missing(problem),
        Ok(told) if told.status.is_server_error() => Answered::Failed(told),
        Ok(told) if !told.status.is_success() => Answered::Refused(told),
        Ok(told) => match job.fetch.tasks(&told.body) {
            Ok(tasks) => Answered::Tasks(Held::new(Arc::clone(job), Arc::clone(desk), told, tasks)),
            Err(_) => {
                let detail = format!(
                    "site {} answers a request for work with what is no list of tasks",
                    site.id
                );
                Answered::Missing(
                    Problem::new(Reason::UpstreamBroke, detail)
                        .at(site.id)
                        .maybe_sent(),
                )
            }
        },
    }
}

async fn told(
    job: &Job,
    target: &Target,
    max: usize,
    wait: Option<Duration>,
) -> Result<Told, Problem> {
    let mut headers = job.headers.clone();
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_ENCODING);
    let payload = Payload::from(job.fetch.body(max, wait));
    let mut outgoing = Outgoing {
        method: job.method.clone(),
        target: job.target.clone(),
        headers,
        payload,
        repeat: Repeat::Never,
    };
    let mut times = job.times;
    // The worker does not wait that long; but what a late answer has locked must be known to be given back.
    times.head += wait.unwrap_or_default();
    let (head, body) = send::exchange(target, &mut outgoing, times)
        .await?
        .into_parts();
    let body = match body {
        Body::Empty => Bytes::new(),
        Body::Whole(bytes) => bytes.unwrap_or_default(),
        Body::Owed(owed) => owed.into_bytes(),
        Body::Streaming(streaming) => {
            streaming
                .read_whole(ANSWER_BYTES_MAX)
                .await
                .map_err(|error| {
                    let detail = format!(
                        "site {} broke off while giving work: {}",
                        target.site.id,
                        crate::telemetry::chain(&error)
                    );
                    Problem::new(Reason::UpstreamBroke, detail)
                        .at(target.site.id)
                        .maybe_sent()
                })?
        }
    };
    Ok(Told::new(target.clone(), head.status, head.headers, body))
}

/// Gives one task back. Whoever unlocks need not be the one who locked.
pub(super) async fn unlock(job: &Job, target: &Target, path: &str) -> bool {
    let Ok(uri) = path.parse() else { return false };
    let mut headers = job.headers.clone();
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_TYPE);
    let mut outgoing = Outgoing {
        method: Method::POST,
        target: uri,
        headers,
        payload: Payload::Empty,
        repeat: Repeat::Safe,
    };
    let mut times = job.times;
    times.head = job.within;
    let answered = send::exchange(target, &mut outgoing, times).await;
    answered.is_ok_and(|answer| {
        answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_own_error_is_told_from_a_page_of_something_else() {
        let own =
            br#"{"type":"RestException","message":"lockTime is not greater than 0","code":0}"#;
        assert!(is_own_word(own));
        assert!(!is_own_word(b"<html>Bad Gateway</html>"));
        assert!(!is_own_word(br#"{"error":"no upstream"}"#));
    }
}
