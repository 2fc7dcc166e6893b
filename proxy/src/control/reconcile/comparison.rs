//! The table against what one site holds.
//!
//! Owns the comparison: step by step, a page of the site's list (`list`) or of the table's rows (`rows`) each, so that it can
//! stop after any of them and go on later (`progress`). Adds a row that is missing, because the site itself says that it has
//! the thing, and notes which have ended (`states`); never gives one another home or removes it: a row that names another home and a
//! row whose thing no site shows are named for an operator. A site sees one small question at a time; memory is a few bytes for each thing (`seen`). Relies on the store's
//! insert-once, so it can be repeated.

mod list;
mod progress;
mod rows;
mod seen;
mod states;

use super::pace::Pace;
use crate::clock;
use crate::dialect::holdings::Cursor;
use crate::dialect::{Ask, Presence};
use crate::observe::inspect::Inspector;
use crate::pipeline::Pipeline;
use crate::topology::Site;
use bytes::Bytes;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Kind, Mapping, RoutingKey};
use http::StatusCode;
use progress::{Progress, Stage};
pub use progress::{Purpose, UnderWayShape, under_way};
use seen::Seen;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
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
#[derive(Clone, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct SiteResult {
    /// The site.
    pub site: String,
    /// Whether every list was read to its end. If not, `detail` says why.
    pub complete: bool,
    /// Whether only the time was over: the same call goes on where this one stopped.
    #[serde(default)]
    pub unfinished: bool,
    /// Why it is not complete.
    pub detail: Option<String>,
    /// Kinds of keys that this site cannot list.
    pub unlisted: Vec<String>,
    /// Things that the site has named.
    pub seen: u64,
    /// Rows that were missing and are there now.
    pub added: u64,
    /// Rows that were right.
    pub unchanged: u64,
    /// Rows whose thing has ended by the site's word, and that say so now.
    #[serde(default)]
    pub ended: u64,
    /// Rows that said so, and whose thing goes on by the site's word.
    #[serde(default)]
    pub reopened: u64,
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
    /// When it stops, to go on later.
    until: Option<Instant>,
    /// For what it goes on where an earlier one of this sort stopped; `None`: it begins anew.
    purpose: Option<Purpose>,
    /// When where it stands was written down last.
    kept_at: Instant,
    /// Things of the present kind that the list has named.
    seen: Seen,
    /// Those on the page before, which the next one may name again.
    recent: HashSet<RoutingKey>,
    at: Progress,
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
        let mut after = None;
        loop {
            after = comparison.rows(Kind::TASK, after).await?;
            if after.is_none() {
                break;
            }
        }
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
            until: None,
            purpose: None,
            kept_at: clock::now(),
            seen: Seen::default(),
            recent: HashSet::new(),
            at: Progress::default(),
            found: SiteResult {
                site: site.id.name().to_owned(),
                complete: true,
                ..SiteResult::default()
            },
        }
    }

    /// Asks no faster than this, and reads no more things of a kind.
    #[must_use]
    pub fn at_pace(mut self, pace: &'s Pace, most: usize) -> Comparison<'s> {
        self.pace = Some(pace);
        self.most = most;
        self
    }

    /// Goes on where an earlier one for the same purpose stopped, and stops at this time to be gone on with.
    #[must_use]
    pub fn resumable(mut self, purpose: Purpose, until: Option<Instant>) -> Comparison<'s> {
        self.purpose = Some(purpose);
        self.until = until;
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
                let within = self.pipeline.settings.load().gather.within;
                let asked = locator.put(self.site, question, within).await;
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
        self.resume().await?;
        self.all().await?;
        Ok(self.found)
    }

    async fn all(&mut self) -> Result<(), Error> {
        while let Some(kind) = KINDS.get(self.at.kind).copied() {
            if let Err(detail) = self.step(kind).await? {
                self.found.complete = false;
                self.found.detail = Some(detail);
                return self.keep().await;
            }
            if self.until.is_some_and(|until| clock::now() >= until) {
                self.found.complete = false;
                self.found.unfinished = true;
                self.found.detail = Some(self.at.told(kind));
                return self.keep().await;
            }
            self.keep_now_and_then().await?;
        }
        self.forget().await
    }

    /// One page of the site's list or of the table's rows; `Err`: the site does not go along.
    async fn step(&mut self, kind: Kind) -> Result<Result<(), String>, Error> {
        match self.at.stage.clone() {
            Stage::Begin => match self.site.dialect.first_holdings(kind) {
                Some(cursor) => return self.list(kind, cursor).await,
                None => self.unlisted(kind),
            },
            Stage::List(cursor) => return self.list(kind, cursor).await,
            Stage::Rows(after) => match self.rows(kind, after).await? {
                Some(next) => self.at.stage = Stage::Rows(Some(next)),
                None => self.next_kind(),
            },
        }
        Ok(Ok(()))
    }

    fn unlisted(&mut self, kind: Kind) {
        self.found.unlisted.push(kind.name().to_owned());
        self.next_kind();
    }

    fn next_kind(&mut self) {
        self.seen = Seen::default();
        self.recent.clear();
        self.at = Progress {
            kind: self.at.kind + 1,
            proven: self.at.proven,
            ..Progress::default()
        };
    }
}
