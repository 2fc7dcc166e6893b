//! Finding the home of a key that nobody knows, by asking sites.
//!
//! Owns the search: suffix hint, then all candidates; single flight per key; GETs only, with the service account; a
//! short memory of what was absent. Must never say "absent" while a site that could hold the key could not be asked.

use super::known::{Home, Known};
use super::target::{RouteSource, Target};
use crate::dialect::{Ask, Fact, Presence};
use crate::forward::{ask, send::Times};
use crate::problem::Problem;
use crate::telemetry::metrics::metrics;
use crate::topology::{Group, Site};
use bytes::Bytes;
use dashmap::DashMap;
use futures_util::stream::{FuturesUnordered, StreamExt};
use homing_mapping_store::{Generation, Id, RoutingKey, SiteId};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// What the search found.
#[derive(Clone, Debug, PartialEq)]
pub enum Located {
    /// It lives here.
    At {
        site: SiteId,
        source: RouteSource,
        facts: Vec<Fact>,
    },
    /// Nobody was asked: a search that ended on the way here has found it.
    Known(Home),
    /// Every site that could hold it was asked and said no.
    Absent,
    /// Nobody has it, but these could not be asked.
    Incomplete(Vec<SiteId>),
    /// More than one site has it.
    Conflict(Vec<SiteId>),
    /// Nobody was asked: limit `locate_in_flight`.
    TooMany,
}

/// The search, shared by all threads.
pub struct Locator {
    flights: DashMap<RoutingKey, watch::Receiver<Option<Located>>>,
    absent: moka::sync::Cache<RoutingKey, ()>,
    searches: Semaphore,
    via: HeaderValue,
    times: Times,
}

/// Limits of the search.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long absence is remembered; ids can appear, so keep it short.
    pub negative: Duration,
    /// Keys remembered as absent at most.
    pub negative_entries: usize,
    /// Searches at the same time at most.
    pub in_flight: usize,
}

impl Locator {
    /// A locator within these limits.
    pub fn new(via: HeaderValue, times: Times, limits: Limits) -> Locator {
        let absent = moka::sync::Cache::builder()
            .max_capacity(limits.negative_entries as u64)
            .time_to_live(limits.negative)
            .build();
        Locator {
            flights: DashMap::new(),
            searches: Semaphore::new(limits.in_flight),
            absent,
            via,
            times,
        }
    }

    /// Forgets that a key was absent: it was just made.
    pub fn appeared(&self, key: &RoutingKey) {
        self.absent.invalidate(key);
    }

    /// Finds a key's home. Callers that ask for the same key at the same time share one search; `keep` hears what
    /// came out before the search counts as ended, so that whoever comes later finds it known.
    pub async fn locate(
        &self,
        key: &RoutingKey,
        group: &Group,
        known: &Known,
        keep: impl FnOnce(&Located),
    ) -> Located {
        loop {
            let flight = match self.flights.entry(key.clone()) {
                dashmap::Entry::Occupied(running) => Err(running.get().clone()),
                dashmap::Entry::Vacant(free) => {
                    let (tell, hear) = watch::channel(None);
                    free.insert(hear);
                    Ok(tell)
                }
            };
            match flight {
                Ok(tell) => {
                    let landing = Landing {
                        flights: &self.flights,
                        key,
                    };
                    let located = self.fly(key, group, known).await;
                    if located == Located::Absent {
                        self.absent.insert(key.clone(), ());
                    }
                    keep(&located);
                    drop(landing);
                    tell.send_replace(Some(located.clone()));
                    return located;
                }
                Err(mut running) => {
                    // The sender is gone without a word if its client left: search again.
                    if let Ok(located) = running
                        .wait_for(Option::is_some)
                        .await
                        .map(|located| located.clone())
                        && let Some(located) = located
                    {
                        keep(&located);
                        return located;
                    }
                }
            }
        }
    }

    /// One search, unless an earlier one has found the key, or found it absent, since this caller looked into memory.
    async fn fly(&self, key: &RoutingKey, group: &Group, known: &Known) -> Located {
        if let Some(home) = known.home(key) {
            return Located::Known(home);
        }
        if self.absent.contains_key(key) {
            return Located::Absent;
        }
        let located = match self.searches.try_acquire() {
            Ok(_permit) => self.search(key, group, known).await,
            Err(_) => Located::TooMany,
        };
        metrics().locate.with_label_values(&[located.label()]).inc();
        located
    }

    /// Asks one site whether it has a key, whatever is remembered.
    pub async fn ask(&self, key: &RoutingKey, site: &Arc<Site>) -> Presence {
        self.ask_one(key, site).await.1
    }

    async fn search(&self, key: &RoutingKey, group: &Group, known: &Known) -> Located {
        let hinted = known.hint(key).unwrap_or_default();
        let (likely, others): (Vec<_>, Vec<_>) = match named(key, group) {
            // No other site can have it.
            Some(site) => (vec![site], Vec::new()),
            None => group
                .sites
                .iter()
                .partition(|site| hinted.contains(&site.id)),
        };
        let mut silent = Vec::new();
        match self.ask_all(key, &likely, &mut silent).await {
            Some(Located::At { site, facts, .. }) => {
                return Located::At {
                    site,
                    source: RouteSource::Hint,
                    facts,
                };
            }
            Some(other) => return other,
            None => {}
        }
        let mut silent_others = Vec::new();
        if let Some(located) = self.ask_all(key, &others, &mut silent_others).await {
            return located;
        }
        // An id whose suffix belongs to known engines cannot live at a site that never had such an engine.
        if likely.is_empty() {
            silent.append(&mut silent_others);
        }
        if silent.is_empty() {
            Located::Absent
        } else {
            Located::Incomplete(silent)
        }
    }

    /// Asks these sites at once. A time-based id can live once only, so the first one that has it ends the search;
    /// any other id may exist twice, so everybody is heard.
    async fn ask_all(
        &self,
        key: &RoutingKey,
        sites: &[&Arc<Site>],
        silent: &mut Vec<SiteId>,
    ) -> Option<Located> {
        let mut asked: FuturesUnordered<_> =
            sites.iter().map(|site| self.ask_one(key, site)).collect();
        let mut found: Vec<(SiteId, Vec<Fact>)> = Vec::new();
        while let Some((site, presence)) = asked.next().await {
            match presence {
                Presence::Present(facts) => {
                    found.push((site, facts));
                    if matches!(key.id, Id::Uuid(_)) {
                        break;
                    }
                }
                Presence::Absent => {}
                Presence::Unclear => silent.push(site),
            }
        }
        if found.len() > 1 {
            return Some(Located::Conflict(
                found.into_iter().map(|(site, _)| site).collect(),
            ));
        }
        let (site, facts) = found.pop()?;
        if !matches!(key.id, Id::Uuid(_)) && !silent.is_empty() {
            // A counter id may also exist at the site that could not be asked: no guess.
            return Some(Located::Incomplete(std::mem::take(silent)));
        }
        Some(Located::At {
            site,
            source: RouteSource::Located,
            facts,
        })
    }

    /// Asks one site one question that changes nothing, with the service account. `within`: a list of all that a site holds
    /// takes longer than one thing.
    pub async fn put(
        &self,
        site: &Arc<Site>,
        question: &Ask,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), Problem> {
        let target = Target::of(site, RouteSource::Located, Generation::default())?;
        let times = Times {
            head: within,
            ..self.times
        };
        ask::ask(&target, question, &self.via, times).await
    }

    async fn ask_one(&self, key: &RoutingKey, site: &Arc<Site>) -> (SiteId, Presence) {
        let Ok(target) = Target::of(site, RouteSource::Located, Generation::default()) else {
            return (site.id, Presence::Unclear);
        };
        let paths = site.dialect.locate(key);
        let mut verdict = if paths.is_empty() {
            Presence::Unclear
        } else {
            Presence::Absent
        };
        for path in paths {
            match ask::get(&target, &path, &self.via, self.times).await {
                Ok((status, body)) => match site.dialect.judge_probe(key, status, &body) {
                    Presence::Present(facts) => return (site.id, Presence::Present(facts)),
                    Presence::Absent => {}
                    Presence::Unclear => verdict = Presence::Unclear,
                },
                Err(problem) => {
                    tracing::debug!(site = %site.id, %key, reason = problem.reason.as_str(), detail = problem.detail, "could not ask");
                    return (site.id, Presence::Unclear);
                }
            }
        }
        (site.id, verdict)
    }
}

impl Located {
    fn label(&self) -> &'static str {
        match self {
            Located::At { .. } | Located::Known(_) => "found",
            Located::Absent => "absent",
            Located::Incomplete(_) => "incomplete",
            Located::Conflict(_) => "conflict",
            Located::TooMany => "too many",
        }
    }
}

/// The site whose name the id carries, because its engine counts its ids.
fn named<'g>(key: &RoutingKey, group: &'g Group) -> Option<&'g Arc<Site>> {
    let id = key.id.to_string();
    let is_own = |site: &&Arc<Site>| site.own_ids.as_ref().is_some_and(|own| own.has(&id));
    group.sites.iter().find(is_own)
}

/// Ends the flight, also when the caller that flew it went away.
struct Landing<'a> {
    flights: &'a DashMap<RoutingKey, watch::Receiver<Option<Located>>>,
    key: &'a RoutingKey,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.flights.remove(self.key);
    }
}
