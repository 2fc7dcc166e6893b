//! How many requests one client may make.
//!
//! Owns the limit `requests_per_second_per_client`. Must not know what a request asks for.

use crate::clock;
use crate::forward::headers::{Origin, Trust};
use crate::problem::{Problem, Reason};
use crate::telemetry::metrics;
use arc_swap::ArcSwapOption;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, StatusCode};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Name of the limit.
const LIMIT: &str = "requests_per_second_per_client";
/// How often clients are forgotten that have been quiet.
const FORGET_EVERY_MS: u64 = 10_000;
/// Of an IPv6 address: what a provider gives to one customer.
const NETWORK_BITS: u32 = 64;

type Clients =
    RateLimiter<IpAddr, DashMapStateStore<IpAddr>, MonotonicClock, NoOpMiddleware<Instant>>;

/// All clients' rates.
#[derive(Default)]
pub struct Rates(ArcSwapOption<Limited>);

struct Limited {
    per_second: NonZeroU32,
    clients: Clients,
    forget_at_ms: AtomicU64,
}

impl Rates {
    /// So many requests in a second, 0 for no limit. Who has been counted stays counted when nothing changes.
    pub fn set(&self, per_second: u32) {
        let current = self.0.load();
        if current
            .as_ref()
            .map_or(0, |limited| limited.per_second.get())
            == per_second
        {
            return;
        }
        self.0.store(
            NonZeroU32::new(per_second).map(|per_second| Arc::new(Limited::new(per_second))),
        );
    }

    /// Counts a request, unless its client has made too many.
    pub(super) fn take(&self, origin: &Origin, headers: &HeaderMap) -> Result<(), Problem> {
        let limited = self.0.load();
        let Some(limited) = &*limited else {
            return Ok(());
        };
        limited.forget();
        let Err(wait) = limited.take(client(origin, headers)) else {
            return Ok(());
        };
        metrics::limit_hit(LIMIT);
        let detail = format!(
            "limit {LIMIT} reached: more than {} requests in a second",
            limited.per_second
        );
        Err(Problem::new(Reason::LimitExceeded, detail)
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .retry_after(wait)
            .proxy_error("http_request_denied"))
    }
}

impl Limited {
    fn new(per_second: NonZeroU32) -> Limited {
        Limited {
            per_second,
            clients: RateLimiter::new(
                Quota::per_second(per_second),
                DashMapStateStore::default(),
                MonotonicClock,
            ),
            forget_at_ms: AtomicU64::new(0),
        }
    }

    fn take(&self, client: IpAddr) -> Result<(), Duration> {
        self.clients
            .check_key(&client)
            .map_err(|refused| refused.wait_time_from(MonotonicClock.now()))
    }

    /// Memory holds the clients of the last seconds only.
    fn forget(&self) {
        let now = clock::monotonic_ms();
        let due = self.forget_at_ms.load(Ordering::Relaxed);
        let next = now + FORGET_EVERY_MS;
        if now >= due
            && self
                .forget_at_ms
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.clients.retain_recent();
            self.clients.shrink_to_fit();
        }
    }
}

/// Whose request it is.
fn client(origin: &Origin, headers: &HeaderMap) -> IpAddr {
    let named = match origin.trust {
        Trust::Trusted => headers
            .get_all("x-forwarded-for")
            .iter()
            .next_back()
            .and_then(|chain| chain.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()),
        Trust::Untrusted => None,
    };
    match named.unwrap_or(origin.peer).to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::MAX << (u128::BITS - NETWORK_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(peer: &str, trust: Trust) -> Origin {
        Origin::new(peer.parse().unwrap(), trust, "http")
    }

    #[test]
    fn a_client_over_its_rate_is_told_when_to_come_back_and_others_are_not_disturbed() {
        let (rates, headers) = (Rates::default(), HeaderMap::new());
        let (eager, calm) = (
            origin("192.0.2.1", Trust::Untrusted),
            origin("192.0.2.2", Trust::Untrusted),
        );
        for _ in 0..1_000 {
            assert!(rates.take(&eager, &headers).is_ok(), "no limit was set");
        }
        rates.set(5);
        let passed = (0..50)
            .filter(|_| rates.take(&eager, &headers).is_ok())
            .count();
        assert!((5..10).contains(&passed), "{passed}");
        rates.set(5);
        let refused = rates.take(&eager, &headers).unwrap_err();
        assert_eq!(refused.status(), 429);
        assert!(refused.retry_after.unwrap() <= Duration::from_millis(200));
        assert!(refused.detail.contains(LIMIT));
        assert!(rates.take(&calm, &headers).is_ok());
        rates.set(0);
        assert!(rates.take(&eager, &headers).is_ok());
    }

    #[test]
    fn a_client_is_who_a_trusted_proxy_says_or_its_network() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "198.51.100.1".parse().unwrap());
        headers.append(
            "x-forwarded-for",
            "203.0.113.9, 198.51.100.7".parse().unwrap(),
        );
        for (peer, trust, expected) in [
            ("192.0.2.1", Trust::Trusted, "198.51.100.7"),
            ("192.0.2.1", Trust::Untrusted, "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", Trust::Untrusted, "2001:db8:1:2::"),
            ("::ffff:192.0.2.1", Trust::Untrusted, "192.0.2.1"),
        ] {
            let client = client(&origin(peer, trust), &headers);
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer}");
        }
    }
}
