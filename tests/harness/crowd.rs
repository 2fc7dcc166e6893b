//! Many clients at once, and what came of each.
//!
//! Must not know what they do. Relies on the test's runtime.

use anyhow::Result;
use tokio::task::JoinSet;

/// Runs the work for 0, 1, ... `size - 1` at the same time; the first failure ends all.
pub async fn crowd<T, F, Fut>(size: usize, work: F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<T>> + Send + 'static,
{
    let mut members = JoinSet::new();
    for member in 0..size {
        members.spawn(work(member));
    }
    let mut done = Vec::with_capacity(size);
    while let Some(result) = members.join_next().await {
        done.push(result??);
    }
    Ok(done)
}
