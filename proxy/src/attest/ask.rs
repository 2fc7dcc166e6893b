//! Asks all routers whose word is needed, at the same time.
//!
//! Owns the exchange and what a missing or unproven answer is: none. Must not decide what follows.

use super::wire::{ANSWER_BYTES_MAX, Asked, Key, PATH, Said, Signed};
use crate::decide::attest::{Door, Doors, Question};
use crate::forward::dial::{self, Stream};
use bytes::Bytes;
use futures_util::future::join_all;
use homing_config::settings::HostPort;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;

/// For each question whether every router attests; else who does not, and why.
pub async fn ask(
    doors: &Doors,
    questions: Vec<Question>,
    within: Duration,
) -> Vec<Result<(), String>> {
    let count = questions.len();
    let asked = Asked {
        nonce: uuid::Uuid::new_v4().to_string(),
        questions,
    };
    let Ok(body) = serde_json::to_vec(&asked) else {
        return vec![Err("the question cannot be written".into()); count];
    };
    let body = Bytes::from(body);
    let said = join_all(doors.values().map(|door| {
        let name = &door.router;
        let exchange = tokio::time::timeout(within, one(door, body.clone()));
        async move {
            let said = exchange
                .await
                .unwrap_or_else(|_| Err("no answer in time".into()));
            (name, said)
        }
    }))
    .await;
    let missing = |at: usize| {
        said.iter().find_map(|(name, said)| match said {
            Err(why) => Some(format!("{name}: {why}")),
            Ok(said) => match said.answers.get(at) {
                Some(None) => None,
                Some(Some(refusal)) => Some(format!("{name}: {refusal}")),
                None => Some(format!("{name}: it has not answered that")),
            },
        })
    };
    (0..count)
        .map(|at| missing(at).map_or(Ok(()), Err))
        .collect()
}

async fn one(door: &Door, body: Bytes) -> Result<Said, String> {
    let key = Key::parse(&door.key).ok_or("its key cannot be read")?;
    let at = HostPort::parse(&door.address)?;
    let stream = dial::open(&at.host, at.port)
        .await
        .map_err(|error| format!("not reached: {error}"))?;
    let answer = exchange(stream, &door.address, body.clone()).await?;
    let signed: Signed =
        serde_json::from_slice(&answer).map_err(|_| "its answer cannot be read")?;
    key.open(&signed, &body)
        .filter(|said| said.router == door.router)
        .ok_or_else(|| {
            "its answer is not proven to be its own; it may have been started again".into()
        })
}

async fn exchange(stream: Stream, authority: &str, body: Bytes) -> Result<Bytes, String> {
    let broke = |error: hyper::Error| format!("the exchange broke: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broke)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broke)?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
        let body = body.await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes())
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        result = &mut exchange => result,
        ended = &mut connection => match ended {
            // The connection may end with the answer already handed over.
            Ok(()) => exchange.await,
            Err(error) => Err(broke(error)),
        },
    }
}
