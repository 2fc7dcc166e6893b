//! Settings of `[telemetry]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use super::address::Endpoint;
use std::path::PathBuf;

/// Logs and traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// What is logged.
    pub log: String,
    /// Form of the log.
    pub format: LogFormat,
    /// Where the access log goes.
    pub access_log: AccessLog,
    /// Collector of traces.
    pub otlp: Option<Endpoint>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// To standard output.
    Stdout,
    /// Nowhere.
    Off,
    /// Into a file.
    File(PathBuf),
}
