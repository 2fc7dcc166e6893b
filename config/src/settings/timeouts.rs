//! Settings of `[timeouts]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge. Relies on the bounds checked before.

use crate::file::timeouts::TimeoutsFile;
use std::time::Duration;

/// A timeout for each phase of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// To connect to an endpoint, TLS included.
    pub connect: Duration,
    /// For a client to send a whole request head, from its first byte.
    pub head: Duration,
    /// For a PROXY header, and for a TLS handshake with a client.
    pub handshake: Duration,
    /// Between two pieces of a request body.
    pub body_idle: Duration,
    /// In a site's queue.
    pub queue: Duration,
    /// For a site to begin its answer.
    pub response_head: Duration,
    /// Between two pieces of an answer.
    pub response_idle: Duration,
    /// For an idle client connection.
    pub keepalive_downstream: Duration,
    /// For a tunnel through which nothing passes.
    pub tunnel: Duration,
    /// For an idle connection to an endpoint.
    pub keepalive_upstream: Duration,
    /// At shutdown, for running requests to end.
    pub drain: Duration,
    /// For one health probe, connecting included.
    pub probe: Duration,
    /// For one site to say whether it has an id.
    pub locate: Duration,
    /// Longest that a transaction of an engine may run.
    pub transaction: Duration,
    /// For each site to answer a read over all sites.
    pub gather: Duration,
    /// For one operation of the store.
    pub store: Duration,
}

impl From<&TimeoutsFile> for Timeouts {
    fn from(file: &TimeoutsFile) -> Self {
        Timeouts {
            connect: file.connect.0,
            head: file.head.0,
            handshake: file.handshake.0,
            body_idle: file.body_idle.0,
            queue: file.queue.0,
            response_head: file.response_head.0,
            response_idle: file.response_idle.0,
            keepalive_downstream: file.keepalive_downstream.0,
            tunnel: file.tunnel.0,
            keepalive_upstream: file.keepalive_upstream.0,
            drain: file.drain.0,
            probe: file.probe.0,
            locate: file.locate.0,
            transaction: file.transaction.0,
            gather: file.gather.0,
            store: file.store.0,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts::from(&TimeoutsFile::default())
    }
}
