//! `homing config`: check, show, schema, init, diff.
//!
//! Owns nothing but the printing; the config crate does the work.

use super::input;
use clap::Subcommand;
use homing_config::{Purpose, verbs};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check, show and compare configuration files.
#[derive(clap::Args)]
pub(super) struct Config {
    #[command(subcommand)]
    verb: Verb,
    /// Machine-readable output.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Find every problem at once. Exit code 78 if there is one.
    Check {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the effective values, each with its source.
    Show(input::ConfigArgs),
    /// Print the JSON schema of the file format.
    Schema,
    /// Print a commented file to start from.
    Init,
    /// Say what changes between two files, and what needs a restart. Exit code 6 if they differ.
    Diff { before: PathBuf, after: PathBuf },
}

impl Config {
    pub(super) fn run(self) -> ExitCode {
        let style = input::style();
        let one = |file: PathBuf| input::inputs(&[file], &[]);
        let name = match &self.verb {
            Verb::Check { .. } => "config-check",
            Verb::Show(_) => "config-show",
            Verb::Schema => "config-schema",
            Verb::Init => "config-init",
            Verb::Diff { .. } => "config-diff",
        };
        let outcome = match self.verb {
            Verb::Check { files } => verbs::check(&input::inputs(&files, &[]), style),
            Verb::Show(from) => verbs::show(
                &input::inputs(&from.config, &from.set),
                Purpose::Check,
                style,
            ),
            Verb::Schema => verbs::schema(),
            Verb::Init => verbs::init(),
            Verb::Diff { before, after } => verbs::diff(&one(before), &one(after), style),
        };
        let text = if self.json {
            let told = json!({ "schema": format!("homing/{name}/v1"), "data": outcome.json });
            format!("{told:#}\n")
        } else {
            outcome.text
        };
        // A closed pipe is the reader's business.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        ExitCode::from(outcome.status.code())
    }
}
