//! The watch over the site's row: what others change there is honoured here within a second, or at once when a
//! transaction was refused because of it.

use crate::runtime::Handle;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks; a claim and a commit check the row anyway.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Shortest pause, however often transactions are refused.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// Looks until `stop`.
pub(crate) async fn run(handle: Handle, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(failure) = handle.look().await {
            tracing::warn!(%failure, "the site could not be looked at");
        }
        tokio::select! {
            () = async {
                tokio::time::sleep(PAUSE_MIN).await;
                handle.store().known.bell.notified().await;
            } => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}
