//! Facts into journal, table and cache.
//!
//! Owns the writes that traffic causes: insert-once only. Must not change or remove a row.

use crate::clock;
use crate::dialect::{Durability, Fact};
use crate::problem::{Problem, Reason};
use crate::resolve::known::{Known, suffix_text};
use homing_mapping_store::journal;
use homing_mapping_store::store::{Inserted, NewMapping, Shipment};
use homing_mapping_store::table::Insert;
use homing_mapping_store::{Handle, RoutingKey, SiteId, Source, State};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// A held key of which another site was heard to have it.
#[derive(Clone, Debug)]
pub struct Dispute {
    /// The key.
    pub key: RoutingKey,
    /// Its home, as this router knows it.
    pub held: SiteId,
    /// The site that an answer, or another router, says has it.
    pub claimed: SiteId,
}

/// Takes what answers teach.
pub struct Learner {
    known: Arc<Known>,
    journal: journal::Handle,
    store: Handle,
    router: String,
    store_within: Duration,
    disputes: OnceLock<mpsc::Sender<Dispute>>,
    /// Monotonic milliseconds until which this router is sure to know the whole registry.
    fresh_until_ms: AtomicU64,
}

impl Learner {
    /// A learner that writes into these.
    pub fn new(
        known: Arc<Known>,
        journal: journal::Handle,
        store: Handle,
        router: String,
        store_within: Duration,
    ) -> Learner {
        Learner {
            known,
            journal,
            store,
            router,
            store_within,
            disputes: OnceLock::new(),
            fresh_until_ms: AtomicU64::new(0),
        }
    }

    /// Claims of a second home are looked into by whoever reads the other end; without one each is an alarm at once.
    pub fn disputes_to(&self, judge: mpsc::Sender<Dispute>) {
        if self.disputes.set(judge).is_err() {
            tracing::warn!("claims of second homes are looked into already");
        }
    }

    fn dispute(&self, key: &RoutingKey, held: SiteId, claimed: SiteId) {
        let dispute = Dispute {
            key: key.clone(),
            held,
            claimed,
        };
        let told = self.disputes.get().map(|judge| judge.try_send(dispute));
        if !matches!(told, Some(Ok(()))) {
            self.known.alarm(key, &[held, claimed]);
        }
    }

    /// The registry was read and acknowledged; the store keeps other routers from using newer sites until then.
    pub fn registry_fresh_until(&self, monotonic_ms: u64) {
        self.fresh_until_ms.store(monotonic_ms, Ordering::Relaxed);
    }

    /// Whether "all sites were asked" means all sites that there are.
    pub fn registry_is_fresh(&self) -> bool {
        clock::monotonic_ms() < self.fresh_until_ms.load(Ordering::Relaxed)
    }

    /// How long this router may go on without the store.
    pub fn lease_remaining(&self) -> Duration {
        let until = self.fresh_until_ms.load(Ordering::Relaxed);
        Duration::from_millis(until.saturating_sub(clock::monotonic_ms()))
    }

    /// This router's name.
    pub(super) fn router(&self) -> &str {
        &self.router
    }

    /// The store.
    pub(super) fn store(&self) -> &Handle {
        &self.store
    }

    /// Longest wait for the store.
    pub(super) fn store_within(&self) -> Duration {
        self.store_within
    }

    /// The journal.
    pub fn journal(&self) -> &journal::Handle {
        &self.journal
    }

    /// The rows that these facts ask for.
    pub fn rows(&self, facts: &[Fact], site: SiteId, source: Source) -> Vec<NewMapping> {
        facts
            .iter()
            .filter(|fact| fact.durability != Durability::Cached)
            .map(|fact| NewMapping {
                key: fact.key.clone(),
                home: site,
                state: State::Homed,
                source,
                at: clock::wall(),
            })
            .collect()
    }

    /// Takes rows that are durable already into memory, and everything below them.
    pub fn remember(&self, rows: &[NewMapping], facts: &[Fact], site: SiteId) {
        for row in rows {
            self.insert(row);
        }
        for fact in facts {
            if fact.durability == Durability::Cached {
                self.known.cache.put(&fact.key, site);
            }
            self.suffix(&fact.key, site);
        }
    }

    /// What another router would give a home of its own is in the store before its answer is released. With the store away it is
    /// known here, and elsewhere when the journal has been shipped.
    pub(super) async fn share(&self, facts: &[Fact], rows: &[NewMapping]) {
        let is_shared = |row: &&NewMapping| {
            let mut shared = facts.iter().filter(|f| f.durability == Durability::Shared);
            shared.any(|fact| fact.key == row.key)
        };
        for row in rows.iter().filter(is_shared) {
            if let Err(why) = self.claim_in_store(row).await {
                tracing::warn!(key = %row.key, "other routers learn a key later: {why}");
                return;
            }
        }
    }

    /// Facts of an answer's head, before the answer is released.
    pub async fn ahead(&self, facts: &[Fact], site: SiteId) {
        let mut rows = self.rows(facts, site, Source::Learned);
        rows.retain(|row| self.is_news(&row.key));
        self.passing(facts, site, Source::Learned);
        self.share(facts, &rows).await;
    }

    /// Facts of a passing answer: rows that are news go to the journal without waiting, the rest to the cache.
    pub fn passing(&self, facts: &[Fact], site: SiteId, source: Source) {
        let mut rows = self.rows(facts, site, source);
        rows.retain(|row| {
            self.known
                .table
                .get(&row.key)
                .is_none_or(|held| held.home != site)
        });
        for row in &rows {
            if self.insert(row)
                && let Err(error) = self.journal.learned(row)
            {
                // Losing this costs a search later, not a wrong answer.
                tracing::warn!(key = %row.key, "could not note a learned mapping: {}", crate::telemetry::chain(&error));
            }
        }
        self.remember(&[], facts, site);
    }

    /// Whether the table does not know this key.
    pub fn is_news(&self, key: &RoutingKey) -> bool {
        self.known.table.get(key).is_none()
    }

    /// A key was found by asking sites.
    pub fn located(&self, key: &RoutingKey, site: SiteId, facts: &[Fact]) {
        self.passing(facts, site, Source::Located);
        if self.known.home(key).is_none() {
            self.known.cache.put(key, site);
            self.suffix(key, site);
        }
    }

    /// Whether the row is news to the table. Two homes for one held key are an alarm, never an overwrite.
    fn insert(&self, row: &NewMapping) -> bool {
        match self.known.table.insert_once(row) {
            Insert::New => true,
            Insert::Same => false,
            Insert::Conflict { held } => {
                if row.state != State::Placed {
                    self.dispute(&row.key, held, row.home);
                }
                false
            }
        }
    }

    /// What became of shipped rows, told by the shipping loop.
    pub fn shipped(&self, row: &NewMapping, result: &Inserted) {
        if let Inserted::Conflict { held, .. } = result {
            if row.state == State::Placed {
                // A placed key may be re-homed at will: the first one to reach the store wins everywhere.
                tracing::info!(key = %row.key, ours = %row.home, home = %held, "another router placed this key first");
            } else {
                self.dispute(&row.key, *held, row.home);
            }
        }
    }

    fn suffix(&self, key: &RoutingKey, site: SiteId) {
        let Some(suffix) = self.known.learn_suffix(&key.id, site) else {
            return;
        };
        let (store, text) = (Arc::clone(&self.store), suffix_text(suffix));
        tokio::spawn(async move {
            // A hint that did not reach the store is learned again from the next id.
            if let Err(error) = store.learn_suffix(&text, site).await {
                tracing::debug!(
                    "could not keep a suffix: {}",
                    crate::telemetry::chain(&error)
                );
            }
        });
    }

    fn placed_row(&self, key: &RoutingKey, site: SiteId) -> NewMapping {
        NewMapping {
            key: key.clone(),
            home: site,
            state: State::Placed,
            source: Source::Started,
            at: clock::wall(),
        }
    }

    /// Makes `chosen` the home of a placed key, unless another router was first; answers the home. With the store away
    /// the key is placed on this router's word and noted in the journal.
    pub async fn claim(&self, key: &RoutingKey, chosen: SiteId) -> SiteId {
        let row = self.placed_row(key, chosen);
        let home = match self.claim_in_store(&row).await {
            Ok(home) => home,
            Err(_) => {
                if let Err(error) = self.journal.learned(&row) {
                    tracing::warn!(%key, "could not note a placed key: {}", crate::telemetry::chain(&error));
                }
                chosen
            }
        };
        self.insert(&NewMapping { home, ..row });
        home
    }

    /// Like `claim`, but only the store's word counts.
    pub async fn claim_strictly(
        &self,
        key: &RoutingKey,
        chosen: SiteId,
    ) -> Result<SiteId, Problem> {
        let row = self.placed_row(key, chosen);
        let home = self.claim_in_store(&row).await.map_err(|why| {
            let detail = format!("one home per business key is asked for (placement.business_key = \"claim\") and the store cannot be asked: {why}");
            Problem::new(Reason::StoreUnavailable, detail).about(key).retry_after(Duration::from_secs(2))
        })?;
        self.insert(&NewMapping { home, ..row });
        Ok(home)
    }

    async fn claim_in_store(&self, row: &NewMapping) -> Result<SiteId, String> {
        let shipment = Shipment {
            router: self.router.clone(),
            mappings: vec![row.clone()],
            ..Shipment::default()
        };
        match tokio::time::timeout(self.store_within, self.store.ship(&shipment)).await {
            Ok(Ok(results)) => match results.first() {
                Some(Inserted::Conflict { held, .. }) => Ok(*held),
                Some(Inserted::New | Inserted::Same) | None => Ok(row.home),
            },
            Ok(Err(error)) => Err(crate::telemetry::chain(&error)),
            Err(_) => Err(format!("no answer within {:?}", self.store_within)),
        }
    }
}
