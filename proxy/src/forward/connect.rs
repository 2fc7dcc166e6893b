//! A new connection to an endpoint.
//!
//! Owns dialling and TLS. Must not send requests.

use super::dial;
use super::pool::Connection;
use super::wire::Wire;
use crate::topology::Endpoint;
use std::sync::Arc;
use std::time::Duration;

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
}

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
        return Ok(Connection::new(Wire::new(stream)));
    };
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls.config));
    let stream = connector
        .connect(tls.server_name.clone(), stream)
        .await
        .map_err(|source| {
            let (host, port) = place();
            Error::Tls { host, port, source }
        })?;
    Ok(Connection::new(Wire::secured(dial::Stream::Other(
        Box::new(stream),
    ))))
}
