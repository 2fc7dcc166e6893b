//! Folders and files of a backup: made, checked, brought to the disk.
//!
//! Must not know what is in them.

use super::Error;
use super::manifest::Part;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// A copy holds all that the database does: it is for the one who takes it.
const OWN: u32 = 0o700;

pub(super) fn at<T>(path: &Path, done: std::io::Result<T>) -> Result<T, Error> {
    done.map_err(|error| Error::File(path.to_owned(), error))
}

/// Makes the folder, or takes it if it is empty.
pub(super) fn folder(path: &Path) -> Result<(), Error> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Folder(path.to_owned())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => at(
            path,
            DirBuilder::new().recursive(true).mode(OWN).create(path),
        ),
        Err(error) => Err(Error::File(path.to_owned(), error)),
    }
}

/// Brings a file to the disk, and says what is in it.
pub(super) fn part(folder: &Path, name: &str) -> Result<Part, Error> {
    let path = folder.join(name);
    let file = at(&path, File::open(&path))?;
    at(&path, file.sync_all())?;
    let (bytes, hash) = read(&path, std::io::sink())?;
    Ok(Part {
        name: name.to_owned(),
        bytes,
        blake3: hash,
    })
}

/// Is the file still what it was?
pub(super) fn unchanged(folder: &Path, part: &Part) -> Result<(), Error> {
    let (bytes, hash) = read(&folder.join(&part.name), std::io::sink())?;
    same(folder, part, bytes, &hash)
}

fn same(folder: &Path, part: &Part, bytes: u64, hash: &str) -> Result<(), Error> {
    if (bytes, hash) == (part.bytes, part.blake3.as_str()) {
        return Ok(());
    }
    let why = format!("{} was changed or cut off since it was made", part.name);
    Err(Error::NoBackup(folder.to_owned(), why))
}

/// Copies a file of the backup to a path, and makes sure that what arrives is what was backed up.
pub(super) fn out(folder: &Path, part: &Part, to: &Path) -> Result<(), Error> {
    let mut file = at(to, File::create(to))?;
    let (bytes, hash) = read(&folder.join(&part.name), &mut file)?;
    same(folder, part, bytes, &hash)?;
    at(to, file.sync_all())
}

fn read(path: &Path, mut to: impl Write) -> Result<(u64, String), Error> {
    let mut file = at(path, File::open(path))?;
    let (mut hasher, mut total) = (blake3::Hasher::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let count = at(path, file.read(&mut piece))?;
        if count == 0 {
            return Ok((total, hasher.finalize().to_hex().to_string()));
        }
        let read = piece.get(..count).unwrap_or_default();
        hasher.update(read);
        at(path, to.write_all(read))?;
        total += count as u64;
    }
}

/// Writes a small file so that it is there wholly or not at all.
pub(super) fn whole(folder: &Path, name: &str, text: &[u8]) -> Result<(), Error> {
    let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
    let mut file = at(&part, File::create(&part))?;
    at(&part, file.write_all(text))?;
    at(&part, file.sync_all())?;
    at(&path, std::fs::rename(&part, &path))?;
    settled(folder)
}

/// Brings the names in a folder to the disk.
pub(super) fn settled(folder: &Path) -> Result<(), Error> {
    let entry = at(folder, File::open(folder))?;
    at(folder, entry.sync_all())
}
