//! One instance's way to another site: export, stage, commit, activate, entomb.
//!
//! Owns the order of these steps and what follows when one is refused. Must not decide where the instance lives: its mapping
//! does, by compare-and-set between stage and activate. Whoever finds a hand-over half done looks at the mapping first.

use super::engine::{About, Engine, Exported, Held, Said};
use super::mark::key_of;
use super::{Trouble, is_any};
use crate::classify::Create;
use crate::decide::world::HandsOver;
use crate::rehome::step::Stepper;
use crate::rehome::work::{Left, Moving};
use crate::resolve::route::has_rows;
use crate::topology::Topology;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Generation, Mapping, RoutingKey, SiteId, State};
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// What became of one instance.
pub(super) enum Went {
    /// It lives at another site.
    Moved,
    /// It is not alive any more.
    Ended,
    /// It stays where it is.
    Stays(Left),
}

/// What hands instances of one site over.
pub(super) struct Mover<'a> {
    pub(super) stepper: &'a Stepper<'a>,
    pub(super) from: &'a Engine,
    topology: Arc<Topology>,
    /// Sites of which nothing is asked.
    shut: Vec<SiteId>,
}

/// One hand-over on its way.
struct Way<'a> {
    id: String,
    instance: &'a str,
    /// Generation of the mark.
    at: Generation,
}

impl<'a> Mover<'a> {
    pub(super) async fn new(
        stepper: &'a Stepper<'a>,
        moving: &Moving,
        from: &'a Engine,
    ) -> Mover<'a> {
        let topology = stepper.executor.topology.load_full();
        let mut shut = vec![from.site];
        for site in topology.sites().filter(|site| site.id != from.site) {
            let wanted = is_any(&moving.of.to) || site.id.name() == moving.of.to;
            if !wanted || stepper.executor.hands_over(site.id).await != HandsOver::Yes {
                shut.push(site.id);
            }
        }
        Mover {
            stepper,
            from,
            topology,
            shut,
        }
    }

    /// The same after a kill: a mark has one generation.
    fn way<'i>(&self, instance: &'i str, at: Generation) -> Way<'i> {
        Way {
            id: format!("{}{instance}.{}", self.stepper.prefix(), at.0),
            instance,
            at,
        }
    }

    /// Hands over an instance that is marked.
    pub(super) async fn hand(&self, instance: &str, at: Generation) -> Result<Went, Trouble> {
        let way = self.way(instance, at);
        match self.from.export(&way.id, instance, at).await? {
            Said::Done(taken) => self.carry(&way, &taken).await,
            Said::Refused(why) => {
                self.keep(instance, at).await?;
                Ok(stays(instance, why))
            }
            Said::Absent => {
                self.keep(instance, at).await?;
                Ok(Went::Ended)
            }
        }
    }

    /// Goes on with a hand-over that has begun, whoever began it.
    pub(super) async fn settle(&self, held: &Held) -> Result<Went, Trouble> {
        let row = self.row(&held.instance).await?;
        let at = Generation(held.generation);
        match row {
            Some(row) if row.home != self.from.site => {
                let way = Way {
                    id: held.id.clone(),
                    instance: &held.instance,
                    at,
                };
                let taken = self.from.export(&way.id, way.instance, at).await?;
                self.finish(&way, &taken.done("to read it")?, &row).await
            }
            Some(row) if row.state == State::Moving && row.generation == at => {
                self.hand(&held.instance, at).await
            }
            Some(_) | None => {
                self.from.cancel(&held.id).await?;
                let why = "it was taken back; it is tried again".to_owned();
                Ok(stays(&held.instance, why))
            }
        }
    }

    /// Takes a hand-over back, unless the instance has another home already.
    pub(super) async fn back(&self, held: &Held) -> Result<(), Trouble> {
        let at = Generation(held.generation);
        if self.keep(&held.instance, at).await? {
            return self.from.cancel(&held.id).await;
        }
        // A hand-over whose mark is gone has been decided, one way or the other.
        self.settle(held).await.map(|_| ())
    }

    async fn row(&self, instance: &str) -> Result<Option<Mapping>, Trouble> {
        Ok(self.stepper.executor.store.get(&key_of(instance)).await?)
    }

    /// To the first site that takes it.
    async fn carry(&self, way: &Way<'_>, taken: &Exported) -> Result<Went, Trouble> {
        let mut tried = self.shut.clone();
        let mut why = String::new();
        loop {
            let site = match self.choose(&taken.about, &tried) {
                Ok(site) => site,
                Err(none) => {
                    let why = if why.is_empty() { none } else { why };
                    return self.give_back(way, &tried, why).await;
                }
            };
            tried.push(site);
            let staged = match Engine::at(self.stepper.executor, site) {
                Ok(engine) => engine.stage(&way.id, taken).await,
                Err(problem) => Err(problem.into()),
            };
            match staged {
                Ok(Said::Done(_)) => return self.commit(way, taken, site).await,
                Ok(Said::Refused(refused)) => why = format!("site {site}: {refused}"),
                Ok(Said::Absent) => why = format!("site {site} does not take it"),
                Err(trouble) => why = trouble.to_string(),
            }
        }
    }

    fn choose(&self, about: &About, tried: &[SiteId]) -> Result<SiteId, String> {
        let groups = &self.topology.groups;
        let group = groups
            .iter()
            .find(|group| group.sites.iter().any(|site| site.id == self.from.site))
            .ok_or_else(|| format!("site {} is gone", self.from.site))?;
        let create = Create {
            definition: about.definition.clone(),
            tenant: about.tenant.clone(),
            business_key: about.business_key.clone(),
            ..Create::default()
        };
        let random = Uuid::new_v4().as_u64_pair().1;
        let resolver = &self.stepper.executor.pipeline.resolver;
        resolver
            .elsewhere(group, &create, tried, random)
            .map_err(|problem| problem.detail.clone())
    }

    /// It lives where it lived. The mark goes first: whoever could still commit finds another generation.
    async fn give_back(
        &self,
        way: &Way<'_>,
        tried: &[SiteId],
        why: String,
    ) -> Result<Went, Trouble> {
        if !self.keep(way.instance, way.at).await? {
            // Decided by somebody else; the next round sees how.
            return Ok(stays(way.instance, why));
        }
        self.from.cancel(&way.id).await?;
        for site in tried.iter().filter(|site| !self.shut.contains(site)) {
            // What is staged and never committed is only a copy that nobody looks at.
            if let Ok(engine) = Engine::at(self.stepper.executor, *site)
                && let Err(trouble) = engine.cancel(&way.id).await
            {
                tracing::debug!(%site, "a staged copy stays: {trouble}");
            }
        }
        Ok(stays(way.instance, why))
    }

    /// This decides: all rows of the instance in one transaction.
    async fn commit(&self, way: &Way<'_>, taken: &Exported, to: SiteId) -> Result<Went, Trouble> {
        let root = key_of(way.instance);
        let mut keys = HashSet::from([root.clone()]);
        for (kind, ids) in &taken.ids {
            let named = ids.iter().map(|id| format!("{kind}:{id}"));
            keys.extend(named.filter_map(|key| key.parse::<RoutingKey>().ok()));
        }
        keys.retain(|key| has_rows(key.kind));
        let keys: Vec<RoutingKey> = keys.into_iter().collect();
        // A router may have learned a called instance and not have shipped it yet: its row would come too late.
        let instances = keys.iter().filter(|key| key.kind == root.kind);
        self.rows(&instances.cloned().collect::<Vec<_>>()).await?;
        let rows = self.stepper.executor.store.get_many(&keys).await?;
        let here = rows
            .iter()
            .flatten()
            .filter(|row| row.home == self.from.site);
        let changes: Vec<_> = here
            .map(|row| {
                let mut change = self.stepper.change(row, to, State::Homed, "mapping.moved");
                if row.key == root {
                    change.expected = Some(way.at);
                }
                change
            })
            .collect();
        if !changes.iter().any(|change| change.key == root) {
            return self.decided(way).await;
        }
        match self.stepper.changed(&changes).await {
            Ok(rows) => match rows.iter().find(|row| row.key == root) {
                Some(row) => self.finish(way, taken, row).await,
                None => Err(Trouble::Site(format!("{root} has no mapping"))),
            },
            Err(Trouble::Store(Error::Stale { .. })) => self.decided(way).await,
            // Whether it was committed shows in the next look at the mapping.
            Err(trouble) => Err(trouble),
        }
    }

    /// Somebody else has decided. If the mark was taken back before this export came, nobody else knows of it.
    async fn decided(&self, way: &Way<'_>) -> Result<Went, Trouble> {
        let row = self.row(way.instance).await?;
        let stayed = row.is_some_and(|row| {
            let ours = row.state == State::Moving && row.generation == way.at;
            row.home == self.from.site && !ours
        });
        if stayed {
            self.from.cancel(&way.id).await?;
        }
        Ok(stays(way.instance, "it is decided elsewhere".to_owned()))
    }

    /// It has its new home: it comes to life there, and the old site says so.
    async fn finish(
        &self,
        way: &Way<'_>,
        taken: &Exported,
        row: &Mapping,
    ) -> Result<Went, Trouble> {
        let to = Engine::at(self.stepper.executor, row.home)?;
        to.stage(&way.id, taken).await?.done("to stage it")?;
        to.activate(&way.id, row.generation).await?;
        self.from.entomb(&way.id, row.home, row.generation).await?;
        let known = &self.stepper.executor.pipeline.resolver.known;
        for (kind, ids) in &taken.ids {
            let named = ids.iter().map(|id| format!("{kind}:{id}"));
            for key in named.filter_map(|key| key.parse::<RoutingKey>().ok()) {
                if known.cache.get(&key).is_some() {
                    known.cache.put(&key, row.home);
                }
            }
        }
        Ok(Went::Moved)
    }
}

fn stays(instance: &str, why: String) -> Went {
    Went::Stays(Left {
        instance: instance.to_owned(),
        why,
    })
}
