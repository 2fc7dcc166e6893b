//! Units that wait at the same time, committed together: each costs a part of a transaction instead of a whole one.
//!
//! Owns the queue and who gets which answer. No unit waits for others to come: a group is what came while its worker was
//! busy. One that fails takes nobody along: its group is tried again in halves until it is alone.

use super::cell::Row;
use super::database::{Failure, Under};
use super::statement::Statement;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Units that are committed together at most, and reads that are one statement.
const GROUP_MAX: usize = 64;
/// Units that may wait.
const QUEUE_MAX: usize = 1024;
/// How long a worker that has nothing to do keeps what it holds.
const LINGER: Duration = Duration::from_secs(1);

/// What a transaction gives.
pub(super) type Answer = Result<Vec<Vec<Row>>, Failure>;

/// A unit on its way.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) statements: Vec<Statement>,
    pub(super) under: Under,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Who carries out what waits.
pub(super) trait Worker<T>: Send + 'static {
    /// Carries out a group.
    fn work(&mut self, group: Vec<T>) -> impl Future<Output = ()> + Send;
    /// There is nothing to do for now.
    fn rest(&mut self);
}

/// What waits for its workers.
pub(super) struct Queue<T> {
    sender: StdMutex<Option<mpsc::Sender<T>>>,
    workers: StdMutex<Vec<JoinHandle<()>>>,
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Queue<T> {
    /// A queue with these workers.
    pub(super) fn new<W: Worker<T>>(workers: impl IntoIterator<Item = W>) -> Queue<T> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let workers = workers.into_iter();
        let workers = workers.map(|worker| tokio::spawn(serve(worker, Arc::clone(&receiver))));
        Queue {
            sender: StdMutex::new(Some(sender)),
            workers: StdMutex::new(workers.collect()),
        }
    }

    /// Hands something over, and waits for its answer.
    pub(super) async fn ask<A>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<A, Failure>>) -> T,
    ) -> Result<A, Failure> {
        let (answer, wait) = oneshot::channel();
        let sender = self
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let sender = sender.ok_or(Failure::Closed)?;
        let sent = sender.send(make(answer)).await;
        sent.map_err(|_| Failure::Closed)?;
        drop(sender);
        wait.await.map_err(|_| Failure::Closed)?
    }

    /// Nothing more is taken; returns when what was taken is done.
    pub(super) async fn close(&self) {
        drop(
            self.sender
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            drop(worker.await);
        }
    }
}

async fn serve<T, W: Worker<T>>(mut worker: W, queue: Arc<Mutex<mpsc::Receiver<T>>>) {
    let next = async |group: &mut Vec<T>| queue.lock().await.recv_many(group, GROUP_MAX).await;
    loop {
        let mut group = Vec::new();
        let taken = match tokio::time::timeout(LINGER, next(&mut group)).await {
            Ok(taken) => taken,
            Err(_) => {
                worker.rest();
                next(&mut group).await
            }
        };
        if taken == 0 {
            return;
        }
        worker.work(group).await;
    }
}

/// Who applies a group of units at once, or nothing of it.
pub(super) trait Attempt: Send {
    fn attempt(&mut self, units: &[Unit]) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Applies a group; where that fails, its halves, down to the unit that cannot be applied.
pub(super) async fn settle(
    by: &mut impl Attempt,
    group: Vec<Unit>,
) -> Vec<(oneshot::Sender<Answer>, Answer)> {
    let mut out = Vec::with_capacity(group.len());
    let mut todo = vec![group];
    while let Some(mut units) = todo.pop().filter(|units| !units.is_empty()) {
        match by.attempt(&units).await {
            Ok(()) => out.extend(units.into_iter().map(|u| (u.answer, Ok(Vec::new())))),
            Err(failure) if units.len() > 1 && !failure.away() => {
                let rest = units.split_off(units.len() / 2);
                todo.extend([rest, units]);
            }
            Err(failure) => {
                let mut failed = Some(failure);
                for unit in units {
                    // Told once as it was said, and to the others as text.
                    let told = failed.take().unwrap_or(Failure::Closed);
                    failed = Some(told.again());
                    out.push((unit.answer, Err(told)));
                }
            }
        }
    }
    out
}
