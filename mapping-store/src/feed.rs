//! The feed: the store's rows and changes into this router's table.
//!
//! Owns the tailer. Must not write the store. Relies on the change sequence being ordered by commit and without holes;
//! where it does not fit (a restored store, another incarnation), everything is loaded again.

use crate::Handle;
use crate::clock;
use crate::store::{Changed, Error, Seq};
use crate::table::Table;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Rows in one page of the first load.
const PAGE: usize = 20_000;
/// Losses in one page of the first load.
const LOSSES: usize = 5_000;
/// Changes taken at once.
const CHANGES: usize = 5_000;
/// Waits after failures, growing from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What hears that a key's thing is gone by an operation, or there again.
pub type HearsOfLoss = dyn Fn(&crate::RoutingKey, Option<uuid::Uuid>) + Send + Sync;

/// What hears of all keys whose things are gone.
pub type HearsOfLosses = dyn Fn(&HashSet<crate::RoutingKey>) + Send + Sync;

/// Who hears of changes that are not mappings.
pub struct Hooks {
    /// A pin was set or unset.
    pub pins: Box<dyn Fn() + Send + Sync>,
    /// A site was registered or changed, or an assignment was.
    pub sites: Box<dyn Fn() + Send + Sync>,
    /// A site's engine makes ids with this suffix.
    pub suffix: Box<dyn Fn(&str) + Send + Sync>,
    /// A key's thing is gone by this operation, or there again.
    pub lost: Box<HearsOfLoss>,
    /// Everything was loaded again: no other keys than these have lost their things.
    pub all_lost: Box<HearsOfLosses>,
    /// A mapping was removed, or set by an operator.
    pub settled: Box<dyn Fn(&crate::RoutingKey) + Send + Sync>,
}

/// The tailer.
pub struct Feed {
    store: Handle,
    table: Arc<Table>,
    applied: AtomicU64,
    loaded: AtomicBool,
    level: Mutex<Instant>,
}

impl Feed {
    /// A feed that has not begun.
    pub fn new(store: Handle, table: Arc<Table>) -> Feed {
        Feed {
            store,
            table,
            applied: AtomicU64::new(0),
            loaded: AtomicBool::new(false),
            level: Mutex::new(clock::now()),
        }
    }

    /// The change up to which everything has been applied.
    pub fn applied(&self) -> Seq {
        Seq(self.applied.load(Ordering::Acquire))
    }

    /// Whether the first load is done. Before it, a key that is not in the table is asked of the store.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// How long the table has not been known to be level with the store.
    pub fn lag(&self) -> Duration {
        self.level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// Loads, then tails, until the task is dropped. A store that is away is waited for.
    pub async fn run(self: Arc<Self>, hooks: Hooks) {
        let mut backoff = BACKOFF.0;
        loop {
            let error = match self.load(&hooks).await {
                Ok(()) => {
                    backoff = BACKOFF.0;
                    match self.tail(&hooks).await {
                        Ok(()) => {
                            tracing::warn!(
                                "the store's change sequence does not continue ours; loading everything again"
                            );
                            continue;
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            tracing::debug!("the feed waits for the store: {error}");
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    async fn load(&self, hooks: &Hooks) -> Result<(), Error> {
        if self.is_loaded() {
            return Ok(());
        }
        // What changes while pages are read is in the changes after this position.
        let from = self.store.head().await?;
        let mut after = Seq(0);
        while after < from {
            let page = self.store.made(after, from, PAGE).await?;
            for mapping in &page.items {
                self.table.apply(mapping);
            }
            after = page.last;
        }
        self.load_losses(hooks).await?;
        self.applied.store(from.0, Ordering::Release);
        self.loaded.store(true, Ordering::Release);
        (hooks.pins)();
        (hooks.sites)();
        Ok(())
    }

    async fn load_losses(&self, hooks: &Hooks) -> Result<(), Error> {
        let mut after: Option<String> = None;
        let mut lost = HashSet::new();
        loop {
            let page = self.store.losses(after.as_deref(), LOSSES).await?;
            for loss in &page.items {
                (hooks.lost)(&loss.key, Some(loss.operation));
                lost.insert(loss.key.clone());
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        // A mark whose end was in changes that this router did not get.
        (hooks.all_lost)(&lost);
        Ok(())
    }

    /// `Ok`: the sequence does not continue, everything has to be loaded again.
    async fn tail(&self, hooks: &Hooks) -> Result<(), Error> {
        let incarnation = self.store.incarnation().await?;
        loop {
            let since = self.applied();
            let page = self.store.changes(since, CHANGES).await?;
            let continues = page
                .items
                .first()
                .is_none_or(|(seq, _)| seq.0 == since.0 + 1)
                && page.head >= since;
            if !continues || self.store.incarnation().await? != incarnation {
                self.loaded.store(false, Ordering::Release);
                return Ok(());
            }
            for (_, change) in &page.items {
                self.apply(change, hooks);
            }
            self.applied.store(page.last.0, Ordering::Release);
            if page.last >= page.head {
                *self.level.lock().unwrap_or_else(PoisonError::into_inner) = clock::now();
                self.store.changed().await;
            }
        }
    }

    fn apply(&self, change: &Changed, hooks: &Hooks) {
        match change {
            Changed::Mapping {
                mapping: Some(mapping),
                ..
            } => {
                self.table.apply(mapping);
                if mapping.source == crate::Source::Operator {
                    (hooks.settled)(&mapping.key);
                }
            }
            Changed::Mapping { key, mapping: None } => {
                self.table.remove(key);
                (hooks.settled)(key);
            }
            Changed::Pin { .. } => (hooks.pins)(),
            Changed::Site { .. } | Changed::Assignment { .. } => (hooks.sites)(),
            Changed::Loss { key, operation } => (hooks.lost)(key, *operation),
            Changed::Suffix { suffix } => (hooks.suffix)(suffix),
        }
    }
}
