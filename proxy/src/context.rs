//! What is known about one request while it passes: for its log line, its metrics and the headers of its answer.
//!
//! Owns ids and timings. Must not influence where the request goes.

use crate::clock;
use crate::dialect::Operation;
use crate::forward::headers::{Origin, TRACEPARENT, Trust, X_REQUEST_ID};
use crate::problem::Reason;
use crate::resolve::RouteSource;
use homing_mapping_store::{Kind, SiteId};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One request on its way.
pub struct Context {
    /// Where it came from.
    pub origin: Origin,
    /// Method as asked.
    pub method: Method,
    /// Target as asked.
    pub uri: Uri,
    /// `Host` as asked.
    pub host: Option<HeaderValue>,
    /// `X-Request-Id`: the trusted peer's, else ours.
    pub request_id: HeaderValue,
    /// `traceparent` for the site.
    pub trace: HeaderValue,
    /// When its head had arrived.
    pub began: Instant,
    /// Time spent waiting for sites.
    pub site_time: Duration,
    /// Operation of the dialect.
    pub operation: Option<Arc<Operation>>,
    /// Class in the log and metrics.
    pub class: &'static str,
    /// Kind of its key.
    pub key_kind: Option<Kind>,
    /// Why it went where it went.
    pub source: Option<RouteSource>,
    /// Where it went.
    pub site: Option<SiteId>,
    /// Which installation served it, where the site has several.
    pub installation: Option<HeaderValue>,
    /// Why the router answered itself.
    pub reason: Option<Reason>,
}

/// Longest request id that is taken over from a peer.
const REQUEST_ID_BYTES_MAX: usize = 128;

impl Context {
    /// A request whose head has just arrived.
    pub fn begin(origin: Origin, method: Method, uri: Uri, headers: &HeaderMap) -> Context {
        let taken = headers
            .get(&X_REQUEST_ID)
            .filter(|id| origin.trust == Trust::Trusted && id.len() <= REQUEST_ID_BYTES_MAX);
        let request_id = taken.cloned().unwrap_or_else(new_id);
        let trace = headers
            .get(&TRACEPARENT)
            .filter(|trace| is_traceparent(trace))
            .cloned();
        Context {
            origin,
            method,
            host: headers.get(HOST).cloned(),
            uri,
            request_id,
            trace: trace.unwrap_or_else(new_trace),
            began: clock::now(),
            site_time: Duration::ZERO,
            operation: None,
            class: "none",
            key_kind: None,
            source: None,
            site: None,
            installation: None,
            reason: None,
        }
    }

    /// The trace id out of `traceparent`.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace.to_str().ok()?.get(3..35)
    }
}

/// `version-traceid-parentid-flags` (W3C Trace Context).
fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.len() >= 55
        && bytes
            .iter()
            .take(55)
            .enumerate()
            .all(|(at, byte)| match at {
                2 | 35 | 52 => *byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            })
}

fn new_trace() -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    for at in [3, 19, 36] {
        text[at..at + 16].copy_from_slice(&hex(random()));
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| {
        HeaderValue::from_static("00-00000000000000000000000000000001-0000000000000001-00")
    })
}

fn new_id() -> HeaderValue {
    HeaderValue::from_bytes(&hex(random())).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// Sixteen digits. Every request needs four such numbers, so no formatter is asked.
fn hex(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (byte, pair) in number
        .to_be_bytes()
        .into_iter()
        .zip(text.chunks_exact_mut(2))
    {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
}

/// A random number (splitmix64, seeded by the system for each thread): for ids and weights, never for secrets.
pub fn random() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        let mut z = next;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// The host that the client means, without port and without the dot that may end a whole name (RFC 3986, section 3.2.2);
/// HTTP/2 and absolute targets name it in the target.
pub fn host<'r>(uri: &'r Uri, header: Option<&'r HeaderValue>) -> Option<&'r str> {
    let told = || header?.to_str().ok();
    let host = uri.host().or_else(told)?;
    let name = match host.rsplit_once(':') {
        // An IPv6 address ends with its bracket.
        Some((name, port)) if !port.ends_with(']') => name,
        Some(_) | None => host,
    };
    Some(name.strip_suffix('.').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_without_port_and_last_dot() {
        for (header, target, expected) in [
            ("shop.example", "/orders", "shop.example"),
            ("shop.example.", "/orders", "shop.example"),
            ("shop.example.:8080", "/orders", "shop.example"),
            ("[::1]", "/orders", "[::1]"),
            ("[::1]:8080", "/orders", "[::1]"),
            (
                "other.example",
                "http://shop.example.:8080/orders",
                "shop.example",
            ),
        ] {
            let header = HeaderValue::from_static(header);
            let uri = Uri::from_static(target);
            assert_eq!(host(&uri, Some(&header)), Some(expected), "{header:?}");
        }
        assert_eq!(host(&Uri::from_static("/orders"), None), None);
    }
}
