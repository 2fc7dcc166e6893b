//! The picture of the world that a plan is made from.
//!
//! Owns reading it from store and configuration. Must not decide. The picture need not be of one instant: whatever is
//! decided from it is compared again, in the store, by generation.

use crate::decide::world::{Agent, HandsOver, Installation, Recovery, Safety, Seen, Site, World};
use homing_config::Config;
use homing_config::settings as config;
use homing_mapping_store::assignment::{Assignment, SiteRecord, SiteState};
use homing_mapping_store::operation::Observation;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Handle, Timestamp, agent::AgentRecord};
use std::collections::BTreeMap;
use std::time::Duration;

/// Reads everything that a plan depends on.
pub async fn world(store: &Handle, config: &Config) -> Result<World, Error> {
    let (_, records) = store.registry().await?;
    let assignments = store.assignments().await?;
    let agents = store.agents().await?;
    let observations = store.observations().await?;
    // Both times are the store's: the newest word of any router stands for now.
    let routers = store.routers().await?;
    let now = routers.iter().map(|one| one.seen_at).max();
    let sites = assignments.iter().filter_map(|assignment| {
        let record = records
            .iter()
            .find(|record| record.site == assignment.site)?;
        let mut site = site(config, record, assignment, &agents, &observations);
        site.rested = now.zip(assignment.switched_at).map(past);
        Some(site)
    });
    Ok(World {
        sites: sites.collect(),
        safety: safety(config),
    })
}

fn past((now, then): (Timestamp, Timestamp)) -> Duration {
    Duration::from_millis(u64::try_from(now.0.saturating_sub(then.0)).unwrap_or(0))
}

fn safety(config: &Config) -> Safety {
    Safety {
        freeze: config.safety.freeze,
        cool_down: config.safety.cool_down,
        survivors_capacity: config.safety.survivors_capacity,
        share_at_once: config.safety.share_at_once,
        quorum: config.safety.quorum,
        witnesses: usize::try_from(config.safety.witnesses).unwrap_or(usize::MAX),
        down_for: config.safety.down_for,
        flap_window: config.safety.flap_window,
    }
}

fn site(
    config: &Config,
    record: &SiteRecord,
    assignment: &Assignment,
    agents: &[AgentRecord],
    observations: &[Observation],
) -> Site {
    let declared = config
        .sites
        .iter()
        .find(|site| site.name == record.site.name());
    let installations = record.installations.iter().map(|one| Installation {
        name: one.name.clone(),
        zone: one.zone.clone(),
        agents: agents_of(agents, record, &one.name),
        quarantined: record
            .quarantined
            .iter()
            .find(|kept_out| kept_out.installation == one.name)
            .map(|kept_out| kept_out.generation),
    });
    let healthy = observations
        .iter()
        .any(|one| one.site == record.site && one.seen == "healthy");
    // What is said of another installation than the one that serves now says nothing of this one.
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for one in observations
        .iter()
        .filter(|one| one.site == record.site && one.installation == assignment.installation)
    {
        // Two processes of one router are one voice: down only where both say so.
        let said = seen.entry(&one.router).or_insert(Seen::Down);
        if one.seen != "down" {
            *said = Seen::Up;
        }
    }
    Site {
        name: record.site.name().to_owned(),
        weight: declared.map_or(0, |site| site.weight),
        ready: record.state == SiteState::Ready,
        recovery: declared.map(|site| recovery(site.recovery)),
        installations: installations.collect(),
        serving: assignment.installation.clone(),
        pending: assignment
            .pending
            .as_ref()
            .map(|pending| pending.installation.clone()),
        generation: assignment.generation,
        rested: None,
        seen: seen
            .into_iter()
            .map(|(router, seen)| (router.to_owned(), seen))
            .collect(),
        proven: healthy || record.identity.is_some(),
        hands_over: HandsOver::Unknown,
        leaving: None,
    }
}

/// The agents of one installation.
pub fn agents_of(agents: &[AgentRecord], record: &SiteRecord, installation: &str) -> Vec<Agent> {
    agents
        .iter()
        .filter(|agent| {
            agent.report.site == record.site && agent.report.installation == installation
        })
        .map(Agent::of)
        .collect()
}

/// What the configuration says may be done.
pub fn recovery(declared: config::Recovery) -> Recovery {
    match declared {
        config::Recovery::SharedData => Recovery::SharedData,
        config::Recovery::Replica { max_lag } => Recovery::Replica { max_lag },
        config::Recovery::Park => Recovery::Park,
        config::Recovery::Evacuate => Recovery::Evacuate,
    }
}
