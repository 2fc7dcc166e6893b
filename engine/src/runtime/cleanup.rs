//! The job that removes old history: one engine of a cluster at a time, in chunks, at the times that are meant for it.
//!
//! Owns the loop and its pauses. What may go is said by the store.

use super::Handle;
use crate::clock::Millis;
use crate::cluster::standing::Standing;
use crate::store::{Executor, Failure};
use std::time::Duration;
use tokio::sync::watch;

/// Instances whose history goes in one transaction.
const CHUNK: i64 = 100;
/// Between two chunks, so that the others' work is not held up.
const CHUNK_PAUSE: Duration = Duration::from_millis(20);
/// Between two runs, where no time of day is set aside for them.
const EVERY_MS: Millis = 300_000;
/// Before the first look: an engine that has just started has other things to do.
const FIRST: Duration = Duration::from_secs(10);
/// Longest pause between two looks whether it is time.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long an engine has the job without a sign of life.
const LEASE_MS: Millis = 120_000;
const MINUTE_MS: Millis = 60_000;
const DAY_MS: Millis = 24 * 60 * MINUTE_MS;

/// When history is cleaned up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cleaning {
    /// Not by this engine.
    Off,
    /// Whenever something may go.
    #[default]
    Always,
    /// Once a day.
    Daily(Window),
}

/// A time of each day, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Minute of the day at which it begins.
    pub from: u16,
    /// Minute of the day at which it ends; before `from`: on the next day.
    pub to: u16,
}

impl Window {
    /// When it opens next, and when it closes after that.
    pub fn next(self, now: Millis) -> (Millis, Millis) {
        let opens = Cleaning::Daily(self).next(now);
        let minutes = (i64::from(self.to) - i64::from(self.from)).rem_euclid(DAY_MS / MINUTE_MS);
        (opens, opens + minutes * MINUTE_MS)
    }
}

impl Cleaning {
    /// Is it time?
    fn open(self, now: Millis) -> bool {
        match self {
            Cleaning::Off => false,
            Cleaning::Always => true,
            Cleaning::Daily(window) => {
                let minute = now.rem_euclid(DAY_MS) / MINUTE_MS;
                let (from, to) = (i64::from(window.from), i64::from(window.to));
                if from <= to {
                    (from..to).contains(&minute)
                } else {
                    minute >= from || minute < to
                }
            }
        }
    }

    /// When the next run is.
    pub(crate) fn next(self, now: Millis) -> Millis {
        match self {
            Cleaning::Off | Cleaning::Always => now.saturating_add(EVERY_MS),
            Cleaning::Daily(window) => {
                let opens = i64::from(window.from) * MINUTE_MS;
                let today = now - now.rem_euclid(DAY_MS) + opens;
                if today > now { today } else { today + DAY_MS }
            }
        }
    }
}

/// Runs until `stop`.
pub(crate) async fn run(handle: Handle, mut stop: watch::Receiver<bool>) {
    let owner = handle.new_id();
    let mut pause = FIRST;
    while !*stop.borrow() {
        tokio::select! {
            () = handle.inner.cleanup_bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => break,
        }
        pause = match round(&handle, &owner, &stop).await {
            Ok(pause) => pause,
            Err(failure) => {
                tracing::warn!(%failure, "old history could not be removed");
                PAUSE_MAX
            }
        };
    }
}

/// One look; gives the pause until the next.
async fn round(
    handle: &Handle,
    owner: &str,
    stop: &watch::Receiver<bool>,
) -> Result<Duration, Failure> {
    let cleaning = handle.inner.cleaning;
    let serves = handle
        .view()
        .is_some_and(|view| view.standing == Standing::Serving);
    if cleaning == Cleaning::Off || !serves || handle.executor() == Executor::Disabled {
        return Ok(PAUSE_MAX);
    }
    let (store, now) = (handle.store(), handle.clock().now());
    let job = store.cleanup().await?;
    let Some(due) = job.due else {
        let first = if cleaning.open(now) {
            now
        } else {
            cleaning.next(now)
        };
        store.schedule_cleanup(first, false, now).await?;
        return Ok(Duration::ZERO);
    };
    if due > now {
        let left = Duration::from_millis(u64::try_from(due - now).unwrap_or(0));
        return Ok(left.min(PAUSE_MAX));
    }
    if !job.asked && !cleaning.open(now) {
        store
            .schedule_cleanup(cleaning.next(now), false, now)
            .await?;
        return Ok(PAUSE_MAX);
    }
    if !store.take_cleanup(owner, now, now + LEASE_MS).await? {
        return Ok(PAUSE_MAX);
    }
    let mut gone = 0;
    loop {
        let now = handle.clock().now();
        if *stop.borrow() || !(job.asked || cleaning.open(now)) {
            break;
        }
        let removed = store
            .remove_old(owner, now, (CHUNK, now + LEASE_MS))
            .await?;
        let Some(removed) = removed else {
            return Ok(PAUSE_MAX);
        };
        gone += removed;
        if removed < CHUNK {
            break;
        }
        tokio::time::sleep(CHUNK_PAUSE).await;
    }
    if gone > 0 {
        tracing::info!(instances = gone, "old history was removed");
    }
    store
        .leave_cleanup(owner, cleaning.next(handle.clock().now()))
        .await?;
    Ok(PAUSE_MAX)
}

impl Handle {
    /// Asks for the job to run, at once or when it is time.
    pub async fn ask_for_cleanup(&self, at_once: AtOnce) -> Result<(), Failure> {
        let now = self.clock().now();
        let (due, asked) = match at_once {
            AtOnce::Yes => (now, true),
            AtOnce::No => (self.inner.cleaning.next(now), false),
        };
        self.store().schedule_cleanup(due, asked, now).await?;
        self.inner.cleanup_bell.notify_one();
        Ok(())
    }

    /// When this engine cleans up.
    pub fn cleaning(&self) -> Cleaning {
        self.inner.cleaning
    }
}

/// Must it be now?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtOnce {
    /// Now, whatever time is set aside for it.
    Yes,
    /// When it is time.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: Cleaning = Cleaning::Daily(Window {
        from: 22 * 60,
        to: 5 * 60,
    });
    const HOUR_MS: Millis = 60 * MINUTE_MS;

    #[test]
    fn a_window_over_midnight_is_open_on_both_sides_of_it() {
        for (hour, open) in [
            (21, false),
            (22, true),
            (23, true),
            (0, true),
            (4, true),
            (5, false),
        ] {
            assert_eq!(NIGHT.open(7 * DAY_MS + hour * HOUR_MS), open, "{hour}:00");
        }
    }

    #[test]
    fn the_next_run_is_when_the_window_opens_again() {
        let days = 7 * DAY_MS;
        assert_eq!(NIGHT.next(days + 3 * HOUR_MS), days + 22 * HOUR_MS);
        assert_eq!(
            NIGHT.next(days + 22 * HOUR_MS),
            days + DAY_MS + 22 * HOUR_MS
        );
        assert_eq!(Cleaning::Always.next(days), days + EVERY_MS);
    }
}
