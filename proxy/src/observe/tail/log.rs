//! The tail of one site on disk: it survives the router's death at once, and a power loss but for the last moments.
//!
//! Owns one folder for each process (`STORE.JOURNAL/tail/SITE/`), its files, and taking over what ended processes left. A file
//! that is full is followed by another one, and the one before it is removed. Must not judge what is lost. Relies on being
//! called under the lock of its tail, and on `STORE.JOURNAL` being this router's alone.

use super::{Gap, Kept, Served, WRITES_MAX, Write};
use homing_mapping_store::journal::{self, folders, frame, segment};
use homing_mapping_store::{Generation, Timestamp};
use http::Method;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where this machine's kernel says which of its lives this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What a file holds.
#[derive(Serialize, Deserialize)]
#[serde(tag = "r", rename_all = "snake_case")]
enum Line {
    /// First in each file.
    Base(Base),
    /// A write that was acknowledged.
    Write {
        at: i64,
        by: u64,
        method: String,
        path: String,
    },
    /// Who serves, and what was lost before is told.
    Served(Served),
    /// The process has ended in order; everything before is synced.
    Closed,
}

/// How a file begins.
#[derive(Serialize, Deserialize)]
struct Base {
    boot: String,
    /// Nothing before this file is needed; else the file before it is, for what it says itself.
    whole: bool,
    /// Since when nothing is missing, if this is the first file.
    since: i64,
    gaps: Vec<Gap>,
    served: Option<Served>,
    /// Processes whose folders this file has taken over.
    adopted: Vec<u64>,
}

/// What one ended process left.
struct Part {
    kept: Kept,
    served: Option<Served>,
    adopted: Vec<u64>,
}

/// The files of this process.
pub(super) struct Log {
    root: PathBuf,
    own: PathBuf,
    _lock: File,
    bytes_max: u64,
    number: u64,
    file: Option<Arc<File>>,
    bytes: u64,
    writes: usize,
    is_dirty: bool,
}

impl Log {
    /// A folder of its own beside those of other processes; nothing is written yet.
    pub(super) fn open(root: &Path, bytes_max: u64) -> Result<Log, journal::Error> {
        std::fs::create_dir_all(root).map_err(io("create", root))?;
        let (own, lock) = folders::begin(root)?;
        Ok(Log {
            root: root.to_owned(),
            own,
            _lock: lock,
            bytes_max,
            number: 0,
            file: None,
            bytes: 0,
            writes: 0,
            is_dirty: false,
        })
    }

    /// Takes over what ended processes of this router have left, durably. Whether another one still runs.
    pub(super) fn adopt(
        &mut self,
        kept: &mut Kept,
        served: &mut Option<Served>,
        now: Timestamp,
    ) -> Result<bool, journal::Error> {
        let (mut left, mut another_runs) = (Vec::new(), false);
        for folder in folders::instances(&self.root)? {
            if folder == self.own {
                continue;
            }
            match folders::lock(&folder)? {
                Some(held) => left.push((folder, held)),
                None => another_runs = true,
            }
        }
        if left.is_empty() && self.file.is_some() {
            return Ok(another_runs);
        }
        let boot = boot();
        let mut parts = Vec::new();
        for (folder, _) in &left {
            parts.push((folders::number(folder), read(folder, &boot, now)?));
        }
        let taken: Vec<u64> = parts
            .iter()
            .flat_map(|(_, part)| part.iter().flat_map(|part| part.adopted.clone()))
            .collect();
        for (number, part) in parts {
            if number.is_some_and(|number| taken.contains(&number)) {
                continue;
            }
            let Some(part) = part else { continue };
            kept.join(part.kept);
            *served = (*served).take().max_by_generation(part.served);
        }
        let adopted = left
            .iter()
            .filter_map(|(folder, _)| folders::number(folder));
        self.write_whole(kept, served.as_ref(), adopted.collect())?;
        for (folder, _) in &left {
            std::fs::remove_dir_all(folder).map_err(io("take over", folder))?;
        }
        Ok(another_runs)
    }

    /// One more write; it is synced later. After an error the file is not what it should be: [`Log::break_off`].
    pub(super) fn append(&mut self, write: &Write) -> std::io::Result<()> {
        self.writes += 1;
        self.put(&line(write))
    }

    /// Who serves.
    pub(super) fn served(&mut self, served: &Served) -> std::io::Result<()> {
        self.put(&Line::Served(served.clone()))
    }

    fn put(&mut self, line: &Line) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let bytes = frame::wrap(line);
        (&**file).write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    /// What was written cannot be trusted to be all: who finds the file must see that. A name needs no room on a full disk.
    pub(super) fn break_off(&mut self) {
        if self.file.take().is_some() {
            let path = self.own.join(segment::name(self.number));
            let _ = std::fs::rename(&path, path.with_extension(BROKEN));
        }
    }

    /// Whether it has broken off.
    pub(super) fn is_broken(&self) -> bool {
        self.file.is_none()
    }

    /// The file, if something in it is not synced yet.
    pub(super) fn unsynced(&mut self) -> Option<Arc<File>> {
        let dirty = std::mem::take(&mut self.is_dirty);
        self.file.clone().filter(|_| dirty)
    }

    /// Whether half of the room is used.
    pub(super) fn is_full(&self) -> bool {
        self.writes >= WRITES_MAX || self.bytes >= self.bytes_max / 2
    }

    /// Whether that is so because of its bytes.
    pub(super) fn is_long(&self) -> bool {
        self.bytes >= self.bytes_max / 2
    }

    /// Another file; of those before it only the last one stays.
    pub(super) fn follow_on(
        &mut self,
        kept: &Kept,
        served: Option<&Served>,
    ) -> Result<(), journal::Error> {
        let since = kept.latest().map_or(kept.since, next);
        let last = self.number;
        self.begin(false, since, kept, served, Vec::new())?;
        self.remove_before(last)
    }

    /// A file that holds all that is kept, durably; every other one of this process goes.
    pub(super) fn write_whole(
        &mut self,
        kept: &Kept,
        served: Option<&Served>,
        adopted: Vec<u64>,
    ) -> Result<(), journal::Error> {
        self.begin(true, kept.since, kept, served, adopted)?;
        let mut bytes = Vec::new();
        for write in &kept.writes {
            bytes.extend(frame::wrap(&line(write)));
        }
        self.writes = kept.writes.len();
        self.bytes += bytes.len() as u64;
        if let Some(file) = &self.file {
            let written = (&**file)
                .write_all(&bytes)
                .and_then(|()| file.sync_data())
                .and_then(|()| File::open(&self.own)?.sync_all());
            written.map_err(|source| {
                self.break_off();
                io("write to", &self.own)(source)
            })?;
        }
        self.remove_before(self.number)
    }

    /// Synced, and said to be the end.
    pub(super) fn close(&mut self) -> std::io::Result<()> {
        self.put(&Line::Closed)?;
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data())
    }

    fn begin(
        &mut self,
        whole: bool,
        since: Timestamp,
        kept: &Kept,
        served: Option<&Served>,
        adopted: Vec<u64>,
    ) -> Result<(), journal::Error> {
        let number = self.number + 1;
        let path = self.own.join(segment::name(number));
        let file = File::create(&path).map_err(io("create", &path))?;
        let base = frame::wrap(&Line::Base(Base {
            boot: boot(),
            whole,
            since: since.0,
            gaps: kept.gaps.clone(),
            served: served.cloned(),
            adopted,
        }));
        if let Err(source) = (&file).write_all(&base) {
            let _ = std::fs::remove_file(&path);
            return Err(io("write to", &path)(source));
        }
        self.number = number;
        (self.file, self.writes) = (Some(Arc::new(file)), 0);
        (self.bytes, self.is_dirty) = (base.len() as u64, true);
        Ok(())
    }

    fn remove_before(&self, number: u64) -> Result<(), journal::Error> {
        for path in files(&self.own)? {
            if path.file_stem() < Some(segment::name(number).trim_end_matches(".log").as_ref()) {
                std::fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// How a file is called that could not be written to its end.
const BROKEN: &str = "broken";

fn line(write: &Write) -> Line {
    Line::Write {
        at: write.at.0,
        by: write.assignment.0,
        method: write.method.as_str().to_owned(),
        path: write.path.as_ref().to_owned(),
    }
}

fn next(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_add(1))
}

fn io<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> journal::Error + 'a {
    let doing = format!("{doing} {}", path.display());
    move |source| journal::Error::Io { doing, source }
}

/// Of this life of the machine; a machine that does not say so has many.
fn boot() -> String {
    let read = std::fs::read_to_string(BOOT);
    read.map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

/// A process's files, oldest first.
fn files(folder: &Path) -> Result<Vec<PathBuf>, journal::Error> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io("read", folder))? {
        let path = entry.map_err(io("read", folder))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("log" | BROKEN)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What an ended process left; `None`: nothing that can be read. Where more may have been written than can be read, there is a gap
/// until now.
fn read(folder: &Path, boot: &str, now: Timestamp) -> Result<Option<Part>, journal::Error> {
    let mut part: Option<Part> = None;
    let (mut is_sound, mut is_closed, mut is_of_this_life) = (true, false, true);
    for path in files(folder)? {
        let bytes = std::fs::read(&path).map_err(io("read", &path))?;
        let mut rest = &bytes[..];
        while let Some(payload) = frame::payload(rest) {
            rest = &rest[frame::HEADER_BYTES + payload.len()..];
            let Ok(line) = serde_json::from_slice(payload) else {
                is_sound = false;
                continue;
            };
            is_closed = matches!(line, Line::Closed);
            match line {
                Line::Base(base) => {
                    is_of_this_life = !boot.is_empty() && base.boot == boot;
                    part = Some(base.begins(part.take()));
                }
                Line::Write {
                    at,
                    by,
                    method,
                    path,
                } => match (&mut part, method.parse::<Method>()) {
                    (Some(part), Ok(method)) => part.kept.push(Write {
                        at: Timestamp(at),
                        assignment: Generation(by),
                        method,
                        path: path.into(),
                    }),
                    _ => is_sound = false,
                },
                Line::Served(served) => {
                    if let Some(part) = &mut part {
                        part.served = Some(served);
                    }
                }
                Line::Closed => {}
            }
        }
        is_sound &= path.extension().is_none_or(|extension| extension != BROKEN);
        // A torn end is a write that was never acknowledged; what sound lines follow is not.
        is_sound &= rest.is_empty() || !frame::any_follows(&rest[1..]);
    }
    if let Some(part) = &mut part
        && !(is_sound && (is_of_this_life || is_closed))
    {
        let from = part.kept.latest().unwrap_or(part.kept.since);
        part.kept.gaps.push(Gap { from, to: now });
    }
    Ok(part)
}

impl Base {
    /// With what stood in the files before this one.
    fn begins(self, before: Option<Part>) -> Part {
        match before {
            Some(before) if !self.whole => before,
            _ => Part {
                kept: Kept {
                    since: Timestamp(self.since),
                    gaps: self.gaps,
                    ..Kept::default()
                },
                served: self.served,
                adopted: self.adopted,
            },
        }
    }
}

/// The later of two.
trait Later {
    fn max_by_generation(self, other: Option<Served>) -> Option<Served>;
}

impl Later for Option<Served> {
    fn max_by_generation(self, other: Option<Served>) -> Option<Served> {
        self.into_iter().chain(other).max_by_key(|one| one.at)
    }
}
