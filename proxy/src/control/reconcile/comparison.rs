//! The table against what one site holds.
//!
//! Owns the comparison. Adds a row that is missing, because the site itself says that it has the thing; never changes or
//! removes one: a row that names another home and a row whose thing no site shows are named for an operator. Asks page by
//! page, so that a site sees one small question at a time. Relies on the store's insert-once, so it can be repeated.

use super::pace::Pace;
use crate::clock;
use crate::dialect::{Ask, Presence};
use crate::observe::inspect::Inspector;
use crate::pipeline::Pipeline;
use crate::topology::Site;
use bytes::Bytes;
use homing_mapping_store::store::{Error, Inserted, MappingFilter, NewMapping, Shipment};
use homing_mapping_store::{Kind, Mapping, RoutingKey, Source, State as MappingState};
use http::StatusCode;
use serde::Serialize;
use std::collections::HashSet;
use std::sync::Arc;
use utoipa::ToSchema;

/// Things in one question to a site, and rows in one transaction.
const PAGE: usize = 500;
/// Conflicts and ghosts that are named in the answer.
const NAMED_MAX: usize = 100;
/// Rows without a thing that are asked for one by one; the rest is only counted.
const ASKED_MAX: usize = 1000;
/// Things without a row whose other sites are asked one by one; the rest is left to the next comparison.
const PROVEN_MAX: usize = 1000;
/// The kinds that have rows and that a site can list.
pub const KINDS: [Kind; 3] = [Kind::PROCESS_INSTANCE, Kind::CASE_INSTANCE, Kind::BATCH];

/// A thing whose row names another home than the site that has it.
#[derive(Serialize, ToSchema)]
pub struct ConflictShape {
    /// The key.
    pub key: String,
    /// Its home, which stays.
    pub home: String,
    /// The home that the line, or the site, names.
    pub line_home: String,
}

/// What becomes of a thing that has no row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adds {
    /// Nothing: it is counted as one that would be added.
    Nothing,
    /// A row, on the site's word.
    OnItsWord,
    /// A row, if every other site of its kind has been asked and says that it does not have it.
    IfProven,
}

/// What was found at one site.
#[derive(Serialize, ToSchema)]
pub struct SiteResult {
    /// The site.
    pub site: String,
    /// Whether every list was read to its end. If not, `detail` says why, and nothing is called a ghost.
    pub complete: bool,
    /// Why it is not complete.
    pub detail: Option<String>,
    /// Kinds of keys that this site cannot list.
    pub unlisted: Vec<&'static str>,
    /// Things that the site has named.
    pub seen: u64,
    /// Rows that were missing and are there now.
    pub added: u64,
    /// Rows that were right.
    pub unchanged: u64,
    /// Things whose row names another home. Nothing was written.
    pub conflicts: u64,
    /// The first hundred of those.
    pub conflicting: Vec<ConflictShape>,
    /// Things without a row, to which none was added: another site has it as well, or could not be asked.
    pub orphans: u64,
    /// The first hundred of those.
    pub orphaned: Vec<String>,
    /// Rows that name this site, which says that it has no such thing (history that was cleaned up, or a loss).
    pub ghosts: u64,
    /// The first hundred of those.
    pub ghostly: Vec<String>,
    /// Rows of this site that are known to be lost already.
    pub lost: u64,
    /// Rows that the lists did not name and that were not asked for one by one.
    pub unproven: u64,
}

/// Compares the table with what one place of a site holds, whether it serves or not. Changes nothing. At most so many
/// things of each kind are read; what is beyond makes the result incomplete.
pub async fn compare(
    pipeline: &Arc<Pipeline>,
    place: &Inspector,
    most: usize,
) -> Result<SiteResult, Error> {
    let mut comparison = Comparison::new(pipeline, &place.site, Adds::Nothing);
    comparison.place = Some(place);
    comparison.most = most;
    comparison.run().await
}

/// One site's.
pub struct Comparison<'s> {
    pipeline: &'s Arc<Pipeline>,
    site: &'s Arc<Site>,
    /// The place that is asked; `None`: whatever serves.
    place: Option<&'s Inspector>,
    /// Things of a kind that are read.
    most: usize,
    /// What becomes of rows whose thing is not there.
    collects: Collects,
    absent: Vec<Mapping>,
    there_again: Vec<RoutingKey>,
    adds: Adds,
    /// How fast sites are asked; `None`: as fast as they answer.
    pace: Option<&'s Pace>,
    /// Things without a row whose other sites were asked.
    proven: usize,
    found: SiteResult,
}

/// What becomes of rows whose thing is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Collects {
    /// The first are named, and those that are known to be lost are not asked for.
    Names,
    /// All are kept, and all are asked for.
    Rows,
}

/// A whole comparison of a place that was restored.
pub struct Absentees {
    /// What was found.
    pub compared: SiteResult,
    /// Every row whose thing the place says it does not have, and that is not known to be lost.
    pub absent: Vec<Mapping>,
    /// Keys that were lost, and are there.
    pub there_again: Vec<RoutingKey>,
}

/// Compares the table with all that one place of a site holds, adds the rows that are missing unless it is a rehearsal, and
/// asks for every row that no list named. Changes and removes no row.
pub async fn absentees(
    pipeline: &Arc<Pipeline>,
    place: &Inspector,
    adds: Adds,
) -> Result<Absentees, Error> {
    let mut comparison = Comparison::new(pipeline, &place.site, adds);
    comparison.place = Some(place);
    comparison.collects = Collects::Rows;
    comparison.all().await?;
    if comparison.found.complete {
        // Standalone tasks have rows and no list.
        comparison
            .look_for_ghosts(Kind::TASK, &HashSet::new())
            .await?;
    }
    Ok(Absentees {
        compared: comparison.found,
        absent: comparison.absent,
        there_again: comparison.there_again,
    })
}

impl<'s> Comparison<'s> {
    /// One that has not begun, of what serves the site.
    pub fn new(pipeline: &'s Arc<Pipeline>, site: &'s Arc<Site>, adds: Adds) -> Comparison<'s> {
        let found = SiteResult {
            site: site.id.name().to_owned(),
            complete: true,
            detail: None,
            unlisted: Vec::new(),
            seen: 0,
            added: 0,
            unchanged: 0,
            conflicts: 0,
            conflicting: Vec::new(),
            orphans: 0,
            orphaned: Vec::new(),
            ghosts: 0,
            ghostly: Vec::new(),
            lost: 0,
            unproven: 0,
        };
        Comparison {
            pipeline,
            site,
            place: None,
            most: usize::MAX,
            collects: Collects::Names,
            absent: Vec::new(),
            there_again: Vec::new(),
            adds,
            pace: None,
            proven: 0,
            found,
        }
    }

    /// Asks no faster than this, and reads no more things of a kind.
    #[must_use]
    pub fn at_pace(mut self, pace: &'s Pace, most: usize) -> Comparison<'s> {
        self.pace = Some(pace);
        self.most = most;
        self
    }

    async fn wait(&self) {
        if let Some(pace) = self.pace {
            pace.next().await;
        }
    }

    async fn put(&self, question: &Ask) -> Result<(StatusCode, Bytes), String> {
        self.wait().await;
        match self.place {
            Some(place) => {
                let asked = place.get(&question.path).await;
                asked.map_err(|why| why.as_str().to_owned())
            }
            None => {
                let locator = &self.pipeline.resolver.locator;
                let asked = locator.put(self.site, question).await;
                asked.map_err(|problem| problem.detail.clone())
            }
        }
    }

    async fn find(&self, key: &RoutingKey) -> Presence {
        self.wait().await;
        match self.place {
            Some(place) => place.find(key).await,
            None => {
                let locator = &self.pipeline.resolver.locator;
                locator.ask(key, self.site).await
            }
        }
    }

    /// Compares.
    pub async fn run(mut self) -> Result<SiteResult, Error> {
        self.all().await?;
        Ok(self.found)
    }

    async fn all(&mut self) -> Result<(), Error> {
        for kind in KINDS {
            match self.list(kind).await? {
                Listed::All(seen) => self.look_for_ghosts(kind, &seen).await?,
                Listed::Never => self.found.unlisted.push(kind.name()),
                Listed::Broken(detail) => {
                    self.found.complete = false;
                    self.found.detail = Some(detail);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads a list to its end. A site whose database moves on meanwhile may leave something out; it is found again.
    async fn list(&mut self, kind: Kind) -> Result<Listed, Error> {
        let mut seen = HashSet::new();
        loop {
            let Some(question) = self.site.dialect.holdings(kind, seen.len(), PAGE) else {
                return Ok(Listed::Never);
            };
            if seen.len() >= self.most {
                crate::telemetry::metrics::limit_hit("compared_max");
                let limit = self.most;
                return Ok(Listed::Broken(format!(
                    "more than {limit} of {} (limit `compared_max`)",
                    kind.name()
                )));
            }
            let (status, body) = match self.put(&question).await {
                Ok(answer) => answer,
                Err(detail) => return Ok(Listed::Broken(detail)),
            };
            let Some(keys) = self.site.dialect.read_holdings(kind, status, &body) else {
                // An engine without such a list, and not one that cannot answer now.
                let lacks = matches!(
                    status,
                    StatusCode::NOT_FOUND
                        | StatusCode::METHOD_NOT_ALLOWED
                        | StatusCode::NOT_IMPLEMENTED
                );
                return Ok(match lacks && seen.is_empty() {
                    true => Listed::Never,
                    false => Listed::Broken(format!("the site answered {status}")),
                });
            };
            let page = keys.len();
            let news: Vec<RoutingKey> =
                keys.into_iter().filter(|key| !seen.contains(key)).collect();
            self.take(&news).await?;
            let grown = !news.is_empty();
            seen.extend(news);
            if page < PAGE || !grown {
                return Ok(Listed::All(seen));
            }
        }
    }

    async fn take(&mut self, keys: &[RoutingKey]) -> Result<(), Error> {
        self.found.seen += keys.len() as u64;
        let held = self.pipeline.resolver.store.get_many(keys).await?;
        let mut missing = Vec::new();
        for (key, held) in keys.iter().zip(held) {
            match held {
                None => missing.push(NewMapping {
                    key: key.clone(),
                    home: self.site.id,
                    state: MappingState::Homed,
                    source: Source::Reconciled,
                    at: clock::wall(),
                }),
                Some(held) if held.home == self.site.id => self.found.unchanged += 1,
                Some(held) => self.conflict(key, held.home.name()),
            }
        }
        match self.adds {
            Adds::Nothing => {
                self.found.added += missing.len() as u64;
                return Ok(());
            }
            Adds::OnItsWord => {}
            Adds::IfProven => missing = self.alone(missing).await,
        }
        let shipment = Shipment {
            router: self.pipeline.name.clone(),
            mappings: missing.clone(),
            ..Shipment::default()
        };
        let inserted = self.pipeline.resolver.store.ship(&shipment).await?;
        for (row, inserted) in missing.iter().zip(inserted) {
            match inserted {
                Inserted::New => self.found.added += 1,
                Inserted::Same => self.found.unchanged += 1,
                Inserted::Conflict { held, .. } => self.conflict(&row.key, held.name()),
            }
        }
        Ok(())
    }

    /// Those that no other site of the same dialect has.
    async fn alone(&mut self, missing: Vec<NewMapping>) -> Vec<NewMapping> {
        let topology = self.pipeline.topology.load_full();
        let mut groups = topology.groups.iter();
        let group = groups.find(|group| group.sites.iter().any(|one| one.id == self.site.id));
        let mut proven = Vec::new();
        for row in missing {
            self.proven += 1;
            let others = group.into_iter().flat_map(|group| &group.sites);
            let mut alone = self.proven <= PROVEN_MAX;
            for other in others.filter(|other| other.id != self.site.id) {
                if !alone {
                    break;
                }
                self.wait().await;
                let locator = &self.pipeline.resolver.locator;
                match locator.ask(&row.key, other).await {
                    Presence::Absent => {}
                    Presence::Present(_) => {
                        self.conflict(&row.key, other.id.name());
                        alone = false;
                    }
                    Presence::Unclear => alone = false,
                }
            }
            if alone {
                proven.push(row);
            } else {
                self.orphan(&row.key);
            }
        }
        proven
    }

    fn orphan(&mut self, key: &RoutingKey) {
        self.found.orphans += 1;
        if self.found.orphaned.len() < NAMED_MAX {
            self.found.orphaned.push(key.to_string());
        }
    }

    fn conflict(&mut self, key: &RoutingKey, home: &str) {
        tracing::warn!(%key, home, site = %self.site.id, "a site holds what the table says lives elsewhere");
        self.found.conflicts += 1;
        if self.found.conflicting.len() < NAMED_MAX {
            self.found.conflicting.push(ConflictShape {
                key: key.to_string(),
                home: home.to_owned(),
                line_home: self.site.id.name().to_owned(),
            });
        }
    }

    /// Rows that no list named. Each is asked for, because it may have come after its page was read.
    async fn look_for_ghosts(
        &mut self,
        kind: Kind,
        seen: &HashSet<RoutingKey>,
    ) -> Result<(), Error> {
        let filter = MappingFilter {
            kind: Some(kind),
            home: Some(self.site.id),
            ..MappingFilter::default()
        };
        let mut asked = 0;
        let mut after = None;
        loop {
            let page = self
                .pipeline
                .resolver
                .store
                .scan(&filter, after.as_ref(), PAGE)
                .await?;
            for row in page.items {
                let lost = self.pipeline.resolver.known.loss(&row.key).is_some();
                if seen.contains(&row.key) {
                    self.there(row, lost);
                    continue;
                }
                let names = self.collects == Collects::Names;
                if names && lost {
                    self.found.lost += 1;
                    continue;
                }
                asked += 1;
                if names && asked > ASKED_MAX {
                    self.found.unproven += 1;
                    continue;
                }
                match self.find(&row.key).await {
                    Presence::Present(_) => self.there(row, lost),
                    Presence::Unclear => self.found.unproven += 1,
                    Presence::Absent if lost => self.found.lost += 1,
                    Presence::Absent => self.ghost(row),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn there(&mut self, row: Mapping, lost: bool) {
        if lost && self.collects == Collects::Rows {
            self.there_again.push(row.key);
        }
    }

    fn ghost(&mut self, row: Mapping) {
        self.found.ghosts += 1;
        if self.found.ghostly.len() < NAMED_MAX {
            self.found.ghostly.push(row.key.to_string());
        }
        if self.collects == Collects::Rows {
            self.absent.push(row);
        }
    }
}

/// How a list ended.
enum Listed {
    All(HashSet<RoutingKey>),
    Never,
    Broken(String),
}
