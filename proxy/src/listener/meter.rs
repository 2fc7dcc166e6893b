//! The meter: counts the frames of an HTTP/2 connection that make work and ask for nothing.
//!
//! Owns a budget for control frames, resets and empty frames, and the deadlines of heads and of writing. Must not change
//! a byte.
//! Relies on the HTTP/2 library for everything that a frame means; this only bounds how many of them it must look at.

use super::shared::Shared;
use super::stall::Stall;
use crate::clock;
use crate::gate::rule::Rule;
use crate::telemetry::metrics;
use crate::timer::Timer;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Name of the limit.
const LIMIT: &str = "h2_control_frames";
/// What a connection may spend at once, and earns each second: 200 resets or 400 pings, then 100 or 200 a second.
const BUDGET_MAX: i64 = 4_000;
const BUDGET_PER_SECOND: u64 = 2_000;
/// Taking an answer earns window updates for it.
const BYTES_PER_WINDOW_UPDATE: usize = 1_024;
/// Pieces of a body smaller than this cost more to handle than to send.
const DATA_BYTES_SMALL: usize = 32;
/// The client's preface stands before the first frame.
const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;
const FLAG_ACK_OR_END: u8 = 1;
const FLAG_END_HEADERS: u8 = 4;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// An HTTP/2 client's stream with the budget on it.
pub(super) struct Meter<S> {
    stream: S,
    frames: Frames,
    stall: Stall,
    shared: Arc<Shared>,
    head_within: Duration,
    head_since: Option<Instant>,
    head_timer: Timer,
}

impl<S> Meter<S> {
    pub(super) fn new(
        stream: S,
        head_within: Duration,
        write_within: Duration,
        shared: Arc<Shared>,
    ) -> Meter<S> {
        Meter {
            stream,
            frames: Frames::new(clock::now()),
            stall: Stall::new(write_within),
            shared,
            head_within,
            head_since: None,
            head_timer: Timer::default(),
        }
    }

    /// Nothing came: ready when that has lasted too long in the middle of a head.
    fn poll_head_due(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.frames.in_head {
            return Poll::Pending;
        }
        let since = *self.head_since.get_or_insert_with(clock::now);
        ready!(self.head_timer.poll(cx, since + self.head_within));
        metrics::limit_hit(Rule::HeadLate.as_str());
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            Rule::HeadLate.detail(),
        )))
    }
}

/// Where in its stream of frames a connection stands, and what it may still spend.
struct Frames {
    skip: usize,
    header: [u8; HEADER_BYTES],
    have: usize,
    /// Whether a request's head has begun and not ended; and whether the frame at hand is its last.
    in_head: bool,
    ends_head: bool,
    budget: i64,
    earned: Instant,
    window_updates: usize,
    written: usize,
}

impl Frames {
    fn new(now: Instant) -> Frames {
        Frames {
            skip: PREFACE_BYTES,
            header: [0; HEADER_BYTES],
            have: 0,
            in_head: false,
            ends_head: false,
            budget: BUDGET_MAX,
            earned: now,
            window_updates: 0,
            written: 0,
        }
    }

    /// Follows the frames through these bytes; false when the budget is spent.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip == 0 && self.ends_head {
                (self.in_head, self.ends_head) = (false, false);
            }
            if bytes.is_empty() {
                return true;
            }
            let more = (HEADER_BYTES - self.have).min(bytes.len());
            self.header[self.have..self.have + more].copy_from_slice(&bytes[..more]);
            self.have += more;
            bytes = &bytes[more..];
            if self.have == HEADER_BYTES {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                if matches!(kind, HEADERS | CONTINUATION) {
                    (self.in_head, self.ends_head) = (true, flags & FLAG_END_HEADERS != 0);
                }
                if !self.pay(kind, flags, self.skip) {
                    return false;
                }
            }
        }
    }

    fn pay(&mut self, kind: u8, flags: u8, length: usize) -> bool {
        self.budget -= match kind {
            0 if flags & FLAG_ACK_OR_END == 0 && length < DATA_BYTES_SMALL => 1,
            0 | 1 => 0,
            3 => 20,
            4 | 6 if flags & FLAG_ACK_OR_END != 0 => 1,
            // Each wants an answer at once.
            4..=7 => 10,
            8 => self.window_update(),
            _ => 2,
        };
        if self.budget < 0 {
            self.earn(clock::now());
        }
        self.budget >= 0
    }

    fn window_update(&mut self) -> i64 {
        self.window_updates += 1;
        if self.window_updates * BYTES_PER_WINDOW_UPDATE <= self.written {
            return 0;
        }
        1
    }

    fn earn(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.earned).as_millis();
        let earned = u64::try_from(since)
            .unwrap_or(u64::MAX)
            .saturating_mul(BUDGET_PER_SECOND)
            / 1_000;
        self.earned = now;
        self.budget = self
            .budget
            .saturating_add(i64::try_from(earned).unwrap_or(i64::MAX))
            .min(BUDGET_MAX);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Meter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) else {
            return self.poll_head_due(cx);
        };
        read?;
        if self.frames.take(&buf.filled()[before..]) {
            if !self.frames.in_head {
                self.head_since = None;
            }
            return Poll::Ready(Ok(()));
        }
        metrics::limit_hit(LIMIT);
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "limit h2_control_frames reached",
        )))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.wrote(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            this.shared.flushed();
        }
        this.stall.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.stall.watch(cx, polled)
    }
}

impl<S> Meter<S> {
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &polled {
            self.frames.written += count;
        }
        self.stall.watch(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![
            0,
            (payload >> 8) as u8,
            payload as u8,
            kind,
            flags,
            0,
            0,
            0,
            1,
        ];
        frame.resize(HEADER_BYTES + payload, 0);
        frame
    }

    /// How many of these frames pass at once.
    fn passed(frame: &[u8]) -> usize {
        let mut frames = Frames::new(clock::now());
        assert!(frames.take(&[0; PREFACE_BYTES]));
        (0..100_000).take_while(|_| frames.take(frame)).count()
    }

    #[test]
    fn floods_are_bounded_and_requests_are_not() {
        assert_eq!(passed(&frame(1, 5, 40)), 100_000, "requests");
        assert_eq!(passed(&frame(0, 0, 1000)), 100_000, "bodies");
        for (name, kind, flags, payload, at_most) in [
            ("reset", 3, 0, 4, 300),
            ("settings", 4, 0, 6, 600),
            ("ping", 6, 0, 8, 600),
            ("empty data", 0, 0, 0, 5000),
            ("priority", 2, 0, 5, 3000),
            ("window", 8, 0, 4, 5000),
        ] {
            let passed = passed(&frame(kind, flags, payload));
            assert!((100..at_most).contains(&passed), "{name}: {passed}");
        }
    }

    #[test]
    fn frames_are_found_in_any_cut() {
        let bytes: Vec<u8> = [
            vec![0; PREFACE_BYTES],
            frame(0, 0, 300),
            frame(3, 0, 4),
            frame(1, 5, 9),
            frame(3, 0, 4),
        ]
        .concat();
        for size in 1..50 {
            let mut frames = Frames::new(clock::now());
            assert!(bytes.chunks(size).all(|piece| frames.take(piece)));
            assert_eq!(
                (frames.budget, frames.skip, frames.have),
                (BUDGET_MAX - 40, 0, 0),
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_head_is_open_until_its_last_frame_is_whole() {
        let mut frames = Frames::new(clock::now());
        assert!(frames.take(&[0; PREFACE_BYTES]));
        assert!(frames.take(&frame(HEADERS, 0, 9)) && frames.in_head);
        let last = frame(CONTINUATION, FLAG_END_HEADERS, 9);
        assert!(frames.take(&last[..15]) && frames.in_head);
        assert!(frames.take(&last[15..]) && !frames.in_head);
        assert!(frames.take(&frame(CONTINUATION, FLAG_END_HEADERS, 0)));
        assert!(!frames.in_head);
    }

    #[test]
    fn who_reads_an_answer_may_update_windows() {
        let mut frames = Frames::new(clock::now());
        frames.written = 100_000 * BYTES_PER_WINDOW_UPDATE;
        assert!(frames.take(&[0; PREFACE_BYTES]));
        assert!((0..100_000).all(|_| frames.take(&frame(8, 0, 4))));
    }

    #[test]
    fn time_earns_budget() {
        let now = clock::now();
        let mut frames = Frames::new(now);
        frames.budget = -1;
        frames.earn(now + Duration::from_secs(1));
        assert_eq!(frames.budget, 1_999);
        frames.earn(now + Duration::from_secs(100));
        assert_eq!(frames.budget, BUDGET_MAX);
    }
}
