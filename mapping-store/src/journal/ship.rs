//! Shipping the journal to the store.
//!
//! Owns the loop: batches in order, again and again until the store has taken them. Must not lose its place: a batch is
//! forgotten only after the store's commit, and shipping twice changes nothing.

use super::Handle;
use super::record::Record;
use crate::store::{self, Inserted, NewMapping, Shipment};
use std::sync::PoisonError;
use std::time::Duration;

/// Rows in one transaction.
const BATCH_ROWS: usize = 2_000;
/// An intent that is still open after this long is told to the store, so that any router may resolve it.
const UNTOLD_MS: i64 = 5_000;
/// Between two looks when nothing rings.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Waits after failures, growing from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Ships until the task is dropped. `told` hears what became of each row.
pub async fn run(
    store: store::Handle,
    journal: Handle,
    clock: impl Fn() -> i64 + Send + 'static,
    told: impl Fn(&NewMapping, &Inserted) + Send + 'static,
) {
    let mut backoff = BACKOFF.0;
    loop {
        let (shipment, upto) = journal.next_shipment(clock());
        if shipment.mappings.is_empty()
            && shipment.intents_opened.is_empty()
            && shipment.intents_closed.is_empty()
        {
            let woken = journal.shared.wake.notified();
            let _ = tokio::time::timeout(LOOK_EVERY, woken).await;
            continue;
        }
        match store.ship(&shipment).await {
            Ok(results) => {
                backoff = BACKOFF.0;
                for (row, result) in shipment.mappings.iter().zip(&results) {
                    told(row, result);
                }
                journal.shipped(&shipment, upto);
            }
            Err(error) => {
                tracing::debug!(
                    waiting = journal.waiting(),
                    "the store does not take a shipment: {error}"
                );
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF.1);
            }
        }
    }
}

impl Handle {
    pub(super) fn next_shipment(&self, now: i64) -> (Shipment, u64) {
        let writer = self.writer();
        let (mappings, upto) = writer.state.oldest(BATCH_ROWS);
        let shipment = Shipment {
            router: self.shared.router.clone(),
            mappings,
            intents_opened: writer.state.untold(now - UNTOLD_MS),
            intents_closed: writer.state.to_close(),
        };
        (shipment, upto)
    }

    pub(super) fn shipped(&self, shipment: &Shipment, upto: u64) {
        let mut writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        writer
            .state
            .told(&shipment.intents_opened, &shipment.intents_closed);
        if !shipment.mappings.is_empty() && writer.append(Record::Shipped { upto }).is_err() {
            // Shipping again after a restart changes nothing; memory need not keep the rows.
            writer.state.shipped(upto);
        }
        writer.tidy();
        drop(writer);
        self.shared.shipped.notify_waiters();
    }
}
