//! What every site is to have deployed, as this router knows it.
//!
//! Owns the picture of it, read anew whenever the store says that something has changed, and the turn in which things are
//! deployed one after the other. Must not send or choose. Relies on the store for the order.

pub mod armed;
pub mod arming;
pub mod look;
pub mod outcome;
pub mod picture;
pub mod swap;
pub mod turn;

use crate::shared::SharedData;
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use arc_swap::ArcSwap;
use homing_mapping_store::{Handle, store};
use picture::Picture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// Between two tries to read what a store that is away has.
const AGAIN: Duration = Duration::from_secs(1);

/// Deployments of all scopes.
pub struct Deployments {
    store: Handle,
    /// Of turns. One for each process: while a binary is replaced, two of them have the same router's name.
    holder: String,
    picture: ArcSwap<Picture>,
    reading: Mutex<()>,
    lines: [Arc<Mutex<()>>; 2],
    /// Users and their like, which are read whenever this is.
    pub shared: SharedData,
    /// Rung when a site may have something to catch up with.
    pub bell: Notify,
    /// Rung when start timers may go off at two sites.
    pub alarm: Notify,
    /// Rung when the store's records may have changed.
    pub changed: Notify,
}

impl Deployments {
    /// Nothing is known yet.
    pub fn new(store: Handle, router: &str) -> Deployments {
        Deployments {
            store,
            holder: format!("{router} {}", uuid::Uuid::new_v4()),
            picture: ArcSwap::default(),
            reading: Mutex::new(()),
            lines: Default::default(),
            shared: SharedData::default(),
            bell: Notify::new(),
            alarm: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// The store that they are recorded in.
    pub fn store(&self) -> &Handle {
        &self.store
    }

    /// What is known now.
    pub fn picture(&self) -> Arc<Picture> {
        self.picture.load_full()
    }

    /// Keeps the picture level with the store, and says when it was read, until the task is dropped. However often
    /// `changed` is rung during a read, it is read once more.
    pub async fn follow(&self, read: impl Fn()) {
        loop {
            self.changed.notified().await;
            match self.refresh().await {
                Ok(_) => self.bell.notify_one(),
                Err(error) => {
                    tracing::warn!("deployments cannot be read: {}", chain(&error));
                    tokio::time::sleep(AGAIN).await;
                    self.changed.notify_one();
                }
            }
            read();
        }
    }

    /// Reads shared data again.
    pub async fn refresh_shared(&self) -> Result<Arc<crate::shared::Picture>, store::Error> {
        let _reading = self.reading.lock().await;
        self.shared.refresh(&self.store).await
    }

    /// Reads all of it again.
    pub async fn refresh(&self) -> Result<Arc<Picture>, store::Error> {
        // One after the other, so that what was read earlier never replaces what was read later.
        let _reading = self.reading.lock().await;
        self.shared.refresh(&self.store).await?;
        let picture = Picture::of(self.store.deployments().await?);
        let picture = Arc::new(picture.with_armed(self.store.armed().await?));
        let before = self.picture.swap(Arc::clone(&picture));
        for site in before.sites().union(&picture.sites()) {
            let missing = i64::try_from(picture.open_at(*site)).unwrap_or(i64::MAX);
            metrics()
                .deployments_missing
                .with_label_values(&[site.name()])
                .set(missing);
        }
        Ok(picture)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a store that cannot be opened fails the test"
    )]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    async fn store(folder: &tempfile::TempDir) -> Handle {
        let url = format!("sqlite:{}/store.db", folder.path().display());
        homing_mapping_store::open(&url).await.unwrap()
    }

    #[tokio::test]
    async fn two_processes_of_one_router_never_have_the_turn_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let [old, new] = [(); 2].map(|()| Deployments::new(Arc::clone(&store), "r1"));
        let (long, short) = (Duration::from_secs(600), Duration::from_millis(100));
        let turn = old.turn(long, long).await.unwrap();
        let refused = new.turn(long, short).await.err();
        assert!(matches!(refused, Some(turn::Error::Busy)), "{refused:?}");
        turn.renew(long).await.unwrap();
        turn.end().await;
        new.turn(long, long).await.unwrap();
        let lost = old.turn(long, short).await.err();
        assert!(matches!(lost, Some(turn::Error::Busy)), "{lost:?}");
    }

    #[tokio::test]
    async fn whatever_changes_during_a_read_is_read_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let deployments = Arc::new(Deployments::new(store(&folder).await, "r1"));
        let (reads, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let following = {
            let (deployments, reads) = (Arc::clone(&deployments), Arc::clone(&reads));
            let ended = Arc::clone(&ended);
            tokio::spawn(async move {
                let read = || match reads.fetch_add(1, Ordering::Relaxed) {
                    0 => (0..50).for_each(|_| deployments.changed.notify_one()),
                    _ => ended.notify_one(),
                };
                deployments.follow(read).await;
            })
        };
        deployments.changed.notify_one();
        let deadline = Duration::from_secs(60);
        tokio::time::timeout(deadline, ended.notified())
            .await
            .unwrap();
        following.abort();
        assert!(following.await.unwrap_err().is_cancelled());
        assert_eq!(reads.load(Ordering::Relaxed), 2);
        // None of the fifty is left.
        let left = futures_util::FutureExt::now_or_never(deployments.changed.notified());
        assert!(left.is_none());
    }
}
