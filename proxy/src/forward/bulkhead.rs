//! One site's bulkhead: how many requests of this router may run or wait there.
//!
//! Owns the counters and the waiting. Must not know why a request goes there. Relies on limits `in_flight_per_site` and
//! `queue_per_site`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bulkhead of one site.
pub struct Bulkhead {
    running: Arc<Semaphore>,
    in_flight: usize,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    wait: Duration,
}

/// The right to run one request; given back when dropped.
pub struct Permit {
    _place: OwnedSemaphorePermit,
    wanted: Wanted,
}

impl Permit {
    /// Tells whether requests wait for this place.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

/// Tells whether requests wait for a place at a site.
#[derive(Clone)]
pub struct Wanted(Arc<AtomicUsize>);

impl Wanted {
    /// Whether some do.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Why there was no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The queue is full too.
    Queue,
    /// Waited for the whole queue time.
    Waited,
}

impl Bulkhead {
    /// At most `in_flight` requests run and `queue` wait, each for at most `wait`.
    pub fn new(in_flight: usize, queue: usize, wait: Duration) -> Bulkhead {
        Bulkhead {
            running: Arc::new(Semaphore::new(in_flight)),
            in_flight,
            waiting: Arc::default(),
            queue,
            wait,
        }
    }

    /// Takes a place, waiting for it if there is room to wait.
    pub async fn enter(&self) -> Result<Permit, Full> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(self.permit(permit));
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Queue);
        }
        let _place = Waiting(&self.waiting);
        let place = Arc::clone(&self.running).acquire_owned();
        match Box::pin(tokio::time::timeout(self.wait, place)).await {
            Ok(Ok(permit)) => Ok(self.permit(permit)),
            Ok(Err(_)) | Err(_) => Err(Full::Waited),
        }
    }

    fn permit(&self, place: OwnedSemaphorePermit) -> Permit {
        Permit {
            _place: place,
            wanted: Wanted(Arc::clone(&self.waiting)),
        }
    }

    /// `in_flight_per_site`, `queue_per_site` and `timeouts.queue`.
    pub fn limits(&self) -> (usize, usize, Duration) {
        (self.in_flight, self.queue, self.wait)
    }

    /// Requests running now.
    pub fn in_flight(&self) -> usize {
        self.in_flight - self.running.available_permits().min(self.in_flight)
    }

    /// Requests waiting now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_given_back_and_the_queue_is_bounded() {
        let bulkhead = Bulkhead::new(1, 1, Duration::from_millis(20));
        let first = bulkhead.enter().await.unwrap();
        assert_eq!(bulkhead.in_flight(), 1);
        let (second, third) = tokio::join!(bulkhead.enter(), bulkhead.enter());
        assert_eq!(second.err(), Some(Full::Waited));
        assert_eq!(third.err(), Some(Full::Queue));
        drop(first);
        assert!(bulkhead.enter().await.is_ok());
        assert_eq!(bulkhead.waiting(), 0);
    }
}
