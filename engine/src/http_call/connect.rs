//! One request over a connection of its own.
//!
//! Owns sockets, TLS and the limit of an answer's body. Must not know what a call is for, and follows no redirect: who is
//! called stands in the configuration.

use crate::model::HttpCall;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whose certificates are trusted; nothing where no TLS is spoken.
#[derive(Clone, Debug)]
pub(super) struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    pub(super) fn of(call: &HttpCall) -> Result<Trust, String> {
        if !call.origin.starts_with("https:") {
            return Ok(Trust(None));
        }
        let builder = ClientConfig::builder();
        let verified = match &call.ca {
            None => builder.with_platform_verifier().map_err(text)?,
            Some(path) => {
                let unread = |e: rustls::pki_types::pem::Error| format!("{}: {e}", path.display());
                let mut roots = RootCertStore::empty();
                for one in CertificateDer::pem_file_iter(path).map_err(unread)? {
                    roots.add(one.map_err(unread)?).map_err(text)?;
                }
                if roots.is_empty() {
                    return Err(format!("{} holds no certificate", path.display()));
                }
                builder.with_root_certificates(roots)
            }
        };
        Ok(Trust(Some(Arc::new(verified.with_no_client_auth()))))
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(thiserror::Error, Debug)]
pub(super) enum Trouble {
    /// What was made of the configuration and variables is no URL.
    #[error("no URL")]
    Url,
    /// No connection.
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    /// No trust.
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    /// The connection broke, or what came is no HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// More than is taken.
    #[error("limit http_answer_bytes reached: the answer has more than {0} bytes")]
    Large(usize),
}

/// Sends a request; reads at most so many bytes of the answer's body.
pub(super) async fn send(
    trust: &Trust,
    request: Request<Bytes>,
    most: usize,
) -> Result<Raw, Trouble> {
    let (host, port) = address(request.uri()).ok_or(Trouble::Url)?;
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let stream = TcpStream::connect((bare.as_str(), port))
        .await
        .map_err(Trouble::Connect)?;
    // A request is written as a whole: nothing to wait for. Where that cannot be set, it is only slower.
    drop(stream.set_nodelay(true));
    match &trust.0 {
        None => exchange(stream, request, most).await,
        Some(config) => {
            let name = ServerName::try_from(bare).map_err(|_| Trouble::Url)?;
            let connector = TlsConnector::from(Arc::clone(config));
            let stream = connector.connect(name, stream).await;
            exchange(stream.map_err(Trouble::Tls)?, request, most).await
        }
    }
}

fn address(uri: &Uri) -> Option<(String, u16)> {
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    Some((uri.host()?.to_owned(), uri.port_u16().unwrap_or(usual)))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
    most: usize,
) -> Result<Raw, Trouble> {
    let (mut parts, body) = request.into_parts();
    if let Some(host) = parts.uri.authority().and_then(|a| a.as_str().parse().ok()) {
        parts.headers.insert(header::HOST, host);
    }
    let path = parts.uri.path_and_query().map(|path| path.as_str());
    parts.uri = path.unwrap_or("/").parse().map_err(|_| Trouble::Url)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the exchange, however that ends.
    let connection = tokio::spawn(connection);
    let request = Request::from_parts(parts, Full::new(body));
    let answer = async {
        let (head, mut body) = sender.send_request(request).await?.into_parts();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                if whole.len() + data.len() > most {
                    return Err(Trouble::Large(most));
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(Raw {
            status: head.status,
            headers: head.headers,
            body: whole.freeze(),
        })
    }
    .await;
    connection.abort();
    answer
}
