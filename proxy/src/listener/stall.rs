//! A client that takes nothing of what is written to it.
//!
//! Owns the deadline of writing. Must not write.

use crate::clock;
use crate::telemetry::metrics;
use crate::timer::Timer;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Since when nothing could be written, and how long that may last.
pub(super) struct Stall {
    after: Duration,
    since: Option<Instant>,
    timer: Timer,
}

impl Stall {
    pub(super) fn new(after: Duration) -> Stall {
        Stall {
            after,
            since: None,
            timer: Timer::default(),
        }
    }

    /// Passes on what a write said, or breaks off when it has been pending too long.
    pub(super) fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.since = None;
            return polled;
        }
        let since = *self.since.get_or_insert_with(clock::now);
        ready!(self.timer.poll(cx, since + self.after));
        metrics::limit_hit("response_idle");
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes nothing of the answer",
        )))
    }
}
