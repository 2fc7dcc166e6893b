//! The tail of a site whose standby has a replica: the newest writes that this router has acknowledged there.
//!
//! Owns the bounded journal, in memory and on disk, and what it says of its own gaps. Must not judge what is lost
//! (`control::tails`). A site without a replica pays one look at a flag for each write; one with a replica pays a write to a file,
//! without a sync. What is kept is only the request's line: bodies are the client's.

mod kept;
mod log;

use crate::telemetry::{chain, metrics};
use homing_mapping_store::{Generation, Timestamp};
use http::Method;
use log::Log;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

pub use kept::{Gap, Kept, Served, Write};

/// Writes that are kept of a site (limit `tail_writes`); the oldest one is dropped for the next one.
pub const WRITES_MAX: usize = 10_000;

/// Where a site's tail stands on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder of this site alone.
    pub folder: PathBuf,
    /// Limit `tail_bytes`.
    pub bytes_max: u64,
}

/// The journal of one site.
#[derive(Default)]
pub struct Tail {
    is_kept: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Kept,
    served: Option<Served>,
    place: Option<Place>,
    log: Option<Log>,
    /// Another process of this router hands over to this one, and may still write.
    another_runs: bool,
}

impl Tail {
    /// Whether this site has a replica that may lack something.
    pub fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// Writes are kept from now on, and what ended processes have kept there.
    pub fn keep(&self, now: Timestamp, place: Place) {
        if !self.is_kept.swap(true, Ordering::Relaxed) {
            let mut state = self.locked();
            *state = State {
                kept: Kept {
                    since: now,
                    ..Kept::default()
                },
                place: Some(place),
                ..State::default()
            };
            state.open(now);
        }
    }

    /// Nothing is kept any more, there neither: what comes until it is kept again would be missing.
    pub fn forget(&self, place: &Place) {
        if self.is_kept.swap(false, Ordering::Relaxed) {
            *self.locked() = State::default();
        }
        if place.folder.exists()
            && let Err(error) = std::fs::remove_dir_all(&place.folder)
        {
            tracing::error!(folder = %place.folder.display(), "a tail that is not kept any more cannot be removed: {error}");
        }
    }

    /// One more. It survives this process from here on.
    pub fn note(&self, now: Timestamp, assignment: Generation, method: Method, path: Box<str>) {
        let mut state = self.locked();
        // A clock that was set back must not put a write before one that came earlier.
        let at = state.kept.latest().map_or(now, |latest| latest.max(now));
        let write = Write {
            at,
            assignment,
            method,
            path,
        };
        state.written(|log| log.append(&write));
        state.kept.push(write);
    }

    /// What came after this, and since when none is missing.
    pub fn after(&self, position: Timestamp) -> Kept {
        self.locked().kept.after(position)
    }

    /// Who served when this was last told, also to a process before this one.
    pub fn served(&self) -> Option<Served> {
        self.locked().served.clone()
    }

    /// Another one serves, and what was lost before is told.
    pub fn serves(&self, served: Served) {
        let mut state = self.locked();
        state.written(|log| log.served(&served));
        state.served = Some(served);
    }

    /// Whether a process before this one may still write.
    pub fn another_runs(&self) -> bool {
        self.locked().another_runs
    }

    /// Syncs what was written, begins the next file, takes over what a process before this one has left, mends what could not be
    /// written. Blocks on the disk.
    pub fn tend(&self, now: Timestamp) {
        let unsynced = {
            let mut state = self.locked();
            state.tend(now);
            state.log.as_mut().and_then(Log::unsynced)
        };
        if let Some(Err(error)) = unsynced.map(|file| file.sync_data()) {
            // The kernel may have dropped what was written, and says so only once.
            self.locked().broken(&error);
        }
    }

    /// This process ends.
    pub fn close(&self) {
        let mut state = self.locked();
        state.written(Log::close);
        state.log = None;
        state.place = None;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn written(&mut self, write: impl FnOnce(&mut Log) -> std::io::Result<()>) {
        if let Some(Err(error)) = self.log.as_mut().map(write) {
            self.broken(&error);
        }
    }

    fn broken(&mut self, error: &std::io::Error) {
        if let Some(log) = self.log.as_mut().filter(|log| !log.is_broken()) {
            metrics::limit_hit("tail_disk");
            tracing::error!(
                "the tail of a replica's site cannot be written, and is kept in memory only: {error}"
            );
            log.break_off();
        }
    }

    fn open(&mut self, now: Timestamp) {
        let Some(place) = &self.place else { return };
        match Log::open(&place.folder, place.bytes_max) {
            Ok(log) => {
                self.log = Some(log);
                self.adopt(now);
            }
            Err(error) => tracing::error!("{}", chain(&error)),
        }
    }

    fn adopt(&mut self, now: Timestamp) {
        if let Some(log) = &mut self.log {
            match log.adopt(&mut self.kept, &mut self.served, now) {
                Ok(another_runs) => self.another_runs = another_runs,
                Err(error) => tracing::error!("{}", chain(&error)),
            }
        }
    }

    fn tend(&mut self, now: Timestamp) {
        let Some(log) = &mut self.log else {
            return self.open(now);
        };
        let (kept, served) = (&self.kept, self.served.as_ref());
        let done = if log.is_broken() {
            log.write_whole(kept, served, Vec::new())
        } else if log.is_full() {
            if log.is_long() {
                metrics::limit_hit("tail_bytes");
            }
            log.follow_on(kept, served)
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::error!("{}", chain(&error));
        }
        if self.another_runs {
            self.adopt(now);
        }
    }
}

#[cfg(test)]
mod tests;
