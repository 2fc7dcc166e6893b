//! `homing site`: list, show, ready, drain, maintenance, quarantine, quiesce, compare, restored, release.
//!
//! Owns nothing but the words; the admin API does the work.

use super::Exit;
use super::backup;
use super::change::Change;
use super::client::{Call, Remote, segment};
use super::output;
use super::quiesce;
use super::release::{self, Which};
use super::restored;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

/// See sites, and say what is wanted of them.
#[derive(clap::Args)]
pub(super) struct Site {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// All sites, with both axes.
    List,
    /// One site, with installations and endpoints.
    Show { site: String },
    /// It takes new work.
    Ready {
        site: String,
        /// Why; kept in the audit trail.
        #[arg(long, value_name = "TEXT", value_parser = super::change::reason)]
        reason: Option<String>,
        /// Check everything and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Leave the executor of Homing's own engine off, if `quiesce` has switched it off.
        #[arg(long)]
        leave_executor: bool,
        /// Accepted for the sake of scripts; this verb does not ask.
        #[arg(long, hide = true)]
        yes: bool,
    },
    /// It takes no new work and serves what lives there.
    Drain {
        site: String,
        /// A safety rule that is not to be obeyed this time (last-available); kept in the audit trail.
        #[arg(long = "override", value_name = "RULE")]
        overrides: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// It serves nothing.
    Maintenance {
        site: String,
        /// A safety rule that is not to be obeyed this time (last-available); kept in the audit trail.
        #[arg(long = "override", value_name = "RULE")]
        overrides: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// It is lost, or back from a loss: it serves nothing until it is released.
    Quarantine {
        site: String,
        /// A safety rule that is not to be obeyed this time (last-available); kept in the audit trail.
        #[arg(long = "override", value_name = "RULE")]
        overrides: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// What of it is in quarantine, compared now: identity, generation, due jobs, deployments, the table's drift.
    Compare { site: String },
    /// Stop everything there for a cold backup, and show that it stands still; `ready` ends it.
    Quiesce(quiesce::Which),
    /// Back it up by your own commands, in the order that its parts need, while it works or stands still.
    Backup(Box<backup::Which>),
    /// Its database is a backup's copy now: into quarantine, and what the copy lacks is marked as lost.
    Restored(restored::Which),
    /// End a quarantine, if nothing that is compared is wrong.
    Release(Which),
}

impl Site {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::List => self.list(),
            Verb::Show { site } => self.show(site),
            Verb::Ready {
                site,
                reason,
                dry_run,
                leave_executor,
                yes: _,
            } => self.state(
                site,
                ("ready", &[]),
                *leave_executor,
                &Change::harmless(reason.as_deref(), *dry_run),
            ),
            Verb::Drain {
                site,
                overrides,
                change,
            } => self.state(site, ("draining", overrides), false, change),
            Verb::Maintenance {
                site,
                overrides,
                change,
            } => self.state(site, ("maintenance", overrides), false, change),
            Verb::Quarantine {
                site,
                overrides,
                change,
            } => self.state(site, ("quarantined", overrides), false, change),
            Verb::Compare { site } => {
                return release::compare(&self.remote, site).unwrap_or_else(|exit| exit);
            }
            Verb::Quiesce(which) => {
                return quiesce::quiesce(&self.remote, which).unwrap_or_else(|exit| exit);
            }
            Verb::Backup(which) => {
                return backup::backup(&self.remote, which).unwrap_or_else(|exit| exit);
            }
            Verb::Restored(which) => {
                return restored::restored(&self.remote, which).unwrap_or_else(|exit| exit);
            }
            Verb::Release(which) => {
                return release::release(&self.remote, which).unwrap_or_else(|exit| exit);
            }
        };
        done.err().unwrap_or(Exit::Ok)
    }

    fn list(&self) -> Result<(), Exit> {
        let reply = self.remote.call(Call::get("/v1/sites"))?;
        if self.remote.json {
            output::machine("site-list", &reply.json);
        } else {
            let items = reply
                .json
                .get("items")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            output::rows(
                &[
                    "site",
                    "state",
                    "observed",
                    "available",
                    "why",
                    "dialect",
                    "serving",
                ],
                &items,
            );
        }
        Ok(())
    }

    fn show(&self, site: &str) -> Result<(), Exit> {
        let reply = self
            .remote
            .call(Call::get(format!("/v1/sites/{}", segment(site))))?;
        if self.remote.json {
            output::machine("site", &reply.json);
        } else {
            output::members(&reply.json);
            automatic(&reply.json["automatic"]);
        }
        Ok(())
    }

    fn state(
        &self,
        site: &str,
        (state, overrides): (&str, &[String]),
        leave_executor: bool,
        change: &Change,
    ) -> Result<(), Exit> {
        change.confirm(&format!("set site {site} to {state}"))?;
        let path = format!("/v1/sites/{}/state{}", segment(site), change.query());
        let mut body = json!({ "state": state, "overrides": overrides });
        if leave_executor {
            body["leave_executor"] = true.into();
        }
        let call = change.apply(Call::with(Method::PUT, path, &body))?;
        let reply = self.remote.call(call)?;
        if self.remote.json {
            output::machine("site", &reply.json);
        } else {
            let is = match state {
                "maintenance" => "is in maintenance",
                "quarantined" => "is in quarantine",
                "draining" => "is draining",
                _ => "is ready",
            };
            output::say(&format!("site {site} {is}{}", change.suffix()));
        }
        Ok(())
    }
}

/// What a failover without a person waits for.
fn automatic(said: &Value) {
    let word = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
    if said.is_null() {
        return;
    }
    output::say(&format!(
        "failover by itself ({}): {} {}",
        word("automatic"),
        word("advice"),
        word("why")
    ));
    for wait in said["waits_for"].as_array().into_iter().flatten() {
        output::say(&format!(
            "  waits for {}",
            wait.as_str().unwrap_or_default()
        ));
    }
    if let Some(plan) = said["plan"].as_str() {
        output::say(&format!("  homing apply {plan} --reason TEXT"));
    }
}
