//! What has ended, within seconds: every site is asked again and again what has ended there since, by one router at a time.
//!
//! Owns when a site is asked, and how far it was: that is in the store, so that another router goes on there. Must not take an
//! absence for an end: only what its own site names together with the time of its end counts. What this misses (a transaction
//! that was committed long after the time it noted, a clock that was set) a whole comparison finds.

use super::pace::Pace;
use super::states;
use crate::clock;
use crate::dialect::holdings::{After, Cursor, End};
use crate::pipeline::Pipeline;
use crate::rehome::Executor;
use crate::telemetry::chain;
use crate::topology::Site;
use futures_util::future::join_all;
use homing_config::settings::Reconcile;
use homing_mapping_store::drift::UnfinishedRecord;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Kind, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The right to ask.
const LEASE: &str = "reconcile-ended";
/// Under which the store keeps how far a site was asked.
const PURPOSE: &str = "ended";
/// Things in one question, and rows in one transaction.
const PAGE: usize = 500;
/// Questions for one kind in one round; the next round goes on.
const PAGES_MAX: usize = 20;
/// A site that takes longer is asked again in the next round.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// What is asked again: a transaction notes the time before it is committed.
const OVERLAP_MS: i64 = 10_000;
/// The same after a switch: another clock.
const OVERLAP_AFTER_SWITCH_MS: i64 = 600_000;
/// How far a site is asked back that never was; what ended before is left to a whole comparison.
const FIRST_MS: i64 = 60_000;
/// Between two looks at the settings while nothing is asked.
const OFF_EVERY: Duration = Duration::from_secs(5);
/// The kinds that can be asked for by the time of their end.
const KINDS: [Kind; 2] = [Kind::PROCESS_INSTANCE, Kind::CASE_INSTANCE];

/// How far a site was asked.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Kept {
    /// The site's assignment.
    generation: u64,
    /// By kind: the newest end that was seen, by the site's clock, in milliseconds.
    ends: BTreeMap<String, i64>,
}

impl Kept {
    fn read(record: Option<&UnfinishedRecord>) -> Kept {
        let kept = record.and_then(|record| serde_json::from_str(&record.body).ok());
        kept.unwrap_or_default()
    }

    /// From when on to ask.
    fn from(&self, kind: Kind, generation: u64, now: Timestamp) -> Timestamp {
        let overlap = match self.generation == generation {
            true => OVERLAP_MS,
            false => OVERLAP_AFTER_SWITCH_MS,
        };
        let from = match self.ends.get(kind.name()) {
            Some(end) => end.saturating_sub(overlap),
            None => now.0.saturating_sub(FIRST_MS),
        };
        Timestamp(from.max(0))
    }

    /// An end of the future counts as one of now: the next ones are not behind it.
    fn note(&mut self, kind: Kind, seen: Timestamp, now: Timestamp) {
        let seen = seen.0.min(now.0);
        let end = self.ends.entry(kind.name().to_owned()).or_insert(seen);
        *end = seen.max(*end);
    }
}

/// Asks until the task is dropped.
pub async fn run(executor: Arc<Executor>, pipeline: Arc<Pipeline>) {
    let mut failed = false;
    loop {
        let settings = executor.config().reconcile;
        let off = settings.ended_every.is_zero() || settings.questions_per_second == 0;
        let pause = if off { OFF_EVERY } else { settings.ended_every };
        tokio::time::sleep(pause).await;
        if off {
            continue;
        }
        let done = round(&executor, &pipeline, settings).await;
        if let Err(error) = done.as_ref()
            && !failed
        {
            tracing::warn!("what has ended cannot be noted: {}", chain(error));
        }
        failed = done.is_err();
    }
}

async fn round(
    executor: &Executor,
    pipeline: &Arc<Pipeline>,
    settings: Reconcile,
) -> Result<(), Error> {
    let store = &pipeline.resolver.store;
    let ttl = u64::try_from(executor.config().lease.router.as_millis()).unwrap_or(u64::MAX);
    // Two at once would do no harm: what one of them has told the other finds told.
    if store.lease(LEASE, &pipeline.name, ttl).await?.is_none() {
        return Ok(());
    }
    let records = store.unfinished().await?;
    let topology = pipeline.topology.load_full();
    let asked = topology
        .sites()
        .filter(|site| site.live.read(|view| view.servable()))
        .map(|site| {
            let ours = |one: &&UnfinishedRecord| one.site == site.id && one.purpose == PURPOSE;
            let before = Kept::read(records.iter().find(ours));
            let per_second = settings.questions_per_second;
            Box::pin(go_on(pipeline, site, per_second, before))
        });
    // A slow site holds up no other one.
    let done = join_all(asked).await;
    done.into_iter().collect()
}

async fn go_on(
    pipeline: &Arc<Pipeline>,
    site: &Arc<Site>,
    per_second: u32,
    before: Kept,
) -> Result<(), Error> {
    let pace = Pace::of(per_second);
    let kept = one(pipeline, site, &pace, before.clone()).await?;
    if kept == before {
        return Ok(());
    }
    let body = serde_json::to_string(&kept).unwrap_or_default();
    let store = &pipeline.resolver.store;
    let noted = store.note_unfinished(site.id, PURPOSE, &pipeline.name, Some(&body));
    noted.await
}

/// One site; answers how far it was asked.
async fn one(
    pipeline: &Arc<Pipeline>,
    site: &Arc<Site>,
    pace: &Pace,
    mut kept: Kept,
) -> Result<Kept, Error> {
    let generation = site.live.read(|view| view.assignment.0);
    let counts = pipeline.resolver.known.table.counts();
    let has_rows = |kind: &&Kind| counts.iter().any(|(one, _)| one == *kind);
    let before = kept.clone();
    for kind in KINDS.iter().filter(has_rows).copied() {
        let now = clock::wall();
        let from = before.from(kind, generation, now);
        let first = Cursor::Window { from, to: None };
        if site.dialect.ended(kind, first, PAGE).is_none() {
            continue;
        }
        let seen = since(pipeline, site, pace, (kind, first, generation)).await?;
        let Some(seen) = seen else { continue };
        kept.note(kind, seen.max(from), now);
        kept.generation = generation;
    }
    Ok(kept)
}

/// What has ended since; answers the newest end, the first moment of all if there is none. `None`: the site does not go along; it
/// is asked again in the next round.
async fn since(
    pipeline: &Arc<Pipeline>,
    site: &Arc<Site>,
    pace: &Pace,
    (kind, first, generation): (Kind, Cursor, u64),
) -> Result<Option<Timestamp>, Error> {
    let (mut cursor, mut newest) = (first, None);
    for _ in 0..PAGES_MAX {
        let Some(question) = site.dialect.ended(kind, cursor, PAGE) else {
            break;
        };
        pace.next().await;
        let asked = pipeline.resolver.locator.put(site, &question);
        let Ok(Ok((status, body))) = tokio::time::timeout(ANSWER_MAX, asked).await else {
            break;
        };
        let Some(mut page) = site.dialect.read_holdings(kind, status, &body) else {
            break;
        };
        // Another place may lack what this one has told.
        if site.live.read(|view| view.assignment.0) != generation {
            break;
        }
        let mut ended = Vec::new();
        for thing in &mut page {
            // The window is one of ends.
            thing.began = match thing.end {
                End::At(at) => {
                    ended.push(thing.key.clone());
                    Some(at)
                }
                End::NotYet | End::Untold => None,
            };
        }
        states::end_keys(pipeline, site, ended).await?;
        let last = page.iter().filter_map(|one| one.began).max();
        newest = newest.max(Some(last.unwrap_or_default()));
        match cursor.after(&page, PAGE, clock::wall()) {
            After::Page(next) => cursor = next,
            After::End | After::Disorder => break,
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const KIND: Kind = Kind::PROCESS_INSTANCE;

    #[test]
    fn the_newest_end_is_gone_on_from_with_an_overlap() {
        let mut kept = Kept {
            generation: 3,
            ..Kept::default()
        };
        let first = kept.from(KIND, 3, NOW);
        assert_eq!(first, Timestamp(NOW.0 - FIRST_MS));
        // Nothing has ended: the beginning stays, whatever the site's clock says.
        kept.note(KIND, first, NOW);
        let later = Timestamp(NOW.0 + 60_000);
        assert_eq!(kept.from(KIND, 3, later), Timestamp(first.0 - OVERLAP_MS));
        kept.note(KIND, Timestamp(999_000), later);
        kept.note(KIND, Timestamp(989_000), later);
        assert_eq!(kept.from(KIND, 3, later), Timestamp(989_000));
        // After a switch another clock tells.
        assert_eq!(kept.from(KIND, 4, later), Timestamp(399_000));
        // One end in the next century does not hide those of this year.
        kept.note(KIND, Timestamp(i64::MAX), later);
        assert_eq!(kept.from(KIND, 3, later), Timestamp(later.0 - OVERLAP_MS));
    }
}
