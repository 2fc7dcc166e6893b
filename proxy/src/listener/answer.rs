//! Answers on their way to clients.
//!
//! Owns how long an answer may hold a site's place while its client takes nothing of it. Must not read or write bytes.
//! Relies on the HTTP library asking for the next piece only when the client has taken the one before.

use super::shared::Running;
use crate::clock;
use crate::forward::body::{Body, Error};
use crate::telemetry::metrics;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long a client may take nothing while other requests wait for the place that its answer holds.
const UNTAKEN_WHILE_WANTED: Duration = Duration::from_secs(1);
/// How often answers that stream are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The answers of a listener that stream, beyond their first piece.
#[derive(Default)]
pub(super) struct Streaming(Mutex<Vec<Weak<Mutex<Long>>>>);

/// An answer that streams.
struct Long {
    within: Duration,
    answer: Option<(Body, Running)>,
    /// Since when it is the client's turn.
    untaken_ms: Option<u64>,
}

impl Streaming {
    fn add(self: &Arc<Streaming>, answer: (Body, Running), within: Duration) -> Arc<Mutex<Long>> {
        let long = Arc::new(Mutex::new(Long {
            within,
            answer: Some(answer),
            untaken_ms: Some(clock::monotonic_ms()),
        }));
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.is_empty() {
            tokio::spawn(Arc::clone(self).watch());
        }
        answers.push(Arc::downgrade(&long));
        drop(answers);
        long
    }

    /// Runs as long as answers stream.
    async fn watch(self: Arc<Streaming>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = clock::monotonic_ms();
            answers.retain(|answer| {
                let Some(answer) = answer.upgrade() else {
                    return false;
                };
                // One that is being asked for its next piece is well.
                answer.try_lock().map_or(true, |mut long| long.goes_on(now))
            });
            if answers.is_empty() {
                return;
            }
        }
    }
}

impl Long {
    /// Looks at the answer; drops it, and with it the place at the site, when its client has had its time.
    fn goes_on(&mut self, now_ms: u64) -> bool {
        let (Some((body, _)), Some(since)) = (&self.answer, self.untaken_ms) else {
            return self.answer.is_some();
        };
        let untaken = Duration::from_millis(now_ms.saturating_sub(since));
        let limit = if untaken >= self.within {
            "response_idle"
        } else if untaken >= UNTAKEN_WHILE_WANTED && body.is_wanted() {
            "untaken_while_wanted"
        } else {
            return true;
        };
        metrics::limit_hit(limit);
        self.answer = None;
        false
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some((body, _)) = &mut self.answer else {
            return Poll::Ready(Some(Err(Error::Untaken)));
        };
        self.untaken_ms = None;
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.untaken_ms = Some(clock::monotonic_ms());
        Poll::Ready(frame)
    }
}

/// An answer's body, which counts as running until its end.
pub(super) struct Counted {
    state: State,
    streaming: Arc<Streaming>,
    within: Duration,
}

enum State {
    /// All of it, or its first piece, has not been asked for.
    Short(Option<(Body, Running)>),
    Long(Arc<Mutex<Long>>),
}

impl Counted {
    /// The client takes something of it within this time, or it is broken off.
    pub(super) fn new(
        body: Body,
        running: Running,
        streaming: &Arc<Streaming>,
        within: Duration,
    ) -> Counted {
        Counted {
            within,
            state: State::Short(Some((body, running))),
            streaming: Arc::clone(streaming),
        }
    }

    /// For a protocol that asks for the first piece only when the client has room for it.
    pub(super) fn watched(
        body: Body,
        running: Running,
        streaming: &Arc<Streaming>,
        within: Duration,
    ) -> Counted {
        let answer = (body, running);
        let state = if answer.0.holds_site() {
            State::Long(streaming.add(answer, within))
        } else {
            State::Short(Some(answer))
        };
        Counted {
            within,
            state,
            streaming: Arc::clone(streaming),
        }
    }

    fn look<T>(&self, otherwise: T, at: impl FnOnce(&Body) -> T) -> T {
        match &self.state {
            State::Short(answer) => answer.as_ref().map_or(otherwise, |(body, _)| at(body)),
            State::Long(long) => {
                let long = long.lock().unwrap_or_else(PoisonError::into_inner);
                long.answer.as_ref().map_or(otherwise, |(body, _)| at(body))
            }
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = match &mut this.state {
            State::Short(Some((body, running))) => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                if let Some(receipt) = body.receipt() {
                    running.owe(receipt);
                }
                frame
            }
            State::Short(None) => return Poll::Ready(None),
            State::Long(long) => {
                let mut long = long.lock().unwrap_or_else(PoisonError::into_inner);
                return long.poll_frame(cx);
            }
        };
        if let State::Short(answer) = &mut this.state
            && let Some(Ok(_)) = &frame
            && let Some(answer) = answer.take_if(|(body, _)| body.holds_site())
        {
            this.state = State::Long(this.streaming.add(answer, this.within));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // One that was broken off has not ended.
        self.look(false, HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.look(SizeHint::default(), HttpBody::size_hint)
    }
}
