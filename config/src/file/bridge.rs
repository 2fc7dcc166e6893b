//! The `[[engine.bridge]]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A bridge from a queue of RabbitMQ or a topic of Kafka to a work queue of the engine. RabbitMQ is told of a message
/// after the engine's commit, how far a topic was read is part of the commit; a message whose key is known already has no
/// further effect.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BridgeFile {
    /// Name of the bridge. How far a topic was read is kept under it.
    #[schemars(extend("format" = "name"))]
    pub(crate) name: At<String>,
    /// The broker. RabbitMQ: `"amqp://USER@HOST:5672/VHOST"`; `%2f` is the vhost `/`. Kafka, 2.1 or later:
    /// `"kafka://HOST:9092,HOST2:9092"`, some of its brokers, of which the first that answers tells the others. Without
    /// TLS: where the way to the broker is not your own network, put a TLS tunnel between.
    #[serde(default)]
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) url: Option<At<String>>,
    /// File that holds the broker's URL, in place of `url`.
    #[serde(default)]
    pub(crate) url_file: Option<At<String>>,
    /// The broker's queue or topic. It has to be there.
    pub(crate) from: At<String>,
    /// The work queue that the messages come into. It is made when it is missing; what becomes of its messages is set over
    /// `PUT /homing/queues/NAME`.
    pub(crate) queue: At<String>,
    /// What makes a message one of a kind: `"message-id"` (RabbitMQ's property, built in there), `"offset"` (its place in
    /// the topic, built in for Kafka), `"record-key"` (the key of Kafka's record), `"header:NAME"`, or `"body:/POINTER"`
    /// into a JSON body. A message without it goes to the dead letters.
    #[serde(default)]
    pub(crate) key: Option<At<String>>,
    /// RabbitMQ: messages that the broker sends ahead of their acknowledgement. Default: 200.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) prefetch: Option<At<u16>>,
    /// Kafka: where a bridge begins that has never read its topic. `earliest`: at the oldest record that is kept.
    /// `latest`: with what comes from then on. Default: `earliest`.
    #[serde(default)]
    pub(crate) start: Option<At<StartFile>>,
}

/// Where a bridge begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartFile {
    Earliest,
    Latest,
}
