//! How hard tests try: lean figures for every change, full ones for a campaign.
//!
//! `HOMING_CAMPAIGN=FILE` asks for the full figures and collects what was measured in that file. Must not know what is
//! measured. Relies on nothing.

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};

fn file() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness has no configuration file"
    )]
    let file = std::env::var("HOMING_CAMPAIGN").ok();
    file.filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// The lean figure, or the full one in a campaign.
pub fn figure<T>(lean: T, full: T) -> T {
    if file().is_some() { full } else { lean }
}

/// Adds a line to what the campaign has measured; tests outside of one keep it to themselves.
pub fn measured(line: &str) -> Result<()> {
    let Some(file) = file() else { return Ok(()) };
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut open| writeln!(open, "{line}"))
        .with_context(|| format!("writing {}", file.display()))
}
