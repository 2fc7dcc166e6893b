//! Whether an unplanned drill may be: every place that it would take away can be, and every site would fail over then.
//!
//! Owns these checks before anything is touched, and says all that is against them at once. Must not change anything.

use super::OUTAGE_MAX;
use crate::decide::Report;
use crate::decide::plan::{Plan, Question, Subject, Verb};
use crate::decide::world::Agent;
use crate::drill::begin::{Asked, Means, Rejoins, refuse};
use crate::drill::course::{Leg, Probe};
use crate::rehome::apply::{self, Error};
use homing_config::settings::Site;
use homing_mapping_store::agent::AgentRecord;
use homing_mapping_store::switch::Rule;
use std::time::Duration;

/// How long before the agent gives the place back by itself the way there has to be over.
const SPARE: Duration = Duration::from_secs(60);
/// Agents that keep their engine from its database, or stop it. Behind others it goes on answering, and nobody sees it down.
const MODES: [&str; 3] = ["relay", "postgres", "command"];

/// The way of each site, and the plan that all of them would follow now.
pub(in crate::drill) async fn prepare(
    means: &Means<'_>,
    asked: &Asked,
) -> Result<(Vec<Leg>, (Plan, Report)), Error> {
    let most = OUTAGE_MAX.saturating_sub(SPARE);
    if Duration::from_millis(asked.wanted.within_ms) > most {
        let why = format!("within is at most {} s in mode failover", most.as_secs());
        return Err(refuse(why));
    }
    if let Subject::Site(name) = &asked.subject {
        all(undeclared(&means.config.sites, &[name]))?;
    }
    let named = asked.wanted.overrides.iter();
    let named = named.filter_map(|name| Rule::parse(name));
    let question = Question {
        verb: Verb::Failover,
        subject: asked.subject.clone(),
        to: asked.to.clone(),
        key: None,
        fenced_by: asked.wanted.fenced_by.clone(),
        // That it is seen down is what the drill waits for.
        overrides: named.chain([Rule::Quorum]).collect(),
    };
    let (plan, report) = apply::decide(means.executor, &question).await?;
    if matches!(asked.subject, Subject::Zone(_)) {
        all(untouched(&means.config.sites, &report))?;
    }
    let standing: Vec<_> = report.standing().collect();
    if let Some(first) = standing.first() {
        let why: Vec<String> = standing.iter().map(|one| one.told()).collect();
        return Err(Error::Refused {
            rule: first.rule.clone(),
            why: why.join("; "),
        });
    }
    if plan.moves.is_empty() {
        let why: Vec<&str> = report.sites.iter().map(|one| one.why.as_str()).collect();
        let why = if why.is_empty() {
            "nothing is served from there".to_owned()
        } else {
            why.join("; ")
        };
        return Err(refuse(format!("there is nothing to fail over: {why}")));
    }
    let legs: Vec<Leg> = plan
        .moves
        .iter()
        .map(|one| Leg::new(&one.site, &one.from, &one.to, &one.recovery))
        .collect();
    all(one_way(&legs, asked.rejoins))?;
    let agents = means.store.agents().await?;
    all(legs.iter().filter_map(|leg| stays(&agents, leg)).collect())?;
    Ok((legs, (plan, report)))
}

/// Of every site that fails over something has to be read: nobody takes its place away to learn nothing.
pub(in crate::drill) fn measured(sites: &[String], probes: &[Probe]) -> Result<(), Error> {
    let silent = sites
        .iter()
        .filter(|site| !probes.iter().any(|probe| probe.site == **site));
    let silent: Vec<&str> = silent.map(String::as_str).collect();
    if silent.is_empty() {
        return Ok(());
    }
    Err(refuse(format!(
        "nothing of {} answers well through this router, so nothing of it would be measured; name what to read there as probes",
        sites_named(&silent)
    )))
}

fn all(against: Vec<String>) -> Result<(), Error> {
    if against.is_empty() {
        return Ok(());
    }
    Err(refuse(against.join("; ")))
}

fn sites_named(names: &[&str]) -> String {
    match names {
        [one] => format!("site {one}"),
        several => format!("sites {}", several.join(", ")),
    }
}

fn undeclared(sites: &[Site], names: &[&String]) -> Vec<String> {
    let declared = |name: &str| {
        let site = sites.iter().find(|site| site.name == name);
        site.is_some_and(|site| site.unplanned_drills)
    };
    let missing = names.iter().filter(|name| !declared(name));
    let missing: Vec<&str> = missing.map(|name| name.as_str()).collect();
    let (are, its) = match missing[..] {
        [] => return Vec::new(),
        [_] => ("is not declared", "its place"),
        [..] => ("are not declared", "their places"),
    };
    vec![format!(
        "{} {are} for it: {its} would really be taken away; say recovery = {{ ..., unplanned_drills = true }} in the [[site]]",
        sites_named(&missing)
    )]
}

/// The sites of a zone that the drill would leave as they are. The loss of the zone would not.
fn untouched(sites: &[Site], report: &Report) -> Vec<String> {
    let (parked, rest): (Vec<_>, Vec<_>) =
        report.sites.iter().partition(|one| one.verdict == "parked");
    let rest: Vec<&String> = rest.iter().map(|one| &one.site).collect();
    let mut against = undeclared(sites, &rest);
    let parked: Vec<&str> = parked.iter().map(|one| one.site.as_str()).collect();
    if !parked.is_empty() {
        against.push(format!(
            "{} would stay where the zone is lost, as nothing could take over: a rehearsal without would not be one of the zone; drill each site by its name, those without another place in mode park or evacuate",
            sites_named(&parked)
        ));
    }
    against
}

fn one_way(legs: &[Leg], rejoins: Rejoins) -> Vec<String> {
    let replicas = legs.iter().filter(|leg| leg.recovery == "replica");
    let replicas: Vec<&str> = replicas.map(|leg| leg.site.as_str()).collect();
    if replicas.is_empty() || rejoins == Rejoins::Stated {
        return Vec::new();
    }
    vec![format!(
        "{}: a replica that was promoted does not become one again by itself, and the place that was left is in quarantine; say old_place_rejoins if you see to both within the time",
        sites_named(&replicas)
    )]
}

/// Why nobody can take the place of this way away.
fn stays(agents: &[AgentRecord], leg: &Leg) -> Option<String> {
    let here = agents
        .iter()
        .filter(|one| one.report.site.name() == leg.site && one.report.installation == leg.from);
    let here: Vec<Agent> = here.map(Agent::of).collect();
    let able = |agent: &Agent| {
        let mode = agent.mode.as_deref().unwrap_or_default();
        agent.live && MODES.contains(&mode)
    };
    match &here[..] {
        [only] if able(only) => None,
        [] => Some(format!(
            "{} has no agent, and nobody else can take it away",
            leg.from
        )),
        [_] => Some(format!(
            "the agent of {} is silent, or its mode is none of {}",
            leg.from,
            MODES.join(", ")
        )),
        // An order is carried out by one of them.
        [..] => Some(format!(
            "{} has several agents, and an order takes only one part of it away",
            leg.from
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::report::Considered;

    fn considered(site: &str, verdict: &str) -> Considered {
        Considered {
            site: site.to_owned(),
            verdict: verdict.to_owned(),
            why: String::new(),
            fate: None,
            rows: std::collections::BTreeMap::new(),
            waits_for: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_zone_with_a_site_that_would_be_left_alone_is_refused_by_name_with_all_that_is_missing() {
        let report = Report {
            sites: vec![
                considered("b", "moves"),
                considered("c", "moves"),
                considered("p", "parked"),
            ],
            ..Report::default()
        };
        let against = untouched(&[], &report).join("; ");
        for words in [
            "sites b, c are not declared",
            "site p would stay",
            "mode park",
        ] {
            assert!(against.contains(words), "{words}: {against}");
        }
    }

    #[test]
    fn every_site_that_is_taken_away_has_to_be_read() {
        let probe = |site: &str| Probe {
            site: site.to_owned(),
            path: "/x".to_owned(),
            key: None,
        };
        let sites = ["b", "c"].map(str::to_owned);
        assert!(measured(&sites, &[probe("b"), probe("c")]).is_ok());
        let refused = measured(&sites, &[probe("c")]).unwrap_err();
        assert!(refused.to_string().contains("nothing of site b answers"));
    }

    #[test]
    fn replicas_go_only_with_the_word_that_they_come_back() {
        let legs = [
            Leg::new("b", "b-1", "b-2", "shared-data"),
            Leg::new("r", "r-1", "r-2", "replica"),
        ];
        assert!(one_way(&legs, Rejoins::Stated).is_empty());
        assert!(one_way(&legs, Rejoins::Unsaid)[0].starts_with("site r: "));
        assert!(one_way(&legs[..1], Rejoins::Unsaid).is_empty());
    }
}
