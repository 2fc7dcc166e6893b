//! `homing audit`: list, verify, export.
//!
//! Owns nothing but the words; the admin API does the work.

use super::Exit;
use super::client::{Call, Remote, segment};
use super::output;
use clap::Subcommand;
use serde_json::Value;

/// The audit trail.
#[derive(clap::Args)]
pub(super) struct Audit {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Records, oldest first.
    List {
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Whether the hash chain is whole.
    Verify,
    /// All records as NDJSON.
    Export,
}

impl Audit {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::List { limit, cursor } => self.list(*limit, cursor.as_deref()),
            Verb::Verify => self.verify(),
            Verb::Export => self.export(),
        };
        done.err().unwrap_or(Exit::Ok)
    }

    fn page(&self, limit: usize, cursor: Option<&str>) -> Result<Value, Exit> {
        let mut path = format!("/v1/audit?limit={limit}");
        if let Some(cursor) = cursor {
            path.push_str(&format!("&cursor={}", segment(cursor)));
        }
        Ok(self.remote.call(Call::get(path))?.json)
    }

    fn list(&self, limit: usize, cursor: Option<&str>) -> Result<(), Exit> {
        let page = self.page(limit, cursor)?;
        if self.remote.json {
            output::machine("audit-list", &page);
            return Ok(());
        }
        output::rows(
            &["number", "at", "actor", "action", "subject", "reason"],
            &items(&page),
        );
        if let Some(next) = page.get("next").and_then(Value::as_str) {
            output::say(&format!("more: --cursor {next}"));
        }
        Ok(())
    }

    fn verify(&self) -> Result<(), Exit> {
        let reply = self.remote.call(Call::get("/v1/audit/verify"))?;
        if self.remote.json {
            output::machine("audit-verify", &reply.json);
        } else {
            output::members(&reply.json);
        }
        let broken = reply.json.get("whole").and_then(Value::as_bool) == Some(false);
        if broken { Err(Exit::Failed) } else { Ok(()) }
    }

    fn export(&self) -> Result<(), Exit> {
        const PAGE: usize = 1000;
        let mut cursor: Option<String> = None;
        loop {
            let page = self.page(PAGE, cursor.as_deref())?;
            for record in items(&page) {
                output::say(&record.to_string());
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(()),
            }
        }
    }
}

fn items(page: &Value) -> Vec<Value> {
    page.get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}
