//! What every verb that reads a configuration takes.
//!
//! Owns the only reading of the process environment.

use homing_config::{Input, Inputs, Loaded, PREFIX, Purpose, Style, load};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// Configuration files and single values.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ConfigArgs {
    /// Configuration file; may be given more than once, later ones count for more.
    #[arg(short, long = "config", value_name = "FILE", required = true)]
    pub(super) config: Vec<PathBuf>,
    /// One value: `store.url=sqlite:homing.db`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// Everything that settings are made from.
pub(super) fn inputs(files: &[PathBuf], set: &[String]) -> Inputs {
    Inputs {
        files: files.iter().cloned().map(Input::File).collect(),
        environment: std::env::vars()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect(),
        set: set.to_vec(),
        host_name: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    }
}

/// Colours only for people.
pub(super) fn style() -> Style {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Style::Coloured
    } else {
        Style::Plain
    }
}

/// Loads, or prints every problem.
pub(super) fn loaded(inputs: &Inputs, purpose: Purpose) -> Option<Loaded> {
    let mut to = std::io::stderr().lock();
    match load(inputs, purpose) {
        Ok(loaded) => {
            let _ = to.write_all(loaded.warnings.render(style()).as_bytes());
            Some(loaded)
        }
        Err(report) => {
            let _ = to.write_all(report.render(style()).as_bytes());
            None
        }
    }
}
