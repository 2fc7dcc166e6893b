//! The access log: one JSON line for each request.
//!
//! Owns the format and the writer thread. Must not hold a request up: when the writer falls behind, lines are dropped
//! and counted (limit `access_log_lines`).

use crate::clock;
use crate::problem::Reason;
use crate::resolve::RouteSource;
use homing_mapping_store::SiteId;
use serde::Serialize;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait for the writer at most.
pub const LINES_MAX: usize = 65_536;

/// Where lines go.
#[derive(Clone)]
pub struct AccessLog {
    lines: Option<SyncSender<Vec<u8>>>,
}

/// Who is to blame for a bad answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    Downstream,
    Upstream,
    Us,
}

/// One request.
#[derive(Serialize)]
pub struct Line<'a> {
    pub time: String,
    pub request_id: &'a str,
    pub trace_id: Option<&'a str>,
    pub peer: String,
    pub method: &'a str,
    pub path: &'a str,
    pub operation: Option<&'a str>,
    pub class: &'a str,
    pub key_kind: Option<&'a str>,
    #[serde(serialize_with = "source")]
    pub source: Option<RouteSource>,
    #[serde(serialize_with = "site")]
    pub site: Option<SiteId>,
    pub status: u16,
    #[serde(serialize_with = "reason")]
    pub reason: Option<Reason>,
    pub blame: Option<Blame>,
    pub bytes: u64,
    pub whole: bool,
    /// Milliseconds until the answer's head.
    pub head_ms: f64,
    /// Milliseconds until the answer's end.
    pub total_ms: f64,
    /// Milliseconds of it that the site took.
    pub site_ms: f64,
}

fn source<S: serde::Serializer>(source: &Option<RouteSource>, to: S) -> Result<S::Ok, S::Error> {
    source.map(RouteSource::as_str).serialize(to)
}

fn site<S: serde::Serializer>(site: &Option<SiteId>, to: S) -> Result<S::Ok, S::Error> {
    site.map(SiteId::name).serialize(to)
}

fn reason<S: serde::Serializer>(reason: &Option<Reason>, to: S) -> Result<S::Ok, S::Error> {
    reason.map(Reason::as_str).serialize(to)
}

/// Wall clock as RFC 3339 with milliseconds.
pub fn rfc3339(at: homing_mapping_store::Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

impl AccessLog {
    /// No lines.
    pub fn off() -> AccessLog {
        AccessLog { lines: None }
    }

    /// Lines to this writer, on a thread of their own.
    pub fn to(writer: impl Write + Send + 'static) -> AccessLog {
        let (lines, waiting) = sync_channel(LINES_MAX);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&waiting, writer))
            .map_or_else(
                |error| {
                    tracing::error!("no access log: {error}");
                    AccessLog::off()
                },
                |_| AccessLog { lines: Some(lines) },
            )
    }

    /// Whether anybody reads.
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Hands one line over.
    pub fn line(&self, line: &Line<'_>) {
        let Some(lines) = &self.lines else { return };
        let mut text = Vec::with_capacity(512);
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
            if lines.try_send(text).is_err() {
                super::metrics::limit_hit("access_log_lines");
            }
        }
    }
}

fn write(lines: &Receiver<Vec<u8>>, writer: impl Write) {
    let mut writer = std::io::BufWriter::with_capacity(64 * 1024, writer);
    while let Ok(line) = lines.recv() {
        let _ = writer.write_all(&line);
        let until = clock::now() + Duration::from_millis(100);
        while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(clock::now())) {
            let _ = writer.write_all(&line);
        }
        // A log that cannot be written must not stop traffic.
        let _ = writer.flush();
    }
}
