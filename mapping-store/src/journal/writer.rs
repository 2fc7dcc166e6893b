//! Appending to the journal's current segment.
//!
//! Owns the file, rolling, and what happens when a write or a sync fails. Must not wait for a sync; the syncing thread
//! does. Relies on being called under one lock.

use super::record::Record;
use super::state::State;
use super::{Error, segment};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A segment is closed when it has grown beyond this.
pub(super) const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Room on the disk that is kept for the outcome of each start that has been sent: once the engine has made something,
/// its home must fit.
pub(super) const OUTCOME_BYTES: u64 = 1024;
/// Disk space is asked for in pieces of this size, or in what is just needed where the disk has no such piece.
const RESERVE_BYTES: u64 = 1024 * 1024;

/// The writing side.
pub(super) struct Writer {
    folder: PathBuf,
    file: Arc<File>,
    number: u64,
    length: u64,
    /// Bytes of the disk that belong to the current segment, written or not.
    reserved: u64,
    /// Bytes of closed segments, oldest first.
    closed: Vec<(u64, u64)>,
    bytes_max: u64,
    /// A write could not be taken back, or a sync failed: nothing more goes into this segment.
    broken: bool,
    /// What the store does not have yet.
    pub(super) state: State,
    /// Who waits for the next sync.
    pub(super) waiting: Vec<oneshot::Sender<Result<(), Arc<std::io::Error>>>>,
}

impl Writer {
    /// Begins the first segment of an empty folder.
    pub(super) fn begin(folder: PathBuf, bytes_max: u64) -> Result<Writer, Error> {
        let file = create(&folder, 1)?;
        let mut writer = Writer {
            folder,
            file: Arc::new(file),
            number: 1,
            length: 0,
            reserved: 0,
            closed: Vec::new(),
            bytes_max,
            broken: false,
            state: State::default(),
            waiting: Vec::new(),
        };
        writer.append(Record::Base { rows: 0 })?;
        Ok(writer)
    }

    /// Writes one record; it is durable after the next sync.
    pub(super) fn append(&mut self, record: Record) -> Result<(), Error> {
        // What frees space must always fit, and so must what was promised room in this segment.
        let asks = matches!(record, Record::Intent(_) | Record::Learned(_));
        if self.broken || asks && self.length > SEGMENT_BYTES {
            self.roll()?;
        }
        let bytes = record.encode();
        if asks {
            self.make_room(bytes.len() as u64)?;
        }
        if let Err(source) = (&*self.file).write_all(&bytes) {
            // Half a record in the middle would be damage.
            self.broken =
                self.file.set_len(self.length).is_err() || rewind(&self.file, self.length).is_err();
            return Err(Error::Io {
                doing: format!(
                    "write to {}",
                    self.folder.join(segment::name(self.number)).display()
                ),
                source,
            });
        }
        self.length += bytes.len() as u64;
        self.state.take(self.number, record);
        Ok(())
    }

    /// Room for this many bytes beside the outcomes of all starts that are under way, this one's included.
    fn make_room(&mut self, bytes: u64) -> Result<(), Error> {
        let more = bytes + (self.state.open_count() as u64 + 1) * OUTCOME_BYTES;
        let held = self.length + self.closed.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if held + more > self.bytes_max {
            return Err(Error::Full {
                held,
                max: self.bytes_max,
            });
        }
        let wanted = self.length + more;
        if wanted <= self.reserved {
            return Ok(());
        }
        let piece = wanted.next_multiple_of(RESERVE_BYTES);
        let reserve = |size| fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, size);
        self.reserved = match reserve(piece) {
            Ok(()) => piece,
            // A file system that cannot promise room is taken as it is.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => u64::MAX,
            Err(_) => match reserve(wanted) {
                Ok(()) => wanted,
                Err(error) => {
                    return Err(Error::Io {
                        doing: format!(
                            "keep {more} bytes for a start in {}",
                            self.folder.display()
                        ),
                        source: error.into(),
                    });
                }
            },
        };
        Ok(())
    }

    /// The file to sync.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// A sync of this file failed: the kernel may have dropped what was written, and says so only once.
    pub(super) fn sync_failed(&mut self, file: &Arc<File>) {
        if Arc::ptr_eq(&self.file, file) {
            self.broken = true;
        }
    }

    fn roll(&mut self) -> Result<(), Error> {
        if !self.broken {
            // Waiters of records in this segment are told by the syncing thread, which holds its own handle.
            self.file.sync_data().map_err(|source| Error::Io {
                doing: "sync a full segment".into(),
                source,
            })?;
        }
        let number = self.number + 1;
        let file = create(&self.folder, number)?;
        let base = Record::Base {
            rows: self.state.next(),
        };
        let bytes = base.encode();
        (&file).write_all(&bytes).map_err(|source| Error::Io {
            doing: format!("begin segment {number}"),
            source,
        })?;
        self.closed.push((self.number, self.length));
        self.file = Arc::new(file);
        self.number = number;
        self.length = bytes.len() as u64;
        self.reserved = 0;
        self.broken = false;
        Ok(())
    }

    /// Removes segments that nothing needs any more. A current segment that has only shipped records and some size is
    /// closed first.
    pub(super) fn tidy(&mut self) {
        const WORTH_ROLLING: u64 = 1024 * 1024;
        if self.state.oldest_needed().is_none()
            && self.length > WORTH_ROLLING
            && self.roll().is_err()
        {
            return;
        }
        let needed = self.state.oldest_needed().unwrap_or(self.number);
        self.closed.retain(|(number, _)| {
            // A file that cannot be removed now is removed at the next start.
            *number >= needed
                || std::fs::remove_file(self.folder.join(segment::name(*number))).is_err()
        });
    }
}

fn create(folder: &std::path::Path, number: u64) -> Result<File, Error> {
    let path = folder.join(segment::name(number));
    let doing = || format!("create {}", path.display());
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|source| Error::Io {
            doing: doing(),
            source,
        })?;
    // The name must survive a power loss as surely as the content.
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| Error::Io {
            doing: doing(),
            source,
        })?;
    Ok(file)
}

fn rewind(mut file: &File, to: u64) -> std::io::Result<u64> {
    use std::io::Seek;
    file.seek(std::io::SeekFrom::Start(to))
}
