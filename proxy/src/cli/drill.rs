//! `homing drill`: a rehearsed switchover, there and back, under load, with rules that end it early, and a report.
//!
//! Owns the order of a drill: find what to ask for, switch, stay, return, judge. What is switched and whether it may be is
//! the plan's and the router's business (`rehome`); this is a client of the admin API and of a data listener like any other.
//! A drill that is killed leaves an ordinary operation behind, which ends by itself.

mod leg;
mod load;
mod report;

use super::Exit;
use super::client::{Call, Remote, segment};
use super::output;
use crate::clock;
use clap::Subcommand;
use leg::{Leg, Limits, Rules};
use load::{Load, Tally};
use report::Report;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Rehearse a switchover and its way back.
#[derive(clap::Args)]
pub(super) struct Drill {
    #[command(flatten)]
    remote: Remote,
    /// The folder in which reports are kept.
    #[arg(long, value_name = "DIR", default_value = "drills", global = true)]
    reports: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Switch a site to its other place and back, under load.
    Run(Box<Run>),
    /// The reports in the folder.
    List,
    /// One report.
    Report {
        /// As `drill list` names it.
        name: String,
    },
}

/// What is rehearsed, and when it is ended early.
#[derive(clap::Args, Clone, Debug)]
struct Run {
    /// The site: `shared-data`, or `replica` with `--old-place-rejoins`.
    site: String,
    /// The installation to switch to, where there is a choice.
    #[arg(long, value_name = "INSTALLATION")]
    to: Option<String>,
    /// A data listener of a router, as `http://HOST:PORT`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    data: String,
    /// A path to be read over and over; may be repeated. Not said: the newest instances of the site, in a dialect that has them.
    #[arg(long = "probe", value_name = "PATH")]
    probes: Vec<String>,
    /// Seconds for which the site stays at the other place.
    #[arg(long, default_value_t = 5)]
    stay: u64,
    /// Failed reads at which the drill is ended: taken back if the switch still runs, else returned at once.
    #[arg(long, default_value_t = 0)]
    max_failed: u64,
    /// Seconds within which each way has to be done; longer ends the drill.
    #[arg(long, default_value_t = 120)]
    within: u64,
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
    /// Why; kept in the audit trail with both ways.
    #[arg(long, value_name = "TEXT", required = true)]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Make the plan of the way there, show it, and end.
    #[arg(long)]
    dry_run: bool,
}

impl Drill {
    pub(super) fn run(self) -> Exit {
        let done = match &self.verb {
            Verb::Run(run) => self.rehearse(run),
            Verb::List => report::list(&self.reports, self.remote.json),
            Verb::Report { name } => report::show(&self.reports, name, self.remote.json),
        };
        done.unwrap_or_else(|exit| exit)
    }

    fn rehearse(&self, run: &Run) -> Result<Exit, Exit> {
        let remote = &self.remote;
        let path = format!("/v1/sites/{}", segment(&run.site));
        let site = remote.call(Call::get(path))?.json;
        let there = leg::plan(remote, &run.way(run.to.clone()))?;
        let planned = there["moves"][0].clone();
        if planned["recovery"] == "replica" && !run.old_place_rejoins {
            let why = "a replica that was promoted does not become one again by itself; say --old-place-rejoins if yours does, or rehearse with switchover and failback";
            return Err(output::complain(Exit::Refused, why));
        }
        if run.dry_run {
            output::say("the way there was planned (dry run: nothing was changed)");
            return Ok(Exit::Ok);
        }
        let probes = self.probes(run, &site)?;
        let word = |name: &str| planned[name].as_str().unwrap_or_default().to_owned();
        let (from, to) = (word("from"), word("to"));
        let what = format!("switch site {} to {to} and back to {from}", run.site);
        output::confirmed(run.yes, &what)?;
        let mut report = Report::begin(&run.site, &run.reason, &planned, &probes);
        let tally = Arc::new(Tally::default());
        let load = Load::start(&run.data, &run.site, probes, Arc::clone(&tally))?;
        let rehearsal = Rehearsal {
            remote,
            run,
            tally: &tally,
        };
        rehearsal.there_and_back(&mut report, &there, (&from, &to));
        report.lost(load.stop());
        report.judge(&tally);
        let (page, data) = report.write(&self.reports)?;
        if remote.json {
            output::machine("drill", report.json());
        } else {
            report.tell();
            output::say(&format!(
                "report: {} and {}",
                page.display(),
                data.display()
            ));
        }
        Ok(report.exit())
    }

    /// What is read over and over: the paths given, or instances that the site holds.
    fn probes(&self, run: &Run, site: &Value) -> Result<Vec<String>, Exit> {
        let wanted = if run.probes.is_empty() {
            let base = site["base_path"].as_str().unwrap_or_default();
            let path = format!(
                "/v1/mappings?home={}&kind=process-instance&limit={}",
                segment(&run.site),
                load::KEYS_MAX
            );
            let rows = self.remote.call(Call::get(path))?.json;
            let rows = rows["items"].as_array().cloned().unwrap_or_default();
            let ids = rows.iter().filter_map(|row| {
                let key = row["key"].as_str()?;
                key.strip_prefix("process-instance:").map(segment)
            });
            // History keeps what runs and what has ended.
            ids.map(|id| format!("{base}/history/process-instance/{id}"))
                .collect()
        } else {
            run.probes.clone()
        };
        let good = load::good(&run.data, &run.site, &wanted)?;
        if good.is_empty() {
            let why = format!(
                "nothing of site {} answers 200 through {}; say what to read with --probe PATH",
                run.site, run.data
            );
            return Err(output::complain(Exit::Refused, &why));
        }
        Ok(good)
    }
}

impl Run {
    fn way(&self, to: Option<String>) -> leg::Way {
        leg::Way {
            site: self.site.clone(),
            to,
            fenced_by: self.fenced_by.clone(),
            overrides: self.overrides.clone(),
        }
    }

    fn within(&self) -> Duration {
        Duration::from_secs(self.within)
    }
}

/// A drill that runs.
struct Rehearsal<'a> {
    remote: &'a Remote,
    run: &'a Run,
    tally: &'a Arc<Tally>,
}

impl Rehearsal<'_> {
    fn there_and_back(&self, report: &mut Report, planned: &Value, (from, to): (&str, &str)) {
        let there = self.leg("there", Rules::Enforced, (from, to));
        let done = there.carry_out(planned);
        let moved = done.is_done();
        report.leg(&done);
        if let Some(broken) = done.broken {
            report.ended_early(broken);
        } else if !moved {
            report.ended_early("the way there did not end well".to_owned());
        } else if let Some(broken) = there.stay(Duration::from_secs(self.run.stay)) {
            report.ended_early(broken);
        }
        if !moved {
            report.returned(self.serving() == from);
            return;
        }
        let mut way = self.run.way(Some(from.to_owned()));
        way.overrides.push("cool-down".to_owned());
        let back = self.leg("back", Rules::Noted, (to, from));
        match back.plan_again(&way) {
            Ok(planned) => {
                let done = back.carry_out(&planned);
                report.returned(done.is_done());
                report.leg(&done);
            }
            Err(why) => {
                report.ended_early(format!("no way back: {why}"));
                report.returned(false);
            }
        }
    }

    /// What serves in the end; empty if nothing does.
    fn serving(&self) -> String {
        let path = format!("/v1/sites/{}", segment(&self.run.site));
        let began = clock::now();
        loop {
            let reply = self.remote.ask(Call::get(&path));
            let serving = reply.map(|reply| reply.json["serving"].as_str().map(str::to_owned));
            if let Ok(Some(serving)) = serving {
                return serving;
            }
            if clock::now().saturating_duration_since(began) > leg::SETTLES_WITHIN {
                return String::new();
            }
            std::thread::sleep(leg::LOOK_EVERY);
        }
    }

    fn leg<'l>(&'l self, name: &'static str, rules: Rules, (from, to): (&str, &str)) -> Leg<'l> {
        Leg {
            remote: self.remote,
            tally: self.tally,
            name,
            from: from.to_owned(),
            to: to.to_owned(),
            reason: format!("drill: {}", self.run.reason),
            fenced_by: self.run.fenced_by.clone(),
            rules,
            limits: Limits {
                max_failed: self.run.max_failed,
                within: self.run.within(),
            },
        }
    }
}
