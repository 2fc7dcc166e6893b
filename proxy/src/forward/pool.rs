//! Connections to endpoints: one pool per thread and endpoint, newest first.
//!
//! Owns connections between requests. Must not choose an endpoint or judge an answer. Relies on each data-path thread
//! running its own current-thread runtime: a connection never changes threads.

use super::bulkhead::{Permit, Wanted};
use super::payload::Payload;
use crate::clock;
use crate::timer::Timer;
use crate::topology::Endpoint;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A connection and what is known about it.
pub struct Connection {
    sender: SendRequest<Payload>,
    /// Set when the site announced the close; an unannounced one means that the engine went away.
    expects_close: Arc<AtomicBool>,
    idle_since_ms: u64,
    /// For the head of an answer, then for its body; kept, because one that is new for each request costs more than its wake-ups.
    timer: Timer,
}

/// The head of the answer did not come in time.
pub(super) struct Late;

type Answered = Result<Response<Incoming>, TrySendError<Request<Payload>>>;

thread_local! {
    static POOL: RefCell<Vec<Vec<Connection>>> = const { RefCell::new(Vec::new()) };
}

impl Connection {
    pub(super) fn new(sender: SendRequest<Payload>, expects_close: Arc<AtomicBool>) -> Connection {
        Connection {
            sender,
            expects_close,
            idle_since_ms: 0,
            timer: Timer::default(),
        }
    }

    /// The sending half.
    pub(super) fn sender(&mut self) -> &mut SendRequest<Payload> {
        &mut self.sender
    }

    /// Sends, and waits so long for the head of the answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Payload>,
        within: Duration,
    ) -> Result<Answered, Late> {
        let deadline = clock::now() + within;
        let Connection { sender, timer, .. } = self;
        let mut answer = pin!(sender.try_send_request(request));
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => timer.poll(cx, deadline).map(|()| Err(Late)),
        })
        .await
    }

    /// Ready when the deadline has passed; for whoever uses the connection now.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.timer.poll(cx, deadline)
    }

    /// One exchange outside any pool.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Payload>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    /// Whether nobody has said that it will be closed.
    pub(super) fn stays(&self) -> bool {
        !self.expects_close.load(Ordering::Relaxed)
    }

    /// The site said that it will close this connection, or we will.
    pub(crate) fn will_close(&self) {
        self.expects_close.store(true, Ordering::Relaxed);
    }
}

/// A kept connection of this thread that is still open and not older than `idle`.
pub(super) fn take(endpoint: &Endpoint, idle: Duration) -> Option<Connection> {
    let oldest =
        clock::monotonic_ms().saturating_sub(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
    POOL.with_borrow_mut(|pool| {
        let kept = pool.get_mut(endpoint.number)?;
        while let Some(connection) = kept.pop() {
            if connection.idle_since_ms < oldest {
                // Everything below was put there earlier still: we close before the site does.
                for old in kept.drain(..).chain([connection]) {
                    old.will_close();
                }
                return None;
            }
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    })
}

fn keep(endpoint: &Endpoint, mut connection: Connection) {
    connection.idle_since_ms = clock::monotonic_ms();
    POOL.with_borrow_mut(|pool| {
        if pool.len() <= endpoint.number {
            pool.resize_with(endpoint.number + 1, Vec::new);
        }
        let kept = &mut pool[endpoint.number];
        if kept.len() < endpoint.idle_max {
            kept.push(connection);
        } else {
            connection.will_close();
        }
    });
}

/// A connection in use for one exchange, and the places that the exchange holds.
pub struct Lease {
    connection: Option<Connection>,
    endpoint: Arc<Endpoint>,
    permit: Option<Permit>,
}

impl Lease {
    pub(super) fn new(
        connection: Connection,
        endpoint: Arc<Endpoint>,
        permit: Option<Permit>,
    ) -> Lease {
        endpoint.running.fetch_add(1, Ordering::Relaxed);
        // Whoever has stopped believing in the installation sees this request, or this request sees that.
        fence(Ordering::SeqCst);
        Lease {
            connection: Some(connection),
            endpoint,
            permit,
        }
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Tells whether other requests wait for the place at the site.
    pub(super) fn place(&self) -> Option<&Wanted> {
        self.permit.as_ref().map(Permit::wanted)
    }

    /// Whether they do now.
    pub(super) fn is_wanted(&self) -> bool {
        self.place().is_some_and(Wanted::is_wanted)
    }

    /// The site said that it will close this connection.
    pub(super) fn will_close(&self) {
        if let Some(connection) = &self.connection {
            connection.will_close();
        }
    }

    /// Gives the connection up and the place in the bulkhead back to the caller.
    pub(super) fn abandon(mut self) -> Option<Permit> {
        self.permit.take()
    }

    /// The exchange is over and the connection can serve another one.
    pub fn give_back(mut self) {
        if let Some(connection) = self.connection.take()
            && !connection.expects_close.load(Ordering::Relaxed)
            && !connection.sender.is_closed()
        {
            keep(&self.endpoint, connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // We close it ourselves, in the middle of an exchange.
            connection.will_close();
        }
        self.endpoint.running.fetch_sub(1, Ordering::Relaxed);
    }
}
