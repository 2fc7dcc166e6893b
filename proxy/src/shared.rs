//! What every site is to have of users, groups, tenants, filters and authorizations, as this router knows it.
//!
//! Owns the picture of it: who is behind, and which ids are one thing's. Must not send or choose. Relies on `deployments`
//! to have it read anew whenever the store says that something has changed.

use crate::dialect::shares::Thing;
use crate::telemetry::metrics::metrics;
use arc_swap::ArcSwap;
use homing_mapping_store::shared::{SharedAt, SharedState};
use homing_mapping_store::{Handle, SiteId, store};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One thing's ids at the sites.
pub type Copies = HashMap<SiteId, String>;

/// How much a site can say about shared data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It has all of it.
    Level,
    /// It has refused some of it, or has it in part.
    Flawed,
    /// Somebody was told that something is done that it has not got yet.
    Behind,
}

/// All of it, without contents.
#[derive(Default)]
pub struct Picture {
    kept: HashMap<String, u64>,
    sites: HashMap<(SiteId, String), SharedAt>,
    subjects: HashMap<(String, String), Copies>,
    /// By scope, kind of thing and id.
    by_id: HashMap<(String, String, String), String>,
}

impl Picture {
    /// Out of what the store keeps.
    pub fn of(state: SharedState) -> Picture {
        let mut picture = Picture {
            kept: state.kept.into_iter().collect(),
            ..Picture::default()
        };
        for at in state.sites {
            picture.sites.insert((at.site, at.scope.clone()), at);
        }
        for one in state.ids {
            let thing = one.subject.split('/').next().unwrap_or_default().to_owned();
            let named = (one.scope.clone(), thing, one.id.clone());
            picture.by_id.insert(named, one.subject.clone());
            let copies = picture
                .subjects
                .entry((one.scope, one.subject))
                .or_default();
            copies.insert(one.site, one.id);
        }
        picture
    }

    /// Whether this site can answer for the others.
    pub fn rank(&self, site: SiteId, scope: &str) -> Rank {
        match self.at(site, scope) {
            Some(at) if at.behind > 0 => Rank::Behind,
            Some(at) if self.lacks(at) => Rank::Behind,
            None if self.kept.contains_key(scope) => Rank::Behind,
            Some(at) if at.flawed > 0 => Rank::Flawed,
            Some(_) | None => Rank::Level,
        }
    }

    fn lacks(&self, at: &SharedAt) -> bool {
        self.kept
            .get(&at.scope)
            .is_some_and(|kept| *kept > at.listed)
    }

    /// Whether this site is to be told that it is to have all of it.
    pub fn is_to_join(&self, site: SiteId, scope: &str) -> bool {
        match self.at(site, scope) {
            Some(at) => self.lacks(at),
            None => self.kept.contains_key(scope),
        }
    }

    /// Whether there is anything that this site has not behind it.
    pub fn is_open(&self, site: SiteId, scope: &str) -> bool {
        self.at(site, scope).is_some_and(|at| at.open > 0)
    }

    /// How far a site is.
    pub fn at(&self, site: SiteId, scope: &str) -> Option<&SharedAt> {
        self.sites.get(&(site, scope.to_owned()))
    }

    /// How far all sites are, by scope and name.
    pub fn all(&self) -> Vec<SharedAt> {
        let mut all: Vec<SharedAt> = self.sites.values().cloned().collect();
        all.sort_by(|one, other| {
            (&one.scope, one.site.name()).cmp(&(&other.scope, other.site.name()))
        });
        all
    }

    /// Scopes of which anything is kept.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.kept.keys().map(String::as_str)
    }

    /// What the thing of this id is called in the records.
    pub fn subject(&self, scope: &str, thing: Thing, id: &str) -> Option<&str> {
        let named = (scope.to_owned(), thing.as_str().to_owned(), id.to_owned());
        self.by_id.get(&named).map(String::as_str)
    }

    /// What each site calls it.
    pub fn copies(&self, scope: &str, subject: &str) -> Option<&Copies> {
        self.subjects.get(&(scope.to_owned(), subject.to_owned()))
    }

    /// Ids at a site that are known to be something's.
    pub fn taken(&self, scope: &str, site: SiteId) -> HashSet<String> {
        let of_scope = self.subjects.iter().filter(|((of, _), _)| of == scope);
        of_scope
            .filter_map(|(_, copies)| copies.get(&site).cloned())
            .collect()
    }
}

/// Shared data of all scopes.
#[derive(Default)]
pub struct SharedData(ArcSwap<Picture>);

impl SharedData {
    /// What is known now.
    pub fn picture(&self) -> Arc<Picture> {
        self.0.load_full()
    }

    /// Reads all of it again. One after the other is the caller's business.
    pub(crate) async fn refresh(&self, store: &Handle) -> Result<Arc<Picture>, store::Error> {
        let picture = Arc::new(Picture::of(store.shared_state().await?));
        let before = self.0.swap(Arc::clone(&picture));
        let mut missing: HashMap<SiteId, u64> = HashMap::new();
        for (site, _) in before.sites.keys() {
            missing.insert(*site, 0);
        }
        for at in picture.sites.values() {
            *missing.entry(at.site).or_default() += at.open;
        }
        for (site, open) in missing {
            metrics()
                .shared_missing
                .with_label_values(&[site.name()])
                .set(i64::try_from(open).unwrap_or(i64::MAX));
        }
        Ok(picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::shared::SharedId;

    const SCOPE: &str = "engine-rest /engine-rest default";

    fn at(site: &str, listed: u64, behind: u64, flawed: u64) -> SharedAt {
        SharedAt {
            scope: SCOPE.into(),
            site: SiteId::named(site),
            listed,
            open: behind,
            behind,
            flawed,
        }
    }

    fn id(site: &str, id: &str) -> SharedId {
        SharedId {
            scope: SCOPE.into(),
            subject: "filter/1".into(),
            site: SiteId::named(site),
            id: id.into(),
        }
    }

    #[test]
    fn only_a_site_that_has_all_of_it_is_level() {
        let picture = Picture::of(SharedState {
            kept: vec![(SCOPE.into(), 2)],
            sites: vec![
                at("a", 2, 0, 0),
                at("b", 2, 1, 1),
                at("c", 2, 0, 1),
                at("d", 1, 0, 0),
            ],
            ids: vec![],
        });
        let rank = |site: &str| picture.rank(SiteId::named(site), SCOPE);
        assert_eq!(rank("a"), Rank::Level);
        assert_eq!(rank("b"), Rank::Behind);
        assert_eq!(rank("c"), Rank::Flawed);
        assert_eq!(rank("d"), Rank::Behind);
        // It has joined, and nobody has told it so.
        assert_eq!(rank("e"), Rank::Behind);
        assert_eq!(picture.rank(SiteId::named("e"), "another"), Rank::Level);
        for (site, joins) in [("a", false), ("d", true), ("e", true)] {
            assert_eq!(
                picture.is_to_join(SiteId::named(site), SCOPE),
                joins,
                "{site}"
            );
        }
    }

    #[test]
    fn an_id_of_any_site_names_the_thing_at_all_of_them() {
        let picture = Picture::of(SharedState {
            ids: vec![id("a", "of-a"), id("b", "of-b")],
            ..SharedState::default()
        });
        for name in ["of-a", "of-b"] {
            let subject = picture.subject(SCOPE, Thing::Filter, name);
            assert_eq!(subject, Some("filter/1"));
        }
        assert_eq!(picture.subject(SCOPE, Thing::Authorization, "of-a"), None);
        let copies = picture
            .copies(SCOPE, "filter/1")
            .cloned()
            .unwrap_or_default();
        assert_eq!(
            copies.get(&SiteId::named("b")).map(String::as_str),
            Some("of-b")
        );
        assert!(picture.taken(SCOPE, SiteId::named("a")).contains("of-a"));
    }
}
