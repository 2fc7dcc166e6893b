//! What is known of what would leave a site, for whoever plans its evacuation.
//!
//! Owns the questions: to the site, to those that could take, to the table, and to the newest comparison of both. Must not
//! judge and changes nothing. What cannot be asked is told as not known.

use super::Trouble;
use super::engine::{Engine, Running};
use super::mark::key_of;
use crate::decide::plan::{Question, Subject};
use crate::decide::world::{Compared, HandsOver, Lacking, Leaving, Site, World};
use crate::rehome::execute::Executor;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Kind, RoutingKey, SiteId};
use serde_json::Value;
use std::time::Duration;

/// Live instances whose rows are looked for (limit `evacuation_looked_at`).
const LOOKED_AT: usize = 1_000;
/// Definitions that are looked for at the sites that could take (limit `evacuation_definitions`).
const DEFINITIONS_MAX: usize = 50;
/// Versions of one definition at such a site.
const VERSIONS_MAX: usize = 20;

impl Executor {
    /// Adds it for the sites that the question is about.
    pub(crate) async fn look_at_leaving(
        &self,
        world: &mut World,
        question: &Question,
    ) -> Result<(), Error> {
        let asked = |site: &Site| match &question.subject {
            Subject::Site(name) => site.name == *name,
            Subject::Zone(zone) => {
                let serving = site.installation(&site.serving);
                serving.and_then(|one| one.zone.as_deref()) == Some(zone)
            }
        };
        let about: Vec<usize> = (0..world.sites.len())
            .filter(|at| asked(&world.sites[*at]) && world.sites[*at].hands_over == HandsOver::Yes)
            .collect();
        for at in &about {
            let site = &world.sites[*at];
            let named = question.to.as_deref();
            let takers: Vec<String> = (0..world.sites.len())
                .filter(|one| one != at && (named.is_some() || !about.contains(one)))
                .map(|one| &world.sites[one])
                .filter(|one| one.hands_over == HandsOver::Yes && one.is_available())
                .filter(|one| named.is_none_or(|name| name == one.name))
                .map(|one| one.name.clone())
                .collect();
            let leaving = self.leaving(&site.name, &takers).await?;
            world.sites[*at].leaving = Some(leaving);
        }
        Ok(())
    }

    async fn leaving(&self, site: &str, takers: &[String]) -> Result<Leaving, Error> {
        let mut found = Leaving {
            compared: self.compared(site).await?,
            stale_after: self.config().reconcile.every.saturating_mul(2),
            ..Leaving::default()
        };
        let known = SiteId::named(site);
        match self.without_rows(known).await {
            Ok((behind, more)) => (found.behind, found.more) = (behind, more),
            Err(Trouble::Store(error)) => return Err(error),
            Err(Trouble::Site(why)) => found.unknown.push(why),
        }
        match self.lacking(known, takers).await {
            Ok(lacking) => found.lacking = lacking,
            Err(Trouble::Store(error)) => return Err(error),
            Err(Trouble::Site(why)) => found.unknown.push(why),
        }
        Ok(found)
    }

    /// The newest comparison of the site with the table.
    async fn compared(&self, site: &str) -> Result<Option<Compared>, Error> {
        let records = self.store.drift().await?;
        let Some(record) = records.into_iter().find(|one| one.site.name() == site) else {
            return Ok(None);
        };
        let routers = self.store.routers().await?;
        // Both times are the store's.
        let now = routers.iter().map(|one| one.seen_at).max();
        let age = now.unwrap_or(record.at).0.saturating_sub(record.at.0);
        let body: Value = serde_json::from_str(&record.body).unwrap_or_default();
        let count = |name: &str| body[name].as_u64().unwrap_or_default();
        Ok(Some(Compared {
            age: Duration::from_millis(u64::try_from(age).unwrap_or_default()),
            conflicts: count("conflicts"),
            orphans: count("orphans"),
        }))
    }

    /// Live instances that the site has and the table does not, and whether there are more than were looked at.
    async fn without_rows(&self, site: SiteId) -> Result<(Vec<String>, bool), Trouble> {
        let engine = Engine::at(self, site)?;
        let roots = engine.roots("", None, LOOKED_AT).await?;
        let keys: Vec<RoutingKey> = roots.iter().map(|root| key_of(&root.id)).collect();
        let rows = self.store.get_many(&keys).await?;
        let missing = keys.iter().zip(rows).filter(|(_, row)| row.is_none());
        let named = missing.map(|(key, _)| key.to_string()).collect();
        Ok((named, roots.len() >= LOOKED_AT))
    }

    /// Definitions on which something lives here, and that none of these sites has with the same content.
    async fn lacking(&self, site: SiteId, takers: &[String]) -> Result<Vec<Lacking>, Trouble> {
        let engine = Engine::at(self, site)?;
        let running = engine.running().await?;
        let mut lacking = Vec::new();
        for one in running.iter().take(DEFINITIONS_MAX) {
            let mut lack = Vec::new();
            for taker in takers {
                if !self.has(&engine, one, SiteId::named(taker)).await? {
                    lack.push(taker.clone());
                }
            }
            if !lack.is_empty() {
                lacking.push(Lacking {
                    definition: one.name(),
                    instances: one.instances,
                    everywhere: lack.len() == takers.len(),
                    sites: lack,
                });
            }
        }
        Ok(lacking)
    }

    async fn has(&self, here: &Engine, one: &Running, taker: SiteId) -> Result<bool, Trouble> {
        let picture = self.pipeline.resolver.deployments.picture();
        let key = RoutingKey::new(Kind::PROCESS_DEFINITION, &one.id);
        if picture
            .copies(&key)
            .is_some_and(|all| all.contains_key(&taker))
        {
            return Ok(true);
        }
        // What was deployed behind the router's back is known by its content alone.
        let there = Engine::at(self, taker)?;
        let candidates = there.versions(one).await?;
        if candidates.is_empty() {
            return Ok(false);
        }
        let content = here.content(&one.id).await?;
        for id in candidates.iter().take(VERSIONS_MAX) {
            if there.content(id).await? == content {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
