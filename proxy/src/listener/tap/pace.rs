//! How slow a client may be.
//!
//! Owns the deadlines of heads, idle connections and bodies. Must not look at bytes. A timer is armed only
//! while nothing comes, and moved only when it fires, so that a brisk connection costs one look at the clock for each
//! request.

use super::Limits;
use super::judge::WaitsFor;
use crate::clock;
use crate::gate::rule::Rule;
use crate::listener::shared::Shared;
use crate::timer::Timer;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How long, and how much, is read and thrown away so that the client gets its answer before the connection is reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// What to do with a client whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It asked for nothing: close.
    Close,
    /// It began a head: explain.
    Refuse(Rule),
    /// It is in the middle of a body: break off.
    Cut(Rule),
}

pub(super) struct Pace {
    limits: Limits,
    /// What is waited for, and since when.
    waiting: Option<(WaitsFor, Instant)>,
    /// Bytes of the current body, and the time that we waited for them.
    body_bytes: u64,
    body_waited: Duration,
    read_timer: Timer,
    linger_timer: Timer,
    lingered: usize,
    lingers_since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Pace {
        Pace {
            limits,
            waiting: None,
            body_bytes: 0,
            body_waited: Duration::ZERO,
            read_timer: Timer::default(),
            linger_timer: Timer::default(),
            lingered: 0,
            lingers_since: None,
        }
    }

    /// Bytes came.
    pub(super) fn arrived(&mut self, count: usize) {
        match self.waiting {
            Some((WaitsFor::Body, since)) => {
                self.body_waited += clock::now().saturating_duration_since(since);
                self.body_bytes += count as u64;
                self.waiting = None;
            }
            // A head's time runs from its first byte to its last.
            Some((WaitsFor::Head | WaitsFor::Request | WaitsFor::Nothing, _)) | None => {}
        }
    }

    /// A whole head, or some of a body, was handed on.
    pub(super) fn passed(&mut self) {
        self.waiting = None;
    }

    /// Nothing comes. Ready when that has lasted too long.
    pub(super) fn poll_read_due(
        &mut self,
        cx: &mut Context<'_>,
        waits_for: WaitsFor,
        shared: &Shared,
    ) -> Poll<Due> {
        if waits_for != WaitsFor::Body {
            self.body_bytes = 0;
            self.body_waited = Duration::ZERO;
        }
        let (after, due) = match waits_for {
            WaitsFor::Request => return self.poll_idle(cx, shared),
            WaitsFor::Head => (self.limits.head, Due::Refuse(Rule::HeadLate)),
            WaitsFor::Body => (self.body_patience(), Due::Cut(Rule::BodySlow)),
            WaitsFor::Nothing => return Poll::Pending,
        };
        let since = match self.waiting {
            Some((before, since)) if before == waits_for => since,
            _ => {
                let now = clock::now();
                self.waiting = Some((waits_for, now));
                now
            }
        };
        ready!(self.read_timer.poll(cx, since + after));
        Poll::Ready(due)
    }

    /// The parser does not ask again when a request ends, so the timer runs all the time and looks when it fires.
    fn poll_idle(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<Due> {
        loop {
            ready!(self.read_timer.poll_armed(cx, self.limits.idle));
            let now = clock::now();
            let deadline = shared.idle_since().unwrap_or(now) + self.limits.idle;
            if deadline <= now {
                return Poll::Ready(Due::Close);
            }
            self.read_timer.arm(deadline);
        }
    }

    fn body_patience(&self) -> Duration {
        let rate = u64::from(self.limits.body_bytes_per_second.max(1));
        let earned = Duration::from_millis(self.body_bytes.saturating_mul(1000) / rate);
        // No credit for hours: the timer must come by often enough to notice an idle connection afterwards.
        (self.limits.head + earned.min(self.limits.idle)).saturating_sub(self.body_waited)
    }

    /// Whether so many bytes more may be thrown away.
    pub(super) fn may_linger(&mut self, count: usize) -> bool {
        self.lingered += count;
        self.lingered <= LINGER_BYTES_MAX
    }

    /// Ready when the client had its time to take the answer.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.lingers_since.get_or_insert_with(clock::now);
        self.linger_timer.poll(cx, since + LINGER)
    }
}
