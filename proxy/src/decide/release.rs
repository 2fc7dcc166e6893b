//! Whether what came back may be trusted again: what was compared in, objections out.
//!
//! Owns that judgement, purely. Must not look at anything itself. What could not be compared is an objection only where
//! nothing else would catch it before the place serves: its identity is compared once more by every switch.

use super::world::{Agent, Recovery};
use homing_mapping_store::Generation;
use homing_mapping_store::agent::AgentRole;
use serde::Serialize;
use utoipa::ToSchema;

/// What can be wrong, by the name under which it is overridden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing of it can be seen.
    Unseen,
    /// It shows another database.
    Identity,
    /// An agent there has not heard of the failover, or has not fenced.
    Generation,
    /// The replica is too far behind, or is none.
    Lag,
    /// It lacks definitions that are deployed where it is compared with.
    Deployments,
    /// It does not hold what the table says, or not everything was compared.
    Drift,
}

impl Mark {
    /// All of them.
    pub const ALL: [Mark; 6] = [
        Mark::Unseen,
        Mark::Identity,
        Mark::Generation,
        Mark::Lag,
        Mark::Deployments,
        Mark::Drift,
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Unseen => "unseen",
            Mark::Identity => "identity",
            Mark::Generation => "generation",
            Mark::Lag => "lag",
            Mark::Deployments => "deployments",
            Mark::Drift => "drift",
        }
    }

    /// The mark with this name.
    pub fn parse(name: &str) -> Option<Mark> {
        Mark::ALL.into_iter().find(|mark| mark.as_str() == name)
    }
}

/// Something that speaks against the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Against {
    /// The name under which it is overridden.
    pub mark: &'static str,
    /// Why.
    pub why: String,
    /// Whether it was overridden.
    pub overridden: bool,
}

/// What kept the place or the site out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One installation, which does not serve.
    Installation,
    /// The whole site: what it serves from is trusted again by this word alone.
    Site,
}

/// The table against what the place holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Rows whose thing is not there.
    pub missing: u64,
    /// Things there whose row names another home.
    pub elsewhere: u64,
    /// Rows that nobody could tell about.
    pub unproven: u64,
    /// Why not everything was compared.
    pub incomplete: Option<String>,
}

/// What was seen of a place that came back.
#[derive(Clone, Debug)]
pub struct Returned<'a> {
    /// Its name.
    pub name: &'a str,
    /// What kept it out.
    pub scope: Scope,
    /// Whether its engine answers well; else what is wrong.
    pub engine: Result<(), String>,
    /// The identity that is registered.
    pub registered: Option<&'a str>,
    /// The one that it shows.
    pub shown: Option<&'a str>,
    /// Generation of the assignment.
    pub generation: Generation,
    /// Its agents.
    pub agents: &'a [Agent],
    /// What may be done with the site.
    pub recovery: Option<Recovery>,
    /// Definitions that it lacks.
    pub undeployed: usize,
    /// What it holds; `None`: it cannot be asked.
    pub drift: Option<Drift>,
}

/// Everything that speaks against the release, in the order of the marks.
pub fn judge(place: &Returned<'_>, overrides: &[Mark]) -> Vec<Against> {
    let found = [
        (Mark::Unseen, unseen(place)),
        (Mark::Identity, identity(place)),
        (Mark::Generation, generation(place)),
        (Mark::Lag, lag(place)),
        (Mark::Deployments, deployments(place)),
        (Mark::Drift, drift(place)),
    ];
    let named = |(mark, why): (Mark, Option<String>)| {
        Some(Against {
            mark: mark.as_str(),
            why: why?,
            overridden: overrides.contains(&mark),
        })
    };
    found.into_iter().filter_map(named).collect()
}

fn unseen(place: &Returned<'_>) -> Option<String> {
    let why = place.engine.as_ref().err()?;
    match place.scope {
        Scope::Site => Some(format!("{} does not answer well: {why}", place.name)),
        Scope::Installation if place.agents.iter().any(|agent| agent.live) => None,
        Scope::Installation => Some(format!(
            "nothing of {} can be seen: its engine does not answer well ({why}), and no agent reports from there",
            place.name
        )),
    }
}

fn identity(place: &Returned<'_>) -> Option<String> {
    let shown = place.shown?;
    match place.registered {
        Some(registered) if registered == shown => None,
        Some(registered) => Some(format!(
            "{} shows the database {shown}; the site's is {registered}",
            place.name
        )),
        None => Some(format!(
            "{} shows the database {shown}, and no identity of the site is registered to compare it with",
            place.name
        )),
    }
}

fn generation(place: &Returned<'_>) -> Option<String> {
    let live = || place.agents.iter().filter(|agent| agent.live);
    if let Some(agent) = live().find(|agent| agent.generation < place.generation) {
        return Some(format!(
            "agent {} has seen generation {}, and the site is at {}",
            agent.holder, agent.generation, place.generation
        ));
    }
    let open = live().find(|agent| agent.role == AgentRole::Open)?;
    (place.scope == Scope::Installation).then(|| {
        format!(
            "agent {} has not fenced {}, which does not serve",
            open.holder, place.name
        )
    })
}

fn lag(place: &Returned<'_>) -> Option<String> {
    let Some(Recovery::Replica { max_lag }) = place.recovery else {
        return None;
    };
    if place.scope == Scope::Site {
        return None;
    }
    let lags: Option<Vec<_>> = place.agents.iter().map(|agent| agent.lag).collect();
    match lags.and_then(|lags| lags.into_iter().max()) {
        Some(lag) if lag <= max_lag => None,
        Some(lag) => Some(format!(
            "the replica at {} is {lag:?} behind, and {max_lag:?} is the limit",
            place.name
        )),
        None => Some(format!(
            "no agent says how far {} is behind, so it is not known to be a replica of what serves; rebuild it as one",
            place.name
        )),
    }
}

fn deployments(place: &Returned<'_>) -> Option<String> {
    (place.undeployed > 0).then(|| {
        format!(
            "{} lacks {} definitions that are deployed elsewhere",
            place.name, place.undeployed
        )
    })
}

fn drift(place: &Returned<'_>) -> Option<String> {
    let drift = place.drift.as_ref()?;
    let mut said = Vec::new();
    if drift.missing > 0 {
        said.push(format!(
            "{} instances that the table says live here are not there",
            drift.missing
        ));
    }
    if drift.elsewhere > 0 {
        said.push(format!(
            "it holds {} that the table says live elsewhere",
            drift.elsewhere
        ));
    }
    if drift.unproven > 0 {
        said.push(format!("{} rows could not be told", drift.unproven));
    }
    if let Some(why) = &drift.incomplete {
        said.push(format!("not everything was compared: {why}"));
    }
    (!said.is_empty()).then(|| format!("{}: {}", place.name, said.join("; ")))
}

#[cfg(test)]
mod tests;
