//! The access log: one JSON line for each request.
//!
//! Owns what a line says. Must not hold a request up: when the writer falls behind, lines are dropped and counted
//! (limit `access_log_lines`).

mod text;
mod writer;

pub use text::rfc3339;
pub use writer::LINES_MAX;

use crate::problem::Reason;
use crate::resolve::RouteSource;
use homing_mapping_store::{SiteId, Timestamp};
use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use text::Object;
use writer::Writer;

/// Where lines go.
#[derive(Clone)]
pub struct AccessLog {
    writer: Option<Arc<Writer>>,
}

/// Who is to blame for a bad answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    Downstream,
    Upstream,
    Us,
}

impl Blame {
    /// The text in lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Blame::Downstream => "downstream",
            Blame::Upstream => "upstream",
            Blame::Us => "us",
        }
    }
}

/// One request.
pub struct Line<'a> {
    pub time: Timestamp,
    pub request_id: &'a str,
    pub trace_id: Option<&'a str>,
    pub peer: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub operation: Option<&'a str>,
    pub class: &'static str,
    pub key_kind: Option<&'a str>,
    pub source: Option<RouteSource>,
    pub site: Option<SiteId>,
    pub status: u16,
    pub reason: Option<Reason>,
    pub blame: Option<Blame>,
    pub bytes: u64,
    pub whole: bool,
    /// Time until the answer's head.
    pub head: Duration,
    /// Time until the answer's end.
    pub total: Duration,
    /// Time of it that the site took.
    pub site_time: Duration,
}

/// A line without its path.
const BYTES_USUAL: usize = 512;

impl Line<'_> {
    /// The line as JSON, with its line end.
    fn write(&self, to: &mut Vec<u8>) {
        to.reserve(BYTES_USUAL + self.path.len());
        let mut line = Object::begin(to);
        line.time("time", self.time);
        line.text("request_id", self.request_id);
        line.optional("trace_id", self.trace_id);
        line.text("peer", self.peer);
        line.text("method", self.method);
        line.text("path", self.path);
        line.optional("operation", self.operation);
        line.known("class", Some(self.class));
        line.optional("key_kind", self.key_kind);
        line.known("source", self.source.map(RouteSource::as_str));
        line.optional("site", self.site.map(SiteId::name));
        line.number("status", u64::from(self.status));
        line.known("reason", self.reason.map(Reason::as_str));
        line.known("blame", self.blame.map(Blame::as_str));
        line.number("bytes", self.bytes);
        line.word("whole", if self.whole { "true" } else { "false" });
        line.millis("head_ms", self.head);
        line.millis("total_ms", self.total);
        line.millis("site_ms", self.site_time);
        line.end();
    }
}

thread_local! {
    /// The line at hand, in memory that is kept.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AccessLog {
    /// No lines.
    pub fn off() -> AccessLog {
        AccessLog { writer: None }
    }

    /// Lines to this writer, on a thread of their own.
    pub fn to(writer: impl Write + Send + 'static) -> AccessLog {
        match Writer::start(writer) {
            Ok(writer) => AccessLog {
                writer: Some(Arc::new(writer)),
            },
            Err(error) => {
                tracing::error!("no access log: {error}");
                AccessLog::off()
            }
        }
    }

    /// Whether anybody reads.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Hands one line over.
    pub fn line(&self, line: &Line<'_>) {
        let Some(writer) = &self.writer else { return };
        TEXT.with_borrow_mut(|text| {
            text.clear();
            line.write(text);
            writer.take(text);
        });
    }
}

#[cfg(test)]
mod tests;
