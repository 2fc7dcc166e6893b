//! Settings of `[[engine.bridge]]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use crate::secret::Secret;

/// A bridge from a broker to a work queue of the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// The broker.
    pub broker: BridgeBroker,
    /// The broker's queue or topic.
    pub from: String,
    /// The work queue.
    pub queue: String,
    /// What makes a message one of a kind.
    pub key: BridgeKey,
}

/// One of two kinds of brokers.
#[derive(Clone, Debug, PartialEq)]
pub enum BridgeBroker {
    /// RabbitMQ.
    RabbitMq {
        /// Where it is, with its password.
        url: Secret,
        /// Messages that the broker sends ahead.
        prefetch: u16,
    },
    /// Kafka.
    Kafka {
        /// `HOST:PORT` of some of its brokers.
        brokers: Vec<String>,
        /// Where a new bridge begins.
        start: BridgeStart,
    },
}

/// Where a bridge begins that has never read its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeStart {
    /// At the oldest record that is kept.
    Earliest,
    /// With what comes from now on.
    Latest,
}

/// Where the key of a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeKey {
    /// The property `message_id` of RabbitMQ.
    MessageId,
    /// The key of a record of Kafka.
    RecordKey,
    /// The place of a record of Kafka.
    Offset,
    /// A header.
    Header(String),
    /// JSON pointer into the body.
    Body(String),
}
