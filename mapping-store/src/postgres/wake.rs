//! Notifications: they only wake, the change sequence is the truth.
//!
//! Owns the listening connection and its task. Relies on polling for whatever a lost notification would have told.

use super::servers::Servers;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The channel that `announce` notifies.
const CHANNEL: &str = "homing_changes";
/// `changed` returns at least this often.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// Between attempts to listen again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Wake {
    notify: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Wake {
    pub(super) fn start(servers: Arc<Servers>) -> Wake {
        let notify = Arc::new(Notify::new());
        let task = tokio::spawn(listen(servers, Arc::clone(&notify)));
        Wake { notify, task }
    }

    pub(super) async fn changed(&self) {
        let _ = tokio::time::timeout(POLL_EVERY, self.notify.notified()).await;
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(servers: Arc<Servers>, notify: Arc<Notify>) {
    loop {
        // Asked anew each time: the store may be written at another server now.
        if let Err(error) = listen_once(&servers.pool(), &notify).await {
            tracing::debug!(%error, "not listening for changes; polling goes on");
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

async fn listen_once(pool: &PgPool, notify: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        listener.recv().await?;
        notify.notify_waiters();
    }
}
