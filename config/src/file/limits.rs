//! The `[limits]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every limit of the data path.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsFile {
    /// Client connections open at a time on all data listeners. Over it: a new connection is closed at once.
    #[schemars(range(min = 1, max = 1000000))]
    pub(crate) connections: usize,
    /// Requests of one client in a second, and as many at once after a pause. A client is an IPv4 address or an IPv6
    /// network of 64 bits; behind a trusted proxy, the last address of its X-Forwarded-For. 0: no limit. Over it: 429
    /// `limit-exceeded` with Retry-After.
    #[schemars(range(min = 0, max = 1000000))]
    pub(crate) requests_per_second_per_client: u32,
    /// Bytes of a request head. Over it: 431.
    #[schemars(range(min = 1024, max = 1048576))]
    pub(crate) head_bytes: usize,
    /// Headers of a request. Over it: 431.
    #[schemars(range(min = 8, max = 1000))]
    pub(crate) headers: usize,
    /// Bytes of a request's path and query. Over it: 414.
    #[schemars(range(min = 256, max = 65536))]
    pub(crate) target_bytes: usize,
    /// Bytes that a request body must bring in a second, on average over the time that the router waits for it and
    /// after a first `timeouts.head`. Below it: 408, closed.
    #[schemars(range(min = 1, max = 1000000))]
    pub(crate) body_bytes_per_second: u32,
    /// Bytes of a request body that are held to find a key or business key in it. Over it: placed or routed without
    /// them, or 413 where the key is needed.
    #[schemars(range(min = 1024, max = 1073741824))]
    pub(crate) sniff_bytes: usize,
    /// Bytes of an answer that are held to learn ids from it. Over it: the rest passes unread; what is needed is
    /// located later.
    #[schemars(range(min = 1024, max = 1073741824))]
    pub(crate) answer_sniff_bytes: usize,
    /// Requests running at a site at a time. Below the 200 threads of an engine's web server, so that its probes still
    /// get through. Over it: the request waits in the site's queue.
    #[schemars(range(min = 1, max = 100000))]
    pub(crate) in_flight_per_site: usize,
    /// Requests that wait for a site. Over it: 503 `limit-exceeded`.
    #[schemars(range(min = 0, max = 1000000))]
    pub(crate) queue_per_site: usize,
    /// Idle connections kept to an endpoint, over all threads. Over it: the oldest is closed.
    #[schemars(range(min = 0, max = 100000), extend("x-change" = "restart"))]
    pub(crate) idle_per_endpoint: usize,
    /// Share of the last ten seconds' requests that may be sent a second time (only those that provably never reached a
    /// site). Over it: the failure is answered.
    #[schemars(range(min = 0, max = 1))]
    pub(crate) retries_budget: f64,
    /// Learned keys below an instance (tasks, executions, jobs) kept in memory. Over it: the least used is dropped, and
    /// located again when asked for.
    #[schemars(range(min = 1000, max = 1000000000), extend("x-change" = "restart"))]
    pub(crate) cache_entries: usize,
    /// Unknown ids remembered as absent. Over it: the least used is dropped.
    #[schemars(range(min = 0, max = 100000000), extend("x-change" = "restart"))]
    pub(crate) negative_cache_entries: usize,
    /// How long an id is remembered as absent after every site has said so.
    #[schemars(extend("x-change" = "restart", "x-min" = "0ms", "x-max" = "1m"))]
    pub(crate) negative_cache: Period,
    /// Sites that one request asks at the same time. Over it: the others are asked as answers come in.
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) fanout: usize,
    /// Bytes of answers that all reads over several sites hold at the same time while they are merged. Over it: 503
    /// `limit-exceeded`; a page or a narrower filter needs less.
    #[schemars(range(min = 1048576, max = 1_099_511_627_776_u64))]
    pub(crate) gather_bytes: usize,
    /// Ids looked for at all sites at the same time. Over it: 503 `limit-exceeded`.
    #[schemars(range(min = 1, max = 100000), extend("x-change" = "restart"))]
    pub(crate) locate_in_flight: usize,
    /// Bytes of the journal that the store has not yet taken. Over it: what needs a durable write answers 503 `store-
    /// unavailable`.
    #[schemars(range(min = 1048576, max = 1_125_899_906_842_624_u64), extend("x-change" = "restart"))]
    pub(crate) journal_bytes: u64,
    /// Bytes on disk of the newest acknowledged writes of each site with `mode = "replica"`, which tell what a failover has lost.
    /// Over it: the older half is dropped.
    #[schemars(range(min = 65536, max = 1_099_511_627_776_u64), extend("x-change" = "restart"))]
    pub(crate) tail_bytes: u64,
}

impl Default for LimitsFile {
    fn default() -> Self {
        LimitsFile {
            connections: 10_000,
            requests_per_second_per_client: 0,
            head_bytes: 32 * 1024,
            headers: 100,
            target_bytes: 8 * 1024,
            body_bytes_per_second: 240,
            sniff_bytes: 1024 * 1024,
            answer_sniff_bytes: 256 * 1024,
            in_flight_per_site: 150,
            queue_per_site: 500,
            idle_per_endpoint: 64,
            retries_budget: 0.2,
            cache_entries: 1_000_000,
            negative_cache_entries: 100_000,
            negative_cache: Period::seconds(2),
            fanout: 16,
            gather_bytes: 256 * 1024 * 1024,
            locate_in_flight: 64,
            journal_bytes: 1024 * 1024 * 1024,
            tail_bytes: 16 * 1024 * 1024,
        }
    }
}
