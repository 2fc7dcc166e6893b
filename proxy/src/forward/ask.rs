//! The router's own small GETs: a probe's question to one site, answered wholly in memory.
//!
//! Owns the shape of such a request (service account, Via, no client data). Must not show what it learns to a caller.

use super::body::{Body, ReadError};
use super::payload::Payload;
use super::send::{self, Outgoing, Repeat, Times};
use crate::dialect::Ask;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, VIA};
use http::response::Parts;
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

/// Asks one site one question that changes nothing, or that may be asked twice.
pub async fn ask(
    target: &Target,
    question: &Ask,
    via: &HeaderValue,
    times: Times,
) -> Result<(StatusCode, Bytes), Problem> {
    let content = question.body.as_ref().map(|body| Content {
        media_type: HeaderValue::from_static("application/json"),
        bytes: Bytes::from(body.to_string()),
    });
    let (method, path) = (question.method.clone(), question.path.as_str());
    let outgoing = request(target, method, path, content, via, Repeat::Safe)?;
    let (head, body) = whole(target, outgoing, times).await?;
    Ok((head.status, body))
}

/// Tells one site to change something, once.
pub async fn tell(
    target: &Target,
    order: &Ask,
    via: &HeaderValue,
    times: Times,
) -> Result<(Parts, Bytes), Problem> {
    let content = order.body.as_ref().map(|body| Content {
        media_type: HeaderValue::from_static("application/json"),
        bytes: Bytes::from(body.to_string()),
    });
    let (method, path) = (order.method.clone(), order.path.as_str());
    let outgoing = request(target, method, path, content, via, Repeat::Never)?;
    whole(target, outgoing, times).await
}

/// Asks one site by GET in the name of a caller, by whose own credentials, or by none if he has none.
pub async fn as_caller(
    target: &Target,
    question: &Ask,
    credentials: Option<&HeaderValue>,
    via: &HeaderValue,
    times: Times,
) -> Result<(Parts, Bytes), Problem> {
    let (method, path) = (question.method.clone(), question.path.as_str());
    let mut outgoing = request(target, method, path, None, via, Repeat::Safe)?;
    match credentials {
        Some(credentials) => outgoing.headers.insert(AUTHORIZATION, credentials.clone()),
        None => outgoing.headers.remove(AUTHORIZATION),
    };
    whole(target, outgoing, times).await
}

/// What a site said.
pub enum Told {
    /// All of it.
    Whole(StatusCode, Bytes),
    /// More than is read.
    TooLong,
}

/// Asks one site by GET for what may be longer than an answer can be here.
pub async fn told(
    target: &Target,
    path: &str,
    via: &HeaderValue,
    times: Times,
) -> Result<Told, Problem> {
    let outgoing = request(target, Method::GET, path, None, via, Repeat::Safe)?;
    match read(target, outgoing, ANSWER_BYTES_MAX, times).await? {
        (head, Ok(body)) => Ok(Told::Whole(head.status, body)),
        (_, Err(ReadError::TooLong(_))) => Ok(Told::TooLong),
        (_, Err(error @ ReadError::Broken(_))) => Err(broke_off(target, &error)),
    }
}

/// Asks one site for a content of at most `bytes_max`. A longer one is `None`.
pub async fn content(
    target: &Target,
    question: &Ask,
    bytes_max: usize,
    via: &HeaderValue,
    times: Times,
) -> Result<(StatusCode, Option<Bytes>), Problem> {
    let (method, path) = (question.method.clone(), question.path.as_str());
    let outgoing = request(target, method, path, None, via, Repeat::Safe)?;
    match read(target, outgoing, bytes_max, times).await? {
        (head, Ok(body)) => Ok((head.status, Some(body))),
        (head, Err(ReadError::TooLong(_))) => Ok((head.status, None)),
        (_, Err(error @ ReadError::Broken(_))) => Err(broke_off(target, &error)),
    }
}

/// What a request of the router's own carries.
pub struct Content {
    /// What it is.
    pub media_type: HeaderValue,
    /// The whole of it.
    pub bytes: Bytes,
}

/// Sends content to one site, once.
pub async fn post(
    target: &Target,
    path: &str,
    content: Content,
    via: &HeaderValue,
    times: Times,
) -> Result<(Parts, Bytes), Problem> {
    let content = Some(content);
    let outgoing = request(target, Method::POST, path, content, via, Repeat::Never)?;
    whole(target, outgoing, times).await
}

/// Path of the engine-rest API, below which own engines answer and beside which they have paths of their own.
const ENGINE_REST: &str = "/engine-rest";
/// Most bytes of an answer of an own engine: a whole instance may be in it.
const OWN_BYTES_MAX: usize = 160 * 1024 * 1024;

/// A path of an own engine's that is no operation of the API at this base path.
pub(super) fn beside(base: &str, path: &str) -> String {
    let root = base.strip_suffix(ENGINE_REST).unwrap_or(base);
    format!("{root}/homing{path}")
}

/// Asks the own engine of a site for a step that may be taken twice. `path`: below `/homing`, beside the engine's API.
pub async fn own(
    target: &Target,
    (method, path): (Method, &str),
    body: Option<Bytes>,
    via: &HeaderValue,
    times: Times,
) -> Result<(StatusCode, Bytes), Problem> {
    let content = body.map(|bytes| Content {
        media_type: HeaderValue::from_static("application/json"),
        bytes,
    });
    let mut outgoing = request(target, method, "", content, via, Repeat::Safe)?;
    outgoing.target = beside(&target.site.base_path, path)
        .parse()
        .map_err(|_| Problem::new(Reason::BadRequest, "the id cannot stand in a path"))?;
    let (head, body) = read(target, outgoing, OWN_BYTES_MAX, times).await?;
    let body = body.map_err(|error| broke_off(target, &error))?;
    Ok((head.status, body))
}

fn request(
    target: &Target,
    method: Method,
    path: &str,
    content: Option<Content>,
    via: &HeaderValue,
    repeat: Repeat,
) -> Result<Outgoing, Problem> {
    let site = &target.site;
    let full = format!("{}{path}", site.base_path);
    let full = if full.is_empty() {
        "/".to_owned()
    } else {
        full
    };
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
    if let Some(account) = &site.service_account {
        headers.insert(AUTHORIZATION, account.clone());
    }
    let payload = match content {
        Some(content) => {
            headers.insert(CONTENT_TYPE, content.media_type);
            Payload::from(content.bytes)
        }
        None => Payload::Empty,
    };
    Ok(Outgoing {
        method,
        target: uri,
        headers,
        payload,
        repeat,
    })
}

async fn whole(
    target: &Target,
    outgoing: Outgoing,
    times: Times,
) -> Result<(Parts, Bytes), Problem> {
    let changes = outgoing.repeat == Repeat::Never;
    let (head, body) = read(target, outgoing, ANSWER_BYTES_MAX, times).await?;
    let body = body.map_err(|error| {
        let problem = broke_off(target, &error);
        if changes {
            problem.maybe_sent()
        } else {
            problem
        }
    })?;
    Ok((head, body))
}

/// A head, and what could be read of the body.
type Read = (Parts, Result<Bytes, ReadError>);

async fn read(
    target: &Target,
    mut outgoing: Outgoing,
    bytes_max: usize,
    times: Times,
) -> Result<Read, Problem> {
    let (head, body) = send::exchange(target, &mut outgoing, times)
        .await?
        .into_parts();
    let body = match body {
        Body::Empty => Ok(Bytes::new()),
        Body::Whole(bytes) => Ok(bytes.unwrap_or_default()),
        Body::Owed(owed) => Ok(owed.into_bytes()),
        Body::Streaming(streaming) => streaming.read_whole(bytes_max).await,
    };
    Ok((head, body))
}

fn broke_off(target: &Target, error: &ReadError) -> Problem {
    let site = target.site.id;
    let why = crate::telemetry::chain(error);
    let detail = format!("site {site} broke off while answering the router: {why}");
    Problem::new(Reason::UpstreamBroke, detail).at(site)
}
