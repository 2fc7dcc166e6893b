//! The `[telemetry]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs and traces. Metrics are always at `/metrics` of the admin listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryFile {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or by part: `"info,homing_proxy=debug"`.
    pub(crate) log: At<String>,
    /// `auto`: text on a terminal, else JSON.
    pub(crate) format: LogFormatFile,
    /// Where the access log goes, one JSON line a request: `"stdout"`, `"off"`, or a file.
    pub(crate) access_log: At<String>,
    /// Address of an OTLP collector for traces: `"http://127.0.0.1:4318"`. Default: no traces are sent.
    pub(crate) otlp: Option<At<String>>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormatFile {
    #[default]
    Auto,
    Text,
    Json,
}

impl Default for TelemetryFile {
    fn default() -> Self {
        TelemetryFile {
            log: "info".into(),
            format: LogFormatFile::Auto,
            access_log: "stdout".into(),
            otlp: None,
        }
    }
}
