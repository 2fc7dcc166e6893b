//! The listener on which this router attests.
//!
//! Owns its connections and their limits. Nothing can be changed here, and nothing is told but "nothing newer" or not.

use super::Witness;
use super::wire::{PATH, QUESTION_BYTES_MAX};
use crate::clock;
use crate::telemetry::metrics::limit_hit;
use bytes::Bytes;
use homing_config::settings::Attest;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time: every router and agent asks with one.
const CONNECTIONS_MAX: usize = 256;
/// A connection is one question.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries to listen: the process that handed over has not closed yet.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Listens until the process leaves: a new one of the same name may listen then.
pub async fn run(settings: Attest, witness: Arc<Witness>, renew_every: Duration) {
    tokio::select! {
        () = witness.left() => {}
        () = listen(settings, Arc::clone(&witness), renew_every) => {}
    }
}

async fn listen(settings: Attest, witness: Arc<Witness>, renew_every: Duration) {
    let listener = bind(&settings).await;
    let address = &settings.address;
    let host = match address.host.contains(':') {
        true => format!("[{}]", address.host),
        false => address.host.clone(),
    };
    witness.listens_at(&format!("{host}:{}", address.port));
    tracing::info!(bind = %settings.bind, "attesting");
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a question cannot be accepted: {error}");
                tokio::time::sleep(TRY_AGAIN).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            limit_hit("attest_connections");
            continue;
        };
        let witness = Arc::clone(&witness);
        drop(tokio::spawn(async move {
            let served = speak(stream, witness, renew_every);
            // Whoever asks notices a connection that ends without an answer.
            let _ = tokio::time::timeout(CONNECTION_WITHIN, served).await;
            drop(place);
        }));
    }
}

async fn bind(settings: &Attest) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(settings.bind).await {
            Ok(listener) => return listener,
            Err(error) if !told => {
                tracing::warn!(bind = %settings.bind, "attesting is not possible yet: {error}");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// One connection of somebody who asks, until it ends.
pub async fn speak<S>(stream: S, witness: Arc<Witness>, renew_every: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let witness = Arc::clone(&witness);
        async move { Ok::<_, Infallible>(answer(request, &witness, renew_every).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a question broke: {error}");
    }
}

async fn answer(
    request: Request<Incoming>,
    witness: &Witness,
    renew_every: Duration,
) -> Response<Full<Bytes>> {
    let (status, body) = if request.uri().path() != PATH {
        (StatusCode::NOT_FOUND, Bytes::new())
    } else if request.method() != Method::POST {
        (StatusCode::METHOD_NOT_ALLOWED, Bytes::new())
    } else {
        match Limited::new(request.into_body(), QUESTION_BYTES_MAX)
            .collect()
            .await
        {
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, Bytes::new()),
            Ok(body) => match witness.answer(&body.to_bytes(), clock::moment(), renew_every) {
                Some(said) => (StatusCode::OK, Bytes::from(said)),
                None => (StatusCode::BAD_REQUEST, Bytes::new()),
            },
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}
