//! The resolver: one request's class and key -> its route.
//!
//! Owns the order in which authorities are asked. Must not write the store; what it learns on the way it hands to
//! `Known` and to the learner.

use super::choice::{BusinessKey, Deployed, Placement, candidate, question, refused};
use super::known::{Home, Known};
use super::locate::{Located, Locator};
use super::place::{self, Candidate, Open, Refused};
use super::target::{RouteSource, Target};
use super::withheld::Withheld;
use super::{left, lost};
use crate::classify::{Any, Class, Create, Gather, Keyed, Unknown};
use crate::deployments::{Deployments, picture::is_copied};
use crate::learn::Learner;
use crate::problem::{Problem, Reason};
use crate::topology::{Group, Topology};
use arc_swap::ArcSwap;
use homing_mapping_store::{Generation, Handle, Kind, RoutingKey, SiteId};
use std::sync::Arc;
use std::time::Duration;

/// Where a request goes.
pub enum Route {
    /// To one site.
    One(Target),
    /// To a site that is still to be chosen for something new; may be chosen again if nothing was sent.
    New,
    /// To every site of the group.
    Every,
    /// Over the sites of the group, answers merged.
    Merge,
}

/// What a request brings besides its class.
#[derive(Clone, Debug, Default)]
pub struct Asking<'a> {
    /// A trusted peer's `Homing-Site`.
    pub addressed: Option<&'a str>,
    /// The user, where placement is sticky by user.
    pub user: Option<RoutingKey>,
    /// What it is resolved for.
    pub purpose: Purpose,
}

/// What a request is resolved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To be sent: homes are claimed, what is found is kept.
    #[default]
    Send,
    /// To be explained: nothing is claimed, kept or raised as an alarm.
    Explain,
}

/// The resolver.
pub struct Resolver {
    /// What memory knows.
    pub known: Arc<Known>,
    /// Finds what memory does not know.
    pub locator: Locator,
    /// Takes what is found on the way.
    pub learner: Arc<Learner>,
    /// The store, for keys that are not in memory.
    pub store: Handle,
    /// Longest wait for the store on a miss.
    pub store_within: Duration,
    /// Placement settings.
    pub placement: Arc<ArcSwap<Placement>>,
    /// What every site is to have deployed.
    pub deployments: Arc<Deployments>,
    /// What drills take from sites.
    pub withheld: Withheld,
}

impl Resolver {
    /// Where a request of this class goes.
    pub async fn resolve(
        &self,
        topology: &Topology,
        group: &Group,
        class: &Class,
        asking: &Asking<'_>,
    ) -> Result<Route, Problem> {
        if let Some(name) = asking.addressed {
            return self.addressed(topology, name).map(Route::One);
        }
        match class {
            Class::Keyed(keyed) => self
                .keyed(topology, group, keyed, asking.purpose)
                .await
                .map(Route::One),
            Class::Create(create) => {
                Box::pin(self.create(topology, group, create, asking.purpose)).await
            }
            Class::Any(any) => self.any(group, any, asking).map(Route::One),
            Class::Broadcast(_) => Ok(Route::Every),
            Class::Shared(engine, shared) => self.shared(group, engine, shared),
            Class::Local => self.any(group, &Any::default(), asking).map(Route::One),
            Class::Gather(gather) => {
                match Box::pin(self.owner(topology, group, gather, asking.purpose)).await? {
                    Some(target) => Ok(Route::One(target)),
                    None => over_sites(group),
                }
            }
            Class::Split | Class::Correlate | Class::WorkerFetch => over_sites(group),
            Class::Refuse(refusal) => Err(crate::classify::refuse::refused(refusal)),
        }
    }

    /// The home of the one thing that a read is about, if somebody knows it; sites are not asked for it, because a read
    /// over all of them finds it as well.
    async fn owner(
        &self,
        topology: &Topology,
        group: &Group,
        gather: &Gather,
        purpose: Purpose,
    ) -> Result<Option<Target>, Problem> {
        let Some(key) = gather.owner.as_ref().filter(|_| group.sites.len() > 1) else {
            return Ok(None);
        };
        if let Some(sites) = self.known.conflict(key) {
            return Err(conflict(key, &sites));
        }
        let home = match self.known.home(key) {
            Some(home) => Some(home),
            None => self.stored(key, purpose).await?,
        };
        // A read that does not name it in its path would find nothing of it in the moment between two homes.
        if let Some(home) = home.filter(|_| self.known.is_moving(key)) {
            return Err(left::moving(key, home.site));
        }
        // Whoever it belongs to, these sites have nothing of it, and say so themselves.
        let here = home.filter(|home| group.sites.iter().any(|site| site.id == home.site));
        here.map(|home| self.at(topology, group, key, home))
            .transpose()
    }

    fn addressed(&self, topology: &Topology, name: &str) -> Result<Target, Problem> {
        let site = SiteId::known(name).and_then(|id| topology.site(id));
        let site = site.ok_or_else(|| {
            Problem::new(
                Reason::BadRequest,
                format!("Homing-Site names \"{name}\", which is no site of this router"),
            )
        })?;
        Target::of(site, RouteSource::Addressed, Generation::default())
    }

    /// Where a key's requests go.
    pub async fn keyed(
        &self,
        topology: &Topology,
        group: &Group,
        keyed: &Keyed,
        purpose: Purpose,
    ) -> Result<Target, Problem> {
        let key = &keyed.key;
        if is_copied(key.kind)
            && let Some(target) = self.copy(group, key)
        {
            return Ok(target);
        }
        if let Some(sites) = self.known.conflict(key) {
            return Err(conflict(key, &sites));
        }
        if let Some(operation) = self.known.loss(key) {
            return Err(lost::lost(key, operation, self.known.home(key)));
        }
        if let Some(home) = self.known.home(key) {
            let target = self.at(topology, group, key, home);
            return match target {
                Err(problem) if self.may_have_left(topology, home) => {
                    Box::pin(self.followed(topology, group, key, purpose, problem)).await
                }
                target => target,
            };
        }
        // An execution's id may be its process instance's.
        if let Some(home) = group
            .dialect
            .broader(key)
            .and_then(|broader| self.known.home(&broader))
        {
            return self.at(topology, group, key, home);
        }
        // From here on it is rare, and boxed: every request pays for the size of what it may become.
        if let Some(home) = Box::pin(self.stored(key, purpose)).await? {
            return self.at(topology, group, key, home);
        }
        match keyed.unknown {
            Unknown::Locate => Box::pin(self.located(topology, group, key, purpose)).await,
            Unknown::Place => Box::pin(self.placed(topology, group, key, purpose)).await,
        }
    }

    /// The store by primary key, for kinds that have rows.
    async fn stored(&self, key: &RoutingKey, purpose: Purpose) -> Result<Option<Home>, Problem> {
        if !has_rows(key.kind) {
            return Ok(None);
        }
        match tokio::time::timeout(self.store_within, self.store.get(key)).await {
            Ok(Ok(Some(mapping))) => {
                if purpose == Purpose::Send {
                    self.known.table.apply(&mapping);
                }
                Ok(Some(Home {
                    site: mapping.home,
                    generation: mapping.generation,
                    source: RouteSource::Store,
                }))
            }
            Ok(Ok(None)) => Ok(None),
            // The store is away: sites are the last truth of where an instance lives, so a held key can still be
            // located, and a placed one falls back to what every router computes alike.
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    pub(super) async fn located(
        &self,
        topology: &Topology,
        group: &Group,
        key: &RoutingKey,
        purpose: Purpose,
    ) -> Result<Target, Problem> {
        let keep = |located: &Located| {
            if let Located::At { site, facts, .. } = located
                && purpose == Purpose::Send
            {
                self.learner.located(key, *site, facts);
            }
        };
        match self.locator.locate(key, group, &self.known, keep).await {
            Located::At { site, source, .. } => self.at(
                topology,
                group,
                key,
                Home {
                    site,
                    generation: Generation::default(),
                    source,
                },
            ),
            Located::Known(home) => self.at(topology, group, key, home),
            Located::Absent if self.learner.registry_is_fresh() => {
                Err(Problem::new(Reason::UnknownId, format!("no site knows {key}")).about(key))
            }
            Located::Absent => {
                let detail = format!(
                    "{key} was not found, and this router may be behind on the registry of sites because the store does not answer"
                );
                Err(Problem::new(Reason::LocateIncomplete, detail)
                    .about(key)
                    .retry_after(Duration::from_secs(2)))
            }
            Located::Incomplete(silent) => {
                let names: Vec<&str> = silent.iter().map(|site| site.name()).collect();
                let detail = format!(
                    "{key} was not found, but these sites could not be asked: {}",
                    names.join(", ")
                );
                Err(Problem::new(Reason::LocateIncomplete, detail)
                    .about(key)
                    .retry_after(Duration::from_secs(2)))
            }
            Located::TooMany => {
                crate::telemetry::metrics::limit_hit("locate_in_flight");
                let detail = format!(
                    "limit locate_in_flight reached: too many unknown ids are looked for at the same time, {key} was not"
                );
                Err(Problem::new(Reason::LimitExceeded, detail)
                    .about(key)
                    .retry_after(Duration::from_secs(1)))
            }
            Located::Conflict(sites) => {
                if purpose == Purpose::Send {
                    self.known.alarm(key, &sites);
                }
                Err(conflict(key, &sites))
            }
        }
    }

    /// A home for a placed key (session, user) that has none.
    async fn placed(
        &self,
        topology: &Topology,
        group: &Group,
        key: &RoutingKey,
        purpose: Purpose,
    ) -> Result<Target, Problem> {
        let chosen = self.choose(group, &Create::default(), &[], &[], hash_of(key))?;
        let home = match purpose {
            Purpose::Send => self.learner.claim(key, chosen).await,
            Purpose::Explain => chosen,
        };
        self.at(
            topology,
            group,
            key,
            Home {
                site: home,
                generation: Generation::default(),
                source: RouteSource::Placed,
            },
        )
    }

    async fn create(
        &self,
        topology: &Topology,
        group: &Group,
        create: &Create,
        purpose: Purpose,
    ) -> Result<Route, Problem> {
        match &create.beside {
            // Other sites have copies of this under ids of their own.
            Some(beside) if self.has_copies(group, beside) => Ok(Route::New),
            // The new thing can only be made where this lives.
            Some(beside) => {
                let keyed = Keyed {
                    key: beside.clone(),
                    unknown: Unknown::Locate,
                };
                self.keyed(topology, group, &keyed, purpose)
                    .await
                    .map(Route::One)
            }
            None => Ok(Route::New),
        }
    }

    /// A home for something new. `tried`: sites that were chosen before and proved not to have got the request.
    pub async fn place(
        &self,
        group: &Group,
        create: &Create,
        asking: &Asking<'_>,
        tried: &[SiteId],
        random: u64,
    ) -> Result<Target, Problem> {
        let mut hints = Vec::new();
        if let Some(key) = self.business_key(create) {
            hints.extend(self.home_or_stored(&key, asking.purpose).await);
        }
        if let Some(user) = &asking.user {
            hints.extend(self.home_or_stored(user, asking.purpose).await);
        }
        let mut chosen = self.choose(group, create, &hints, tried, random)?;
        if self.placement.load().business_key == BusinessKey::Claim
            && let Some(key) = self.business_key(create)
        {
            chosen = match asking.purpose {
                Purpose::Send => self.learner.claim_strictly(&key, chosen).await?,
                Purpose::Explain => {
                    let held = self.home_or_stored(&key, Purpose::Explain).await;
                    held.unwrap_or(chosen)
                }
            };
        }
        // The home of a business key may be one of those that have not got the definition yet.
        if self.behind(group, create).contains(&chosen) {
            return Err(refused(&Refused::NoneOpen(vec![chosen]), &[chosen]));
        }
        let site = group.sites.iter().find(|site| site.id == chosen);
        let site = site.ok_or_else(|| {
            Problem::new(
                Reason::NoSiteAvailable,
                format!("the home of this business key, site {chosen}, is not of this group"),
            )
        })?;
        Target::of(site, RouteSource::Placed, Generation::default())
    }

    /// The home of a key, as far as memory and store know.
    pub async fn home_or_stored(&self, key: &RoutingKey, purpose: Purpose) -> Option<SiteId> {
        match self.known.home(key) {
            Some(home) => Some(home.site),
            None => self
                .stored(key, purpose)
                .await
                .ok()
                .flatten()
                .map(|home| home.site),
        }
    }

    /// The placed key of a start's business key.
    pub fn business_key(&self, create: &Create) -> Option<RoutingKey> {
        let business_key = create.business_key.as_deref()?;
        match self.placement.load().business_key {
            BusinessKey::Off => None,
            BusinessKey::Hint => Some(RoutingKey::of(
                create.engine.clone(),
                Kind::BUSINESS_KEY,
                business_key,
            )),
            BusinessKey::Claim => {
                let tenant = create.tenant.as_deref().unwrap_or_default();
                let definition = create.definition.as_deref().unwrap_or_default();
                Some(RoutingKey::of(
                    create.engine.clone(),
                    Kind::BUSINESS_KEY,
                    &format!("{tenant}/{definition}/{business_key}"),
                ))
            }
        }
    }

    pub(super) fn choose(
        &self,
        group: &Group,
        create: &Create,
        hints: &[SiteId],
        tried: &[SiteId],
        random: u64,
    ) -> Result<SiteId, Problem> {
        let placement = self.placement.load();
        let picture = self.deployments.picture();
        let deployed = Deployed::of(&picture, group, create);
        let candidates: Vec<Candidate> = group
            .sites
            .iter()
            .map(|site| candidate(&placement, site, tried, &deployed))
            .collect();
        if !self.withheld.is_empty() {
            let mut fewer = candidates.clone();
            let now = crate::clock::monotonic_ms();
            for one in &mut fewer {
                if self.withheld.keeps_from(one.site, random, now) {
                    one.open = Open::No;
                }
            }
            // A drill refuses nothing: where nobody else may take it, it goes where it would have gone.
            if let Ok(site) = place::place(&question(&placement, &fewer, create, hints, random)) {
                return Ok(site);
            }
        }
        place::place(&question(&placement, &candidates, create, hints, random))
            .map_err(|why| refused(&why, &self.behind(group, create)))
    }
}

fn over_sites(group: &Group) -> Result<Route, Problem> {
    match group.sites.as_slice() {
        [only] => Target::of(only, RouteSource::Default, Generation::default()).map(Route::One),
        _ => Ok(Route::Merge),
    }
}

/// Kinds that have durable rows; everything else lives below them in a bounded cache.
pub fn has_rows(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::EXECUTION
            | Kind::JOB
            | Kind::EXTERNAL_TASK
            | Kind::INCIDENT
            | Kind::VARIABLE
            | Kind::CASE_EXECUTION
            | Kind::ACTIVITY_INSTANCE
            | Kind::JOB_DEFINITION
            | Kind::PROCESS_DEFINITION
            | Kind::CASE_DEFINITION
            | Kind::DECISION_DEFINITION
            | Kind::DECISION_REQUIREMENTS_DEFINITION
            | Kind::DEPLOYMENT
            | Kind::CASE_DEPLOYMENT
            | Kind::DECISION_DEPLOYMENT
            | Kind::DECISION_INSTANCE
            | Kind::EVENT_SUBSCRIPTION
            | Kind::DETAIL
            | Kind::LOG_ENTRY
            | Kind::USER_OPERATION
    )
}

fn conflict(key: &RoutingKey, sites: &[SiteId]) -> Problem {
    let names: Vec<&str> = sites.iter().map(|site| site.name()).collect();
    let detail = format!(
        "these sites claim {key}: {}; an operator must decide (homing map set)",
        names.join(", ")
    );
    Problem::new(Reason::MappingConflict, detail).about(key)
}

/// The same number on every router, so that routers without a store agree.
fn hash_of(key: &RoutingKey) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.to_string().as_bytes())
}
