//! The gate: what is not unambiguous HTTP goes no further.
//!
//! Owns the rules for a request's head and framing, on raw bytes for HTTP/1.x (`head`, `chunked`) and on the parsed
//! head for HTTP/2 (`admit`). Must not route. Relies on the listener's tap having shown it every HTTP/1.x head before
//! the parser did.

pub mod chunked;
mod field;
pub mod head;
pub mod host;
mod refused;
pub mod rule;
pub mod target;

pub use head::Limits;
pub use refused::{mark, problem};

use crate::forward::headers;
use crate::problem::{Problem, Reason};
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Uri, Version};
use rule::Rule;

/// Admits a request's head or says what is wrong with it.
pub fn admit(
    method: &Method,
    uri: &Uri,
    version: Version,
    head: &HeaderMap,
    router: &str,
    limits: Limits,
) -> Result<(), Problem> {
    if let Some(rule) = refused::marked(method, uri) {
        return Err(problem(rule));
    }
    if version == Version::HTTP_2 {
        stream(method, uri, head, limits).map_err(problem)?;
    }
    if headers::passed_here(head, router) {
        return Err(Problem::new(Reason::Loop, format!("the request has passed router {router} before (Via); a site's endpoint points back at the router")).proxy_error("proxy_loop_detected"));
    }
    Ok(())
}

static CONNECTION_HEADERS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The rules of an HTTP/2 request: it becomes an HTTP/1.1 request, so it must be fit to be one.
fn stream(method: &Method, uri: &Uri, head: &HeaderMap, limits: Limits) -> Result<(), Rule> {
    head::inspect_method(method.as_str().as_bytes())?;
    let target = uri
        .path_and_query()
        .ok_or(Rule::TargetForm)?
        .as_str()
        .as_bytes();
    if target.len() > limits.target_bytes {
        return Err(Rule::TargetBytes);
    }
    if target.first() != Some(&b'/') {
        return Err(Rule::TargetForm);
    }
    target::path_and_query(target)?;
    if head.len() > limits.headers {
        return Err(Rule::Headers);
    }
    if CONNECTION_HEADERS
        .iter()
        .any(|name| head.contains_key(name))
        || head.get_all(TE).iter().any(|te| te != "trailers")
    {
        return Err(Rule::ConnectionHeader);
    }
    if head
        .keys()
        .any(|name| field::is_guarded_lookalike(name.as_str()))
    {
        return Err(Rule::HeaderLookalike);
    }
    let mut hosts = head.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Rule::HostDouble);
    }
    match (uri.authority(), host) {
        (None, None) => Err(Rule::HostMissing),
        (Some(authority), None) => host::inspect(authority.as_str().as_bytes()),
        (None, Some(host)) => host::inspect(host.as_bytes()),
        (Some(authority), Some(host)) => {
            host::inspect(host.as_bytes())?;
            let same = host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes());
            if same { Ok(()) } else { Err(Rule::HostDiffers) }
        }
    }
}

#[cfg(test)]
mod tests;
