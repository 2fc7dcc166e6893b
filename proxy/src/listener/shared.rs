//! What the tap on a connection and the requests of that connection tell each other.
//!
//! Owns three facts: how many requests run, how a request for an upgrade was answered, and what is owed for answers that
//! have not left yet. Must not read or write bytes.

use crate::clock;
use crate::forward::body::Receipt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// One connection's facts.
pub(super) struct Shared {
    born: Instant,
    /// Milliseconds after that when the last request ended.
    idle_ms: AtomicU64,
    running: AtomicUsize,
    /// Requests that the parser has handed over.
    begun: AtomicUsize,
    /// Number, from 1, of the request that asks for an upgrade.
    asking: AtomicUsize,
    upgrade: AtomicU8,
    waiting: Mutex<Option<Waker>>,
    /// Whether `owed` holds anything; most answers owe nothing.
    owes: AtomicBool,
    owed: Mutex<Vec<Receipt>>,
}

/// How a request for an upgrade was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// Not yet.
    Asked,
    /// 101: the connection leaves HTTP.
    Granted,
    /// Anything else: HTTP goes on.
    Declined,
}

const ASKED: u8 = 0;
const GRANTED: u8 = 1;
const DECLINED: u8 = 2;

impl Shared {
    pub(super) fn new() -> Shared {
        Shared {
            born: clock::now(),
            idle_ms: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            asking: AtomicUsize::new(0),
            upgrade: AtomicU8::new(ASKED),
            waiting: Mutex::new(None),
            owes: AtomicBool::new(false),
            owed: Mutex::default(),
        }
    }

    /// Since when no request of this connection runs.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.running.load(Ordering::Relaxed) == 0;
        is_idle.then(|| self.born + Duration::from_millis(self.idle_ms.load(Ordering::Relaxed)))
    }

    fn ended(&self) {
        let since = clock::now()
            .saturating_duration_since(self.born)
            .as_millis();
        self.idle_ms
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request begins; it ends when the value is dropped.
    pub(super) fn begin(self: &Arc<Shared>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let asks = self.asking.load(Ordering::Relaxed) == number;
        Running {
            shared: Arc::clone(self),
            asks,
        }
    }

    /// Everything that was written before has left this process. What is owed when the connection ends is not settled:
    /// the client is gone.
    pub(super) fn flushed(&self) {
        if !self.owes.load(Ordering::Relaxed) {
            return;
        }
        self.owes.store(false, Ordering::Relaxed);
        let owed = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        for receipt in owed {
            receipt.settle();
        }
    }

    /// The request of this number asks for an upgrade.
    pub(super) fn ask(&self, number: usize) {
        self.upgrade.store(ASKED, Ordering::Relaxed);
        self.asking.store(number, Ordering::Relaxed);
    }

    /// How it was answered. Wakes the reader of the connection when it is.
    pub(super) fn answered(&self, upgrade: Upgrade) {
        let value = if upgrade == Upgrade::Granted {
            GRANTED
        } else {
            DECLINED
        };
        self.upgrade.store(value, Ordering::Release);
        if let Some(waker) = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            waker.wake();
        }
    }

    /// How it was answered, as far as is known; else the reader is woken later.
    pub(super) fn poll_answer(&self, cx: &mut Context<'_>) -> Upgrade {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        match self.upgrade.load(Ordering::Acquire) {
            GRANTED => Upgrade::Granted,
            DECLINED => Upgrade::Declined,
            _ => Upgrade::Asked,
        }
    }
}

/// A request that runs, until its answer has been handed on.
pub(super) struct Running {
    shared: Arc<Shared>,
    asks: bool,
}

impl Running {
    /// The last piece of an answer is about to be written.
    pub(super) fn owe(&self, receipt: Receipt) {
        let owed = &self.shared.owed;
        owed.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(receipt);
        self.shared.owes.store(true, Ordering::Relaxed);
    }

    /// Whether this is the request that asks for an upgrade.
    pub(super) fn asks_for_upgrade(&self) -> bool {
        self.asks
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.ended();
    }
}
