//! The `[[engine.bridge]]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A bridge from a queue of RabbitMQ to a work queue of the engine. A message is acknowledged to the broker after the
/// engine's commit; one whose key is known already has no further effect.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BridgeFile {
    /// Name of the bridge.
    #[schemars(extend("format" = "name"))]
    pub(crate) name: At<String>,
    /// The broker: `"amqp://USER@HOST:5672/VHOST"`; `%2f` is the vhost `/`. Without TLS: where the way to the broker is not
    /// your own network, put a TLS tunnel between.
    #[serde(default)]
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) url: Option<At<String>>,
    /// File that holds the broker's URL, in place of `url`.
    #[serde(default)]
    pub(crate) url_file: Option<At<String>>,
    /// The broker's queue. It has to be there.
    pub(crate) from: At<String>,
    /// The work queue that the messages come into. It is made when it is missing; what becomes of its messages is set over
    /// `PUT /homing/queues/NAME`.
    pub(crate) queue: At<String>,
    /// What makes a message one of a kind: `"message-id"` (the property), `"header:NAME"`, or `"body:/POINTER"` into a
    /// JSON body. A message without it goes to the dead letters.
    #[serde(default = "key")]
    pub(crate) key: At<String>,
    /// Messages that the broker sends ahead of their acknowledgement.
    #[serde(default = "prefetch")]
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) prefetch: u16,
}

fn key() -> At<String> {
    "message-id".into()
}

fn prefetch() -> u16 {
    200
}
