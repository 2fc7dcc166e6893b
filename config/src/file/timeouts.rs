//! The `[timeouts]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A timeout for each phase of a request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimeoutsFile {
    /// To connect to an endpoint, TLS included. Over it: the next endpoint, else 503 `site-unreachable`.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1m"))]
    pub(crate) connect: Period,
    /// For a client to send a whole request head, from its first byte. Over it: 408, closed.
    #[schemars(extend("x-min" = "10ms", "x-max" = "10m"))]
    pub(crate) head: Period,
    /// For a PROXY header, and for a TLS handshake with a client. Over it: closed.
    #[schemars(extend("x-min" = "10ms", "x-max" = "10m"))]
    pub(crate) handshake: Period,
    /// Between two pieces of a request body. Over it: 408, closed.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1h"))]
    pub(crate) body_idle: Period,
    /// In a site's queue. Over it: 503 `limit-exceeded`, `not_sent`.
    #[schemars(extend("x-min" = "0ms", "x-max" = "10m"))]
    pub(crate) queue: Period,
    /// For a site to begin its answer. Over it: 504. Longer than the longest poll of a worker.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1d"))]
    pub(crate) response_head: Period,
    /// Between two pieces of an answer, from the site or taken by the client. Over it: the answer is cut.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1d"))]
    pub(crate) response_idle: Period,
    /// For an idle client connection. Over it: closed.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1d"))]
    pub(crate) keepalive_downstream: Period,
    /// For a tunnel (websocket) through which nothing passes in either direction. Over it: closed.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1d"))]
    pub(crate) tunnel: Period,
    /// For an idle connection to an endpoint. Over it: closed. Shorter than the web server's own (20 s to 60 s), so
    /// that no request meets a closing connection.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1d"))]
    pub(crate) keepalive_upstream: Period,
    /// At shutdown, for running requests to end. Over it: they are cut.
    #[schemars(extend("x-change" = "restart", "x-min" = "0ms", "x-max" = "1d"))]
    pub(crate) drain: Period,
    /// For one health probe, connecting included. Over it: the probe has failed.
    #[schemars(extend("x-change" = "restart", "x-min" = "10ms", "x-max" = "10m"))]
    pub(crate) probe: Period,
    /// For one site to say whether it has an id. Over it: the site counts as not asked.
    #[schemars(extend("x-change" = "restart", "x-min" = "10ms", "x-max" = "10m"))]
    pub(crate) locate: Period,
    /// Longest that a transaction of an engine may run. A start whose outcome is unknown is looked for at its site only
    /// after this time, because before it "not there" is no answer.
    #[schemars(extend("x-change" = "restart", "x-min" = "100ms", "x-max" = "1h"))]
    pub(crate) transaction: Period,
    /// For each site to answer a read over all sites. Over it: the answer names the site as missing.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1h"))]
    pub(crate) gather: Period,
    /// For one operation of the store. Over it: the store counts as away.
    #[schemars(extend("x-change" = "restart", "x-min" = "10ms", "x-max" = "10m"))]
    pub(crate) store: Period,
}

impl Default for TimeoutsFile {
    fn default() -> Self {
        TimeoutsFile {
            connect: Period::seconds(2),
            head: Period::seconds(10),
            handshake: Period::seconds(10),
            body_idle: Period::seconds(30),
            queue: Period::seconds(5),
            response_head: Period::seconds(60),
            response_idle: Period::seconds(60),
            keepalive_downstream: Period::seconds(75),
            tunnel: Period::seconds(600),
            keepalive_upstream: Period::seconds(15),
            drain: Period::seconds(30),
            probe: Period::seconds(2),
            locate: Period::seconds(2),
            transaction: Period::seconds(300),
            gather: Period::seconds(10),
            store: Period::seconds(5),
        }
    }
}
