//! Settings of `[limits]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge. Relies on the bounds checked before.

use crate::file::limits::LimitsFile;
use std::time::Duration;

/// Every limit of the data path.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Client connections open at a time on all data listeners.
    pub connections: usize,
    /// Requests of one client in a second; 0 for no limit.
    pub requests_per_second_per_client: u32,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// Bytes of a request's path and query.
    pub target_bytes: usize,
    /// Bytes that a request body must bring in a second.
    pub body_bytes_per_second: u32,
    /// Bytes of a request body that are held to find a key or business key in it.
    pub sniff_bytes: usize,
    /// Bytes of an answer that are held to learn ids from it.
    pub answer_sniff_bytes: usize,
    /// Requests running at a site at a time.
    pub in_flight_per_site: usize,
    /// Requests that wait for a site.
    pub queue_per_site: usize,
    /// Idle connections kept to an endpoint, over all threads.
    pub idle_per_endpoint: usize,
    /// Share of the last ten seconds' requests that may be sent a second time (only those that provably never reached a site).
    pub retries_budget: f64,
    /// Learned keys below an instance (tasks, executions, jobs) kept in memory.
    pub cache_entries: usize,
    /// Unknown ids remembered as absent.
    pub negative_cache_entries: usize,
    /// How long an id is remembered as absent after every site has said so.
    pub negative_cache: Duration,
    /// Sites that one request asks at the same time.
    pub fanout: usize,
    /// Bytes of answers that all reads over several sites hold at the same time while they are merged.
    pub gather_bytes: usize,
    /// Ids looked for at all sites at the same time.
    pub locate_in_flight: usize,
    /// Bytes of the journal that the store has not yet taken.
    pub journal_bytes: u64,
    /// Bytes on disk of the newest acknowledged writes of each site whose standby has a replica.
    pub tail_bytes: u64,
}

impl From<&LimitsFile> for Limits {
    fn from(file: &LimitsFile) -> Self {
        Limits {
            connections: file.connections,
            requests_per_second_per_client: file.requests_per_second_per_client,
            head_bytes: file.head_bytes,
            headers: file.headers,
            target_bytes: file.target_bytes,
            body_bytes_per_second: file.body_bytes_per_second,
            sniff_bytes: file.sniff_bytes,
            answer_sniff_bytes: file.answer_sniff_bytes,
            in_flight_per_site: file.in_flight_per_site,
            queue_per_site: file.queue_per_site,
            idle_per_endpoint: file.idle_per_endpoint,
            retries_budget: file.retries_budget,
            cache_entries: file.cache_entries,
            negative_cache_entries: file.negative_cache_entries,
            negative_cache: file.negative_cache.0,
            fanout: file.fanout,
            gather_bytes: file.gather_bytes,
            locate_in_flight: file.locate_in_flight,
            journal_bytes: file.journal_bytes,
            tail_bytes: file.tail_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::from(&LimitsFile::default())
    }
}
