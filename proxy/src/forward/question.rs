//! One small question on a connection of its own: what probes and proofs ask.
//!
//! Owns the shape of such a request (service account, Via, no client data) and the bound on its answer. Must not judge the
//! answer, nor wait: whoever asks sets the time.

use super::ask::beside;
use super::payload::Payload;
use super::pool::Connection;
use super::send::{Outgoing, Repeat};
use crate::dialect::Ask;
use crate::topology::{Endpoint, Site};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, VIA};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// Most bytes of an answer to a probe or a proof.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The connection ended before the head of an answer.
    Broke,
    /// What came is no answer to this: the path cannot be asked, or the body is cut or too long.
    Unreadable,
}

/// Somebody to be asked.
pub struct Asker<'a> {
    /// Whose service account is used.
    pub site: &'a Site,
    /// Who is asked.
    pub endpoint: &'a Endpoint,
    /// Our own entry of `Via`.
    pub via: Option<&'a HeaderValue>,
    /// On which connection.
    pub connection: &'a mut Connection,
    /// Most bytes of an answer.
    pub bytes_max: usize,
}

impl Asker<'_> {
    /// Asks for a path, base path included.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes), Silence> {
        self.send(path, Method::GET, None).await
    }

    /// Sends a question of a dialect's, a body with it if it has one. The path is below the site's base path.
    pub async fn put(&mut self, question: &Ask) -> Result<(StatusCode, Bytes), Silence> {
        let path = format!("{}{}", self.site.base_path, question.path);
        self.put_at(&path, question).await
    }

    /// The same of Homing's own engine, below `/homing` beside its API.
    pub async fn put_beside(&mut self, question: &Ask) -> Result<(StatusCode, Bytes), Silence> {
        let path = beside(&self.site.base_path, &question.path);
        self.put_at(&path, question).await
    }

    async fn put_at(&mut self, path: &str, question: &Ask) -> Result<(StatusCode, Bytes), Silence> {
        let body = question.body.as_ref().map(ToString::to_string);
        self.send(path, question.method.clone(), body).await
    }

    async fn send(
        &mut self,
        path: &str,
        method: Method,
        body: Option<String>,
    ) -> Result<(StatusCode, Bytes), Silence> {
        let mut outgoing = Outgoing {
            method,
            target: path.parse().map_err(|_| Silence::Unreadable)?,
            headers: HeaderMap::new(),
            payload: Payload::Empty,
            repeat: Repeat::Never,
        };
        let headers = &mut outgoing.headers;
        let (host, port) = (&self.endpoint.host, self.endpoint.port);
        if let Ok(host) = HeaderValue::try_from(format!("{host}:{port}")) {
            headers.insert(HOST, host);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(via) = self.via {
            headers.insert(VIA, via.clone());
        }
        if let Some(account) = &self.site.service_account {
            headers.insert(AUTHORIZATION, account.clone());
        }
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            outgoing.payload = Payload::from(Bytes::from(body));
        }
        let is_expected = self.connection.expects_close();
        let answer = self.connection.ask(&mut outgoing).await;
        let head = answer.map_err(|_| {
            if !is_expected {
                self.endpoint.broke();
            }
            Silence::Broke
        })?;
        let body = self.connection.read_whole(self.bytes_max).await;
        Ok((head.status, body.ok_or(Silence::Unreadable)?))
    }
}
