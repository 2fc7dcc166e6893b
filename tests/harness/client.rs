//! A small HTTP/1.1 client for tests: keep-alive, JSON or raw bytes, and it never sends a request twice.
//!
//! A resend by the client would hide exactly the faults that tests look for, so a broken connection is an error of
//! that one call. Must not interpret answers. Relies on hyper.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// No call of a test takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

type Sender = http1::SendRequest<Full<Bytes>>;

/// Talks to one address; clones share the idle connections.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    base: String,
    headers: Vec<(String, String)>,
    idle: Arc<Mutex<Vec<Sender>>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text, if it is there once and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The text member of a JSON object answer.
    pub fn member(&self, name: &str) -> Result<String> {
        let json = self.json()?;
        let text = json.get(name).and_then(Value::as_str);
        text.map(str::to_owned)
            .with_context(|| format!("no text {name} in {json}"))
    }

    /// The answer, if it has this status.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(
            self.status == status,
            "expected {status}, got {} {}",
            self.status,
            self.text()
        );
        Ok(self)
    }
}

impl Client {
    /// `base` goes in front of every path.
    pub fn new(address: SocketAddr, base: &str) -> Self {
        Self {
            address,
            base: base.to_owned(),
            headers: Vec::new(),
            idle: Arc::default(),
        }
    }

    /// A client that sends this header with every request.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, Bytes::new(), None).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, Bytes::new(), None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(
            Method::POST,
            path,
            body.to_string().into(),
            Some("application/json"),
        )
        .await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(
            Method::PUT,
            path,
            body.to_string().into(),
            Some("application/json"),
        )
        .await
    }

    /// Any request with a body as it is.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        content_type: Option<&str>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if self.headers.iter().all(|(name, _)| name != "host") {
            request = request.header(header::HOST, self.address.to_string());
        }
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(body))
            .context("building the request")?;
        let what = format!("{} {}", request.method(), request.uri());
        tokio::time::timeout(ANSWER_WITHIN, self.exchange(request))
            .await
            .with_context(|| format!("{what}: no answer within {ANSWER_WITHIN:?}"))?
            .with_context(|| what)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut sender = self.sender().await?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body
            .collect()
            .await
            .context("reading the answer's body")?
            .to_bytes();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn sender(&self) -> Result<Sender> {
        loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let Some(mut sender) = idle else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.address)
            .await
            .context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its errors reach the caller through the sender.
        tokio::spawn(connection);
        Ok(sender)
    }
}
