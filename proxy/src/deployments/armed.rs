//! Start timers of one definition are to go off at one site: whose they are, and which others have to be held back.
//!
//! Owns what follows from the rows and from what sites have. Pure.

use super::picture::Picture;
use crate::dialect::timers::{Standing, StartTimer};
use homing_mapping_store::SiteId;
use homing_mapping_store::armed::{Armed, Stage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// The timers that would go off at a site.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The site.
    pub site: SiteId,
    /// Its timers.
    pub timers: Vec<StartTimer>,
}

/// A definition that nobody is armed for yet, and who is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its key.
    pub key: String,
    /// The site.
    pub site: SiteId,
}

/// What a site gave up, for the one that goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its start events that were to go off; `None`: nobody could be asked.
    pub events: Option<Vec<Event>>,
    /// Nothing of it goes off any more where it was, since the row says so.
    #[serde(default)]
    pub held: bool,
}

/// One start event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id in the model.
    pub event: String,
    /// When it would have gone off next, in the site's own words.
    pub due: Option<String>,
}

impl Left {
    /// As it was kept.
    pub fn of(row: &Armed) -> Left {
        serde_json::from_str(&row.detail).unwrap_or_default()
    }

    /// As it is kept.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether this timer is to go on, and from when. One that nobody can tell about goes on only if it goes off again and
    /// again: another may have gone off already.
    pub fn goes_on(&self, timer: &StartTimer) -> Option<Option<&str>> {
        match &self.events {
            None => timer.repeats.then_some(None),
            Some(events) => {
                let mut events = events.iter();
                let event = events.find(|one| one.event == timer.event)?;
                Some(event.due.as_deref())
            }
        }
    }
}

/// The same site for the same definition, whoever chooses.
pub fn chosen(
    tenant: Option<&str>,
    key: &str,
    sites: impl IntoIterator<Item = SiteId>,
) -> Option<SiteId> {
    let weight = |site: &SiteId| {
        let text = format!("{}\0{}\0{key}", site.name(), tenant.unwrap_or_default());
        (xxh3_64(text.as_bytes()), site.name())
    };
    sites.into_iter().max_by_key(weight)
}

/// Definitions that nobody is armed for yet. `coming`: sites that are about to get the same. `may`: whether a site takes
/// new work of a tenant; a definition that only others have is theirs.
pub fn claims(
    picture: &Picture,
    scope: &str,
    seen: &[Seen],
    coming: &[SiteId],
    may: &dyn Fn(SiteId, Option<&str>) -> bool,
) -> Vec<Claim> {
    let all = seen.iter().flat_map(|seen| &seen.timers);
    let open: BTreeSet<(Option<&str>, &str)> = all
        .map(|timer| (timer.tenant.as_deref(), timer.key.as_str()))
        .filter(|(tenant, key)| picture.armed(scope, *tenant, key).is_none())
        .collect();
    let claim = |(tenant, key): (Option<&str>, &str)| {
        let has = |seen: &&Seen| {
            let mut timers = seen.timers.iter();
            timers.any(|timer| is_of(timer, tenant, key))
        };
        let having: Vec<SiteId> = seen.iter().filter(has).map(|seen| seen.site).collect();
        let all = having.iter().chain(coming).copied();
        let site = chosen(tenant, key, all.filter(|site| may(*site, tenant)));
        Some(Claim {
            tenant: tenant.map(str::to_owned),
            key: key.to_owned(),
            site: site.or_else(|| chosen(tenant, key, having))?,
        })
    };
    open.into_iter().filter_map(claim).collect()
}

/// Whether a row is of a message, signal or condition. Keys of definitions hold no colon.
pub fn is_event(row: &Armed) -> bool {
    row.key.contains(':')
}

/// Whether a timer belongs to this definition.
pub fn is_of(timer: &StartTimer, tenant: Option<&str>, key: &str) -> bool {
    timer.tenant.as_deref() == tenant && timer.key == key
}

/// The timers that would go off where nobody is armed for them.
pub fn astray<'s>(
    picture: &Picture,
    scope: &str,
    seen: &'s [Seen],
) -> Vec<(SiteId, &'s StartTimer)> {
    let mut astray = Vec::new();
    for Seen { site, timers } in seen {
        for timer in timers {
            let row = picture.armed(scope, timer.tenant.as_deref(), &timer.key);
            let elsewhere = row.is_some_and(|row| row.site != *site || row.stage == Stage::Leaving);
            if elsewhere && timer.standing == Standing::Active {
                astray.push((*site, timer));
            }
        }
    }
    astray
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::{Generation, Timestamp};

    const SCOPE: &str = "engine-rest /engine-rest default";

    fn timer(key: &str, repeats: bool) -> StartTimer {
        StartTimer {
            id: format!("{key}-id"),
            key: key.into(),
            tenant: None,
            event: "start".into(),
            repeats,
            standing: Standing::Active,
        }
    }

    fn seen(site: &str, keys: &[&str]) -> Seen {
        Seen {
            site: SiteId::named(site),
            timers: keys.iter().map(|key| timer(key, true)).collect(),
        }
    }

    fn row(key: &str, site: &str, stage: Stage) -> Armed {
        Armed {
            scope: SCOPE.into(),
            tenant: None,
            key: key.into(),
            site: SiteId::named(site),
            stage,
            detail: String::new(),
            generation: Generation::default(),
            since: Timestamp(0),
        }
    }

    #[test]
    fn whoever_chooses_chooses_the_same_and_all_sites_get_their_share() {
        let sites = ["a", "b", "c"].map(SiteId::named);
        let mut counts = std::collections::HashMap::new();
        for number in 0..300 {
            let key = format!("key-{number}");
            let site = chosen(None, &key, sites);
            assert_eq!(site, chosen(None, &key, sites.into_iter().rev()));
            *counts.entry(site).or_insert(0) += 1;
            // Another one is chosen only when the chosen one is not there.
            let others = sites.into_iter().filter(|one| Some(*one) != site);
            let without_one: Vec<SiteId> = others.skip(1).chain(site).collect();
            assert_eq!(chosen(None, &key, without_one), site);
        }
        assert!(counts.values().all(|count| *count > 50), "{counts:?}");
    }

    #[test]
    fn a_definition_is_claimed_once_by_a_site_that_takes_new_work() {
        let picture = Picture::default().with_armed(vec![row("known", "a", Stage::Armed)]);
        let seen = [seen("a", &["known", "new"]), seen("b", &["new"])];
        let at = |may: &dyn Fn(SiteId, Option<&str>) -> bool, coming: &[SiteId]| {
            let claims = claims(&picture, SCOPE, &seen, coming, may);
            assert_eq!(claims.len(), 1);
            assert_eq!(claims[0].key, "new");
            claims[0].site.name()
        };
        assert_eq!(at(&|site, _| site.name() == "a", &[]), "a");
        assert_eq!(at(&|site, _| site.name() == "b", &[]), "b");
        let c = SiteId::named("c");
        assert_eq!(at(&|site, _| site == c, &[c]), "c");
        // Nobody takes new work: who has it keeps it.
        assert!(["a", "b"].contains(&at(&|_, _| false, &[c])));
    }

    #[test]
    fn what_goes_off_where_nobody_is_armed_is_astray() {
        let rows = vec![
            row("one", "a", Stage::Armed),
            row("two", "b", Stage::Arriving),
            row("three", "a", Stage::Leaving),
        ];
        let picture = Picture::default().with_armed(rows);
        let keys = ["one", "two", "three", "unknown"];
        let seen = [seen("a", &keys), seen("b", &keys)];
        let astray: Vec<(&str, &str)> = astray(&picture, SCOPE, &seen)
            .into_iter()
            .map(|(site, timer)| (site.name(), timer.key.as_str()))
            .collect();
        assert_eq!(
            astray,
            [("a", "two"), ("a", "three"), ("b", "one"), ("b", "three")]
        );
    }

    #[test]
    fn what_may_have_gone_off_already_does_not_go_on_elsewhere() {
        let unknown = Left::default();
        assert_eq!(unknown.goes_on(&timer("k", true)), Some(None));
        assert_eq!(unknown.goes_on(&timer("k", false)), None);
        let none = Left {
            events: Some(Vec::new()),
            held: true,
        };
        assert_eq!(none.goes_on(&timer("k", true)), None);
        let due = Left {
            events: Some(vec![Event {
                event: "start".into(),
                due: Some("then".into()),
            }]),
            held: true,
        };
        assert_eq!(due.goes_on(&timer("k", false)), Some(Some("then")));
        let kept = Armed {
            detail: due.text(),
            ..row("k", "a", Stage::Arriving)
        };
        assert_eq!(Left::of(&kept), due);
    }
}
