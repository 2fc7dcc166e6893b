//! What has begun and what has ended, within seconds: every site is asked again and again what is new there, by one router at a time.
//!
//! Owns when a site is asked, and with which questions. Must not take an absence for an end: only what its own site names counts, an
//! end together with its time. How far a site was asked (`kept`) is in the store, so that another router goes on there. What this
//! misses (a transaction that outlives its bound, a clock that was set) a whole comparison finds.

mod batches;
mod begun;
mod kept;
mod lag;

use super::pace::Pace;
use super::states;
use crate::clock;
use crate::dialect::Ask;
use crate::dialect::holdings::{After, Cursor, End, Holding};
use crate::pipeline::Pipeline;
use crate::rehome::Executor;
use crate::telemetry::chain;
use crate::topology::Site;
use begun::Told;
use futures_util::future::join_all;
use homing_config::settings::Reconcile;
use homing_mapping_store::drift::UnfinishedRecord;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Kind, Timestamp};
use http::StatusCode;
use kept::Kept;
use lag::Lag;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Things in one question, and rows in one transaction.
const PAGE: usize = 500;
/// Questions for what is new of one kind in one round; the next round goes on.
const PAGES_MAX: usize = 20;
/// Questions for what was committed late of one kind in one round.
const LATE_PAGES_MAX: usize = 4;
/// A site that takes longer is asked again in the next round.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// No further question is put to a site that has been asked for so long in one round.
const SITE_MAX: Duration = Duration::from_secs(10);
/// Between two looks at the settings while nothing is asked.
const OFF_EVERY: Duration = Duration::from_secs(5);
/// The kinds that can be asked for by time.
const KINDS: [Kind; 2] = [Kind::PROCESS_INSTANCE, Kind::CASE_INSTANCE];

/// What is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Events {
    /// Rows are added for what has begun, whoever began it.
    Begun,
    /// Rows say of what has ended that it has.
    Ended,
}

impl Events {
    /// The right to ask.
    fn lease(self) -> &'static str {
        match self {
            Events::Begun => "reconcile-begun",
            Events::Ended => "reconcile-ended",
        }
    }

    /// In metrics, and under which the store keeps how far a site was asked.
    fn as_str(self) -> &'static str {
        match self {
            Events::Begun => "begun",
            Events::Ended => "ended",
        }
    }

    /// Zero: never.
    fn every(self, settings: Reconcile) -> Duration {
        match self {
            _ if settings.questions_per_second == 0 => Duration::ZERO,
            Events::Begun => settings.begun_every,
            Events::Ended => settings.ended_every,
        }
    }

    /// `None`: this kind cannot be asked for by time.
    fn question(self, site: &Site, kind: Kind, at: Cursor) -> Option<Ask> {
        let timed = matches!(at, Cursor::Window { .. } | Cursor::Within { .. });
        timed.then_some(())?;
        match self {
            Events::Begun => site.dialect.holdings(kind, at, PAGE),
            Events::Ended => site.dialect.ended(kind, at, PAGE),
        }
    }
}

/// Asks until the task is dropped.
pub async fn run(events: Events, executor: Arc<Executor>, pipeline: Arc<Pipeline>) {
    let mut follower = Follower {
        events,
        pipeline,
        told: Told::default(),
        lag: Lag::new(events),
    };
    let (mut failed, mut behind) = (false, false);
    loop {
        let config = executor.config();
        let every = events.every(config.reconcile);
        match every.is_zero() {
            true => tokio::time::sleep(OFF_EVERY).await,
            // The pace of the questions holds it back.
            false if behind => {}
            false => tokio::time::sleep(every).await,
        }
        if every.is_zero() {
            follower.lag.untold();
            continue;
        }
        let settings = Settings {
            per_second: config.reconcile.questions_per_second,
            transaction: config.timeouts.transaction,
            lease: config.lease.router,
        };
        let done = follower.round(settings).await;
        if let Err(error) = done.as_ref()
            && !failed
        {
            let what = events.as_str();
            tracing::warn!(what, "sites cannot be followed: {}", chain(error));
        }
        (failed, behind) = (done.is_err(), done.unwrap_or_default());
    }
}

#[derive(Clone, Copy)]
struct Settings {
    per_second: u32,
    /// Longest that an engine's transaction may run.
    transaction: Duration,
    lease: Duration,
}

struct Follower {
    events: Events,
    pipeline: Arc<Pipeline>,
    told: Told,
    lag: Lag,
}

/// How far one site was asked in a round.
struct Asked {
    kept: Kept,
    /// All that is new was told.
    caught_up: bool,
    /// There is more, and the site tells it.
    more: bool,
}

impl Follower {
    /// Answers whether a site has more to tell at once.
    async fn round(&mut self, settings: Settings) -> Result<bool, Error> {
        let (events, pipeline) = (self.events, &self.pipeline);
        let store = &pipeline.resolver.store;
        let ttl = u64::try_from(settings.lease.as_millis()).unwrap_or(u64::MAX);
        // Two at once would do no harm: what one of them has told the other finds told.
        let lease = store.lease(events.lease(), &pipeline.name, ttl).await?;
        if lease.is_none() {
            self.lag.untold();
            return Ok(false);
        }
        let records = store.unfinished().await?;
        let topology = pipeline.topology.load_full();
        let asked = topology.sites().map(|site| {
            let ours =
                |one: &&UnfinishedRecord| one.site == site.id && one.purpose == events.as_str();
            let before = Kept::read(records.iter().find(ours));
            let one = One {
                events,
                pipeline,
                site,
                told: &self.told,
                pace: Pace::of(settings.per_second),
                generation: site.live.read(|view| view.assignment.0),
                until: clock::now() + SITE_MAX,
            };
            Box::pin(async move { (site.id, one.go_on(before, settings.transaction).await) })
        });
        // A slow site holds up no other one.
        let (mut more, mut wrong, mut told) = (false, Ok(()), Vec::new());
        for (site, done) in join_all(asked).await {
            let asked = done.unwrap_or_else(|error| {
                wrong = Err(error);
                None
            });
            more |= asked.as_ref().is_some_and(|asked| asked.more);
            told.push((site, asked.is_some_and(|asked| asked.caught_up)));
        }
        self.lag.note(&told);
        wrong.map(|()| more)
    }
}

/// One site, in one round.
struct One<'r> {
    events: Events,
    pipeline: &'r Arc<Pipeline>,
    site: &'r Arc<Site>,
    told: &'r Told,
    pace: Pace,
    generation: u64,
    until: Instant,
}

/// What a reading of pages came to.
struct Read {
    /// The newest time; the first moment of all if there is none.
    newest: Timestamp,
    end: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// All was read.
    All,
    /// There is more, from here on.
    More(Cursor),
    /// The site did not go along, from here on.
    Silent(Cursor),
    /// It has no such list.
    Lacks,
}

impl One<'_> {
    /// `None`: it cannot be asked now.
    async fn go_on(&self, before: Kept, transaction: Duration) -> Result<Option<Asked>, Error> {
        if !self.site.live.read(|view| view.servable()) {
            return Ok(None);
        }
        let mut asked = Asked {
            kept: before.clone(),
            caught_up: true,
            more: false,
        };
        for kind in KINDS.iter().copied().filter(|kind| self.concerns(*kind)) {
            if !self.kind(kind, &mut asked, transaction).await? {
                break;
            }
        }
        if self.events == Events::Begun {
            self.batches().await?;
        }
        if asked.kept != before {
            let (site, what, router) = (self.site.id, self.events.as_str(), &self.pipeline.name);
            let body = asked.kept.text();
            let store = &self.pipeline.resolver.store;
            let noted = store.note_unfinished(site, what, router, Some(&body));
            noted.await?;
        }
        Ok(Some(asked))
    }

    /// What has no rows cannot have ended.
    fn concerns(&self, kind: Kind) -> bool {
        let counts = self.pipeline.resolver.known.table.counts();
        let has_rows = counts.iter().any(|(one, _)| *one == kind);
        let first = Cursor::OLDEST;
        (self.events == Events::Begun || has_rows)
            && self.events.question(self.site, kind, first).is_some()
    }

    /// Answers whether the site goes along.
    async fn kind(
        &self,
        kind: Kind,
        asked: &mut Asked,
        transaction: Duration,
    ) -> Result<bool, Error> {
        let now = clock::wall();
        let first = asked.kept.first(kind, self.generation, now);
        let read = self.read(kind, first, PAGES_MAX).await?;
        let (next, along) = match read.end {
            Ending::All => (None, true),
            Ending::More(next) => (Some(next), true),
            Ending::Silent(next) => (Some(next), false),
            Ending::Lacks => return Ok(true),
        };
        let newest = read.newest.max(first.reached());
        let read = (newest, next);
        asked.kept.note(kind, self.generation, read, now);
        if next.is_some() {
            (asked.caught_up, asked.more) = (false, asked.more || along);
            return Ok(along);
        }
        let Some(late) = asked.kept.late(kind, now, transaction) else {
            return Ok(true);
        };
        let read = self.read(kind, late, LATE_PAGES_MAX).await?;
        let (next, along) = match read.end {
            Ending::All | Ending::Lacks => (None, true),
            Ending::More(next) => (Some(next), true),
            Ending::Silent(next) => (Some(next), false),
        };
        asked.kept.note_late(kind, next, now);
        Ok(along)
    }

    /// Reads at most so many pages from here on.
    async fn read(&self, kind: Kind, first: Cursor, pages: usize) -> Result<Read, Error> {
        let mut read = Read {
            newest: Timestamp::default(),
            end: Ending::More(first),
        };
        let mut at = first;
        for _ in 0..pages {
            // Times that are not understood lead nowhere.
            let Some(question) = self.events.question(self.site, kind, at) else {
                read.end = Ending::All;
                return Ok(read);
            };
            if clock::now() >= self.until {
                break;
            }
            self.pace.next().await;
            let mut page = match self.page(kind, &question).await {
                Ok(page) => page,
                Err(lacks) => {
                    read.end = if lacks {
                        Ending::Lacks
                    } else {
                        Ending::Silent(at)
                    };
                    return Ok(read);
                }
            };
            self.take(&mut page).await?;
            let last = page.iter().filter_map(|one| one.began).max();
            read.newest = read.newest.max(last.unwrap_or_default());
            match at.after(&page, PAGE, clock::wall()) {
                After::Page(next) => at = next,
                After::End => {
                    read.end = Ending::All;
                    return Ok(read);
                }
                After::Disorder => {
                    read.end = Ending::Silent(first);
                    return Ok(read);
                }
            }
            read.end = Ending::More(at);
        }
        Ok(read)
    }

    /// `Err`: no answer that counts, and whether the site has no such list.
    async fn page(&self, kind: Kind, question: &Ask) -> Result<Vec<Holding>, bool> {
        let locator = &self.pipeline.resolver.locator;
        let asked = locator.put(self.site, question, ANSWER_MAX);
        let Ok(Ok((status, body))) = tokio::time::timeout(ANSWER_MAX, asked).await else {
            return Err(false);
        };
        let Some(page) = self.site.dialect.read_holdings(kind, status, &body) else {
            return Err(matches!(
                status,
                StatusCode::NOT_FOUND
                    | StatusCode::METHOD_NOT_ALLOWED
                    | StatusCode::NOT_IMPLEMENTED
            ));
        };
        // Another place may lack what this one has told.
        let same = self.site.live.read(|view| view.assignment.0) == self.generation;
        same.then_some(page).ok_or(false)
    }

    async fn take(&self, page: &mut [Holding]) -> Result<(), Error> {
        if self.events == Events::Begun {
            return begun::add(self.pipeline, self.site, self.told, page).await;
        }
        let mut ended = Vec::new();
        for thing in page {
            // The window is one of ends.
            thing.began = match thing.end {
                End::At(at) => {
                    ended.push(thing.key.clone());
                    Some(at)
                }
                End::NotYet | End::Untold => None,
            };
        }
        states::end_keys(self.pipeline, self.site, ended).await?;
        Ok(())
    }
}
