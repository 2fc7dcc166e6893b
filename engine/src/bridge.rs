//! Bridges: messages of a broker come into a work queue, each key once.
//!
//! Owns what a bridge is, when it runs, and what it tells about itself. A broker is told that a message was taken only after
//! the engine's database has it; what it sends again meets its own key. Must not decide what a message does: its queue does.

mod kafka;
mod rabbitmq;
mod taken;

pub use taken::KeyAt;

use crate::cluster::standing::Standing;
use crate::runtime::Handle;
use crate::store::{NewMessage, QueueSettings};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pause before a broken connection is made again; it doubles with each failure in a row.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A bridge from a broker to a work queue.
#[derive(Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// The broker.
    pub broker: Broker,
    /// The broker's queue or topic, which is there.
    pub from: String,
    /// The work queue; it is made when it is missing.
    pub queue: String,
    /// Where the key of a message is.
    pub key: KeyAt,
}

/// One of two kinds of brokers.
#[derive(Clone, PartialEq, Eq)]
pub enum Broker {
    /// It hands messages out and waits until they are acknowledged.
    RabbitMq(RabbitMq),
    /// It keeps a log, and who reads it remembers how far.
    Kafka(Kafka),
}

/// RabbitMQ.
#[derive(Clone, PartialEq, Eq)]
pub struct RabbitMq {
    /// `amqp://…`, with its password.
    pub url: String,
    /// Messages that the broker sends ahead.
    pub prefetch: u16,
}

/// Kafka.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kafka {
    /// `HOST:PORT` of some of its brokers: the first that answers tells the others.
    pub brokers: Vec<String>,
    /// Where a new bridge begins.
    pub start: StartAt,
}

/// Where a bridge begins that has never read its topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartAt {
    /// At the oldest record that is kept.
    Earliest,
    /// With what comes from now on.
    Latest,
}

impl Bridge {
    /// Why nobody can work on a message that came over this bridge, with an id for its incident.
    fn poison(&self, handle: &Handle, why: &str) -> (String, String) {
        let why = format!("bridge {} cannot take this message: {why}", self.name);
        (handle.new_id(), why)
    }
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is said of the broker holds a password.
        f.debug_struct("Bridge")
            .field("name", &self.name)
            .field("from", &self.from)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Why a bridge has to begin anew.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Broken {
    /// The broker, or the way to it.
    #[error("the broker: {0}")]
    Broker(#[from] lapin::Error),
    /// No answer in time.
    #[error("the broker did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The broker ended the consumer: its queue was removed.
    #[error("the broker ended the consumer; is its queue gone?")]
    Ended,
    /// A broker of Kafka.
    #[error("the broker: {0}")]
    Kafka(#[from] kafka::Trouble),
    /// No broker has a queue of such a name.
    #[error("the name of a broker's queue has at most 255 bytes")]
    Name,
    /// The engine could not take the messages.
    #[error("the engine: {0}")]
    Engine(#[from] crate::Error),
    /// The engine does not serve its site any more.
    #[error("this engine does not serve its site")]
    NotServing,
}

impl From<crate::store::Failure> for Broken {
    fn from(failure: crate::store::Failure) -> Broken {
        Broken::Engine(failure.into())
    }
}

/// What a bridge tells about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Told {
    /// Is it consuming?
    pub(crate) connected: bool,
    /// Why it broke last.
    pub(crate) error: Option<String>,
    /// Messages that were new.
    pub(crate) taken: u64,
    /// Messages whose key was known.
    pub(crate) duplicates: u64,
    /// Messages that went to the dead letters at once.
    pub(crate) poison: u64,
    /// Partitions of its topic, where it has some.
    pub(crate) partitions: BTreeMap<i32, Part>,
}

/// What a bridge tells about a partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Part {
    /// The offset that is to be read next.
    pub(crate) next: i64,
    /// What comes after its last record, as far as this node knows; `None`: another node reads it.
    pub(crate) end: Option<i64>,
    /// Records that the broker had removed before they were read.
    pub(crate) lost: i64,
    /// Why it stands still.
    pub(crate) error: Option<String>,
}

/// What all bridges of an engine tell.
#[derive(Debug, Default)]
pub(crate) struct Board {
    by_name: Mutex<BTreeMap<String, (Bridge, Told)>>,
}

impl Board {
    fn change(&self, bridge: &Bridge, change: impl FnOnce(&mut Told)) {
        let mut all = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(bridge.name.clone());
        change(&mut entry.or_insert_with(|| (bridge.clone(), Told::default())).1);
    }

    /// Counts messages that were put, by whether their keys were new.
    fn count(&self, bridge: &Bridge, messages: &[NewMessage], new: &[bool]) {
        self.change(bridge, |told| {
            for (message, new) in messages.iter().zip(new) {
                match (new, &message.poison) {
                    (false, _) => told.duplicates += 1,
                    (true, None) => told.taken += 1,
                    (true, Some(_)) => told.poison += 1,
                }
            }
        });
    }

    /// Bridges by name.
    pub(crate) fn all(&self) -> Vec<(Bridge, Told)> {
        let all = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }
}

/// Starts bridges.
pub(crate) fn start(
    handle: &Handle,
    bridges: Vec<Bridge>,
    stop: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let start = |one| tokio::spawn(run(handle.clone(), one, stop.clone()));
    bridges.into_iter().map(start).collect()
}

/// Runs a bridge until `stop` says so: whenever this engine serves its site.
async fn run(handle: Handle, bridge: Bridge, mut stop: watch::Receiver<bool>) {
    let board = &handle.inner.bridges;
    board.change(&bridge, |_| {});
    let mut view = handle.inner.place.view.subscribe();
    let mut pause = PAUSE_MIN;
    // What this node is called among those with the same bridge.
    let node = handle.new_id();
    while !*stop.borrow() {
        if !serving(&handle) {
            tokio::select! {
                _ = view.changed() => {}
                _ = stop.changed() => {}
            }
            continue;
        }
        let broken = match begin(&handle, &bridge, &node, &mut stop).await {
            Ok(()) => continue,
            Err(broken) => broken,
        };
        // It worked for a while: the next try may come soon.
        let mut worked = false;
        board.change(&bridge, |told| {
            worked = std::mem::take(&mut told.connected);
            told.error = Some(broken.to_string());
        });
        pause = if worked {
            PAUSE_MIN
        } else {
            (pause * 2).min(PAUSE_MAX)
        };
        tracing::warn!(bridge = bridge.name, %broken, "the bridge is down and begins again in {} ms", pause.as_millis());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn begin(
    handle: &Handle,
    bridge: &Bridge,
    node: &str,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Broken> {
    let (settings, now) = (QueueSettings::default(), handle.clock().now());
    let made = handle
        .store()
        .make_queue(&bridge.queue, &settings, now)
        .await;
    made.map_err(crate::Error::Store)?;
    match &bridge.broker {
        Broker::RabbitMq(broker) => rabbitmq::consume(handle, bridge, broker, stop).await,
        Broker::Kafka(broker) => kafka::consume(handle, bridge, broker, node, stop).await,
    }
}

fn serving(handle: &Handle) -> bool {
    let view = handle.view();
    view.is_some_and(|view| view.standing == Standing::Serving)
}
