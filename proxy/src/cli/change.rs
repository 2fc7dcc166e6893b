//! What every change takes: a reason, a confirmation, a dry run.
//!
//! Owns these options. Must not make the change.

use super::Exit;
use super::client::Call;
use super::output;
use http::HeaderName;

static HOMING_REASON: HeaderName = HeaderName::from_static("homing-reason");

/// A reason says something.
pub(super) fn reason(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("say why: it is kept in the audit trail".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Why, and whether for real.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Change {
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "TEXT", required = true, value_parser = super::change::reason)]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Check everything and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Change {
    /// A change that nobody has to be asked about.
    pub(super) fn harmless(reason: Option<&str>, dry_run: bool) -> Change {
        Change {
            reason: reason.unwrap_or_default().to_owned(),
            yes: true,
            dry_run,
        }
    }

    /// Asks, unless nothing is changed.
    pub(super) fn confirm(&self, what: &str) -> Result<(), Exit> {
        if self.dry_run {
            Ok(())
        } else {
            output::confirmed(self.yes, what)
        }
    }

    /// Whether nothing is changed.
    pub(super) fn is_dry(&self) -> bool {
        self.dry_run
    }

    /// The query of the call.
    pub(super) fn query(&self) -> &'static str {
        if self.dry_run { "?dry_run=true" } else { "" }
    }

    /// What to add to a sentence.
    pub(super) fn suffix(&self) -> &'static str {
        if self.dry_run {
            " (dry run: nothing was changed)"
        } else {
            ""
        }
    }

    /// The call with the reason.
    pub(super) fn apply(&self, call: Call) -> Result<Call, Exit> {
        if self.reason.is_empty() {
            return Ok(call);
        }
        call.header(HOMING_REASON.clone(), &self.reason)
    }
}
