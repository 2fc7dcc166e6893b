//! The planner: a question and the world in, an immutable plan and a report out.
//!
//! Owns what each verb means. Must not read clocks, stores or networks. A plan is known by the hash of its canonical
//! JSON, so what was shown is what is applied.

mod evacuate;
mod rules;

pub use evacuate::ANY;
pub use rules::last_available;

use super::report::{Considered, Objection, Report};
use super::world::{Installation, Recovery, Site, World};
use crate::names;
use homing_mapping_store::Timestamp;
use homing_mapping_store::switch::Rule;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a plan may be applied.
pub const PLAN_VALID: Duration = Duration::from_secs(900);

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Planned and reversible.
    Switchover,
    /// Unplanned: the installation that serves is down.
    Failover,
    /// A planned switchover to the installation listed first.
    Failback,
    /// Live instances are handed to other sites.
    Evacuate,
}

impl Verb {
    /// The text in plans, records and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Switchover => "switchover",
            Verb::Failover => "failover",
            Verb::Failback => "failback",
            Verb::Evacuate => "evacuate",
        }
    }

    /// Whether the place that is left is alive, and nothing that was written there may be missing elsewhere.
    pub fn is_planned(self) -> bool {
        match self {
            Verb::Switchover | Verb::Failback | Verb::Evacuate => true,
            Verb::Failover => false,
        }
    }
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// One site.
    Site(String),
    /// Every site whose serving installation is in this zone.
    Zone(String),
}

impl Subject {
    /// The text in records.
    pub fn text(&self) -> String {
        match self {
            Subject::Site(site) => site.clone(),
            Subject::Zone(zone) => format!("zone {zone}"),
        }
    }

    /// What is not there, with those that are; `None`: it is there.
    pub fn unknown(&self, world: &World) -> Option<String> {
        let zones = world.sites.iter().flat_map(|site| &site.installations);
        let (word, name, mut known): (_, _, Vec<&str>) = match self {
            Subject::Site(name) => {
                let names = world.sites.iter().map(|site| site.name.as_str());
                ("site", name, names.collect())
            }
            Subject::Zone(name) => {
                let names = zones.filter_map(|one| one.zone.as_deref());
                ("zone", name, names.collect())
            }
        };
        known.sort_unstable();
        known.dedup();
        (!known.contains(&name.as_str())).then(|| names::unknown(word, name, &known))
    }
}

/// An operator's question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is wanted.
    pub verb: Verb,
    /// Of what.
    pub subject: Subject,
    /// The installation that is to serve, where there is a choice; of an evacuation the site that takes.
    pub to: Option<String>,
    /// The only instance that is handed over; `None`: all of them.
    pub key: Option<String>,
    /// The operator's statement that the installation that serves now is fenced, and how.
    pub fenced_by: Option<String>,
    /// Rules that the operator overrides.
    pub overrides: Vec<Rule>,
}

/// A decision, immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What is wanted.
    pub verb: Verb,
    /// Of what.
    pub subject: Subject,
    /// What is to be done; empty when there is nothing to do, or nothing may be done.
    pub moves: Vec<Move>,
    /// The operator's statement that the old place is fenced.
    pub fenced_by: Option<String>,
    /// Rules that the operator overrides, by name.
    pub overrides: Vec<String>,
    /// When it was made.
    pub made_at: i64,
    /// When it can no longer be applied.
    pub expires_at: i64,
}

/// One site's switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The site.
    pub site: String,
    /// The installation that serves.
    pub from: String,
    /// The one that is to serve; of an evacuation the site that takes, or `*` for whichever placement chooses.
    pub to: String,
    /// The assignment's generation; at any other one the plan is stale.
    pub generation: u64,
    /// `shared-data`, `replica` or `evacuate`.
    pub recovery: String,
    /// Largest lag of the replica.
    pub max_lag_ms: Option<u64>,
    /// The only instance that is handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Plan {
    /// JSON with sorted members and no spaces: the same plan is always the same text.
    pub fn canonical(&self) -> String {
        // Objects of serde_json keep their members sorted.
        serde_json::to_value(self).unwrap_or_default().to_string()
    }

    /// What the plan is known by.
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(self.canonical().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What follows from the question, in this world, at this time.
pub fn plan(question: &Question, world: &World, now: Timestamp) -> (Plan, Report) {
    let mut draft = Draft {
        question,
        world,
        moves: Vec::new(),
        report: Report::default(),
    };
    draft.consider();
    draft.whole();
    let valid = i64::try_from(PLAN_VALID.as_millis()).unwrap_or(i64::MAX);
    let mut overrides: Vec<String> = question
        .overrides
        .iter()
        .map(|rule| rule.as_str().to_owned())
        .collect();
    overrides.sort();
    overrides.dedup();
    let forbidden = draft.report.standing().next().is_some();
    let plan = Plan {
        verb: question.verb,
        subject: question.subject.clone(),
        moves: if forbidden { Vec::new() } else { draft.moves },
        fenced_by: question.fenced_by.clone(),
        overrides,
        made_at: now.0,
        expires_at: now.0.saturating_add(valid),
    };
    (plan, draft.report)
}

struct Draft<'a> {
    question: &'a Question,
    world: &'a World,
    moves: Vec<Move>,
    report: Report,
}

impl<'a> Draft<'a> {
    fn consider(&mut self) {
        match &self.question.subject {
            Subject::Site(name) => match self.world.sites.iter().find(|site| site.name == *name) {
                Some(site) => self.site(site),
                None => self.forbid(None, None, format!("there is no site {name}")),
            },
            Subject::Zone(zone) => {
                let there = |site: &&'a Site| {
                    let serving = site.installation(&site.serving);
                    serving.and_then(|one| one.zone.as_deref()) == Some(zone)
                };
                let sites: Vec<&Site> = self.world.sites.iter().filter(there).collect();
                for site in sites {
                    self.site(site);
                }
            }
        }
    }

    fn site(&mut self, site: &'a Site) {
        if self.question.verb == Verb::Evacuate {
            return self.evacuate(site);
        }
        if let Some(pending) = &site.pending {
            return self.refuse(site, format!("it is switching to {pending} already"));
        }
        let Some(recovery) = site.recovery else {
            return self.refuse(
                site,
                "no configuration of this router declares it".to_owned(),
            );
        };
        if matches!(recovery, Recovery::Park | Recovery::Evacuate) || site.installations.len() < 2 {
            return self.park(site);
        }
        match self.target(site) {
            Ok(Some(target)) => self.switch(site, target, recovery),
            Ok(None) => {
                let why = format!("{} serves it already", site.serving);
                self.considered(site, "nothing-to-do", why, None);
            }
            Err(why) => self.refuse(site, why),
        }
    }

    /// Where the site is to go; `None`: it is there.
    fn target(&self, site: &'a Site) -> Result<Option<&'a Installation>, String> {
        let wanted = match (self.question.verb, &self.question.to) {
            (Verb::Failback, None) => site.installations.first().map(|one| one.name.as_str()),
            (_, to) => to.as_deref(),
        };
        if let Some(wanted) = wanted {
            return match site.installation(wanted) {
                Some(_) if wanted == site.serving => Ok(None),
                Some(target) => Ok(Some(target)),
                None => Err(format!("it has no installation {wanted}")),
            };
        }
        let elsewhere = |one: &&Installation| match &self.question.subject {
            Subject::Zone(zone) => one.zone.as_deref() != Some(zone),
            Subject::Site(_) => true,
        };
        let others: Vec<&Installation> = site
            .installations
            .iter()
            .filter(|one| one.name != site.serving)
            .filter(elsewhere)
            .collect();
        match others[..] {
            [only] => Ok(Some(only)),
            [] => Err("it has no installation elsewhere".to_owned()),
            [..] => Err("it has several other installations; say which one with --to".to_owned()),
        }
    }

    fn switch(&mut self, site: &'a Site, target: &'a Installation, recovery: Recovery) {
        let mut waits = vec!["all routers to stop sending to ".to_owned() + &site.serving];
        match self.fence(site) {
            Ok(wait) => waits.push(wait),
            Err(why) => return self.refuse(site, why),
        }
        self.judge(site, target, recovery);
        let max_lag_ms = match recovery {
            Recovery::Replica { max_lag } => {
                if self.question.verb.is_planned() {
                    let (from, to) = (&site.serving, &target.name);
                    waits.push(format!("the replica at {to} to have all that {from} wrote"));
                }
                waits.push(format!("the replica at {} to be promoted", target.name));
                Some(u64::try_from(max_lag.as_millis()).unwrap_or(u64::MAX))
            }
            Recovery::SharedData | Recovery::Park | Recovery::Evacuate => None,
        };
        waits.push(format!(
            "{} to be healthy, on the right database",
            target.name
        ));
        self.moves.push(Move {
            site: site.name.clone(),
            from: site.serving.clone(),
            to: target.name.clone(),
            generation: site.generation.0,
            recovery: recovery.as_str().to_owned(),
            max_lag_ms,
            key: None,
        });
        self.report.sites.push(Considered {
            site: site.name.clone(),
            verdict: "moves".to_owned(),
            why: format!("{} serves it, {} can", site.serving, target.name),
            fate: Some("resumed".to_owned()),
            rows: BTreeMap::new(),
            waits_for: waits,
            notes: Vec::new(),
        });
    }

    /// What will prove that the installation that serves now can change nothing any more.
    fn fence(&self, site: &Site) -> Result<String, String> {
        let agents = site
            .installation(&site.serving)
            .map(|one| one.agents.as_slice())
            .unwrap_or_default();
        let silent = agents
            .iter()
            .find(|agent| !agent.live && !agent.silence_proves());
        let by_silence = agents.iter().all(|agent| agent.silence_proves());
        match (&self.question.fenced_by, agents, silent) {
            (stated, [_, ..], None) => {
                let fence = format!("the fence of {}: its agents' word", site.serving);
                Ok(match stated {
                    _ if by_silence => format!("{fence}, or the end of its lease"),
                    Some(stated) => {
                        format!(
                            "{fence}; if they fall silent, the end of its lease and \"{stated}\""
                        )
                    }
                    None => format!("{fence}; their silence would prove nothing"),
                })
            }
            (Some(statement), _, _) => Ok(format!(
                "nothing more: {} is fenced by \"{statement}\"",
                site.serving
            )),
            (None, [], _) => Err(format!(
                "no agent has ever reported for {}, so nothing proves that it is fenced; stop it for certain, then say how with --fenced-by \"...\"",
                site.serving
            )),
            (None, _, Some(agent)) => Err(format!(
                "agent {} of {} is silent, and its silence proves nothing; stop the installation for certain, then say how with --fenced-by \"...\"",
                agent.holder, site.serving
            )),
        }
    }

    fn park(&mut self, site: &Site) {
        let why = match self.question.verb {
            Verb::Failover => {
                "it has no installation that could take over: while it is down its new work goes to other sites, and its instances wait"
            }
            Verb::Switchover | Verb::Failback | Verb::Evacuate => {
                "it has no installation that could take over"
            }
        };
        let fate = (self.question.verb == Verb::Failover).then(|| "parked".to_owned());
        self.considered(site, "parked", why.to_owned(), fate);
    }

    fn refuse(&mut self, site: &Site, why: String) {
        self.considered(site, "refused", why.clone(), None);
        self.forbid(None, Some(&site.name), why);
    }

    fn considered(&mut self, site: &Site, verdict: &str, why: String, fate: Option<String>) {
        self.report.sites.push(Considered {
            site: site.name.clone(),
            verdict: verdict.to_owned(),
            why,
            fate,
            rows: BTreeMap::new(),
            waits_for: Vec::new(),
            notes: Vec::new(),
        });
    }

    fn forbid(&mut self, rule: Option<Rule>, site: Option<&str>, why: String) {
        let overridden = rule.is_some_and(|rule| self.question.overrides.contains(&rule));
        self.report.objections.push(Objection {
            rule: rule.map(|rule| rule.as_str().to_owned()),
            site: site.map(str::to_owned),
            why,
            overridden,
        });
    }
}
