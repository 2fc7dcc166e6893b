//! Turns at an instance: of those who were overtaken, one at a time tries again.
//!
//! Owns who waits. Must not be needed for anything to be right: the commit alone decides, this only spares tries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as Waiting, OwnedMutexGuard};

/// The turns of this engine.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queues: Mutex<HashMap<String, Arc<Waiting<()>>>>,
}

/// One's turn at an instance, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    instance: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for its turn.
    pub(crate) async fn take(&self, instance: &str) -> Turn<'_> {
        let queue = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(queues.entry(instance.to_owned()).or_default())
        };
        Turn {
            turns: self,
            instance: instance.to_owned(),
            guard: Some(queue.lock_owned().await),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self
            .turns
            .queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // Whoever waits has it too, and nobody can begin to wait meanwhile.
        let alone = queues
            .get(&self.instance)
            .is_some_and(|queue| Arc::strong_count(queue) == 1);
        if alone {
            queues.remove(&self.instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_at_a_time_at_each_instance_and_nothing_is_kept_of_it() {
        let turns = Arc::new(Turns::default());
        let inside = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let mut all = tokio::task::JoinSet::new();
        for n in 0..40 {
            let (turns, inside) = (Arc::clone(&turns), Arc::clone(&inside));
            all.spawn(async move {
                let _turn = turns.take(["a", "b"][n % 2]).await;
                let before = inside[n % 2].fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                inside[n % 2].fetch_sub(1, Ordering::SeqCst);
                before
            });
        }
        let seen = all.join_all().await;
        assert!(seen.iter().all(|before| *before == 0), "{seen:?}");
        let waited = turns.take("a");
        drop(waited);
        let queues = turns.queues.lock();
        assert!(queues.is_ok_and(|queues| queues.is_empty()));
    }
}
