//! `homing config`: check, show, schema, init, diff, reload.
//!
//! Owns nothing but the printing; the config crate does the work, and of a reload the router.

use super::Exit;
use super::client::{Call, Remote, exit_of, told};
use super::rehome::HOMING_REASON;
use super::{input, output};
use clap::Subcommand;
use homing_config::{Purpose, verbs};
use http::Method;
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
    /// Have a running router read its files again. Exit code 78, with every problem, if it keeps what it has.
    Reload(Box<Reload>),
}

/// Which router, and why.
#[derive(clap::Args)]
struct Reload {
    #[command(flatten)]
    remote: Remote,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "TEXT", value_parser = super::change::reason)]
    reason: Option<String>,
    /// Check the router's files and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Accepted for the sake of scripts; this verb does not ask.
    #[arg(long, hide = true)]
    yes: bool,
}

impl Reload {
    fn run(&self) -> Result<Exit, Exit> {
        let (query, suffix) = match self.dry_run {
            true => ("?dry_run=true", " (dry run: nothing was changed)"),
            false => ("", ""),
        };
        let path = format!("/v1/config/reload{query}");
        let mut call = Call::with(Method::POST, path, &json!({}));
        if let Some(reason) = &self.reason {
            call = call.header(HOMING_REASON.clone(), reason)?;
        }
        let reply = self.remote.ask(call)?;
        if self.remote.json && reply.json["outcome"].is_string() {
            output::machine("config-reload", &reply.json);
        }
        if !reply.status.is_success() {
            let exit = match reply.json["reason"].as_str() {
                Some("config-refused") => Exit::Config,
                _ => exit_of(reply.status),
            };
            return Err(output::complain(exit, &told(reply.status, &reply.json)));
        }
        if self.remote.json {
            return Ok(Exit::Ok);
        }
        let changes = reply.json["changes"].as_array();
        let changes = changes.map(Vec::as_slice).unwrap_or_default();
        output::say(&format!(
            "the configuration is good: {} changed{suffix}",
            changes.len()
        ));
        if !changes.is_empty() {
            output::rows(&["path", "change"], changes);
        }
        Ok(Exit::Ok)
    }
}

impl Config {
    pub(super) fn run(self) -> ExitCode {
        let style = input::style();
        let one = |file: PathBuf| input::inputs(&[file], &[]);
        let (name, outcome) = match self.verb {
            Verb::Check { files } => (
                "config-check",
                verbs::check(&input::inputs(&files, &[]), style),
            ),
            Verb::Show(from) => {
                let from = input::inputs(&from.config, &from.set);
                ("config-show", verbs::show(&from, Purpose::Check, style))
            }
            Verb::Schema => ("config-schema", verbs::schema()),
            Verb::Init => ("config-init", verbs::init()),
            Verb::Diff { before, after } => {
                ("config-diff", verbs::diff(&one(before), &one(after), style))
            }
            Verb::Reload(reload) => return reload.run().unwrap_or_else(|exit| exit).into(),
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
