//! The file beside the SQLite file: one router only, and which copy of the file this is.
//!
//! Owns `FILE.lock`: its lock, the name of the router that holds it, and a note of how often, and in which incarnation,
//! the store was opened. An older copy put in the store's place has a smaller number, another file has another inode;
//! both begin an incarnation. Two processes of the same router may overlap: that is how a new binary takes over.

use crate::sql::INCARNATION_MAX;
use crate::sql::session::failed;
use crate::store::{Error, Seq};
use sqlx::{Row as _, SqlitePool};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(super) struct Lock {
    file: File,
    store: PathBuf,
    /// Whether another process of the same router had the store open already.
    joined: bool,
}

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Note {
    openings: i64,
    incarnation: i64,
    inode: u64,
    router: String,
}

impl Note {
    fn parse(text: &str) -> Option<Note> {
        let mut words = text.split_whitespace();
        let openings = words.next()?.parse().ok()?;
        let incarnation = words.next()?.parse().ok()?;
        let inode = words.next()?.parse().ok()?;
        Some(Note {
            openings,
            incarnation,
            inode,
            router: words.next().unwrap_or_default().to_owned(),
        })
    }
}

const OPEN: &str = "open the lock file of the SQLite store";

fn io(source: std::io::Error) -> Error {
    Error::Unavailable {
        doing: OPEN,
        source: Box::new(source),
    }
}

impl Lock {
    /// `router`: the name that another process must have to be let in too. Without one nobody is.
    pub(super) fn take(store: &Path, router: Option<&str>) -> Result<Lock, Error> {
        let mut name = store.as_os_str().to_owned();
        name.push(".lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .map_err(io)?;
        let mut lock = Lock {
            file,
            store: store.to_owned(),
            joined: false,
        };
        match lock.file.try_lock() {
            Ok(()) => {
                let note = lock.read().map_err(io)?.unwrap_or_default();
                lock.write(&Note {
                    router: router.unwrap_or_default().to_owned(),
                    ..note
                })
                .map_err(io)?;
                if router.is_none() {
                    return Ok(lock);
                }
            }
            Err(TryLockError::WouldBlock) => lock.joined = true,
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        lock.join(router)?;
        Ok(lock)
    }

    /// Between giving up the exclusive lock and getting the shared one somebody else may have come in, so the name is
    /// read after.
    fn join(&self, router: Option<&str>) -> Result<(), Error> {
        match self.file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.locked()),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let holder = self.read().map_err(io)?.unwrap_or_default().router;
        if router.is_some_and(|router| router == holder) {
            Ok(())
        } else {
            Err(self.locked())
        }
    }

    fn locked(&self) -> Error {
        Error::Locked(self.store.display().to_string())
    }

    /// Counts this opening; begins an incarnation if this is not the file that was open last.
    pub(super) async fn opened(&self, writer: &SqlitePool, existed: bool) -> Result<(), Error> {
        if self.joined {
            return Ok(());
        }
        let sql = |source| failed("note that the SQLite store was opened", source);
        let inode = std::fs::metadata(&self.store).map_err(io)?.ino();
        let note = self.read().map_err(io)?.unwrap_or_default();
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(sql)?;
        let query = "SELECT openings.number, store.incarnation FROM openings, store";
        let row = sqlx::query(query)
            .fetch_one(&mut *transaction)
            .await
            .map_err(sql)?;
        let openings: i64 = row.try_get(0).map_err(sql)?;
        let mut incarnation: i64 = row.try_get(1).map_err(sql)?;
        let mut positions_above = 0;
        // Between the commit below and the note, the note is one behind.
        let continued =
            note.inode == inode && (note.openings..=note.openings + 1).contains(&openings);
        if existed && !continued {
            incarnation = incarnation.max(note.incarnation) + 1;
            if incarnation > i64::from(INCARNATION_MAX) {
                return Err(Error::Limit("incarnations", usize::from(INCARNATION_MAX)));
            }
            positions_above = Seq::before(incarnation as u16).0 as i64;
            tracing::warn!(incarnation, store = %self.store.display(), "another copy of the store: a new incarnation");
        }
        let openings = openings.max(note.openings) + 1;
        let count = sqlx::query("UPDATE openings SET number = $1").bind(openings);
        count.execute(&mut *transaction).await.map_err(sql)?;
        let set =
            "UPDATE store SET incarnation = $1, head = max(head, $2), registry = max(registry, $2)";
        let set = sqlx::query(set).bind(incarnation).bind(positions_above);
        set.execute(&mut *transaction).await.map_err(sql)?;
        transaction.commit().await.map_err(sql)?;
        self.write(&Note {
            openings,
            incarnation,
            inode,
            ..note
        })
        .map_err(io)
    }

    fn read(&self) -> std::io::Result<Option<Note>> {
        let mut text = String::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        file.read_to_string(&mut text)?;
        Ok(Note::parse(&text))
    }

    fn write(&self, note: &Note) -> std::io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        // Names have at most 63 characters; a fixed width leaves nothing of an older note behind.
        let text = format!(
            "{:20} {:6} {:20} {:64}\n",
            note.openings, note.incarnation, note.inode, note.router
        );
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }
}
