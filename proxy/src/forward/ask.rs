//! The router's own small GETs: a probe's question to one site, answered wholly in memory.
//!
//! Owns the shape of such a request (service account, Via, no client data). Must not show what it learns to a caller.

use super::body::Body;
use super::payload::Payload;
use super::send::{self, Outgoing, Repeat, Times};
use crate::dialect::Ask;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, VIA};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

/// Most bytes of an answer to the router's own question.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks one site by GET. `path`: below the site's base path.
pub async fn get(
    target: &Target,
    path: &str,
    via: &HeaderValue,
    times: Times,
) -> Result<(StatusCode, Bytes), Problem> {
    ask(
        target,
        &Ask {
            method: Method::GET,
            path: path.to_owned(),
            body: None,
        },
        via,
        times,
    )
    .await
}

/// Asks one site one question that changes nothing.
pub async fn ask(
    target: &Target,
    question: &Ask,
    via: &HeaderValue,
    times: Times,
) -> Result<(StatusCode, Bytes), Problem> {
    let payload = match &question.body {
        Some(body) => Payload::from(Bytes::from(body.to_string())),
        None => Payload::Empty,
    };
    let (method, path) = (question.method.clone(), &question.path);
    let site = &target.site;
    let full = format!("{}{path}", site.base_path);
    let uri: Uri = full
        .parse()
        .map_err(|_| Problem::new(Reason::BadRequest, "the id cannot stand in a path"))?;
    let mut headers = HeaderMap::with_capacity(6);
    let endpoint = &target.installation().endpoints[0];
    if let Ok(host) = HeaderValue::try_from(format!("{}:{}", endpoint.host, endpoint.port)) {
        headers.insert(HOST, host);
    }
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(VIA, via.clone());
    if question.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(account) = &site.service_account {
        headers.insert(AUTHORIZATION, account.clone());
    }
    let outgoing = Outgoing {
        method,
        target: uri,
        headers,
        payload,
        repeat: Repeat::Safe,
    };
    let answer = send::exchange(target, outgoing, times).await?;
    let status = answer.status();
    let body = match answer.into_body() {
        Body::Empty => Bytes::new(),
        Body::Whole(bytes) => bytes.unwrap_or_default(),
        Body::Owed(owed) => owed.into_bytes(),
        Body::Streaming(streaming) => {
            streaming
                .read_whole(ANSWER_BYTES_MAX)
                .await
                .map_err(|error| {
                    let detail = format!(
                        "site {} broke off while answering the router: {}",
                        site.id,
                        crate::telemetry::chain(&error)
                    );
                    Problem::new(Reason::UpstreamBroke, detail).at(site.id)
                })?
        }
    };
    Ok((status, body))
}
