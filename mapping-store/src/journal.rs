//! A router's own journal: what it has promised and the store has not yet taken.
//!
//! Owns an append-only folder on local disk. A start's intent is written before it is sent; its outcome is synced, many
//! at a time, before its answer is released; rows are shipped to the store in batches and then dropped. Must not know
//! HTTP. Relies on one owning process for each instance folder (a lock file), and on fdatasync telling the truth.

pub mod folders;
pub mod frame;
pub mod record;
pub mod segment;
pub mod ship;
mod state;
mod writer;

use crate::store::{NewMapping, OpenIntent};
use folders::{instances, lock};
use record::Record;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;
use writer::Writer;

/// Why the journal did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk or the folder refuses.
    #[error("the journal cannot {doing}")]
    Io {
        doing: String,
        #[source]
        source: std::io::Error,
    },
    /// A sync failed; the record may or may not survive a power loss.
    #[error("the journal cannot be synced: {0}")]
    Sync(Arc<std::io::Error>),
    /// The store has been away for too long: limit `journal_bytes`.
    #[error("limit journal_bytes reached: {held} bytes wait for the store, at most {max} are kept")]
    Full { held: u64, max: u64 },
    /// Another process uses the folder.
    #[error("the journal {} is in use by another process; every router needs a journal of its own (store.journal)", .0.display())]
    InUse(PathBuf),
    /// A record in the middle of a file cannot be read.
    #[error("{} is damaged at byte {offset}: sound records follow, so this is no torn end. Move the file away to start without it; instances of its lost rows are found again by asking the sites", .file.display())]
    Damaged { file: PathBuf, offset: usize },
    /// The journal's thread has ended.
    #[error("the journal is closed")]
    Closed,
}

/// What a second process at the same folder means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// A mistake: refuse.
    #[default]
    Refuse,
    /// The process that hands over to this one.
    HandOver,
}

/// Settings of a journal.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most bytes that wait for the store.
    pub bytes_max: u64,
    /// What a second process means.
    pub overlap: Overlap,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            bytes_max: 1024 * 1024 * 1024,
            overlap: Overlap::Refuse,
        }
    }
}

/// What earlier processes have left.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Rows that the store may not have.
    pub mappings: Vec<NewMapping>,
    /// Starts without an outcome.
    pub open: Vec<OpenIntent>,
}

/// The journal; dropping it ends its thread after a last sync.
pub struct Journal {
    handle: Handle,
    syncer: Option<std::thread::JoinHandle<()>>,
    _lock: File,
}

/// A cheap handle for any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    own: PathBuf,
    router: String,
    writer: Mutex<Writer>,
    work: Condvar,
    closing: std::sync::atomic::AtomicBool,
    /// Rung when there may be something to ship.
    wake: Notify,
    /// Rung when something was shipped.
    shipped: Notify,
}

impl Journal {
    /// Opens the folder, takes over what earlier processes of this router have left, and begins a folder of its own.
    pub fn open(root: &Path, router: &str, settings: Settings) -> Result<(Journal, Replay), Error> {
        let io = |doing: &str| {
            let doing = format!("{doing} {}", root.display());
            move |source| Error::Io { doing, source }
        };
        std::fs::create_dir_all(root).map_err(io("create"))?;
        let left = leftovers(root, settings.overlap)?;
        let (own, lock) = folders::begin(root)?;
        let writer = Writer::begin(own.clone(), settings.bytes_max)?;
        let shared = Shared {
            root: root.to_owned(),
            own,
            router: router.to_owned(),
            writer: Mutex::new(writer),
            work: Condvar::new(),
            closing: std::sync::atomic::AtomicBool::new(false),
            wake: Notify::new(),
            shipped: Notify::new(),
        };
        let handle = Handle {
            shared: Arc::new(shared),
        };
        let mut replay = Replay::default();
        for (folder, _held) in left {
            let taken = handle.adopt(&folder)?;
            replay.mappings.extend(taken.mappings);
            replay.open.extend(taken.open);
        }
        let shared = Arc::clone(&handle.shared);
        let syncer = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || sync_loop(&shared))
            .map_err(io("start the thread of"))?;
        Ok((
            Journal {
                handle,
                syncer: Some(syncer),
                _lock: lock,
            },
            replay,
        ))
    }

    /// A handle.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.handle
            .shared
            .closing
            .store(true, std::sync::atomic::Ordering::SeqCst);
        self.handle.shared.work.notify_all();
        if let Some(syncer) = self.syncer.take() {
            let _ = syncer.join();
        }
    }
}

impl Handle {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a start's intent. It survives the death of this process, which is all that it is for; it is not synced.
    pub fn intent(&self, intent: OpenIntent) -> Result<(), Error> {
        self.writer().append(Record::Intent(intent))
    }

    /// Makes a start's outcome durable; returns after the sync, which others share.
    pub async fn outcome(&self, intent: Uuid, rows: Vec<NewMapping>) -> Result<(), Error> {
        let (tell, synced) = oneshot::channel();
        {
            let mut writer = self.writer();
            writer.append(Record::Outcome { intent, rows })?;
            writer.waiting.push(tell);
        }
        self.shared.work.notify_one();
        self.shared.wake.notify_one();
        match synced.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::Sync(error)),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Notes what a passing answer taught.
    pub fn learned(&self, row: &NewMapping) -> Result<(), Error> {
        self.writer().append(Record::Learned(row.clone()))?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Notes that a start made nothing, or that what it made is known by other means.
    pub fn closed(&self, intent: Uuid, why: &str) -> Result<(), Error> {
        self.writer().append(Record::Closed {
            intent,
            why: why.to_owned(),
        })?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Starts without an outcome.
    pub fn open_intents(&self) -> Vec<OpenIntent> {
        self.writer().state.open()
    }

    /// Rows that wait for the store.
    pub fn waiting(&self) -> usize {
        self.writer().state.waiting()
    }

    /// Returns when the store has everything.
    pub async fn drained(&self) {
        loop {
            let shipped = self.shared.shipped.notified();
            if self.writer().state.is_shipped() {
                return;
            }
            self.shared.wake.notify_one();
            shipped.await;
        }
    }

    /// Whether another process has a folder here, or has left one that is not taken over yet.
    pub fn is_shared(&self) -> Result<bool, Error> {
        let folders = instances(&self.shared.root)?;
        Ok(folders.iter().any(|folder| *folder != self.shared.own))
    }

    /// Takes over what processes have left that were still running when this one began.
    pub fn adopt_leftovers(&self) -> Result<Replay, Error> {
        let mut replay = Replay::default();
        for folder in instances(&self.shared.root)? {
            if folder == self.shared.own {
                continue;
            }
            if let Some(_held) = lock(&folder)? {
                let taken = self.adopt(&folder)?;
                replay.mappings.extend(taken.mappings);
                replay.open.extend(taken.open);
            }
        }
        Ok(replay)
    }

    /// Copies what a folder holds into this one, durably, and removes it.
    fn adopt(&self, folder: &Path) -> Result<Replay, Error> {
        let mut state = state::State::default();
        for (number, file) in segment::files(folder)?.iter().enumerate() {
            for record in segment::read(file)? {
                state.take(number as u64, record);
            }
        }
        let replay = Replay {
            mappings: state.oldest(usize::MAX).0,
            open: state.open(),
        };
        let file = {
            let mut writer = self.writer();
            for intent in &replay.open {
                writer.append(Record::Intent(intent.clone()))?;
            }
            for row in &replay.mappings {
                writer.append(Record::Learned(row.clone()))?;
            }
            writer.file()
        };
        let io = |source| Error::Io {
            doing: format!("take over {}", folder.display()),
            source,
        };
        file.sync_data().map_err(io)?;
        std::fs::remove_dir_all(folder).map_err(io)?;
        self.shared.wake.notify_one();
        Ok(replay)
    }
}

/// Folders whose process is gone, with their locks.
fn leftovers(root: &Path, overlap: Overlap) -> Result<Vec<(PathBuf, File)>, Error> {
    let mut left = Vec::new();
    for folder in instances(root)? {
        match lock(&folder)? {
            Some(held) => left.push((folder, held)),
            None if overlap == Overlap::HandOver => {}
            None => return Err(Error::InUse(root.to_owned())),
        }
    }
    Ok(left)
}

/// The syncing thread: everybody who has written before a sync begins is told by it.
fn sync_loop(shared: &Shared) {
    loop {
        let (file, waiting) = {
            let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
            while writer.waiting.is_empty() {
                if shared.closing.load(std::sync::atomic::Ordering::SeqCst) {
                    // Intents and learned rows are synced by the last one to leave.
                    let _ = writer.file().sync_data();
                    return;
                }
                writer = shared
                    .work
                    .wait(writer)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            (writer.file(), std::mem::take(&mut writer.waiting))
        };
        let synced = file.sync_data().map_err(Arc::new);
        if synced.is_err() {
            shared
                .writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .sync_failed(&file);
        }
        for waiter in waiting {
            let _ = waiter.send(synced.clone());
        }
    }
}

#[cfg(test)]
mod tests;
