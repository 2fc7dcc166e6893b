//! How many steps with scripts run at once.
//!
//! A native of the interpreter cannot be interrupted: a step that it holds up is left behind, and its thread goes on. Owns
//! the bound of such threads: each step with scripts has one of few places until its thread ends, whoever waits for it,
//! and when threads that were left behind have all of them, scripts are refused at once. Must not know what a script is.

use crate::clock::monotonic;
use crate::error::Error;
use crate::machine::{Change, Scripts};
use crate::script::TIME_MAX;
use crate::value::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest time of one step with scripts, and longest wait for a place; each script has its own limit.
pub(super) const STEP_MAX: Duration = Duration::from_secs(30);
/// A script that runs for so long is in a native that is not interrupted.
const LEFT_BEHIND: Duration = TIME_MAX.saturating_add(Duration::from_secs(3));
/// How often a running step is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Places on a machine with fewer processors.
const PLACES_MIN: usize = 4;

/// The places.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Vec<Arc<Since>>>>,
    most: usize,
}

/// When the step began that runs at a place, and the script that it runs.
#[derive(Debug)]
struct Since {
    step: Instant,
    script: Mutex<Option<Instant>>,
}

/// A place. It is free again when it is dropped, by the thread that ran there.
pub(crate) struct Place {
    since: Arc<Since>,
    taken: Arc<Mutex<Vec<Arc<Since>>>>,
    _permit: OwnedSemaphorePermit,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Since {
    fn is_left_behind(&self) -> bool {
        locked(&self.script).is_some_and(|begun| begun.elapsed() > LEFT_BEHIND)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.taken).retain(|one| !Arc::ptr_eq(one, &self.since));
    }
}

impl Default for Places {
    fn default() -> Places {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Places::new(processors.max(PLACES_MIN))
    }
}

impl Places {
    fn new(most: usize) -> Places {
        Places {
            free: Arc::new(Semaphore::new(most)),
            taken: Arc::default(),
            most,
        }
    }

    /// How many have a script that does not end.
    pub(crate) fn left_behind(&self) -> usize {
        let taken = locked(&self.taken);
        taken.iter().filter(|since| since.is_left_behind()).count()
    }

    fn full(&self) -> Error {
        let (left, most) = (self.left_behind(), self.most);
        Error::Limit {
            name: "scripts_at_once",
            why: format!(
                "{most} steps with scripts run, {left} of them with one that does not end"
            ),
        }
    }

    async fn take(&self) -> Result<Place, Error> {
        let free = Arc::clone(&self.free);
        let wait = if self.left_behind() >= self.most {
            Duration::ZERO
        } else {
            STEP_MAX
        };
        let permit = tokio::time::timeout(wait, free.acquire_owned()).await;
        // It is never closed.
        let permit = permit.ok().and_then(Result::ok);
        let permit = permit.ok_or_else(|| self.full())?;
        let since = Arc::new(Since {
            step: monotonic(),
            script: Mutex::default(),
        });
        locked(&self.taken).push(Arc::clone(&since));
        Ok(Place {
            since,
            taken: Arc::clone(&self.taken),
            _permit: permit,
        })
    }

    /// Runs a step on a thread of its own; it is given the place, and keeps it to its end.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Place) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.take().await?;
        let since = Arc::clone(&place.since);
        let mut thread = tokio::task::spawn_blocking(move || step(&place));
        loop {
            if let Ok(joined) = tokio::time::timeout(LOOK, &mut thread).await {
                return joined.map_err(|_| Error::Engine("the step was stopped".to_owned()));
            }
            let (name, longest) = if since.is_left_behind() {
                ("script_time", LEFT_BEHIND)
            } else if since.step.elapsed() > STEP_MAX {
                ("script_step_time", STEP_MAX)
            } else {
                continue;
            };
            let longest = longest.as_secs();
            return Err(Error::Limit {
                name,
                why: format!("the scripts of one step ran longer than {longest} s"),
            });
        }
    }
}

/// A script host whose scripts run at a place.
pub(super) struct At<'a>(pub(super) &'a dyn Scripts, pub(super) &'a Place);

impl Scripts for At<'_> {
    fn run(
        &self,
        source: &str,
        variables: &[(String, Value)],
        execution: &[(&'static str, String)],
    ) -> Result<(Value, Vec<Change>), String> {
        let since = &self.1.since;
        if since.step.elapsed() > STEP_MAX {
            // Nobody waits for this step any more.
            return Err("limit script_step_time reached".to_owned());
        }
        *locked(&since.script) = Some(monotonic());
        let ran = self.0.run(source, variables, execution);
        *locked(&since.script) = None;
        ran
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    struct Blocks(Mutex<std::sync::mpsc::Receiver<()>>);

    impl Scripts for Blocks {
        fn run(
            &self,
            _: &str,
            _: &[(String, Value)],
            _: &[(&'static str, String)],
        ) -> Result<(Value, Vec<Change>), String> {
            let _ = locked(&self.0).recv();
            Ok((Value::Null, Vec::new()))
        }
    }

    /// A native that is not interrupted, for a moment longer than the engine waits for it.
    #[tokio::test]
    async fn threads_that_are_left_behind_are_bounded() {
        let places = Places::new(1);
        let (go_on, waits) = channel();
        let host = Blocks(Mutex::new(waits));
        let step = move |place: &Place| At(&host, place).run("", &[], &[]).map(|_| ());
        let stuck = places.run(step).await.unwrap_err();
        assert!(
            stuck.to_string().contains("limit script_time reached"),
            "{stuck}"
        );
        assert_eq!(places.left_behind(), 1);
        let refused = places.run(|_| ()).await.unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("limit scripts_at_once reached"), "{said}");
        assert!(refused.is_limit());
        go_on.send(()).unwrap();
        while places.left_behind() > 0 || places.free.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        places.run(|_| ()).await.unwrap();
    }
}
