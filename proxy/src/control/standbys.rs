//! Standbys that may answer reads: which there are, that they answer, and how far each is behind.
//!
//! Owns the looks at them. Must not send anybody's request and decides nothing about who serves. What it says is forgotten when
//! it is not said again (`observe::standby`).

use crate::clock;
use crate::decide::world::Agent;
use crate::observe::Evidence;
use crate::observe::standby::{Offer, Standby, Standbys};
use crate::rehome::{Executor, gather};
use crate::telemetry::chain;
use homing_config::Config;
use homing_config::settings::{Recovery, Site as Declared};
use homing_mapping_store::SiteId;
use homing_mapping_store::agent::AgentRecord;
use homing_mapping_store::assignment::{Assignment, SiteRecord};
use homing_mapping_store::store::Error;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Looks until the task is dropped; costs nothing where no site wants it.
pub async fn run(executor: Arc<Executor>, standbys: Arc<Standbys>) {
    let mut words = Words::default();
    loop {
        let config = executor.config();
        if config
            .sites
            .iter()
            .any(|site| offer(&config, site).is_some())
        {
            let until = until(&config);
            match look(&executor, &config, &mut words).await {
                Ok(seen) => standbys.set(seen, until),
                Err(error) => tracing::warn!("standbys cannot be looked at: {}", chain(&error)),
            }
        } else {
            standbys.set(HashMap::new(), 0);
        }
        tokio::time::sleep(config.lease.renew_every).await;
    }
}

/// Without the store nobody knows what a standby has become.
fn until(config: &Config) -> u64 {
    let lease = u64::try_from(config.lease.router.as_millis()).unwrap_or(u64::MAX);
    clock::monotonic_ms().saturating_add(lease)
}

/// To whose reads the site's standby is offered. Only trusted peers can ask for it.
fn offer(config: &Config, site: &Declared) -> Option<Offer> {
    let has_data = matches!(
        site.recovery,
        Recovery::SharedData | Recovery::Replica { .. }
    );
    let mut trusting = config.listen.iter().map(|one| &one.trusted_proxies);
    match site.standby_reads {
        _ if !has_data || site.installations.len() < 2 => None,
        true => Some(Offer::All),
        false => trusting
            .any(|peers| !peers.is_empty())
            .then_some(Offer::OnRequest),
    }
}

/// When agents spoke last, on this router's own clock.
#[derive(Default)]
struct Words {
    looked_ms: u64,
    /// The counter of the last report, and a moment before which it was not made.
    of: HashMap<(SiteId, String, String), (u64, Option<u64>)>,
}

impl Words {
    /// A report that the last look did not find was made after it. Of the first one nobody knows how old it is.
    fn hear(&mut self, records: &[AgentRecord], now_ms: u64) {
        let mut heard = HashMap::with_capacity(records.len());
        for record in records {
            let report = &record.report;
            let name = (
                report.site,
                report.installation.clone(),
                report.holder.clone(),
            );
            let since = match self.of.get(&name) {
                Some((counter, since)) if *counter == record.counter => *since,
                Some(_) => Some(self.looked_ms),
                None => None,
            };
            heard.insert(name, (record.counter, since));
        }
        (self.of, self.looked_ms) = (heard, now_ms);
    }

    fn since(&self, site: SiteId, installation: &str, agent: &Agent) -> Option<u64> {
        let name = (site, installation.to_owned(), agent.holder.clone());
        self.of.get(&name).and_then(|(_, since)| *since)
    }
}

/// How far behind a standby is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Behind {
    /// `None`: it has the same database.
    lag: Option<Duration>,
    /// Not later than when that was measured.
    measured_ms: u64,
}

/// `None`: somebody does not know, which counts as endless. Each agent with when it spoke.
fn behind(recovery: Recovery, agents: &[(Agent, Option<u64>)], now_ms: u64) -> Option<Behind> {
    match recovery {
        Recovery::SharedData => Some(Behind {
            lag: None,
            measured_ms: now_ms,
        }),
        Recovery::Replica { .. } => {
            let said = agents.iter().map(|(agent, since)| {
                let lag = agent.lag.filter(|_| agent.live)?;
                Some((lag, (*since)?))
            });
            let said: Vec<(Duration, u64)> = said.collect::<Option<_>>()?;
            Some(Behind {
                lag: Some(said.iter().map(|(lag, _)| *lag).max()?),
                measured_ms: said.iter().map(|(_, since)| *since).min()?,
            })
        }
        Recovery::Park | Recovery::Evacuate => None,
    }
}

/// What the store says of a site and its agents.
struct Told<'a> {
    record: &'a SiteRecord,
    held: &'a Assignment,
    agents: &'a [AgentRecord],
}

async fn look(
    executor: &Executor,
    config: &Config,
    words: &mut Words,
) -> Result<HashMap<SiteId, Standby>, Error> {
    let asked_ms = clock::monotonic_ms();
    let (_, records) = executor.store.registry().await?;
    let assignments = executor.store.assignments().await?;
    let agents = executor.store.agents().await?;
    words.hear(&agents, asked_ms);
    let mut seen = HashMap::new();
    for declared in &config.sites {
        let id = SiteId::named(&declared.name);
        let Some(offer) = offer(config, declared) else {
            continue;
        };
        let record = records.iter().find(|record| record.site == id);
        let held = assignments.iter().find(|one| one.site == id);
        // While a switch is under way nobody is a standby.
        let (Some(record), Some(held)) = (record, held.filter(|held| held.pending.is_none()))
        else {
            continue;
        };
        let told = Told {
            record,
            held,
            agents: &agents,
        };
        if let Some(standby) = standby(executor, declared, &told, words, offer).await {
            seen.insert(id, standby);
        }
    }
    Ok(seen)
}

/// The first of a site's standbys that answers and whose lag is known.
async fn standby(
    executor: &Executor,
    declared: &Declared,
    told: &Told<'_>,
    words: &Words,
    offer: Offer,
) -> Option<Standby> {
    let id = told.record.site;
    let site = executor.topology.load_full().site(id).cloned()?;
    for (place, installation) in site.installations.iter().enumerate() {
        let name = &installation.name;
        let mut quarantined = told.record.quarantined.iter();
        // What was failed over may have a past of its own.
        if *name == told.held.installation || quarantined.any(|one| one.installation == *name) {
            continue;
        }
        let agents = gather::agents_of(told.agents, told.record, name);
        let agents: Vec<(Agent, Option<u64>)> = agents
            .into_iter()
            .map(|agent| {
                let since = words.since(id, name, &agent);
                (agent, since)
            })
            .collect();
        let Some(behind) = behind(declared.recovery, &agents, clock::monotonic_ms()) else {
            continue;
        };
        if executor.look(id, name).await == Evidence::ProbePassed {
            return Some(Standby {
                place,
                assignment: told.held.generation,
                lag: behind.lag,
                measured_ms: behind.measured_ms,
                offer,
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::agent::{AgentReport, AgentRole};
    use homing_mapping_store::{Generation, Timestamp};

    fn agent(lag: Option<u64>, live: bool) -> Agent {
        Agent {
            holder: "agent".to_owned(),
            generation: Generation(1),
            role: AgentRole::Fenced,
            counter: 1,
            lease: Duration::from_secs(10),
            live,
            mode: None,
            asks: Default::default(),
            lag: lag.map(Duration::from_millis),
            database: Default::default(),
        }
    }

    #[test]
    fn a_lag_that_somebody_does_not_know_is_not_known() {
        let replica = Recovery::Replica {
            max_lag: Duration::from_secs(1),
        };
        let said = |lag, live, since| (agent(lag, live), since);
        let both = [said(Some(20), true, Some(7)), said(Some(30), true, Some(9))];
        let known = Behind {
            lag: Some(Duration::from_millis(30)),
            measured_ms: 7,
        };
        assert_eq!(behind(replica, &both, 10), Some(known));
        for unknown in [
            &[][..],
            &[said(Some(1), true, Some(1)), said(None, true, Some(1))],
            &[said(Some(1), false, Some(1))],
            &[said(Some(1), true, None)],
        ] {
            assert_eq!(behind(replica, unknown, 10), None);
        }
        let same = Behind {
            lag: None,
            measured_ms: 10,
        };
        assert_eq!(behind(Recovery::SharedData, &[], 10), Some(same));
        assert_eq!(behind(Recovery::Park, &both, 10), None);
    }

    #[test]
    fn a_report_is_as_old_as_the_last_look_that_did_not_find_it() {
        let site = SiteId::named("standbys-words");
        let record = |counter| AgentRecord {
            report: AgentReport {
                site,
                installation: "s-2".to_owned(),
                holder: "agent".to_owned(),
                generation: Generation(1),
                role: AgentRole::Fenced,
                facts: String::new(),
            },
            counter,
            lease_ms: 10_000,
            seen_at: Timestamp(0),
            live: true,
        };
        let mut words = Words::default();
        let one = agent(None, true);
        let mut heard = |counter, now| {
            words.hear(&[record(counter)], now);
            words.since(site, "s-2", &one)
        };
        assert_eq!(heard(4, 100), None, "nobody knows how old it is");
        assert_eq!(heard(5, 200), Some(100));
        assert_eq!(heard(5, 300), Some(100), "the same word");
        assert_eq!(heard(6, 400), Some(300));
    }
}
