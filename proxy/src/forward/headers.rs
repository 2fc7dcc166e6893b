//! Headers at the hop: what is taken off, what is put on, both ways.
//!
//! Owns hop-by-hop rules (RFC 9110 7.6.1), Via and the loop guard, X-Forwarded-*, trace context. Must not route.

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue};
use std::net::IpAddr;

/// `Homing-Site`.
pub static HOMING_SITE: HeaderName = HeaderName::from_static("homing-site");
/// `Homing-Installation`.
pub static HOMING_INSTALLATION: HeaderName = HeaderName::from_static("homing-installation");
/// `Homing-Missing-Sites`.
pub static HOMING_MISSING_SITES: HeaderName = HeaderName::from_static("homing-missing-sites");
/// `Homing-Kept-Sites`: sites that keep what was done there though another site refused.
pub static HOMING_KEPT_SITES: HeaderName = HeaderName::from_static("homing-kept-sites");
/// `X-Request-Id`.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `Proxy-Status` (RFC 9209).
pub static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// W3C trace context.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
static FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Whether the peer's forwarding headers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Listed in `trusted_proxies`.
    Trusted,
    /// Anybody else.
    Untrusted,
}

/// Whether this router's name already stands in `Via`: the request came back.
pub fn passed_here(headers: &HeaderMap, router: &str) -> bool {
    headers
        .get_all(VIA)
        .iter()
        .filter_map(|via| via.to_str().ok())
        .flat_map(|via| via.split(','))
        .any(|hop| {
            let mut words = hop.split_whitespace();
            words.next().is_some() && words.next() == Some(router)
        })
}

/// Takes off everything that concerns only one hop.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let nominated: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .collect();
        for name in nominated {
            // A client must not be able to strip what the site relies on.
            if name != HOST
                && name != http::header::AUTHORIZATION
                && name != http::header::CONTENT_LENGTH
            {
                headers.remove(name);
            }
        }
        headers.remove(CONNECTION);
    }
    for name in [
        &KEEP_ALIVE,
        &PROXY_CONNECTION,
        &TE,
        &TRANSFER_ENCODING,
        &UPGRADE,
    ] {
        headers.remove(name);
    }
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove(PROXY_AUTHORIZATION);
}

/// Where a request came from, as the listener knows it.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The peer's address.
    pub peer: IpAddr,
    /// Whether its word is believed.
    pub trust: Trust,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// Prepares a request's headers for the site.
pub fn towards_site(
    headers: &mut HeaderMap,
    origin: Origin,
    via: &HeaderValue,
    request_id: &HeaderValue,
    trace: &HeaderValue,
) {
    let takes_trailers = headers
        .get_all(TE)
        .iter()
        .filter_map(|te| te.to_str().ok())
        .any(|te| {
            te.split(',')
                .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
        });
    strip_hop_by_hop(headers);
    // The listener has answered it; the site would answer a second time.
    headers.remove(EXPECT);
    if takes_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("homing-"))
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
    forwarded(headers, origin);
    headers.append(VIA, via.clone());
    headers.insert(&X_REQUEST_ID, request_id.clone());
    if !headers.contains_key(&TRACEPARENT) {
        headers.insert(&TRACEPARENT, trace.clone());
    }
}

fn forwarded(headers: &mut HeaderMap, origin: Origin) {
    let peer = origin.peer.to_string();
    let chain = match origin.trust {
        Trust::Trusted => {
            let before: Vec<&str> = headers
                .get_all(&X_FORWARDED_FOR)
                .iter()
                .filter_map(|v| v.to_str().ok())
                .collect();
            if before.is_empty() {
                peer
            } else {
                format!("{}, {peer}", before.join(", "))
            }
        }
        Trust::Untrusted => {
            for name in [
                &FORWARDED,
                &X_FORWARDED_PROTO,
                &X_FORWARDED_HOST,
                &X_FORWARDED_PORT,
                &X_FORWARDED_PREFIX,
            ] {
                headers.remove(name);
            }
            peer
        }
    };
    if let Ok(chain) = HeaderValue::try_from(chain) {
        headers.insert(&X_FORWARDED_FOR, chain);
    }
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
    }
    if !headers.contains_key(&X_FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(&X_FORWARDED_HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn sent(lines: &[(&'static str, &'static str)], trust: Trust) -> HeaderMap {
        let mut headers = headers(lines);
        let origin = Origin {
            peer: "192.0.2.7".parse().unwrap(),
            trust,
            scheme: "http",
        };
        let value = HeaderValue::from_static("1.1 r1");
        towards_site(
            &mut headers,
            origin,
            &value,
            &HeaderValue::from_static("id"),
            &HeaderValue::from_static("t"),
        );
        headers
    }

    #[test]
    fn nominated_and_hop_by_hop_headers_stop_here() {
        let sent = sent(
            &[
                ("connection", "x-secret, close"),
                ("x-secret", "1"),
                ("te", "gzip"),
                ("keep-alive", "5"),
            ],
            Trust::Untrusted,
        );
        for name in ["connection", "x-secret", "te", "keep-alive"] {
            assert!(!sent.contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_client_cannot_strip_authorization_or_host() {
        let sent = sent(
            &[
                ("connection", "authorization, host"),
                ("authorization", "Basic x"),
                ("host", "h"),
            ],
            Trust::Untrusted,
        );
        assert!(sent.contains_key("authorization") && sent.contains_key("host"));
    }

    #[test]
    fn only_trusted_peers_extend_the_chain() {
        let lines = &[
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("homing-site", "a"),
        ];
        let trusted = sent(lines, Trust::Trusted);
        assert_eq!(trusted["x-forwarded-for"], "203.0.113.9, 192.0.2.7");
        assert_eq!(trusted["x-forwarded-proto"], "https");
        let untrusted = sent(lines, Trust::Untrusted);
        assert_eq!(untrusted["x-forwarded-for"], "192.0.2.7");
        assert_eq!(untrusted["x-forwarded-proto"], "http");
        assert!(!untrusted.contains_key("homing-site") && !trusted.contains_key("homing-site"));
    }

    #[test]
    fn a_request_that_came_back_is_seen() {
        assert!(passed_here(&headers(&[("via", "1.0 x, 1.1 r1")]), "r1"));
        assert!(passed_here(
            &headers(&[("via", "1.1 x"), ("via", "1.1 r1 (homing)")]),
            "r1"
        ));
        assert!(!passed_here(&headers(&[("via", "1.1 r10")]), "r1"));
    }
}
