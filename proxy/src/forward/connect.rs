//! A new connection to an endpoint.
//!
//! Owns dialling, TLS and the HTTP/1.1 handshake. Must not send requests.

use super::dial;
use super::payload::Payload;
use super::pool::Connection;
use crate::topology::Endpoint;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused, unreachable or not resolvable.
    #[error("cannot connect to {host}:{port}")]
    Connect {
        host: String,
        port: u16,
        #[source]
        source: std::io::Error,
    },
    /// Not within the time for connecting.
    #[error("{host}:{port} did not accept a connection within {within:?}")]
    Timeout {
        host: String,
        port: u16,
        within: Duration,
    },
    /// The TLS handshake failed.
    #[error("no TLS with {host}:{port}")]
    Tls {
        host: String,
        port: u16,
        #[source]
        source: std::io::Error,
    },
    /// The HTTP handshake failed.
    #[error("no HTTP with {host}:{port}")]
    Http {
        host: String,
        port: u16,
        #[source]
        source: hyper::Error,
    },
}

/// Most head bytes of an answer; Tomcat's own limit is far below.
const ANSWER_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Connects within the given time.
pub async fn connect(endpoint: &Arc<Endpoint>, within: Duration) -> Result<Connection, Error> {
    match tokio::time::timeout(within, dial(endpoint)).await {
        Ok(connection) => connection,
        Err(_) => Err(Error::Timeout {
            host: endpoint.host.clone(),
            port: endpoint.port,
            within,
        }),
    }
}

async fn dial(endpoint: &Arc<Endpoint>) -> Result<Connection, Error> {
    let place = || (endpoint.host.clone(), endpoint.port);
    let stream = dial::open(&endpoint.host, endpoint.port)
        .await
        .map_err(|source| {
            let (host, port) = place();
            Error::Connect { host, port, source }
        })?;
    let Some(tls) = &endpoint.tls else {
        return handshake(endpoint, stream).await;
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls.config));
    let stream = connector
        .connect(tls.server_name.clone(), stream)
        .await
        .map_err(|source| {
            let (host, port) = place();
            Error::Tls { host, port, source }
        })?;
    handshake(endpoint, stream).await
}

async fn handshake<S>(endpoint: &Arc<Endpoint>, stream: S) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(ANSWER_HEAD_BYTES_MAX)
        .handshake::<_, Payload>(TokioIo::new(stream))
        .await
        .map_err(|source| Error::Http {
            host: endpoint.host.clone(),
            port: endpoint.port,
            source,
        })?;
    let expects_close = Arc::new(AtomicBool::new(false));
    let announced = Arc::clone(&expects_close);
    let endpoint = Arc::clone(endpoint);
    tokio::spawn(async move {
        let ended = connection.with_upgrades().await;
        if ended.is_err() || !announced.load(Ordering::Relaxed) {
            // The engine went away without a word: what answers there next must prove that it is the same database.
            endpoint.broke();
        }
    });
    Ok(Connection::new(sender, expects_close))
}
