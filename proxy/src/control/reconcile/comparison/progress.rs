//! Where a comparison stands, so that another one goes on there.
//!
//! Owns what is written down, when, and what of it still counts: not after a switch to another installation, and not after a
//! day. What was counted goes on with it, and the last page, which the next one may name again; what the lists have named before
//! does not, so those rows are asked for, a page at once.

use super::{Comparison, Cursor, Kind, SiteResult};
use crate::clock;
use homing_mapping_store::drift::UnfinishedRecord;
use homing_mapping_store::store::{Error, Store};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How often it is written down where a comparison stands.
const KEPT_EVERY: Duration = Duration::from_secs(5);
/// What is older begins anew.
const COUNTS_FOR_MS: i64 = 24 * 60 * 60 * 1000;

/// Whose comparison goes on with whose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The routers' own, all the time.
    Continuous,
    /// An operator's.
    Operator,
    /// An operator's that changes nothing.
    Rehearsal,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Purpose::Continuous => "continuous",
            Purpose::Operator => "operator",
            Purpose::Rehearsal => "rehearsal",
        }
    }
}

/// Which page comes next.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// In the order of `KINDS`.
    pub(super) kind: usize,
    pub(super) stage: Stage,
    /// Things of the kind that were read.
    pub(super) named: usize,
    /// Rows of the kind that were asked for one by one.
    pub(super) asked: usize,
    /// Things without a row whose other sites were asked.
    pub(super) proven: usize,
}

/// What is being read of a kind.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Nothing yet.
    #[default]
    Begin,
    /// What the site has.
    List(Cursor),
    /// The table's rows, after this place.
    Rows(Option<String>),
}

impl Progress {
    /// In words.
    pub(super) fn told(&self, kind: Kind) -> String {
        let (kind, named) = (kind.name(), self.named);
        match &self.stage {
            Stage::Begin | Stage::List(_) => format!("not over: {named} of {kind} are read"),
            Stage::Rows(_) => format!("not over: {named} of {kind} are read, now their rows"),
        }
    }
}

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The site's assignment: after a switch another database may answer.
    generation: u64,
    at: Progress,
    /// The keys on the last page: the next one counts none of them again.
    #[serde(default)]
    recent: Vec<String>,
    found: SiteResult,
}

/// A comparison that has not come to its end yet.
#[derive(Serialize, ToSchema)]
pub struct UnderWayShape {
    /// Whose: `continuous`, `operator`, `rehearsal`.
    pub purpose: String,
    /// The router that wrote this down.
    pub router: String,
    /// When.
    pub at: String,
    /// What was found so far.
    pub found: SiteResult,
}

/// What is under way at a site, as it is told. `None`: the record is not understood.
pub fn under_way(record: UnfinishedRecord, at: String) -> Option<UnderWayShape> {
    let kept: Kept = serde_json::from_str(&record.body).ok()?;
    Some(UnderWayShape {
        purpose: record.purpose,
        router: record.router,
        at,
        found: kept.found,
    })
}

impl Comparison<'_> {
    fn store(&self) -> &dyn Store {
        self.pipeline.resolver.store.as_ref()
    }

    fn generation(&self) -> u64 {
        self.site.live.read(|view| view.assignment.0)
    }

    pub(super) async fn resume(&mut self) -> Result<(), Error> {
        let Some(purpose) = self.purpose else {
            return Ok(());
        };
        let records = self.store().unfinished().await?.into_iter();
        let mut ours = records
            .filter(|record| record.site == self.site.id && record.purpose == purpose.as_str());
        let Some(record) = ours.next() else {
            return Ok(());
        };
        let kept: Option<Kept> = serde_json::from_str(&record.body).ok();
        let age = clock::wall().0.saturating_sub(record.at.0);
        let counts = |kept: &Kept| age < COUNTS_FOR_MS && kept.generation == self.generation();
        if let Some(kept) = kept.filter(counts) {
            self.at = kept.at;
            self.recent = kept.recent.iter().flat_map(|key| key.parse()).collect();
            self.found = SiteResult {
                complete: true,
                unfinished: false,
                detail: None,
                ..kept.found
            };
        }
        Ok(())
    }

    pub(super) async fn keep_now_and_then(&mut self) -> Result<(), Error> {
        match clock::now().saturating_duration_since(self.kept_at) >= KEPT_EVERY {
            true => self.keep().await,
            false => Ok(()),
        }
    }

    pub(super) async fn keep(&mut self) -> Result<(), Error> {
        let Some(purpose) = self.purpose else {
            return Ok(());
        };
        let kept = Kept {
            generation: self.generation(),
            at: self.at.clone(),
            recent: self.recent.iter().map(ToString::to_string).collect(),
            found: self.found.clone(),
        };
        let body = serde_json::to_string(&kept).unwrap_or_default();
        let (site, router) = (self.site.id, &self.pipeline.name);
        let noted = self.store();
        let noted = noted.note_unfinished(site, purpose.as_str(), router, Some(&body));
        noted.await?;
        self.kept_at = clock::now();
        Ok(())
    }

    /// It is over.
    pub(super) async fn forget(&self) -> Result<(), Error> {
        let Some(purpose) = self.purpose else {
            return Ok(());
        };
        let (site, router) = (self.site.id, &self.pipeline.name);
        let store = self.store();
        store
            .note_unfinished(site, purpose.as_str(), router, None)
            .await
    }

    /// It would come no further: the next one begins anew.
    pub(super) async fn give_up(&mut self) -> Result<(), Error> {
        self.forget().await?;
        self.purpose = None;
        Ok(())
    }
}
