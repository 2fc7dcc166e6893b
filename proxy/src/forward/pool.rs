//! Connections to endpoints: one pool per thread and endpoint, newest first.
//!
//! Owns connections between requests. Must not choose an endpoint or judge an answer. Relies on each data-path thread
//! running its own current-thread runtime: a connection never changes threads.

use super::bulkhead::{Permit, Wanted};
use super::send::Outgoing;
use super::wire::{self, Head, Wire};
use crate::clock;
use crate::timer::Timer;
use crate::topology::Endpoint;
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};

/// A connection and what is known about it.
pub struct Connection {
    wire: Wire,
    /// The site announced the close, or we will close it.
    expects_close: bool,
    idle_since_ms: u64,
    /// For the head of an answer, then for its body; kept, because one that is new for each request costs more than its wake-ups.
    timer: Timer,
}

/// The head of the answer did not come in time.
pub(super) struct Late;

/// How often kept connections are looked at: what has ended is noticed without a request that needs it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn new(wire: Wire) -> Connection {
        Connection {
            wire,
            expects_close: false,
            idle_since_ms: 0,
            timer: Timer::default(),
        }
    }

    /// What it carries.
    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends, and waits so long for the head of the answer.
    pub(super) async fn exchange(
        &mut self,
        outgoing: &mut Outgoing,
        within: Duration,
    ) -> Result<Result<Head, wire::Error>, Late> {
        let deadline = clock::now() + within;
        let Connection { wire, timer, .. } = self;
        wire.begin(outgoing);
        poll_fn(|cx| match wire.poll_head(cx, outgoing) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => timer.poll(cx, deadline).map(|()| Err(Late)),
        })
        .await
    }

    /// Ready when the deadline has passed; for whoever uses the connection now.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.timer.poll(cx, deadline)
    }

    /// One exchange outside any pool: asks.
    pub(super) async fn ask(&mut self, outgoing: &mut Outgoing) -> Result<Head, wire::Error> {
        if !self.wire.is_clean() {
            return Err(wire::Error::NotSent(ErrorKind::NotConnected.into()));
        }
        self.wire.begin(outgoing);
        let head = poll_fn(|cx| self.wire.poll_head(cx, outgoing)).await?;
        self.expects_close |= self.wire.closes();
        Ok(head)
    }

    /// Reads the whole answer to what was asked; nothing if it is cut or longer.
    pub(super) async fn read_whole(&mut self, bytes_max: usize) -> Option<Bytes> {
        let mut read = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| self.wire.poll_frame(cx)).await {
            if let Ok(data) = frame.ok()?.into_data() {
                if read.len() + data.len() > bytes_max {
                    return None;
                }
                read.extend_from_slice(&data);
            }
        }
        Some(read.freeze())
    }

    /// Whether its end surprises nobody.
    pub(super) fn expects_close(&self) -> bool {
        self.expects_close
    }

    /// Whether it can carry another exchange, and nobody has said that it will be closed.
    pub(super) fn stays(&self) -> bool {
        !self.expects_close && self.wire.is_clean()
    }

    /// The site said that it will close this connection, or we will.
    pub(crate) fn will_close(&mut self) {
        self.expects_close = true;
    }
}

/// Kept connections to one endpoint, the newest last.
#[derive(Default)]
struct Kept {
    connections: Vec<Connection>,
    endpoint: Option<Arc<Endpoint>>,
    /// How long each may idle.
    idle: Duration,
}

impl Kept {
    /// Closes what has idled too long, and lets go of what the site has closed without a word: what answers there next
    /// must prove that it is the same database.
    fn look(&mut self, now_ms: u64) {
        let oldest = now_ms.saturating_sub(millis(self.idle));
        let before = self.connections.len();
        self.connections
            .retain(|connection| connection.idle_since_ms >= oldest);
        let timely = self.connections.len();
        self.connections
            .retain_mut(|connection| connection.wire.is_open());
        if self.connections.len() < timely
            && let Some(endpoint) = &self.endpoint
        {
            endpoint.broke();
        }
        if before > 0 && self.connections.is_empty() {
            self.endpoint = None;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct Pool {
    kept: Vec<Kept>,
    looked_ms: u64,
    /// Whether a task looks at them.
    watched: bool,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

impl Pool {
    fn at(&mut self, number: usize) -> &mut Kept {
        if self.kept.len() <= number {
            self.kept.resize_with(number + 1, Kept::default);
        }
        &mut self.kept[number]
    }

    /// Whether any is left.
    fn look(&mut self, now_ms: u64) -> bool {
        self.looked_ms = now_ms;
        for kept in &mut self.kept {
            kept.look(now_ms);
        }
        self.kept.iter().any(|kept| !kept.connections.is_empty())
    }
}

/// A kept connection of this thread that is still open and not older than `idle`.
pub(super) fn take(endpoint: &Endpoint, idle: Duration) -> Option<Connection> {
    let now_ms = clock::monotonic_ms();
    let oldest = now_ms.saturating_sub(millis(idle));
    POOL.with_borrow_mut(|pool| {
        let kept = pool.at(endpoint.number);
        kept.idle = idle;
        while let Some(mut connection) = kept.connections.pop() {
            if connection.idle_since_ms < oldest {
                // Everything below was put there earlier still: we close before the site does.
                kept.connections.clear();
                return None;
            }
            if connection.wire.is_open() {
                return Some(connection);
            }
            endpoint.broke();
        }
        None
    })
}

fn keep(endpoint: &Arc<Endpoint>, mut connection: Connection) {
    let now_ms = clock::monotonic_ms();
    connection.idle_since_ms = now_ms;
    connection.wire.rest();
    POOL.with_borrow_mut(|pool| {
        let kept = pool.at(endpoint.number);
        if kept.connections.len() < endpoint.idle_max {
            kept.connections.push(connection);
            if kept.endpoint.is_none() {
                kept.endpoint = Some(Arc::clone(endpoint));
            }
        }
        if pool.watched {
            return;
        }
        // There is none when a runtime that ends drops what ran on it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        // Only where a task cannot leave its thread does it see this pool.
        if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            pool.watched = true;
            runtime.spawn(watch());
        } else if now_ms.saturating_sub(pool.looked_ms) >= millis(LOOK_EVERY) {
            pool.look(now_ms);
        }
    });
}

/// Runs as long as this thread keeps connections.
async fn watch() {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let goes_on = POOL.with_borrow_mut(|pool| {
            pool.watched = pool.look(clock::monotonic_ms());
            pool.watched
        });
        if !goes_on {
            return;
        }
    }
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

    /// What is on the connection.
    pub(super) fn wire(&self) -> Option<&Wire> {
        self.connection.as_ref().map(|connection| &connection.wire)
    }

    /// Tells whether other requests wait for the place at the site.
    pub(super) fn place(&self) -> Option<&Wanted> {
        self.permit.as_ref().map(Permit::wanted)
    }

    /// Whether they do now.
    pub(super) fn is_wanted(&self) -> bool {
        self.place().is_some_and(Wanted::is_wanted)
    }

    /// The connection has ended without a word.
    pub(super) fn broke(&self) {
        self.endpoint.broke();
    }

    /// Gives the connection up and the place in the bulkhead back to the caller.
    pub(super) fn abandon(mut self) -> Option<Permit> {
        self.permit.take()
    }

    /// The connection leaves HTTP: neither the pool nor the bulkhead has it any more.
    pub(super) fn leave(mut self) -> Option<Wire> {
        self.connection.take().map(|connection| connection.wire)
    }

    /// The exchange is over and the connection can serve another one.
    pub fn give_back(mut self) {
        if let Some(connection) = self.connection.take()
            && connection.stays()
        {
            keep(&self.endpoint, connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.running.fetch_sub(1, Ordering::Relaxed);
    }
}
