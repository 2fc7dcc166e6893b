//! Why a request would go where it would go, through the same steps as a request that is sent.
//!
//! Owns the dry run of gate, classify and resolve. Must not send the request, claim a home, or keep what it finds;
//! sites may be asked by GET about a key that nobody knows, as they would be for the request.

use super::merge::{self, Merging};
use super::{Pipeline, correlate, recognise, signal};
use crate::classify::{Class, Create, Keyed, Unknown};
use crate::context;
use crate::dialect::Matched;
use crate::dialect::merge::Plan;
use crate::dialect::message::{Delivery, Message, Signal, Spread};
use crate::forward::headers::Trust;
use crate::gate;
use crate::problem::{Problem, Reason};
use crate::resolve::route::{Asking, Purpose};
use crate::resolve::{Route, Target};
use crate::topology::{Group, Site, Topology};
use bytes::Bytes;
use homing_mapping_store::{RoutingKey, SiteId};
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};
use std::sync::Arc;

/// A request that is asked about.
pub struct Question {
    /// Its method.
    pub method: Method,
    /// Its target, as a client would write it.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Whether it is supposed to come from a trusted peer.
    pub trust: Trust,
}

/// Where a request would go, and why.
pub struct Explanation {
    /// Its class, once it was classified.
    pub class: Option<&'static str>,
    /// The dialect that it is of.
    pub dialect: Option<String>,
    /// The operation of the dialect.
    pub operation: Option<String>,
    /// The key that it is sticky on.
    pub key: Option<RoutingKey>,
    /// What would happen.
    pub outcome: Outcome,
    /// The sites that were considered.
    pub sites: Vec<Arc<Site>>,
    /// Those of them that are still to get the definition that is started.
    pub behind: Vec<SiteId>,
}

/// What would happen to a request.
pub enum Outcome {
    /// It would go to this site.
    To(Target),
    /// It would go to this site, for this reason.
    Because(Target, String),
    /// It is new, and a choice made now would be this site, for this reason.
    Placed(Target, String),
    /// It would go to every site.
    Every,
    /// It would be read over all sites and merged.
    Over,
    /// Each of these sites would get its part.
    Parts(Vec<SiteId>),
    /// Nothing has this placed key as its home yet; the next thing that is started for it gets one.
    Unplaced,
    /// It would be refused.
    Refused(Box<Problem>),
}

impl Explanation {
    fn new(group: Option<&Group>) -> Explanation {
        Explanation {
            class: None,
            dialect: group.map(|group| group.dialect.name().to_owned()),
            operation: None,
            key: None,
            outcome: Outcome::Unplaced,
            sites: group.map(|group| group.sites.clone()).unwrap_or_default(),
            behind: Vec::new(),
        }
    }

    fn refused(mut self, problem: Problem) -> Explanation {
        self.outcome = Outcome::Refused(Box::new(problem));
        self
    }

    fn ended(mut self, outcome: Result<Outcome, Problem>) -> Explanation {
        match outcome {
            Ok(outcome) => {
                self.outcome = outcome;
                self
            }
            Err(problem) => self.refused(problem),
        }
    }
}

impl Pipeline {
    /// Where this request would go.
    pub async fn explain(&self, mut question: Question) -> Explanation {
        let topology = self.topology.load_full();
        // The gate asks every HTTP/1.1 request for a host; who asks here need not make one up.
        let host = HeaderValue::from_static("explain");
        question.headers.entry(header::HOST).or_insert(host);
        let admitted = gate::admit(
            &question.method,
            &question.uri,
            Version::HTTP_11,
            &question.headers,
            &self.name,
            self.settings.load().gate,
        );
        if let Err(problem) = admitted {
            return Explanation::new(None).refused(problem);
        }
        if let Some(visited) = self.explain_visit(&topology, &question) {
            return visited;
        }
        let recognised = recognise::recognise(
            &topology,
            &question.method,
            &question.uri,
            &question.headers,
        );
        let recognised = match recognised {
            Ok(recognised) => recognised,
            Err(problem) => {
                let host = context::host(&question.uri, question.headers.get(header::HOST));
                let group = topology.group_of(host, question.uri.path());
                return Explanation::new(group.map(|(group, _)| group)).refused(problem);
            }
        };
        let (group, found) = (recognised.group, &recognised.found);
        let mut explanation = Explanation::new(Some(group));
        explanation.operation = Some(found.operation.name.to_string());
        let sniffed = found.wants_body().then_some(&question.body);
        let sniffed = sniffed.filter(|body| body.len() <= self.settings.load().sniff_bytes);
        let bytes = sniffed.map(|body| &**body);
        let class = group.dialect.classify(found, &recognised.head, bytes);
        let user = self.user(group, &question.headers);
        let class = self
            .kept(group, class, user.as_ref(), Purpose::Explain)
            .await;
        explanation.class = Some(class.name());
        explanation.key = key_of(&class);
        explanation.behind = self.behind(group, &class);
        let asking_addressed = recognise::addressed(&question.headers, question.trust);
        let asking = Asking {
            addressed: asking_addressed.as_deref(),
            user,
            purpose: Purpose::Explain,
        };
        let routed = self
            .resolver
            .resolve(&topology, group, &class, &asking)
            .await;
        let outcome = match routed {
            Ok(Route::One(target)) => Ok(Outcome::To(target)),
            Ok(Route::New) => self.would_place(group, &class, &asking).await,
            Ok(Route::Every) => Ok(Outcome::Every),
            Ok(Route::Merge) => {
                let (head, path) = (&recognised.head, question.uri.path());
                let merging = Merging::of(group, found, head, &class, sniffed, path);
                self.would_merge(&topology, group, found, merging, &asking)
                    .await
            }
            Err(problem) => Err(problem),
        };
        explanation.ended(outcome)
    }

    /// A visit to a web application, if it is one.
    fn explain_visit(&self, topology: &Topology, question: &Question) -> Option<Explanation> {
        let seed = question.uri.path().as_bytes();
        let visit = self.visit_to(topology, &question.uri, &question.headers, seed)?;
        let mut explanation = Explanation::new(None);
        explanation.class = Some("web");
        explanation.sites = visit.among(topology);
        let there = |target| Outcome::Because(target, visit.why());
        Some(explanation.ended(visit.target().map(there)))
    }

    fn behind(&self, group: &Group, class: &Class) -> Vec<SiteId> {
        if let Class::Create(create) = class {
            self.resolver.behind(group, create)
        } else {
            Vec::new()
        }
    }

    async fn would_place(
        &self,
        group: &Group,
        class: &Class,
        asking: &Asking<'_>,
    ) -> Result<Outcome, Problem> {
        let Class::Create(create) = class else {
            return Err(Problem::new(
                Reason::NotImplemented,
                "only what makes something new is placed",
            ));
        };
        if let Some(armed) = self.armed_target(group, create, asking.purpose).await? {
            let event = create.event.as_deref().unwrap_or_default();
            return Ok(Outcome::Placed(armed, format!("it is armed for {event}")));
        }
        let placed = self
            .resolver
            .place(group, create, asking, &[], context::random())
            .await?;
        let why = self.why_placed(create, asking, placed.site.id).await;
        Ok(Outcome::Placed(placed, why))
    }

    /// What spoke for this site.
    async fn why_placed(&self, create: &Create, asking: &Asking<'_>, chosen: SiteId) -> String {
        let hints = [
            ("its business key", self.resolver.business_key(create)),
            ("its user", asking.user.clone()),
        ];
        for (what, key) in hints {
            let Some(key) = key else { continue };
            if self.resolver.home_or_stored(&key, asking.purpose).await == Some(chosen) {
                return format!("{what} is at home there ({key})");
            }
        }
        format!("by the policy {}", self.resolver.placement.load().policy)
    }

    async fn would_merge(
        &self,
        topology: &Topology,
        group: &Group,
        found: &Matched<'_>,
        merging: Merging,
        asking: &Asking<'_>,
    ) -> Result<Outcome, Problem> {
        let purpose = Purpose::Explain;
        match merging {
            Merging::Read(Plan::Refused(why)) => Err(merge::refused(&why)),
            Merging::Message(Some(letter)) => {
                self.would_deliver(group, &letter.message, asking).await
            }
            Merging::Signal(Some(signal)) => self.would_signal(group, &*signal, asking).await,
            Merging::Split(Ok(split)) => {
                let shares = self.shares(topology, group, &split, purpose).await?;
                Ok(over(shares.into_iter().map(|share| share.target)))
            }
            Merging::Split(Err(why)) => Err(Problem::new(Reason::BadRequest, why)),
            Merging::Parts(parts) => {
                let places = self.places(topology, group, &parts, purpose).await?;
                Ok(over(places.into_iter().map(|(_, target)| target)))
            }
            Merging::Read(_)
            | Merging::Fetch(_)
            | Merging::Message(None)
            | Merging::Signal(None) => Ok(Outcome::Over),
            Merging::Not => Err(merge::not_built(found.operation)),
        }
    }

    async fn would_signal(
        &self,
        group: &Group,
        signal: &dyn Signal,
        asking: &Asking<'_>,
    ) -> Result<Outcome, Problem> {
        let decided = self.spread(group, signal, asking.purpose).await?;
        match decided.spread {
            Spread::Place => {
                let class = Class::Create(decided.create);
                self.would_place(group, &class, asking).await
            }
            Spread::StartAt(site, others) if others.is_empty() => {
                correlate::target(&group.sites[site]).map(Outcome::To)
            }
            Spread::StartAt(site, others) => {
                let sites = std::iter::once(site).chain(others).collect();
                Ok(Outcome::Parts(named(group, sites)))
            }
            Spread::ToAll => Ok(Outcome::Every),
            Spread::Nowhere => Err(signal::nowhere(signal)),
        }
    }

    async fn would_deliver(
        &self,
        group: &Group,
        message: &Message,
        asking: &Asking<'_>,
    ) -> Result<Outcome, Problem> {
        let at = |site: usize| correlate::target(&group.sites[site]).map(Outcome::To);
        let decided = self.delivery(group, message, asking.purpose).await?;
        match decided.delivery {
            Delivery::Place => {
                let class = Class::Create(decided.create);
                self.would_place(group, &class, asking).await
            }
            Delivery::To(site) | Delivery::StartAt(site) => at(site),
            Delivery::Nobody => at(0),
            Delivery::ToAll(sites) => Ok(Outcome::Parts(named(group, sites))),
            Delivery::Ambiguous(_) => Err(Problem::new(
                Reason::BadRequest,
                "several executions wait for this message",
            )),
            Delivery::StartsAndWaits(sites) => {
                Err(correlate::starts_and_waits(group, message, &sites))
            }
        }
    }

    /// Where requests with this key would go. A key does not say which dialect it is of: all are tried.
    pub async fn explain_key(&self, key: &RoutingKey) -> Explanation {
        let topology = self.topology.load_full();
        let mut explanation = Explanation::new(None);
        explanation.class = Some("keyed");
        explanation.key = Some(key.clone());
        explanation.sites = topology.sites().map(Arc::clone).collect();
        let outcome = if key.kind.is_placed() {
            self.placed_key(&topology, key).await
        } else {
            self.held_key(&topology, key).await
        };
        explanation.ended(outcome)
    }

    async fn placed_key(&self, topology: &Topology, key: &RoutingKey) -> Result<Outcome, Problem> {
        let resolver = &self.resolver;
        let known = resolver.known.conflict(key).is_some()
            || resolver
                .home_or_stored(key, Purpose::Explain)
                .await
                .is_some();
        // Its home says which sites it is a key of.
        let home = resolver.known.home(key);
        let has_home = |group: &&Group| {
            let id = home.as_ref().map(|home| home.site);
            group.sites.iter().any(|site| Some(site.id) == id)
        };
        let groups = &topology.groups;
        let group = groups.iter().find(has_home).or_else(|| groups.first());
        let Some(group) = group.filter(|_| known) else {
            return Ok(Outcome::Unplaced);
        };
        let keyed = Keyed {
            key: key.clone(),
            unknown: Unknown::Place,
        };
        let target = resolver.keyed(topology, group, &keyed, Purpose::Explain);
        target.await.map(Outcome::To)
    }

    async fn held_key(&self, topology: &Topology, key: &RoutingKey) -> Result<Outcome, Problem> {
        let keyed = Keyed {
            key: key.clone(),
            unknown: Unknown::Locate,
        };
        let mut worst = Problem::new(Reason::UnknownId, format!("no site knows {key}")).about(key);
        for group in &topology.groups {
            let target = self
                .resolver
                .keyed(topology, group, &keyed, Purpose::Explain);
            match target.await {
                Ok(target) => return Ok(Outcome::To(target)),
                // Another dialect's sites may know it; what is not certain weighs more than what is.
                Err(problem) if problem.reason == Reason::UnknownId => {}
                Err(problem) if problem.reason == Reason::LocateIncomplete => worst = problem,
                Err(problem) => return Err(problem),
            }
        }
        Err(worst)
    }
}

/// One site, or several.
fn over(targets: impl Iterator<Item = Target>) -> Outcome {
    let mut targets: Vec<Target> = targets.collect();
    if targets.len() == 1 {
        return Outcome::To(targets.swap_remove(0));
    }
    let mut sites: Vec<SiteId> = targets.iter().map(|target| target.site.id).collect();
    sites.dedup();
    Outcome::Parts(sites)
}

fn named(group: &Group, sites: Vec<usize>) -> Vec<SiteId> {
    sites.into_iter().map(|at| group.sites[at].id).collect()
}

fn key_of(class: &Class) -> Option<RoutingKey> {
    match class {
        Class::Keyed(keyed) => Some(keyed.key.clone()),
        Class::Create(create) => create.beside.clone(),
        Class::Gather(gather) => gather.owner.clone(),
        Class::Any(_)
        | Class::Split
        | Class::Broadcast(_)
        | Class::Correlate
        | Class::WorkerFetch
        | Class::Shared(..)
        | Class::Local
        | Class::Refuse(_) => None,
    }
}
