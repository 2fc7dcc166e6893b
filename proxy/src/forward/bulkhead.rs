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
    waiting: AtomicUsize,
    queue: usize,
    wait: Duration,
}

/// The right to run one request; given back when dropped.
pub type Permit = OwnedSemaphorePermit;

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
            waiting: AtomicUsize::new(0),
            queue,
            wait,
        }
    }

    /// Takes a place, waiting for it if there is room to wait.
    pub async fn enter(&self) -> Result<Permit, Full> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Queue);
        }
        let _place = Waiting(&self.waiting);
        match tokio::time::timeout(self.wait, Arc::clone(&self.running).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Full::Waited),
        }
    }

    /// `in_flight_per_site` and `queue_per_site`.
    pub fn limits(&self) -> (usize, usize) {
        (self.in_flight, self.queue)
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
        assert_eq!(second.unwrap_err(), Full::Waited);
        assert_eq!(third.unwrap_err(), Full::Queue);
        drop(first);
        assert!(bulkhead.enter().await.is_ok());
        assert_eq!(bulkhead.waiting(), 0);
    }
}
