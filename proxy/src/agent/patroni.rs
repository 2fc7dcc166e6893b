//! Promotion through Patroni's REST interface on this host.
//!
//! Owns the two calls. Must not decide that it happens. Relies on Patroni to make this member the leader, and on nothing
//! but its own word that it is: `promote` asks the database itself afterwards.

use bytes::Bytes;
use homing_config::settings::Endpoint;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why Patroni has not promoted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Patroni at {0} cannot be reached")]
    Connect(String, #[source] std::io::Error),
    #[error("Patroni's answer broke off")]
    Http(#[source] hyper::Error),
    #[error("Patroni's answer cannot be read: {0}")]
    Answer(String),
    #[error("Patroni refused with {0}: {1}")]
    Refused(StatusCode, String),
}

/// Makes the member behind this address the leader of its cluster.
pub async fn promote(patroni: &Endpoint) -> Result<String, Error> {
    let (_, about) = call(patroni, Method::GET, "/patroni", Bytes::new()).await?;
    let about: Value = serde_json::from_str(&about).map_err(|_| Error::Answer(about))?;
    let name = about.pointer("/patroni/name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Error::Answer("it does not tell its name".into()))?;
    let role = about.get("role").and_then(Value::as_str);
    if matches!(role, Some("primary" | "master")) {
        return Ok(format!("{name} is Patroni's leader already"));
    }
    let wanted = json!({ "candidate": name }).to_string();
    let (status, said) = call(patroni, Method::POST, "/failover", wanted.into()).await?;
    if status.is_success() {
        Ok(said)
    } else {
        Err(Error::Refused(status, said))
    }
}

async fn call(
    patroni: &Endpoint,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(StatusCode, String), Error> {
    let authority = patroni.authority();
    let stream = TcpStream::connect((patroni.host.as_str(), patroni.port))
        .await
        .map_err(|error| Error::Connect(authority.clone(), error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Error::Http)?;
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", patroni.base_path))
        .header(header::HOST, &authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| Error::Answer(error.to_string()))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(Error::Http)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| Error::Answer(error.to_string()))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok((status, text))
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        result = &mut exchange => result,
        ended = &mut connection => match ended {
            // The connection may end with the answer already handed over.
            Ok(()) => exchange.await,
            Err(error) => Err(Error::Http(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Speaks the two answers that Patroni gives, one per connection, and tells what it was asked.
    async fn patroni(
        answers: [&'static str; 2],
    ) -> (Endpoint, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut bytes = vec![0; 4096];
                let mut text = String::new();
                while !text.contains("\r\n\r\n") || text.starts_with("POST") && !text.ends_with('}')
                {
                    let read = socket.read(&mut bytes).await.unwrap();
                    text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                }
                asked.push(text);
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (
            Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
            asked,
        )
    }

    const REPLICA: &str = "HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n{\"role\":\"replica\",\"patroni\":{\"name\":\"paris\"}} ";

    #[tokio::test]
    async fn the_member_beside_the_agent_is_the_candidate() {
        let done = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfailed over";
        let (endpoint, asked) = patroni([REPLICA, done]).await;
        assert_eq!(promote(&endpoint).await.unwrap(), "failed over");
        let asked = asked.await.unwrap();
        assert!(
            asked[1].starts_with("POST /failover")
                && asked[1].ends_with("{\"candidate\":\"paris\"}")
        );
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_patronis_words() {
        let refused = "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 9\r\n\r\nno leader";
        let (endpoint, asked) = patroni([REPLICA, refused]).await;
        let error = promote(&endpoint).await.unwrap_err().to_string();
        assert!(
            error.contains("412") && error.contains("no leader"),
            "{error}"
        );
        asked.await.unwrap();
    }
}
