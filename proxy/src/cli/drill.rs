//! `homing drill`: begin a rehearsal, watch it, list and show reports, end one early.
//!
//! Owns the words, and the exit code of a drill's end. The routers carry it out: a command that is killed ends nothing.

use super::Exit;
use super::client::{Call, Remote, segment};
use super::output;
use super::page::Paging;
use super::rehome::HOMING_REASON;
use crate::drill::page;
use clap::{Subcommand, ValueEnum};
use http::{HeaderName, Method};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks at a drill.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Finding out what can be read takes longer than a usual call.
const PREPARES_WITHIN_SECONDS: u64 = 60;

/// Rehearse a switch and its way back, or an absence.
#[derive(clap::Args)]
pub(super) struct Drill {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Begin a drill, and wait for its report.
    Run(Box<Run>),
    /// Drills, the newest first.
    List(Paging),
    /// One report.
    Report {
        /// The drill's id.
        drill: String,
        /// As one HTML page, on standard output.
        #[arg(long, conflicts_with = "json")]
        html: bool,
    },
    /// End a drill early: every site comes home.
    Abort {
        /// The drill's id.
        drill: String,
        /// Why; kept in the audit trail.
        #[arg(long, value_name = "TEXT", value_parser = super::change::reason)]
        reason: String,
        /// Check everything and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Accepted for the sake of scripts; this verb does not ask.
        #[arg(long, hide = true)]
        yes: bool,
    },
}

/// What is rehearsed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// A planned switch to the other installation, and back.
    Switch,
    /// A share of the placements is taken from the site for a time.
    Park,
    /// Some live instances are handed to another site, and back.
    Evacuate,
    /// The place that serves is really taken away by its agent, and the site fails over.
    Failover,
}

/// What is rehearsed, and when it is ended early.
#[derive(clap::Args, Clone, Debug)]
struct Run {
    /// The site.
    #[arg(required_unless_present = "zone", conflicts_with = "zone")]
    site: Option<String>,
    /// Every site whose serving installation is in this zone.
    #[arg(long)]
    zone: Option<String>,
    /// Not said: park or evacuate for a site with that recovery, else switch.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The installation to switch to, where there is a choice; in mode evacuate the site that takes.
    #[arg(long, value_name = "PLACE", conflicts_with = "zone")]
    to: Option<String>,
    /// A path to be read over and over; may be repeated. Not said: process instances of the sites.
    #[arg(long = "probe", value_name = "PATH")]
    probes: Vec<String>,
    /// Seconds for which the sites stay at the other place, or without the share.
    #[arg(long, default_value_t = 5)]
    stay: u64,
    /// Failed requests that are borne; one more ends the drill.
    #[arg(long, default_value_t = 0)]
    max_failed: u64,
    /// Seconds within which each way has to be done; longer ends the drill.
    #[arg(long, default_value_t = 120)]
    within: u64,
    /// In mode park: the part of the placements that is taken, above 0 and at most 1.
    #[arg(long, default_value_t = 1.0)]
    share: f64,
    /// In mode evacuate: how many live instances go, at most 50.
    #[arg(long, default_value_t = 5)]
    instances: usize,
    /// How it is made sure that the place which does not serve can change nothing, both ways, where no agent proves it.
    #[arg(long, value_name = "HOW")]
    fenced_by: Option<String>,
    /// A safety rule that is not to be obeyed. `cool-down` is overridden for the way back without being named.
    #[arg(long = "override", value_name = "RULE")]
    overrides: Vec<String>,
    /// Your word that the place which was left becomes a replica of the other one, by itself or by your hand, within
    /// `--within`. Without it a site with a replica is not drilled: promotion has no way back.
    #[arg(long)]
    old_place_rejoins: bool,
    /// Why; kept in the audit trail with every step.
    #[arg(long, value_name = "TEXT", required = true, value_parser = super::change::reason)]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Check everything, make the plan of the way there, show what would be read, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the end.
    #[arg(long)]
    no_wait: bool,
}

impl Run {
    fn body(&self) -> Value {
        let mode = self.mode.map(|mode| match mode {
            Mode::Switch => "switch",
            Mode::Park => "park",
            Mode::Evacuate => "evacuate",
            Mode::Failover => "failover",
        });
        json!({
            "site": self.site, "zone": self.zone, "mode": mode, "to": self.to,
            "stay_seconds": self.stay, "within_seconds": self.within, "max_failed": self.max_failed,
            "share": self.share, "instances": self.instances, "fenced_by": self.fenced_by, "overrides": self.overrides,
            "old_place_rejoins": self.old_place_rejoins, "probes": self.probes,
        })
    }

    fn subject(&self) -> String {
        match (&self.site, &self.zone) {
            (Some(site), _) => format!("site {site}"),
            (None, zone) => format!("zone {}", zone.as_deref().unwrap_or_default()),
        }
    }
}

impl Drill {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::Run(run) => self.rehearse(run),
            Verb::List(paging) => self.list(paging),
            Verb::Report { drill, html } => self.report(drill, *html),
            Verb::Abort {
                drill,
                reason,
                dry_run,
                ..
            } => self.abort(drill, reason, *dry_run),
        };
        done.unwrap_or_else(|exit| exit)
    }

    fn rehearse(&self, run: &Run) -> Result<Exit, Exit> {
        if !run.dry_run {
            let what = format!("rehearse with {}", run.subject());
            output::confirmed(run.yes, &what)?;
        }
        let query = if run.dry_run { "?dry_run=true" } else { "" };
        let call = Call::with(Method::POST, format!("/v1/drills{query}"), &run.body());
        let call = call.header(HOMING_REASON.clone(), &run.reason)?;
        let begun = self
            .remote
            .patient(PREPARES_WITHIN_SECONDS)
            .call(call)?
            .json;
        if run.dry_run {
            if self.remote.json {
                output::machine("drill-plan", &begun);
            } else {
                output::members(&begun);
            }
            return Ok(Exit::Ok);
        }
        let id = begun["drill"].as_str().unwrap_or_default();
        if run.no_wait {
            if self.remote.json {
                output::machine("drill", &begun);
            } else {
                output::say(&format!(
                    "drill {id} has begun; see: homing drill report {id}"
                ));
            }
            return Ok(Exit::Ok);
        }
        self.watch(id)
    }

    /// A router that goes away meanwhile is asked again.
    fn watch(&self, id: &str) -> Result<Exit, Exit> {
        let path = format!("/v1/drills/{}", segment(id));
        let goes_on = format!("drill {id} goes on without this command: homing drill report {id}");
        let mut told = String::new();
        loop {
            let drill = self.remote.follow(&path, &goes_on)?;
            let phase = drill["phase"].as_str().unwrap_or_default();
            if !self.remote.json && phase != told {
                output::say(&format!("drill {id}: {phase}"));
            }
            told = phase.to_owned();
            if !drill["ended_at"].is_null() {
                self.show(&drill);
                return Ok(exit_of(&drill));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn show(&self, drill: &Value) {
        if self.remote.json {
            output::machine("drill", drill);
            return;
        }
        for (name, value) in page::lines(drill) {
            output::say(&format!("  {name:<34} {value}"));
        }
    }

    fn list(&self, paging: &Paging) -> Result<Exit, Exit> {
        let page = self.remote.call(Call::get(paging.of("/v1/drills")))?.json;
        if self.remote.json {
            output::machine("drill-list", &page);
        } else {
            let columns = [
                "drill",
                "subject",
                "mode",
                "state",
                "started_at",
                "rto_seconds",
                "actor",
            ];
            super::page::print(&columns, &page);
        }
        Ok(Exit::Ok)
    }

    fn report(&self, id: &str, html: bool) -> Result<Exit, Exit> {
        let mut call = Call::get(format!("/v1/drills/{}", segment(id)));
        if html {
            let accept = HeaderName::from_static("accept");
            call = call.header(accept, "text/html")?;
        }
        let reply = self.remote.call(call)?.json;
        if html {
            output::say(reply.as_str().unwrap_or_default());
        } else {
            self.show(&reply);
        }
        Ok(Exit::Ok)
    }

    fn abort(&self, id: &str, reason: &str, dry_run: bool) -> Result<Exit, Exit> {
        let query = if dry_run { "?dry_run=true" } else { "" };
        let path = format!("/v1/drills/{}/abort{query}", segment(id));
        let call = Call::with(Method::POST, path, &json!({}));
        let reply = self
            .remote
            .call(call.header(HOMING_REASON.clone(), reason)?)?;
        if self.remote.json {
            output::machine("drill", &reply.json);
        } else {
            let suffix = if dry_run {
                " (dry run: nothing was changed)"
            } else {
                ""
            };
            output::say(&format!("drill {id}: abort{suffix}"));
        }
        Ok(Exit::Ok)
    }
}

/// 0 clean; 5 a site is not back at its place; else 1.
fn exit_of(drill: &Value) -> Exit {
    if drill["verdict"] == "clean" {
        Exit::Ok
    } else if drill["returned"] == true {
        Exit::Failed
    } else {
        Exit::Partly
    }
}
