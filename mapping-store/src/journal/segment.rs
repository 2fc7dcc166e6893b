//! Reading the files of one journal folder.
//!
//! Owns the order of segments and the rule for damage: what follows the last sound record is a torn end and is cut;
//! damage before a sound record is an error that names file and place. Must not write.

use super::Error;
use super::frame::any_follows;
use super::record::Record;
use std::path::{Path, PathBuf};

/// Segment files of a folder, oldest first.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = |source| Error::Io {
        doing: format!("read the folder {}", folder.display()),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    // Numbers are padded, so names sort as numbers.
    files.sort();
    Ok(files)
}

/// The name of a segment.
pub fn name(number: u64) -> String {
    format!("{number:012}.log")
}

/// All sound records of a file.
pub fn read(path: &Path) -> Result<Vec<Record>, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        doing: format!("read {}", path.display()),
        source,
    })?;
    let mut records = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match Record::decode(&bytes[at..]) {
            Some((record, length)) => {
                records.push(record);
                at += length;
            }
            None if any_follows(&bytes[at + 1..]) => {
                return Err(Error::Damaged {
                    file: path.to_owned(),
                    offset: at,
                });
            }
            None => {
                tracing::warn!(file = %path.display(), offset = at, cut = bytes.len() - at, "the journal ends in the middle of a record, which was never acknowledged");
                break;
            }
        }
    }
    Ok(records)
}
