//! Settings of `[[engine.delegate]]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use crate::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// What a Java name in models stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegate {
    /// The name as it stands in the model.
    pub name: String,
    /// What is done instead.
    pub does: Does,
}

/// What is done instead of the Java.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// An external task of this topic.
    Topic(String),
    /// A script.
    Script(String),
    /// A call over HTTP.
    Http(Box<HttpCall>),
    /// Nothing.
    Nothing,
}

/// A call over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Scheme, host and port.
    pub origin: Url,
    /// Path and query, with expressions; begins with `/`.
    pub path: String,
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// Headers that go with it.
    pub headers: Vec<(String, String)>,
    /// The `Authorization` header.
    pub authorization: Option<Secret>,
    /// Certificates that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
    /// How long the whole call may take.
    pub timeout: Duration,
    /// Variables that are sent; `None`: all.
    pub send: Option<Vec<String>>,
    /// The variable for the whole body of the answer.
    pub result: Option<String>,
    /// Tries and pauses.
    pub retry: String,
    /// Statuses that are BPMN errors, with the code.
    pub errors: BTreeMap<u16, String>,
}
