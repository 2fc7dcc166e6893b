//! `homing audit`: list, verify, export.
//!
//! Owns nothing but the words; the admin API does the work.

use super::Exit;
use super::client::{Call, Remote};
use super::output;
use super::page::{self, Paging};
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
    List(Paging),
    /// Whether the hash chain is whole.
    Verify,
    /// All records as NDJSON.
    Export,
}

impl Audit {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::List(paging) => self.list(paging),
            Verb::Verify => self.verify(),
            Verb::Export => self.export(),
        };
        done.err().unwrap_or(Exit::Ok)
    }

    fn list(&self, paging: &Paging) -> Result<(), Exit> {
        let page = self.remote.call(Call::get(paging.of("/v1/audit")))?.json;
        if self.remote.json {
            output::machine("audit-list", &page);
            return Ok(());
        }
        let columns = ["number", "at", "actor", "action", "subject", "reason"];
        page::print(&columns, &page);
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
        let mut paging = Paging {
            limit: 1000,
            cursor: None,
        };
        loop {
            let page = self.remote.call(Call::get(paging.of("/v1/audit")))?.json;
            for record in page["items"].as_array().into_iter().flatten() {
                output::say(&record.to_string());
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => paging.cursor = Some(next.to_owned()),
                None => return Ok(()),
            }
        }
    }
}
