//! Headers at the hop: what is taken off, what is put on, both ways.
//!
//! Owns hop-by-hop rules (RFC 9110 7.6.1), Via and the loop guard, X-Forwarded-*, trace context. Must not route.

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue, Version};
use std::net::IpAddr;

/// `Homing-Site`.
pub static HOMING_SITE: HeaderName = HeaderName::from_static("homing-site");
/// `Homing-Installation`.
pub static HOMING_INSTALLATION: HeaderName = HeaderName::from_static("homing-installation");
/// `Homing-Standby-Lag`: seconds by which the standby that answered may be behind.
pub static HOMING_STANDBY_LAG: HeaderName = HeaderName::from_static("homing-standby-lag");
/// `Homing-Reads`: whether a trusted peer wants a standby's answer.
pub static HOMING_READS: HeaderName = HeaderName::from_static("homing-reads");
/// `Homing-Stale`: the place that serves is down.
pub static HOMING_STALE: HeaderName = HeaderName::from_static("homing-stale");
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
    let present = Present::among(headers);
    if present.any(Present::HOP) {
        strip(headers, present);
    }
}

fn strip(headers: &mut HeaderMap, present: Present) {
    if present.any(Present::CONNECTION) {
        let nominated: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            // No header is called so, or it is taken off below.
            .filter(|name| !matches!(*name, "close" | "keep-alive"))
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
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
    if present.any(Present::KEEP_ALIVE) {
        headers.remove(&KEEP_ALIVE);
    }
    if present.any(Present::TRANSFER_ENCODING) {
        headers.remove(TRANSFER_ENCODING);
    }
    if present.any(Present::TE | Present::RARE) {
        headers.remove(TE);
        headers.remove(&PROXY_CONNECTION);
        headers.remove(UPGRADE);
        headers.remove(PROXY_AUTHENTICATE);
        headers.remove(PROXY_AUTHORIZATION);
    }
}

/// Which of the headers that matter here are there. One look over the names costs less than a look-up for each, and
/// most messages have few.
#[derive(Clone, Copy)]
struct Present(u8);

impl Present {
    const CONNECTION: u8 = 1;
    const KEEP_ALIVE: u8 = 2;
    const TRANSFER_ENCODING: u8 = 4;
    const TE: u8 = 8;
    /// The other ones of one hop.
    const RARE: u8 = 16;
    const HOP: u8 = 31;
    const EXPECT: u8 = 32;
    /// Our own, which nobody else may send.
    const OWN: u8 = 64;
    /// What proxies say about a client, `X-Forwarded-For` apart.
    const FORWARDED: u8 = 128;

    fn among(headers: &HeaderMap) -> Present {
        let names = headers.keys();
        Present(names.fold(0, |found, name| found | Present::sort(name.as_str())))
    }

    fn sort(name: &str) -> u8 {
        match name {
            "connection" => Present::CONNECTION,
            "keep-alive" => Present::KEEP_ALIVE,
            "transfer-encoding" => Present::TRANSFER_ENCODING,
            "te" => Present::TE,
            "proxy-connection" | "upgrade" | "proxy-authenticate" | "proxy-authorization" => {
                Present::RARE
            }
            "expect" => Present::EXPECT,
            "forwarded" | "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port"
            | "x-forwarded-prefix" => Present::FORWARDED,
            own if own.starts_with("homing-") => Present::OWN,
            _ => 0,
        }
    }

    fn any(self, of: u8) -> bool {
        self.0 & of != 0
    }
}

/// Where a request came from, as the listener knows it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The peer's address.
    pub peer: IpAddr,
    /// The same as text, written once for all requests of a connection.
    pub name: HeaderValue,
    /// Whether its word is believed.
    pub trust: Trust,
    /// `http` or `https`.
    pub scheme: &'static str,
}

impl Origin {
    /// A peer, and what is thought of it.
    pub fn new(peer: IpAddr, trust: Trust, scheme: &'static str) -> Origin {
        let name = HeaderValue::try_from(peer.to_string());
        Origin {
            peer,
            name: name.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            trust,
            scheme,
        }
    }
}

/// How many headers are added at most on the way to a site.
const ADDED: usize = 8;

/// Prepares a request's headers for the site.
pub fn towards_site(
    headers: &mut HeaderMap,
    origin: &Origin,
    via: &HeaderValue,
    request_id: &HeaderValue,
    trace: &HeaderValue,
) {
    headers.reserve(ADDED);
    let mut present = Present::among(headers);
    let takes_trailers = present.any(Present::TE)
        && headers
            .get_all(TE)
            .iter()
            .filter_map(|te| te.to_str().ok())
            .any(|te| {
                te.split(',')
                    .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
            });
    if present.any(Present::HOP) {
        strip(headers, present);
        // Some of the others may have been nominated.
        present = Present::among(headers);
    }
    if present.any(Present::EXPECT) {
        // The listener has answered it; the site would answer a second time.
        headers.remove(EXPECT);
    }
    if takes_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if present.any(Present::OWN) {
        let own: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("homing-"))
            .cloned()
            .collect();
        for name in own {
            headers.remove(name);
        }
    }
    forwarded(headers, origin, present);
    headers.append(VIA, via.clone());
    headers.insert(&X_REQUEST_ID, request_id.clone());
    if !headers.contains_key(&TRACEPARENT) {
        headers.insert(&TRACEPARENT, trace.clone());
    }
}

fn forwarded(headers: &mut HeaderMap, origin: &Origin, mut present: Present) {
    let chain = match origin.trust {
        Trust::Trusted => chain(headers, origin),
        Trust::Untrusted => {
            if present.any(Present::FORWARDED) {
                for name in [
                    &FORWARDED,
                    &X_FORWARDED_PROTO,
                    &X_FORWARDED_HOST,
                    &X_FORWARDED_PORT,
                    &X_FORWARDED_PREFIX,
                ] {
                    headers.remove(name);
                }
                present = Present(0);
            }
            origin.name.clone()
        }
    };
    headers.insert(&X_FORWARDED_FOR, chain);
    let told = |headers: &HeaderMap, name: &HeaderName| {
        present.any(Present::FORWARDED) && headers.contains_key(name)
    };
    if !told(headers, &X_FORWARDED_PROTO) {
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
    }
    if !told(headers, &X_FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(&X_FORWARDED_HOST, host);
    }
}

/// What a trusted peer says about those before it, and itself.
fn chain(headers: &HeaderMap, origin: &Origin) -> HeaderValue {
    let mut chain: Vec<&str> = headers
        .get_all(&X_FORWARDED_FOR)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect();
    chain.extend(origin.name.to_str());
    HeaderValue::try_from(chain.join(", ")).unwrap_or_else(|_| origin.name.clone())
}

/// Whether the sender of these ends its connection after this message (RFC 9112 9.3).
pub fn closes(version: Version, headers: &HeaderMap) -> bool {
    let says = |word: &str| {
        headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .any(|token| token.trim().eq_ignore_ascii_case(word))
            })
    };
    says("close") || (version == Version::HTTP_10 && !says("keep-alive"))
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
        let origin = Origin::new("192.0.2.7".parse().unwrap(), trust, "http");
        let value = HeaderValue::from_static("1.1 r1");
        towards_site(
            &mut headers,
            &origin,
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
    fn each_name_of_one_hop_is_taken_off_alone_and_among_others() {
        let names = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
            "proxy-authenticate",
            "proxy-authorization",
        ];
        let mut all = HeaderMap::new();
        for name in names {
            let mut one = HeaderMap::new();
            one.append(name, HeaderValue::from_static("keep-alive"));
            one.append("x-kept", HeaderValue::from_static("1"));
            all.extend(one.clone());
            strip_hop_by_hop(&mut one);
            assert_eq!(one.len(), 1, "{name}");
        }
        strip_hop_by_hop(&mut all);
        assert_eq!(all.keys_len(), 1);
    }

    #[test]
    fn what_an_untrusted_client_says_about_itself_is_taken_off() {
        for name in [
            "forwarded",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-host",
            "homing-missing-sites",
            "expect",
        ] {
            let sent = sent(&[("x-kept", "1"), (name, "2")], Trust::Untrusted);
            assert!(
                !sent.contains_key(name) && sent.contains_key("x-kept"),
                "{name}"
            );
        }
    }

    #[test]
    fn what_connection_nominates_is_made_anew() {
        let lines = &[
            ("connection", "x-forwarded-proto, x-forwarded-for"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "203.0.113.9"),
            ("expect", "100-continue"),
        ];
        for trust in [Trust::Trusted, Trust::Untrusted] {
            let sent = sent(lines, trust);
            assert_eq!(sent["x-forwarded-proto"], "http");
            assert_eq!(sent["x-forwarded-for"], "192.0.2.7");
            assert!(!sent.contains_key("expect"));
        }
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
