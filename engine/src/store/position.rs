//! How far bridges have read what counts its messages itself, and who of several nodes reads.
//!
//! Owns their rows. A position moves only from where it was, in the transaction that has the messages before it: of two
//! who read the same, one commits. Which partitions a node reads is for balance alone, nothing hangs on it.

use super::Store;
use super::cell::Cell;
use super::database::Failure;
use super::statement::{Expect, Statement};
use crate::clock::Millis;

/// How far a bridge has read a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset that is to be read next.
    pub next: i64,
    /// Messages that were gone before they were read.
    pub lost: i64,
}

impl Store {
    /// The positions of a bridge in a topic, by partition.
    pub async fn positions(&self, bridge: &str, topic: &str) -> Result<Vec<Position>, Failure> {
        let sql = "SELECT part, next, lost FROM bridge_position WHERE bridge = ? AND topic = ? ORDER BY part";
        let rows = self.rows(sql, vec![bridge.into(), topic.into()]).await?;
        let read = |row: &super::Row| Position {
            partition: i32::try_from(row.int(0)).unwrap_or(-1),
            next: row.int(1),
            lost: row.int(2),
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Where reading begins, of partitions that have no position yet. What another node wrote before stays.
    pub async fn begin_at(
        &self,
        bridge: &str,
        topic: &str,
        at: &[(i32, i64)],
    ) -> Result<(), Failure> {
        let sql = "INSERT INTO bridge_position (bridge, topic, part, next, lost) VALUES (?, ?, ?, ?, 0) \
                   ON CONFLICT (bridge, topic, part) DO NOTHING";
        let insert = |(partition, next): &(i32, i64)| {
            let part = i64::from(*partition);
            let cells = vec![bridge.into(), topic.into(), part.into(), (*next).into()];
            Statement::new(sql, cells)
        };
        self.apply(at.iter().map(insert).collect()).await
    }

    /// Passes over messages that are gone, and counts them. A conflict: somebody else was faster.
    pub async fn pass_over(
        &self,
        bridge: &str,
        topic: &str,
        from: Position,
        to: i64,
    ) -> Result<(), Failure> {
        let lost = to.saturating_sub(from.next);
        self.apply(vec![moved(bridge, topic, from, to, lost)]).await
    }

    /// Says that a node with a bridge is there until `until`, and gives all that are there now, in a fixed order.
    pub async fn bridge_nodes(
        &self,
        bridge: &str,
        node: &str,
        now: Millis,
        until: Millis,
    ) -> Result<Vec<String>, Failure> {
        let here = "INSERT INTO bridge_node (bridge, node, until) VALUES (?, ?, ?) \
                    ON CONFLICT (bridge, node) DO UPDATE SET until = excluded.until";
        let gone = "DELETE FROM bridge_node WHERE bridge = ? AND until <= ?";
        let all = "SELECT node FROM bridge_node WHERE bridge = ? ORDER BY node";
        let out = vec![
            Statement::new(here, vec![bridge.into(), node.into(), until.into()]),
            Statement::new(gone, vec![bridge.into(), now.into()]),
            Statement::new(all, vec![bridge.into()]).expecting(Expect::Rows),
        ];
        let rows = self.fenced(out).await?.concat();
        Ok(rows.iter().map(|row| row.text(0)).collect())
    }

    /// A node leaves.
    pub async fn bridge_left(&self, bridge: &str, node: &str) -> Result<(), Failure> {
        let sql = "DELETE FROM bridge_node WHERE bridge = ? AND node = ?";
        let leave = Statement::new(sql, vec![bridge.into(), node.into()]);
        self.apply(vec![leave]).await
    }
}

/// Moves a position, in the transaction that puts what stands before it.
pub fn advanced(bridge: &str, topic: &str, from: Position, to: i64) -> Statement {
    moved(bridge, topic, from, to, 0)
}

fn moved(bridge: &str, topic: &str, from: Position, to: i64, lost: i64) -> Statement {
    let sql = "UPDATE bridge_position SET next = ?, lost = lost + ? \
               WHERE bridge = ? AND topic = ? AND part = ? AND next = ?";
    let cells: Vec<Cell> = vec![
        to.into(),
        lost.into(),
        bridge.into(),
        topic.into(),
        i64::from(from.partition).into(),
        from.next.into(),
    ];
    Statement::new(sql, cells).expecting(Expect::One)
}
