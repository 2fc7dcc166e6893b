//! The folders of a router's processes: one each, so that one that hands over and the one that takes over do not share a file.
//!
//! Owns their names and locks. Must not know what they hold.

use super::Error;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// Folders of processes, oldest first.
pub fn instances(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io {
        doing: format!("read the folder {}", root.display()),
        source,
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() && number(&path).is_some() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// A new folder for this process, with its lock; its number is higher than any that is there.
pub fn begin(root: &Path) -> Result<(PathBuf, File), Error> {
    let highest = instances(root)?.last().and_then(|path| number(path));
    let own = root.join(format!("{:012}", highest.unwrap_or(0) + 1));
    std::fs::create_dir(&own).map_err(|source| Error::Io {
        doing: format!("create a folder in {}", root.display()),
        source,
    })?;
    let held = lock(&own)?.ok_or_else(|| Error::InUse(root.to_owned()))?;
    Ok((own, held))
}

/// The number of a process's folder.
pub fn number(folder: &Path) -> Option<u64> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// The folder's lock, if no living process has it.
pub fn lock(folder: &Path) -> Result<Option<File>, Error> {
    let path = folder.join(LOCK);
    let io = |source| Error::Io {
        doing: format!("lock {}", path.display()),
        source,
    };
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(io(error.into())),
    }
}
