//! Tasks that a site has locked for a worker that has not got them yet.
//!
//! Owns giving them back: whoever lets go of them without delivering unlocks them. Must not wait for that.

use super::call;
use super::line::Desk;
use super::{GIVEN_BACK, Job};
use crate::dialect::fetch;
use crate::dialect::merge::Row;
use crate::forward::gather::Told;
use crate::resolve::Target;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a task is given back before its lock is left to run out.
const TRIES: usize = 3;
/// Between two tries.
const AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Locked tasks; given back when dropped.
pub struct Held {
    job: Arc<Job>,
    desk: Arc<Desk>,
    target: Target,
    told: Option<Told>,
    tasks: Vec<Row>,
}

impl Held {
    pub(super) fn new(job: Arc<Job>, desk: Arc<Desk>, told: Told, tasks: Vec<Row>) -> Held {
        Held {
            job,
            desk,
            target: told.target.clone(),
            told: Some(told),
            tasks,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn tasks(&self) -> Vec<Row> {
        self.tasks.clone()
    }

    /// What the site said, to learn from.
    pub(super) fn told(&mut self) -> Option<Told> {
        self.told.take()
    }

    /// They are the worker's now.
    pub(super) fn deliver(mut self) {
        self.tasks.clear();
    }

    /// Gives them back and waits until that is done.
    pub(super) async fn give_back(mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        give_back(&self.job, &self.target, tasks).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        if tasks.is_empty() {
            return;
        }
        let (job, target) = (Arc::clone(&self.job), self.target.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let giving_back = async move { give_back(&job, &target, tasks).await };
            self.desk.under_way().spawn_on(giving_back, &runtime);
        }
    }
}

async fn give_back(job: &Job, target: &Target, tasks: Vec<Row>) {
    for task in tasks {
        let Some(path) = fetch::unlock_path(job.target.path(), task.id()) else {
            return;
        };
        let mut done = false;
        for number in 0..TRIES {
            if number > 0 {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            done = call::unlock(job, target, &path).await;
            if done {
                GIVEN_BACK.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        if !done {
            tracing::warn!(site = %target.site.id, "a task that nobody took could not be unlocked; its lock runs out by itself");
        }
    }
}
