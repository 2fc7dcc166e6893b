//! Settings of `[[engine.bridge]]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use crate::secret::Secret;

/// A bridge from a queue of RabbitMQ to a work queue of the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// The broker.
    pub url: Secret,
    /// The broker's queue.
    pub from: String,
    /// The work queue.
    pub queue: String,
    /// What makes a message one of a kind.
    pub key: BridgeKey,
    /// Messages that the broker sends ahead.
    pub prefetch: u16,
}

/// Where the key of a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeKey {
    /// The property `message_id`.
    MessageId,
    /// A header.
    Header(String),
    /// JSON pointer into the body.
    Body(String),
}
