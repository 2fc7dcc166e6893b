//! A topic of Kafka, read without a consumer group: how far, stands in the engine's own database.
//!
//! Owns who reads what: the leaders of the partitions, the nodes that have the bridge, and one task for each leader. A
//! position moves in the transaction that puts its messages, so a record that is read twice, by a node that came back or
//! by two at once, is put once; that nodes share the partitions is for balance alone. Must not read records itself.

mod connection;
mod protocol;
mod reader;
mod records;
mod unpack;
mod wire;

pub(crate) use connection::Trouble;

use super::{Bridge, Broken, Kafka, Part, StartAt, serving};
use crate::runtime::Handle;
use connection::Connection;
use protocol::{Code, End, Metadata};
use reader::Reader;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Between two looks at the topic and the other nodes, while nothing rings.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A node that has not looked for so long is gone, and others read its partitions.
const NODE_MS: i64 = 6_000;

/// Reads until `stop`, or until something breaks that concerns all of it.
pub(super) async fn consume(
    handle: &Handle,
    bridge: &Bridge,
    kafka: &Kafka,
    node: &str,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Broken> {
    let mut looker = Looker {
        handle,
        bridge,
        kafka,
        node,
        connection: None,
        bell: Arc::default(),
        readers: BTreeMap::new(),
    };
    let mut view = handle.inner.place.view.subscribe();
    loop {
        view.mark_unchanged();
        if !serving(handle) {
            return Err(Broken::NotServing);
        }
        looker.look().await?;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = looker.bell.notified() => {}
            _ = view.changed() => {}
            _ = stop.changed() => {
                looker.readers.clear();
                handle.store().bridge_left(&bridge.name, node).await?;
                return Ok(());
            }
        }
    }
}

/// A task that ends with this.
struct Running {
    partitions: Vec<i32>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Looker<'h> {
    handle: &'h Handle,
    bridge: &'h Bridge,
    kafka: &'h Kafka,
    node: &'h str,
    connection: Option<Connection>,
    /// Rung by readers whose leader is not what it was.
    bell: Arc<Notify>,
    /// By the address of the leader.
    readers: BTreeMap<String, Running>,
}

impl Looker<'_> {
    /// Brings the readers to what is to be read here now.
    async fn look(&mut self) -> Result<(), Broken> {
        let metadata = self.metadata().await?;
        let addresses: BTreeMap<i32, String> = metadata
            .brokers
            .iter()
            .map(|(node, host, port)| (*node, address(host, *port)))
            .collect();
        let mut leaders: Vec<(i32, Option<String>)> = metadata
            .leaders
            .iter()
            .map(|(partition, leader)| (*partition, addresses.get(leader).cloned()))
            .collect();
        leaders.sort();
        self.begin(&leaders).await?;
        let (store, now) = (self.handle.store(), self.handle.clock().now());
        let nodes = store.bridge_nodes(&self.bridge.name, self.node, now, now + NODE_MS);
        let nodes = nodes.await?;
        let mine = share(&leaders, &nodes, self.node);
        self.tell(&leaders, &mine).await?;
        self.follow(mine);
        Ok(())
    }

    /// Asks any broker about the topic: the one that was asked last, else the first that answers.
    async fn metadata(&mut self) -> Result<Metadata, Broken> {
        let question = protocol::ask_metadata(&self.bridge.from);
        let mut last = None;
        let kept = self.connection.take().into_iter().map(Ok);
        let others = self.kafka.brokers.iter().map(Err);
        for one in kept.chain(others) {
            let opened = match one {
                Ok(connection) => Ok(connection),
                Err(address) => Connection::open(address).await,
            };
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(trouble) => {
                    last = Some(trouble);
                    continue;
                }
            };
            let api = protocol::METADATA;
            let read = protocol::metadata;
            match connection.ask(api, &question, Duration::ZERO, read).await {
                Ok(metadata) => {
                    self.connection = Some(connection);
                    return self.usable(metadata);
                }
                Err(trouble) => last = Some(trouble),
            }
        }
        let none = || Trouble::Said("no broker is named".to_owned());
        Err(last.unwrap_or_else(none).into())
    }

    fn usable(&self, metadata: Metadata) -> Result<Metadata, Broken> {
        match metadata.code {
            Code::DONE => Ok(metadata),
            code => Err(Trouble::Said(format!("topic '{}': {code}", self.bridge.from)).into()),
        }
    }

    /// Gives each new partition the position at which reading begins. One that is added later is read from its beginning:
    /// what came before it was noticed is not to be missed.
    async fn begin(&self, leaders: &[(i32, Option<String>)]) -> Result<(), Broken> {
        let (store, topic) = (self.handle.store(), &self.bridge.from);
        let known = store.positions(&self.bridge.name, topic).await?;
        let new = |partition: i32| known.iter().all(|at| at.partition != partition);
        let mut by_leader: BTreeMap<&String, Vec<i32>> = BTreeMap::new();
        for (partition, leader) in leaders.iter().filter(|(partition, _)| new(*partition)) {
            match leader {
                Some(leader) => by_leader.entry(leader).or_default().push(*partition),
                None if known.is_empty() => {
                    let why = format!("partition {partition} of '{topic}' has no leader");
                    return Err(Trouble::Said(why).into());
                }
                // It is told below, and begun when there is one.
                None => {}
            }
        }
        let end = match self.kafka.start {
            StartAt::Latest if known.is_empty() => End::Latest,
            StartAt::Latest | StartAt::Earliest => End::Earliest,
        };
        let mut begun = Vec::new();
        for (leader, partitions) in by_leader {
            let mut connection = Connection::open(leader).await?;
            begun.extend(offsets(&mut connection, topic, &partitions, end).await?);
        }
        if !begun.is_empty() {
            store.begin_at(&self.bridge.name, topic, &begun).await?;
            tracing::info!(bridge = self.bridge.name, topic, ?begun, "partitions begin");
        }
        Ok(())
    }

    /// Tells how far the partitions are, also those that other nodes read.
    async fn tell(
        &self,
        leaders: &[(i32, Option<String>)],
        mine: &BTreeMap<String, Vec<i32>>,
    ) -> Result<(), Broken> {
        let (store, topic) = (self.handle.store(), &self.bridge.from);
        let positions = store.positions(&self.bridge.name, topic).await?;
        self.handle.inner.bridges.change(self.bridge, |told| {
            told.connected = true;
            told.error = None;
            let here = |partition| mine.values().flatten().any(|one| *one == partition);
            for at in positions {
                let part: &mut Part = told.partitions.entry(at.partition).or_default();
                (part.next, part.lost) = (part.next.max(at.next), at.lost);
                if !here(at.partition) {
                    (part.end, part.error) = (None, None);
                }
            }
            for (partition, _) in leaders.iter().filter(|(_, leader)| leader.is_none()) {
                let part: &mut Part = told.partitions.entry(*partition).or_default();
                part.error = Some("it has no leader".to_owned());
            }
        });
        Ok(())
    }

    /// Ends the readers that are not wanted any more, and starts those that are missing.
    fn follow(&mut self, mut wanted: BTreeMap<String, Vec<i32>>) {
        self.readers.retain(|leader, running| {
            let same = wanted.get(leader) == Some(&running.partitions);
            if same {
                wanted.remove(leader);
            }
            same
        });
        for (leader, partitions) in wanted {
            let reader = Reader {
                handle: self.handle.clone(),
                bridge: self.bridge.clone(),
                leader: leader.clone(),
                partitions: partitions.clone(),
                bell: Arc::clone(&self.bell),
            };
            let task = tokio::spawn(reader.run());
            self.readers.insert(leader, Running { partitions, task });
        }
    }
}

fn address(host: &str, port: i32) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// The partitions that a node reads, by their leaders: each node takes every so many-th, so that all are taken and none
/// twice while the nodes see the same.
fn share(
    leaders: &[(i32, Option<String>)],
    nodes: &[String],
    node: &str,
) -> BTreeMap<String, Vec<i32>> {
    let mut out: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let Some(turn) = nodes.iter().position(|one| one == node) else {
        return out;
    };
    for (at, (partition, leader)) in leaders.iter().enumerate() {
        if let (true, Some(leader)) = (at % nodes.len() == turn, leader) {
            out.entry(leader.clone()).or_default().push(*partition);
        }
    }
    out
}

/// Where partitions begin or end.
async fn offsets(
    connection: &mut Connection,
    topic: &str,
    partitions: &[i32],
    end: End,
) -> Result<Vec<(i32, i64)>, Trouble> {
    let question = protocol::ask_offsets(topic, partitions, end);
    let (api, read) = (protocol::LIST_OFFSETS, protocol::offsets);
    let told = connection.ask(api, &question, Duration::ZERO, read).await?;
    let one = |(partition, code, offset): (i32, Code, i64)| match code {
        Code::DONE => Ok((partition, offset)),
        code => Err(Trouble::Said(format!(
            "partition {partition} of '{topic}': {code}"
        ))),
    };
    told.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_share_the_partitions_and_leave_none() {
        let leaders: Vec<(i32, Option<String>)> = (0..7)
            .map(|partition| (partition, (partition != 3).then(|| "a:1".to_owned())))
            .collect();
        let nodes = ["x".to_owned(), "y".to_owned()];
        let of = |node: &str| share(&leaders, &nodes, node).remove("a:1").unwrap();
        assert_eq!((of("x"), of("y")), (vec![0, 2, 4, 6], vec![1, 5]));
        assert!(share(&leaders, &nodes, "unknown").is_empty());
    }
}
