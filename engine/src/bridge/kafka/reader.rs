//! Reads the partitions that one broker leads, and puts what they hold into the work queue.
//!
//! Owns one connection and the positions read from the database when it begins. What goes wrong with a partition alone
//! rests it for a while; anything else begins anew. Must not choose partitions.

use super::connection::{Connection, Trouble};
use super::protocol::{self, Code, End, Wish};
use super::records::{self, Read, Record};
use super::wire::Torn;
use super::{Broken, offsets};
use crate::Error;
use crate::bridge::taken::{Delivered, Taken, taken};
use crate::bridge::{Bridge, KeyAt, PAUSE_MAX, PAUSE_MIN, Part, serving};
use crate::clock::monotonic;
use crate::runtime::Handle;
use crate::store::{Failure, NewMessage, Position, advanced};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What is asked for at once. A broker that has nothing answers after a second.
const WISH: Wish = Wish {
    wait_ms: 1_000,
    bytes: 8 * 1024 * 1024,
    bytes_each: 1024 * 1024,
};
const WAIT: Duration = Duration::from_millis(WISH.wait_ms.unsigned_abs() as u64);
/// Messages that are put with one transaction.
const BATCH_MAX: usize = 100;
/// How long a partition rests that cannot be read.
const REST: Duration = Duration::from_secs(10);
/// How long one rests that another node has read meanwhile.
const YIELD: Duration = Duration::from_secs(1);
/// Headers that name the media type of a value.
const MEDIA: [&str; 2] = ["content-type", "contentType"];

pub(super) struct Reader {
    pub(super) handle: Handle,
    pub(super) bridge: Bridge,
    /// The broker's address.
    pub(super) leader: String,
    pub(super) partitions: Vec<i32>,
    /// Rung when this reader has to begin anew: perhaps others lead now.
    pub(super) bell: Arc<Notify>,
}

/// What was found of a partition: how it answered, where it ends, and its records.
type Found = (i32, Code, i64, Result<Read, records::Unreadable>);

/// The partitions as this reader knows them.
struct Known {
    at: BTreeMap<i32, Position>,
    resting: BTreeMap<i32, Instant>,
    rounds: usize,
}

impl Known {
    /// What is asked for in this round. Each partition is first in its turn, because a broker fills its answer in order.
    fn wanted(&mut self) -> Vec<(i32, i64)> {
        let now = monotonic();
        self.resting.retain(|_, until| *until > now);
        let awake = |at: &&Position| !self.resting.contains_key(&at.partition);
        let mut all: Vec<(i32, i64)> = self
            .at
            .values()
            .filter(awake)
            .map(|at| (at.partition, at.next))
            .collect();
        if !all.is_empty() {
            self.rounds = self.rounds.wrapping_add(1);
            let first = self.rounds % all.len();
            all.rotate_left(first);
        }
        all
    }

    fn rest(&mut self, partition: i32, time: Duration) {
        self.resting.insert(partition, monotonic() + time);
    }
}

impl Reader {
    /// Reads until it is aborted.
    pub(super) async fn run(self) {
        let mut pause = PAUSE_MIN;
        loop {
            let mut worked = false;
            let Err(broken) = self.read(&mut worked).await;
            tracing::warn!(bridge = self.bridge.name, leader = self.leader, %broken, "partitions are not read for now");
            for partition in &self.partitions {
                self.tell(*partition, |part| part.error = Some(broken.to_string()));
            }
            pause = if worked {
                PAUSE_MIN
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            self.bell.notify_one();
            tokio::time::sleep(pause).await;
        }
    }

    fn tell(&self, partition: i32, change: impl FnOnce(&mut Part)) {
        let board = &self.handle.inner.bridges;
        board.change(&self.bridge, |told| {
            change(told.partitions.entry(partition).or_default());
        });
    }

    async fn read(&self, worked: &mut bool) -> Result<Infallible, Broken> {
        let mut connection = Connection::open(&self.leader).await?;
        let mut known = Known {
            at: self.positions().await?,
            resting: BTreeMap::new(),
            rounds: 0,
        };
        loop {
            if !serving(&self.handle) {
                return Err(Broken::NotServing);
            }
            let wanted = known.wanted();
            if wanted.is_empty() {
                tokio::time::sleep(YIELD).await;
                continue;
            }
            for found in self.fetch(&mut connection, wanted).await? {
                self.act(&mut connection, &mut known, found).await?;
            }
            *worked = true;
        }
    }

    async fn positions(&self) -> Result<BTreeMap<i32, Position>, Broken> {
        let store = self.handle.store();
        let all = store
            .positions(&self.bridge.name, &self.bridge.from)
            .await?;
        let mine = all
            .into_iter()
            .filter(|at| self.partitions.contains(&at.partition));
        Ok(mine.map(|at| (at.partition, at)).collect())
    }

    /// Fetches, and unpacks what came where it holds nobody up.
    async fn fetch(
        &self,
        connection: &mut Connection,
        wanted: Vec<(i32, i64)>,
    ) -> Result<Vec<Found>, Broken> {
        let question = protocol::ask_fetch(&self.bridge.from, &wanted, WISH);
        let answer = connection.answer(protocol::FETCH, &question, WAIT).await?;
        let unpacked = tokio::task::spawn_blocking(move || found(&answer, &wanted)).await;
        let unpacked = unpacked.map_err(|e| Trouble::Said(format!("unpacking ended: {e}")))?;
        let (code, all) = unpacked.map_err(|torn| connection.torn(torn.0))?;
        if code != Code::DONE {
            return Err(Trouble::Said(format!("{}: {code}", self.leader)).into());
        }
        Ok(all)
    }

    async fn act(
        &self,
        connection: &mut Connection,
        known: &mut Known,
        (partition, code, end, read): Found,
    ) -> Result<(), Broken> {
        let Some(at) = known.at.get_mut(&partition) else {
            return Ok(());
        };
        let done = match (code, read) {
            (Code::DONE, Ok(read)) => {
                self.tell(partition, |part| {
                    (part.end, part.error) = (Some(end), None);
                });
                self.take(at, &read).await
            }
            (Code::DONE, Err(why)) => {
                let offset = at.next;
                let why = format!("the batch at offset {offset} cannot be read: {why}");
                self.stands_still(known, partition, why);
                return Ok(());
            }
            (Code::OUT_OF_RANGE, _) => match self.out_of_range(connection, at).await {
                Ok(None) => Ok(()),
                Ok(Some(why)) => {
                    self.stands_still(known, partition, why);
                    return Ok(());
                }
                Err(broken) => Err(broken),
            },
            (code, _) if code.moved() => {
                let why = format!("partition {partition} of '{}': {code}", self.bridge.from);
                return Err(Trouble::Said(why).into());
            }
            (code, _) => {
                self.stands_still(known, partition, code.to_string());
                return Ok(());
            }
        };
        match done {
            // Another node reads it too: what it has put is not put again.
            Err(Broken::Engine(Error::Store(Failure::Conflict))) => {
                known.at = self.positions().await?;
                known.rest(partition, YIELD);
                Ok(())
            }
            done => done,
        }
    }

    fn stands_still(&self, known: &mut Known, partition: i32, why: String) {
        tracing::error!(bridge = self.bridge.name, topic = self.bridge.from, partition, %why, "a partition stands still");
        self.tell(partition, |part| part.error = Some(why));
        known.rest(partition, REST);
    }

    /// Puts records into the work queue, in batches, each together with the position behind it.
    async fn take(&self, at: &mut Position, read: &Read) -> Result<(), Broken> {
        let mut rest = &read.records[..];
        while at.next < read.next {
            let (batch, after) = rest.split_at(rest.len().min(BATCH_MAX));
            let to = match (after, batch.last()) {
                ([_, ..], Some(last)) => last.offset.saturating_add(1),
                _ => read.next,
            };
            let messages: Vec<NewMessage> = batch
                .iter()
                .map(|record| self.message(at.partition, record))
                .collect();
            let step = [advanced(&self.bridge.name, &self.bridge.from, *at, to)];
            let put = self.handle.put(&self.bridge.queue, &messages, &step);
            let new = put.await?;
            self.handle
                .inner
                .bridges
                .count(&self.bridge, &messages, &new);
            (at.next, rest) = (to, after);
            self.tell(at.partition, |part| part.next = to);
        }
        Ok(())
    }

    /// The broker has nothing at this place: it removed it, which is counted, or it never had it, which is told.
    async fn out_of_range(
        &self,
        connection: &mut Connection,
        at: &mut Position,
    ) -> Result<Option<String>, Broken> {
        let (topic, partition) = (&self.bridge.from, [at.partition]);
        let first = offsets(connection, topic, &partition, End::Earliest).await?;
        let end = offsets(connection, topic, &partition, End::Latest).await?;
        let (Some((_, first)), Some((_, end))) = (first.first(), end.first()) else {
            return Ok(Some("it tells neither beginning nor end".to_owned()));
        };
        if at.next > *end {
            return Ok(Some(format!(
                "read up to offset {}, but the topic ends at {end}: it was made anew, or lost records. Under another name the bridge begins again",
                at.next
            )));
        }
        if at.next < *first {
            let lost = first - at.next;
            let store = self.handle.store();
            store
                .pass_over(&self.bridge.name, topic, *at, *first)
                .await?;
            tracing::error!(
                bridge = self.bridge.name,
                topic,
                partition = at.partition,
                lost,
                "records were removed by the broker before they were read"
            );
            (at.next, at.lost) = (*first, at.lost + lost);
            let now = *at;
            self.tell(at.partition, |part| {
                (part.next, part.lost) = (now.next, now.lost);
            });
        }
        Ok(None)
    }

    fn message(&self, partition: i32, record: &Record) -> NewMessage {
        let (bridge, handle) = (&self.bridge, &self.handle);
        let topic = &bridge.from;
        let header = |name: &str| {
            let found = record.headers.iter().rev().find(|(one, _)| one == name)?;
            String::from_utf8(found.1.clone()?).ok()
        };
        let delivered = Delivered {
            record_key: record.key.clone(),
            // An offset is given out again in a topic that is made anew, but not at the same time.
            place: Some(format!(
                "{topic}-{partition}-{}-{}",
                record.offset, record.at
            )),
            header: match &bridge.key {
                KeyAt::Header(name) => header(name),
                KeyAt::MessageId | KeyAt::RecordKey | KeyAt::Place | KeyAt::Body(_) => None,
            },
            content_type: MEDIA.iter().find_map(|name| header(name)),
            body: record.value.clone().unwrap_or_default(),
            tombstone: record.value.is_none(),
            ..Delivered::default()
        };
        let Taken { key, media, poison } = taken(&bridge.key, &delivered);
        NewMessage {
            id: handle.new_id(),
            key,
            media,
            body: delivered.body,
            priority: 0,
            visible: handle.clock().now(),
            origin: Some(format!(
                "{}: topic '{topic}', partition {partition}, offset {}",
                bridge.name, record.offset
            )),
            poison: poison.map(|why| bridge.poison(handle, &why)),
        }
    }
}

/// Reads an answer to the end.
fn found(answer: &[u8], wanted: &[(i32, i64)]) -> Result<(Code, Vec<Found>), Torn> {
    let (code, all) = protocol::fetched(answer)?;
    let one = |fetched: protocol::Fetched<'_>| {
        let asked = wanted
            .iter()
            .find(|(partition, _)| *partition == fetched.partition);
        let from = asked.map_or(0, |(_, offset)| *offset);
        let read = records::read(fetched.records, from, &fetched.aborted);
        (fetched.partition, fetched.code, fetched.end, read)
    };
    Ok((code, all.into_iter().map(one).collect()))
}
