//! The only reader of time in the harness: deadlines, and waiting on predicates instead of sleeping.
//!
//! Must not decide what is waited for. Relies on nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a predicate is asked again; short against every deadline that tests use.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Time passed since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub fn is_past(&self, deadline: Duration) -> bool {
        self.elapsed() >= deadline
    }
}

/// Milliseconds since the Unix epoch, by this machine's clock, which is the engines' as well.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn wall_millis() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |passed| {
            i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
        })
}

/// Asks until the predicate says `Ok(Some(value))`. The last error (or "not yet") is told when the deadline passes.
pub async fn eventually<T, F, Fut>(what: &str, deadline: Duration, mut predicate: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let watch = Stopwatch::start();
    loop {
        let last = match predicate().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if watch.is_past(deadline) {
            bail!("{what}: not within {deadline:?}; last: {last}");
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The same for places without a runtime.
pub fn eventually_blocking<T>(
    what: &str,
    deadline: Duration,
    mut predicate: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let watch = Stopwatch::start();
    loop {
        let last = match predicate() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if watch.is_past(deadline) {
            bail!("{what}: not within {deadline:?}; last: {last}");
        }
        std::thread::sleep(POLL_EVERY);
    }
}
