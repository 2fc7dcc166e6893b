//! The prober of one site: does it work, and is it the right database?
//!
//! Owns probing on connections of its own, so that neither a full bulkhead nor a stale pool can hide a fault. Must not
//! decide what follows. Relies on the dialect for paths and for what a good answer is.

use super::accrual;
use super::inventory::Live;
use super::judge::{Evidence, Judge, Observed, Thresholds, Why};
use crate::dialect::{Ask, Health, Made};
use crate::forward::connect;
use crate::forward::question::{ANSWER_BYTES_MAX, Asker, Silence};
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use crate::topology::{Endpoint, HealthProbe, IdentityProbe, Installation, Site};
use homing_mapping_store::{SiteId, Timestamp};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// Times and thresholds of probing.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Between two probes of a site.
    pub interval: Duration,
    /// For one probe, connecting included.
    pub timeout: Duration,
    /// How many in a row it takes.
    pub thresholds: Thresholds,
    /// When traffic makes a site suspect.
    pub accrual: accrual::Rule,
}

/// Who keeps the identities of sites.
#[async_trait::async_trait]
pub trait Identities: Send + Sync {
    /// The site's database has shown this identity: is it the one that is registered (or the first one seen)?
    async fn check(&self, site: SiteId, shown: &str) -> Verdict;

    /// Whether there are other sites, which could have the same ids.
    fn has_others(&self, site: SiteId) -> bool;
}

/// What a shown identity means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the site's.
    Right,
    /// The site has another one.
    Wrong,
    /// Another site has this one.
    Shared,
    /// It cannot be told now (first sight, and the store does not answer).
    Unknown,
}

/// While a site is suspect, looks come this much faster.
const SUSPECT_FACTOR: u32 = 4;

/// Probes one site until the task is dropped.
pub async fn run(
    site: Arc<Site>,
    settings: Settings,
    identities: Arc<dyn Identities>,
    via: HeaderValue,
) {
    let mut judge = Judge::resume(settings.thresholds, site.live.observed());
    let mut assigned = site.live.read(|view| view.assigned.clone());
    loop {
        let now = site.live.read(|view| view.assigned.clone());
        if now != assigned {
            // What was seen of the installation that served before says nothing of this one.
            judge = Judge::new(settings.thresholds);
            assigned = now;
        }
        if site.live.accrual.is_trouble(settings.accrual) {
            judge.hear(Evidence::ConnectFailed);
        }
        let evidence = look(&site, settings, &*identities, &via).await;
        if site.live.read(|view| view.assigned != assigned) {
            continue;
        }
        let observed = judge.hear(evidence);
        publish(&site, observed);
        let pause = match observed {
            Observed::Suspect(_) => settings.interval / SUSPECT_FACTOR,
            Observed::Unknown | Observed::Healthy | Observed::Down(_) => settings.interval,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = woken(&site.live, settings.interval / 20) => {}
        }
    }
}

/// The bell, but not more often than every `rest`.
async fn woken(live: &Live, rest: Duration) {
    live.woken().await;
    tokio::time::sleep(rest).await;
}

fn publish(site: &Site, observed: Observed) {
    let before = site.live.observed();
    if before != observed {
        match observed {
            Observed::Healthy => tracing::info!(site = %site.id, "site is healthy"),
            Observed::Suspect(why) => {
                tracing::info!(site = %site.id, why = why.as_str(), "site is suspect")
            }
            Observed::Down(why) => {
                tracing::warn!(site = %site.id, why = why.as_str(), "site is down")
            }
            Observed::Unknown => {}
        }
    }
    site.live.update(|view| view.observed = observed);
    let name = site.id.name();
    for state in ["unknown", "healthy", "suspect", "down"] {
        metrics()
            .site_state
            .with_label_values(&[name, state])
            .set(i64::from(observed.as_str() == state));
    }
    metrics()
        .site_available
        .with_label_values(&[name])
        .set(i64::from(site.live.available()));
    let bulkhead = &site.bulkhead;
    let gauge = |state, value: usize| {
        metrics()
            .upstream_connections
            .with_label_values(&[name, state])
            .set(i64::try_from(value).unwrap_or(i64::MAX))
    };
    gauge("running", bulkhead.in_flight());
    gauge("waiting", bulkhead.waiting());
}

impl From<Silence> for Why {
    fn from(silence: Silence) -> Why {
        match silence {
            Silence::Broke => Why::Unreachable,
            Silence::Unreadable => Why::Sick,
        }
    }
}

/// Looks at the installation that serves: one endpoint that passes is enough, but each one must prove its identity
/// before it carries traffic.
async fn look(
    site: &Site,
    settings: Settings,
    identities: &dyn Identities,
    via: &HeaderValue,
) -> Evidence {
    let assigned = site.live.read(|view| site.assigned(view));
    match assigned.and_then(|at| site.installations.get(at)) {
        Some(installation) => look_into(site, installation, settings, identities, via).await,
        None => Evidence::ProbeFailed(Why::Unreachable),
    }
}

/// Looks at one installation, whether it serves or not.
pub async fn look_into(
    site: &Site,
    installation: &Installation,
    settings: Settings,
    identities: &dyn Identities,
    via: &HeaderValue,
) -> Evidence {
    let looks = installation
        .endpoints
        .iter()
        .map(|endpoint| look_at(site, endpoint, settings, identities, via));
    let seen = futures_util::future::join_all(looks).await;
    strongest(&seen)
}

fn strongest(seen: &[Evidence]) -> Evidence {
    let wrong = seen.iter().find(|evidence| {
        matches!(
            evidence,
            Evidence::ProbeFailed(
                Why::WrongIdentity | Why::SharedIdentity | Why::CountedIds | Why::CountedIdsKept
            )
        )
    });
    let passed = seen
        .iter()
        .find(|evidence| **evidence == Evidence::ProbePassed);
    // One node on a wrong database is kept out by its endpoint; the site is down only if no node is right.
    passed
        .or(wrong)
        .or_else(|| seen.first())
        .copied()
        .unwrap_or(Evidence::ProbeFailed(Why::Unreachable))
}

async fn look_at(
    site: &Site,
    endpoint: &Arc<Endpoint>,
    settings: Settings,
    identities: &dyn Identities,
    via: &HeaderValue,
) -> Evidence {
    let breaks = endpoint.breaks();
    let asked = questions(site, endpoint, identities, via, settings.timeout);
    let evidence = tokio::time::timeout(settings.timeout, asked)
        .await
        .unwrap_or(Evidence::ProbeFailed(Why::Slow));
    if evidence == Evidence::ProbePassed {
        endpoint.prove(breaks);
    } else {
        endpoint.broke();
    }
    evidence
}

async fn questions(
    site: &Site,
    endpoint: &Arc<Endpoint>,
    identities: &dyn Identities,
    via: &HeaderValue,
    within: Duration,
) -> Evidence {
    let mut connection = match connect::connect(endpoint, within).await {
        Ok(connection) => connection,
        Err(connect::Error::Timeout { .. }) => return Evidence::ProbeFailed(Why::Slow),
        Err(error @ connect::Error::Tls { .. }) => {
            // Said once: while the site is down its state says it.
            if !matches!(site.live.observed(), Observed::Down(_)) {
                tracing::warn!(site = %site.id, "{}", chain(&error));
            }
            return Evidence::ProbeFailed(Why::Untrusted);
        }
        Err(_) => return Evidence::ProbeFailed(Why::Unreachable),
    };
    connection.will_close();
    let mut ask = Asker {
        site,
        endpoint,
        via: Some(via),
        connection: &mut connection,
        bytes_max: ANSWER_BYTES_MAX,
    };
    if let Err(why) = health(&mut ask).await {
        return Evidence::ProbeFailed(why);
    }
    if let Err(why) = identity(&mut ask, identities).await {
        return Evidence::ProbeFailed(why);
    }
    match ids(&mut ask, identities).await {
        Ok(()) => Evidence::ProbePassed,
        Err(why) => Evidence::ProbeFailed(why),
    }
}

async fn health(ask: &mut Asker<'_>) -> Result<(), Why> {
    let site = ask.site;
    match &site.probe.health {
        HealthProbe::Tcp => Ok(()),
        HealthProbe::Path { path, expect } => {
            let (status, _) = ask.get(path).await?;
            if expect.contains(&status.as_u16()) {
                Ok(())
            } else {
                Err(Why::Sick)
            }
        }
        HealthProbe::Dialect => {
            let Some(question) = site.dialect.health() else {
                return Ok(());
            };
            let (status, body) = ask
                .get(&format!("{}{}", site.base_path, question.path))
                .await?;
            match site.dialect.judge_health(status, &body) {
                Health::Good => Ok(()),
                // Something answers and wants credentials: `service_account` tells more.
                Health::Guarded if site.service_account.is_none() => Ok(()),
                Health::Guarded | Health::Bad(_) => Err(Why::Sick),
            }
        }
    }
}

async fn identity(ask: &mut Asker<'_>, identities: &dyn Identities) -> Result<(), Why> {
    let site = ask.site;
    if site.probe.identity == IdentityProbe::Off {
        return Ok(());
    }
    let Some(question) = site.dialect.identity() else {
        return Ok(());
    };
    let (status, body) = ask.put(&question).await?;
    let shown = match site.dialect.read_identity(status, &body) {
        Some(shown) => shown,
        None => marked(ask, &question).await?,
    };
    if let Some(habits) = site.dialect.read_habits(&body) {
        site.live.set_habits(habits);
    }
    match identities.check(site.id, &shown).await {
        Verdict::Right => {
            if site
                .live
                .read(|view| view.identity.as_ref() != Some(&shown))
            {
                site.live.update(|view| view.identity = Some(shown));
            }
            Ok(())
        }
        Verdict::Wrong => Err(Why::WrongIdentity),
        Verdict::Shared => Err(Why::SharedIdentity),
        Verdict::Unknown => Err(Why::Sick),
    }
}

/// A database that has no identity gets one, if the dialect can give it. What it shows afterwards counts: somebody else may
/// have been first.
async fn marked(ask: &mut Asker<'_>, question: &Ask) -> Result<String, Why> {
    let site = ask.site;
    let mark = uuid::Uuid::now_v7().to_string();
    let mark = site.dialect.mark(&mark).ok_or(Why::Sick)?;
    ask.put(&mark).await?;
    let (status, body) = ask.put(question).await?;
    let shown = site.dialect.read_identity(status, &body);
    shown.ok_or(Why::Sick)
}

/// A site whose ids others have too would be taken for them. Asked until an id has been seen that no other engine makes.
async fn ids(ask: &mut Asker<'_>, identities: &dyn Identities) -> Result<(), Why> {
    let site = ask.site;
    // A promoted replica would give the ids again that were lost with the tail.
    let told_apart = site.own_ids.is_some() || !identities.has_others(site.id);
    let alone = told_apart && !site.replicated;
    if site.live.has_own_ids() || alone {
        return Ok(());
    }
    let Some(question) = site.dialect.made() else {
        return Ok(());
    };
    let (status, body) = ask
        .get(&format!("{}{}", site.base_path, question.path))
        .await?;
    match site.dialect.read_made(status, &body) {
        Made::Counted if site.dialect.virtual_ids().is_none() => return Err(Why::CountedIdsKept),
        Made::Counted => return Err(Why::CountedIds),
        Made::Unlike => site.live.set_own_ids(),
        Made::Nothing => {}
    }
    Ok(())
}

/// When a site was last seen to change, for people.
pub fn since(live: &Live) -> Timestamp {
    Timestamp(live.read(|view| view.since))
}
