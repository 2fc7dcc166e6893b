//! `homing store promote --break-glass`: another copy of the store takes the place of one that is lost.
//!
//! Owns the words, and the refusal while the copy has heard of routers lately. Works on the copy itself: there is no router
//! to ask when the store is lost.

use super::Exit;
use super::output;
use crate::clock;
use crate::telemetry::chain;
use clap::Subcommand;
use homing_mapping_store::audit::AuditEntry;
use homing_mapping_store::promote::{self, Copy, Promoted};
use homing_mapping_store::store::Error;
use serde_json::json;

/// The store that all routers share.
#[derive(clap::Args)]
pub(super) struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The store is lost: another copy of it (a PostgreSQL replica, a restored file) takes its place.
    Promote(Promote),
}

#[derive(clap::Args)]
struct Promote {
    /// The copy: sqlite:FILE or postgres://USER@HOST/DATABASE; its password may stand in PGPASSWORD.
    #[arg(long, value_name = "URL")]
    url: String,
    /// It is known that the store is lost, and that nothing will use it any more.
    #[arg(long, required = true)]
    break_glass: bool,
    /// The highest incarnation that anybody remembers: a generation divided by 281474976710656 (two to the power of 48).
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    above: u16,
    /// What does not stand in the way this time: live-routers.
    #[arg(long = "override", value_name = "RULE", value_parser = ["live-routers"])]
    overrides: Vec<String>,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "TEXT", value_parser = super::change::reason)]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Look at the copy and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

impl Store {
    pub(super) fn run(self) -> Exit {
        let Verb::Promote(promote) = self.verb;
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => return output::complain(Exit::Failed, &error.to_string()),
        };
        runtime.block_on(promote.run()).err().unwrap_or(Exit::Ok)
    }
}

impl Promote {
    async fn run(&self) -> Result<(), Exit> {
        let copy = promote::look(&self.url).await.map_err(failed)?;
        if !self.json {
            tell(&copy);
        }
        let overridden = self.overrides.iter().any(|rule| rule == "live-routers");
        if !copy.live.is_empty() && !overridden {
            let why = format!(
                "the lease of {} has not run out, as this copy has heard: the store may be alive. Wait, or add --override live-routers",
                copy.live.join(", ")
            );
            return Err(output::complain(Exit::Refused, &why));
        }
        if self.dry_run {
            if self.json {
                let told = json!({ "dry_run": true, "replica": copy.replica, "incarnation": copy.incarnation, "live": copy.live });
                output::machine("store-promote", &told);
            }
            return Ok(());
        }
        let what = "make this copy the store for ever: the old one is never to be used again";
        output::confirmed(self.yes, what)?;
        let promoted = promote::promote(&self.url, self.above, &self.audit(&copy))
            .await
            .map_err(failed)?;
        self.told(&promoted);
        Ok(())
    }

    fn audit(&self, copy: &Copy) -> AuditEntry {
        let detail = json!({
            "was_replica": copy.replica,
            "incarnation_before": copy.incarnation,
            "above": self.above,
            "live": copy.live,
            "overrides": self.overrides,
        });
        AuditEntry {
            actor: format!("uid:{}", rustix::process::getuid().as_raw()),
            action: "store.promote".to_owned(),
            subject: "store".to_owned(),
            reason: Some(self.reason.clone()),
            detail: detail.to_string(),
            request_id: None,
            at: clock::wall(),
        }
    }

    fn told(&self, promoted: &Promoted) {
        let name = |one: &homing_mapping_store::assignment::Assignment| one.site.name().to_owned();
        let raised: Vec<_> = promoted
            .raised
            .iter()
            .map(|one| json!({ "site": name(one), "serving": one.installation, "generation": one.generation.0 }))
            .collect();
        let pending: Vec<String> = promoted.pending.iter().map(name).collect();
        if self.json {
            let told = json!({ "incarnation": promoted.incarnation, "raised": raised, "pending": pending });
            return output::machine("store-promote", &told);
        }
        output::say(&format!(
            "the store is at incarnation {}",
            promoted.incarnation
        ));
        output::rows(&["site", "serving", "generation"], &raised);
        for site in pending {
            output::say(&format!(
                "site {site} was switching: homing op list, then op resume or op abort"
            ));
        }
        output::say(
            "then: point `store.url` of every router and agent to this copy, start them, and run homing map reconcile",
        );
    }
}

fn tell(copy: &Copy) {
    let kind = if copy.replica {
        "a replica"
    } else {
        "no replica"
    };
    output::say(&format!(
        "the copy is {kind}, at incarnation {}",
        copy.incarnation
    ));
}

fn failed(error: Error) -> Exit {
    output::complain(Exit::Failed, &chain(&error))
}
