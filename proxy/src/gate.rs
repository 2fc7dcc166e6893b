//! The gate: what is not unambiguous HTTP goes no further.
//!
//! Owns the checks on a request's head before classification. Must not route. Relies on hyper having refused malformed
//! framing already.

use crate::forward::headers;
use crate::problem::{Problem, Reason};
use http::header::HOST;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

/// Limits of the gate.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of the request target.
    pub target_bytes: usize,
}

/// Admits a request's head or says what is wrong with it.
pub fn admit(
    method: &Method,
    uri: &Uri,
    version: Version,
    head: &HeaderMap,
    router: &str,
    limits: Limits,
) -> Result<(), Problem> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(bad(format!("method {method} is not served here"))
            .with_status(StatusCode::METHOD_NOT_ALLOWED));
    }
    host(uri, version, head)?;
    target(uri, limits)?;
    if headers::passed_here(head, router) {
        return Err(Problem::new(Reason::Loop, format!("the request has passed router {router} before (Via); a site's endpoint points back at the router")).proxy_error("proxy_loop_detected"));
    }
    Ok(())
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(Reason::BadRequest, detail).proxy_error("http_request_error")
}

fn host(uri: &Uri, version: Version, head: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = head.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("more than one Host header"));
    }
    if host.is_none() && version == Version::HTTP_11 {
        return Err(bad("no Host header"));
    }
    if let (Some(authority), Some(host)) = (uri.authority(), host)
        && !host
            .as_bytes()
            .eq_ignore_ascii_case(authority.as_str().as_bytes())
    {
        return Err(bad("Host and the target's authority differ"));
    }
    Ok(())
}

fn target(uri: &Uri, limits: Limits) -> Result<(), Problem> {
    let path = uri.path();
    let length = path.len() + uri.query().map_or(0, |query| query.len() + 1);
    if length > limits.target_bytes {
        crate::telemetry::metrics::limit_hit("target_bytes");
        let detail = format!(
            "limit target_bytes reached: the target has {length} bytes, at most {} are taken",
            limits.target_bytes
        );
        return Err(
            Problem::new(Reason::LimitExceeded, detail).with_status(StatusCode::URI_TOO_LONG)
        );
    }
    if !path.starts_with('/') {
        return Err(bad("the target is not a path"));
    }
    let dots = path.split('/').any(|segment| {
        // A path parameter does not make a dot segment another one.
        let name = segment.split(';').next().unwrap_or_default();
        is_dots(name)
    });
    if dots {
        return Err(bad(
            "the path has a dot segment, which sites read differently",
        ));
    }
    let encoded = path
        .as_bytes()
        .windows(3)
        .any(|escape| escape[0] == b'%' && escape[1] == b'0' && escape[2] == b'0');
    if encoded {
        return Err(bad("the path has an encoded NUL"));
    }
    Ok(())
}

/// `.`, `..`, and their percent-encoded forms.
fn is_dots(segment: &str) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    while !rest.is_empty() {
        let Some(after) = rest
            .strip_prefix('.')
            .or_else(|| rest.strip_prefix("%2e"))
            .or_else(|| rest.strip_prefix("%2E"))
        else {
            return false;
        };
        rest = after;
        dots += 1;
    }
    matches!(dots, 1 | 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(uri: &str, hosts: &[&'static str]) -> Result<(), Problem> {
        let mut head = HeaderMap::new();
        for host in hosts {
            head.append(HOST, HeaderValue::from_static(host));
        }
        admit(
            &Method::GET,
            &uri.parse().unwrap(),
            Version::HTTP_11,
            &head,
            "r1",
            Limits { target_bytes: 100 },
        )
    }

    #[test]
    fn one_host_is_needed_and_it_must_fit_the_target() {
        assert!(asked("/a", &["h"]).is_ok());
        assert!(asked("/a", &[]).is_err());
        assert!(asked("/a", &["h", "h"]).is_err());
        assert!(asked("http://h/a", &["h"]).is_ok());
        assert!(asked("http://i/a", &["h"]).is_err());
    }

    #[test]
    fn dot_segments_in_any_dress_are_refused() {
        for path in [
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/.%2e;x=1/b",
            "/a/..;/b",
            "/./a",
            "/a/..",
        ] {
            assert!(asked(path, &["h"]).is_err(), "{path}");
        }
        for path in ["/a/...", "/a/.b", "/a/b..c", "/a;x=../b"] {
            assert!(asked(path, &["h"]).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_long_target_is_414() {
        let problem = asked(&format!("/{}", "a".repeat(100)), &["h"]).unwrap_err();
        assert_eq!(problem.status(), StatusCode::URI_TOO_LONG);
    }
}
