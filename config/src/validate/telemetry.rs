//! `[telemetry]`.
//!
//! Owns the check of log filters and of the collector's address. Must not start logging.

use super::Validate;
use crate::diagnostic::Diagnostic;
use crate::file::telemetry::{LogFormatFile, TelemetryFile};
use crate::settings::{AccessLog, Endpoint, LogFormat, Telemetry};
use crate::suggest;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Validate<'_> {
    pub(super) fn telemetry(&mut self, file: &TelemetryFile) -> Telemetry {
        for part in file.log.get().split(',') {
            let level = part
                .rsplit_once('=')
                .map_or(part, |(_, level)| level)
                .trim()
                .to_ascii_lowercase();
            if !LEVELS.contains(&level.as_str()) {
                self.report(
                    Diagnostic::error("log", format!("`{level}` is not a log level"))
                        .at(
                            &file.log.span(),
                            "LEVEL, or PART=LEVEL, with commas between",
                        )
                        .help(suggest::did_you_mean(&level, LEVELS)),
                );
            }
        }
        Telemetry {
            log: file.log.get().clone(),
            format: match file.format {
                LogFormatFile::Auto => LogFormat::Auto,
                LogFormatFile::Text => LogFormat::Text,
                LogFormatFile::Json => LogFormat::Json,
            },
            access_log: match file.access_log.get().as_str() {
                "stdout" => AccessLog::Stdout,
                "off" => AccessLog::Off,
                path => AccessLog::File(path.into()),
            },
            otlp: file.otlp.as_ref().and_then(|url| {
                self.read(
                    "otlp",
                    url,
                    "the URL of a collector",
                    Endpoint::parse(url.get()),
                )
            }),
        }
    }
}
