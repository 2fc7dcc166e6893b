//! The turn: whoever deploys does it alone, so that every site gets the same things in the same order.
//!
//! Owns the line of this process and the lease that holds off the others. The lease is this process's: of one that died it
//! runs out.

use super::Deployments;
use crate::clock;
use homing_mapping_store::{Handle, Timestamp, store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// What waits for the same turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Deployments and removals.
    Deployments,
    /// Writes of users and their like.
    Shared,
}

impl Queue {
    /// The lease's name.
    fn lease(self) -> &'static str {
        match self {
            Queue::Deployments => "deployments",
            Queue::Shared => "shared",
        }
    }
}

/// Between two tries for the lease.
const AGAIN: Duration = Duration::from_millis(50);

/// Why it is not our turn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot say whose turn it is.
    #[error("the store does not say whose turn it is")]
    Store(#[from] store::Error),
    /// Somebody else deploys for longer than we wait.
    #[error("another one is under way")]
    Busy,
}

/// The right to deploy.
pub struct Turn {
    store: Handle,
    holder: String,
    queue: Queue,
    _line: OwnedMutexGuard<()>,
}

impl Deployments {
    /// Waits for the turn at most `within`; it lasts for `ttl` if it is not renewed.
    pub async fn turn(&self, ttl: Duration, within: Duration) -> Result<Turn, Error> {
        self.turn_of(Queue::Deployments, ttl, within).await
    }

    /// The same for what waits in this queue.
    pub async fn turn_of(
        &self,
        queue: Queue,
        ttl: Duration,
        within: Duration,
    ) -> Result<Turn, Error> {
        let until = clock::now() + within;
        let line = Arc::clone(&self.lines[queue as usize]).lock_owned();
        let line = tokio::time::timeout(within, line).await;
        let turn = Turn {
            store: Arc::clone(&self.store),
            holder: self.holder.clone(),
            queue,
            _line: line.map_err(|_| Error::Busy)?,
        };
        loop {
            match turn.renew(ttl).await {
                Err(Error::Busy) if clock::now() < until => tokio::time::sleep(AGAIN).await,
                Err(error) => return Err(error),
                Ok(_) => return Ok(turn),
            }
        }
    }
}

impl Turn {
    /// Keeps the turn for `ttl` from now on; answers the store's clock.
    pub async fn renew(&self, ttl: Duration) -> Result<Timestamp, Error> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let lease = self
            .store
            .lease(self.queue.lease(), &self.holder, ttl_ms)
            .await?;
        let lease = lease.ok_or(Error::Busy)?;
        let ttl_ms = i64::try_from(ttl_ms).unwrap_or(i64::MAX);
        Ok(Timestamp(lease.expires_at.0.saturating_sub(ttl_ms)))
    }

    /// Lets the next one go on. A turn that is not ended runs out.
    pub async fn end(self) {
        let _ = self.store.release(self.queue.lease(), &self.holder).await;
    }
}
