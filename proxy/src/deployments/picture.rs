//! The picture: which site has what, which keys a site must not start yet, and which ids are copies of one another.
//!
//! Owns what follows from the records. Pure.

use crate::dialect::deploys::{Bundle, Definition, Part, Resource};
use crate::topology::Group;
use homing_mapping_store::armed::Armed;
use homing_mapping_store::deployment::{AtSite, DeploymentRecord, Standing, Verb};
use homing_mapping_store::{Engine, Kind, RoutingKey, SiteId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What is kept of a deployment beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct What {
    /// The engine inside of each site; none: the default one.
    pub engine: Option<String>,
    /// What deploys it there.
    #[serde(default, skip_serializing_if = "Part::is_main")]
    pub part: Part,
    /// Of the content.
    pub content_type: String,
    /// As the client wrote it.
    pub query: Option<String>,
    /// Names and hashes of files.
    pub resources: Vec<(String, String)>,
    /// Kinds and keys of definitions.
    pub keys: Vec<(String, String)>,
}

impl What {
    /// The engine inside of each site.
    pub fn engine(&self) -> Engine {
        self.engine
            .as_deref()
            .map_or(Engine::DEFAULT, Engine::named)
    }

    /// What was read of its content.
    pub fn bundle(&self, record: &DeploymentRecord) -> Bundle {
        let resource = |(name, hash): &(String, String)| Resource {
            name: name.clone(),
            hash: hash.clone(),
        };
        let key = |(kind, key): &(String, String)| Some((Kind::known(kind)?, key.clone()));
        Bundle {
            name: record.name.clone(),
            tenant: record.tenant.clone(),
            resources: self.resources.iter().map(resource).collect(),
            keys: self.keys.iter().filter_map(key).collect(),
        }
    }
}

/// Definitions of one site, as they are kept.
pub fn holds(definitions: &[Definition]) -> String {
    let rows: Vec<(&str, &str, &str)> = definitions
        .iter()
        .map(|one| (one.kind.name(), one.key.as_str(), one.id.as_str()))
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

fn held(text: &str) -> Vec<(Kind, String, String)> {
    let rows: Vec<(String, String, String)> = serde_json::from_str(text).unwrap_or_default();
    rows.into_iter()
        .filter_map(|(kind, key, id)| Some((Kind::known(&kind)?, key, id)))
        .collect()
}

/// Sites of one scope are to have the same.
pub fn scope(group: &Group, engine: &Engine) -> String {
    let engine = engine.name().unwrap_or("default");
    format!("{} {} {engine}", group.dialect.name(), group.base_path)
}

/// The engines inside of a group's sites that these scopes name, with their scopes, and the default one.
pub fn scopes<'s>(group: &Group, named: impl Iterator<Item = &'s str>) -> BTreeMap<String, Engine> {
    let prefix = format!("{} {} ", group.dialect.name(), group.base_path);
    let engine = |scope: &'s str| match scope.strip_prefix(&prefix)? {
        "default" => None,
        name => Some((scope.to_owned(), Engine::named(name))),
    };
    let mut all: BTreeMap<String, Engine> = named.filter_map(engine).collect();
    all.insert(scope(group, &Engine::DEFAULT), Engine::DEFAULT);
    all
}

/// Whether each site has its own id for its copy of such a thing.
pub fn is_copied(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::PROCESS_DEFINITION
            | Kind::CASE_DEFINITION
            | Kind::DECISION_DEFINITION
            | Kind::DECISION_REQUIREMENTS_DEFINITION
            | Kind::DEPLOYMENT
            | Kind::CASE_DEPLOYMENT
            | Kind::DECISION_DEPLOYMENT
    )
}

/// One deployment or removal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As the store keeps it.
    pub record: DeploymentRecord,
    /// What else is kept of it.
    pub what: What,
}

/// The copies of one thing: every site's own id of it.
pub type Copies = HashMap<SiteId, String>;

/// All deployments.
#[derive(Default)]
pub struct Picture {
    /// In order.
    pub entries: Vec<Entry>,
    lacking: HashMap<(SiteId, String), HashSet<String>>,
    /// By scope and key: the sites that are to have all that was deployed of it.
    enlisted: HashMap<String, HashMap<String, HashSet<SiteId>>>,
    copies: Vec<Copies>,
    by_id: HashMap<(Kind, String), usize>,
    /// By scope, tenant and key.
    armed: BTreeMap<(String, Option<String>, String), Armed>,
}

impl Picture {
    /// What these records say.
    pub fn of(records: Vec<DeploymentRecord>) -> Picture {
        let entry = |record: DeploymentRecord| Entry {
            what: serde_json::from_str(&record.what).unwrap_or_default(),
            record,
        };
        let mut picture = Picture {
            entries: records.into_iter().map(entry).collect(),
            ..Picture::default()
        };
        picture.lacking = lacking(&picture.entries);
        picture.enlisted = enlisted(&picture.entries);
        for entry in &picture.entries {
            let mut groups: HashMap<(Kind, String), Copies> = HashMap::new();
            for at in &entry.record.sites {
                if let Some(id) = &at.id {
                    let group = groups
                        .entry((entry.what.part.kind(), String::new()))
                        .or_default();
                    group.insert(at.site, id.clone());
                }
                for (kind, key, id) in held(&at.holds) {
                    groups.entry((kind, key)).or_default().insert(at.site, id);
                }
            }
            for ((kind, _), copies) in groups {
                for id in copies.values() {
                    picture
                        .by_id
                        .insert((kind, id.clone()), picture.copies.len());
                }
                picture.copies.push(copies);
            }
        }
        picture
    }

    /// The same, with where start timers are armed.
    pub fn with_armed(mut self, rows: Vec<Armed>) -> Picture {
        let keyed = rows.into_iter().map(|row| {
            let key = (row.scope.clone(), row.tenant.clone(), row.key.clone());
            (key, row)
        });
        self.armed = keyed.collect();
        self
    }

    /// Where the start timers of a definition are armed.
    pub fn armed(&self, scope: &str, tenant: Option<&str>, key: &str) -> Option<&Armed> {
        if self.armed.is_empty() {
            return None;
        }
        let key = (scope.to_owned(), tenant.map(str::to_owned), key.to_owned());
        self.armed.get(&key)
    }

    /// Where start timers are armed, in all scopes.
    pub fn all_armed(&self) -> impl Iterator<Item = &Armed> {
        self.armed.values()
    }

    /// Where start timers of one scope are armed.
    pub fn of_scope(&self, scope: &str) -> impl Iterator<Item = &Armed> {
        self.armed.values().filter(move |row| row.scope == scope)
    }

    /// Whether a site must not start this key yet. A site that has just joined lacks everything.
    pub fn lacks(&self, site: SiteId, scope: &str, key: &str) -> bool {
        let keys = self.enlisted.get(scope);
        let Some(enlisted) = keys.and_then(|keys| keys.get(key)) else {
            return false;
        };
        let lacking = || self.lacking.get(&(site, scope.to_owned()));
        !enlisted.contains(&site)
            || (!self.lacking.is_empty() && lacking().is_some_and(|keys| keys.contains(key)))
    }

    /// Whether something recorded brings this key.
    pub fn brings(&self, scope: &str, key: &str) -> bool {
        let is_it = |entry: &Entry| {
            let mut keys = entry.what.keys.iter();
            entry.record.verb == Verb::Deploy
                && entry.record.scope == scope
                && keys.any(|(_, one)| one == key)
        };
        self.entries.iter().any(is_it)
    }

    /// The ids under which sites have what one of them calls so.
    pub fn copies(&self, key: &RoutingKey) -> Option<&Copies> {
        if self.by_id.is_empty() || !is_copied(key.kind) {
            return None;
        }
        let at = *self.by_id.get(&(key.kind, key.id.to_string()))?;
        self.copies.get(at)
    }

    /// Deployments and removals that a site does not have behind it.
    pub fn open_at(&self, site: SiteId) -> usize {
        let at = |entry: &&Entry| entry.record.at(site).is_some_and(|at| is_open(at.standing));
        self.entries.iter().filter(at).count()
    }

    /// Whether a site has something of this scope before it.
    pub fn is_behind(&self, site: SiteId, scope: &str) -> bool {
        self.entries
            .iter()
            .filter(|entry| entry.record.scope == scope)
            .filter_map(|entry| entry.record.at(site))
            .any(|at| is_open(at.standing) && at.standing != Standing::Failed)
    }

    /// Whether a site has all that was deployed in this scope.
    pub fn has_all(&self, site: SiteId, scope: &str) -> bool {
        let mut keys = self.enlisted.get(scope).into_iter().flatten();
        keys.all(|(_, enlisted)| enlisted.contains(&site))
            && !self.lacking.contains_key(&(site, scope.to_owned()))
    }

    /// Whether nothing is known that a site is still to get.
    pub fn is_level(&self, site: SiteId) -> bool {
        !self.lacking.keys().any(|(lacking, _)| *lacking == site)
    }

    /// All sites that are named.
    pub fn sites(&self) -> HashSet<SiteId> {
        let parts = self.entries.iter().flat_map(|entry| &entry.record.sites);
        parts.map(|at| at.site).collect()
    }

    /// The site's ids of everything that is recorded of one part, so that one copy is never taken for two.
    pub fn ids_at(&self, site: SiteId, part: Part) -> HashSet<String> {
        let of_part = self.entries.iter().filter(|entry| entry.what.part == part);
        let parts = of_part.filter_map(|entry| entry.record.at(site));
        parts.filter_map(|at| at.id.clone()).collect()
    }

    /// The deployments that some site knows by this id and that nothing removes yet.
    pub fn known_as(&self, scope: &str, part: Part, id: &str) -> Vec<&Entry> {
        let is_it = |entry: &&Entry| {
            let record = &entry.record;
            record.verb == Verb::Deploy
                && record.scope == scope
                && entry.what.part == part
                && record.removed_by.is_none()
                && record.sites.iter().any(|at| at.id.as_deref() == Some(id))
        };
        self.entries.iter().filter(is_it).collect()
    }

    /// Whether what a site's engine refused no longer belongs there: something newer of the same key is there, or it
    /// was removed since.
    pub fn is_superseded(&self, entry: &Entry, site: SiteId) -> bool {
        let record = &entry.record;
        let is_done = |other: &Entry| {
            let at = other.record.at(site);
            at.is_some_and(|at| at.standing == Standing::Done)
        };
        let is_newer = |other: &Entry| {
            other.record.verb == Verb::Deploy
                && other.record.number > record.number
                && other.record.scope == record.scope
                && other.record.tenant == record.tenant
                && other
                    .what
                    .keys
                    .iter()
                    .any(|key| entry.what.keys.contains(key))
        };
        let is_removal = |other: &Entry| record.removed_by == Some(other.record.number);
        let mut others = self.entries.iter();
        record.verb == Verb::Deploy
            && others.any(|other| (is_newer(other) || is_removal(other)) && is_done(other))
    }

    /// The site's ids of what is to go. An id that something which stays has there too stays: an engine that filters
    /// duplicates answers with what it has already.
    pub fn ids_of(&self, going: &[&Entry], site: SiteId) -> BTreeSet<String> {
        let of = |entry: &Entry| entry.record.at(site)?.id.clone();
        let is_going = |entry: &Entry| {
            let mut going = going.iter();
            going.any(|one| one.record.number == entry.record.number)
        };
        // Ids of two parts may be equal where engines count them.
        let is_kin = |entry: &Entry| {
            let mut going = going.iter();
            going.any(|one| one.what.part == entry.what.part)
        };
        let staying = self.entries.iter().filter(|entry| {
            let record = &entry.record;
            record.verb == Verb::Deploy
                && record.removed_by.is_none()
                && is_kin(entry)
                && !is_going(entry)
        });
        let kept: HashSet<String> = staying.filter_map(of).collect();
        let ids = going.iter().filter_map(|entry| of(entry));
        ids.filter(|id| !kept.contains(id)).collect()
    }

    /// What a removal removes.
    pub fn removed_by(&self, number: u64) -> impl Iterator<Item = &Entry> {
        let is_it = move |entry: &&Entry| entry.record.removed_by == Some(number);
        self.entries.iter().filter(is_it)
    }
}

fn is_open(standing: Standing) -> bool {
    standing != Standing::Done
}

impl Entry {
    /// What no site has done was never promised to anybody.
    pub fn is_promised(&self) -> bool {
        let mut sites = self.record.sites.iter();
        sites.any(|at| at.standing == Standing::Done)
    }

    /// The sites that do not have it behind them.
    pub fn open(&self) -> impl Iterator<Item = &AtSite> {
        self.record.sites.iter().filter(|at| is_open(at.standing))
    }
}

fn enlisted(entries: &[Entry]) -> HashMap<String, HashMap<String, HashSet<SiteId>>> {
    let mut enlisted: HashMap<String, HashMap<String, HashSet<SiteId>>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.is_promised()) {
        let sites: HashSet<SiteId> = entry.record.sites.iter().map(|at| at.site).collect();
        let keys = enlisted.entry(entry.record.scope.clone()).or_default();
        for (_, key) in &entry.what.keys {
            let held = keys.entry(key.clone()).or_insert_with(|| sites.clone());
            held.retain(|site| sites.contains(site));
        }
    }
    enlisted
}

/// What is missing at a site keeps the starts of its keys away. What the site's engine refused keeps them away as long
/// as nothing newer of the same key is there.
fn lacking(entries: &[Entry]) -> HashMap<(SiteId, String), HashSet<String>> {
    let mut pending: HashMap<(SiteId, String), HashSet<String>> = HashMap::new();
    let mut refused: HashMap<(SiteId, String), HashSet<String>> = HashMap::new();
    for entry in entries {
        let record = &entry.record;
        if !entry.is_promised() {
            continue;
        }
        let keys = || entry.what.keys.iter().map(|(_, key)| key);
        for at in &record.sites {
            let place = (at.site, record.scope.clone());
            match at.standing {
                Standing::Missing | Standing::Unknown => {
                    pending.entry(place).or_default().extend(keys().cloned());
                }
                Standing::Failed => refused.entry(place).or_default().extend(keys().cloned()),
                Standing::Done if record.verb == Verb::Deploy => {
                    if let Some(refused) = refused.get_mut(&place) {
                        keys().for_each(|key| {
                            refused.remove(key);
                        });
                    }
                }
                // A router is about it: it is there in a moment, or it is said to be missing.
                Standing::Sending | Standing::Done => {}
            }
        }
    }
    for (place, keys) in refused {
        pending.entry(place).or_default().extend(keys);
    }
    pending.retain(|_, keys| !keys.is_empty());
    pending
}

#[cfg(test)]
mod tests;
