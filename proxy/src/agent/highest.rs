//! The highest generation that this host has ever seen, on its own disk: an older one, from a store that was restored or
//! from a delayed order, is refused for ever.
//!
//! Owns one small file. Must not decide what a generation means. A file that cannot be understood is an error, never a
//! zero: without its memory the agent stays closed.

use homing_mapping_store::Generation;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// First line of the file. A later form gets another one.
const FORM: &str = "homing highest generation 1";
const NAME: &str = "highest-generation";
const LOCK: &str = "lock";

/// Why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file's content is not what was written.
    #[error(
        "{} is torn or was changed, so it is not known which generations to refuse: see the generation of site `{site}` \
         with `homing site show {site}` at a router, make sure that the other installations are fenced, then remove the \
         file and start the agent again",
        path.display()
    )]
    Torn { path: PathBuf, site: String },
    /// Another agent has the folder.
    #[error(
        "{} is in use by another agent's process: end that one, or give this one a folder of its own with `state`",
        path.display()
    )]
    InUse { path: PathBuf },
    /// The file is of another site or installation.
    #[error(
        "{} belongs to {found}, this agent stands beside {wanted}: give each agent a folder of its own with `state`",
        path.display()
    )]
    Foreign {
        path: PathBuf,
        found: String,
        wanted: String,
    },
}

/// The file and what it holds.
#[derive(Debug)]
pub struct Highest {
    folder: PathBuf,
    owner: String,
    value: Generation,
    /// Two agents of one installation would each speak for the other.
    _lock: File,
}

impl Highest {
    /// Reads the file; makes the folder when it is missing. No file is a new host: nothing was seen yet.
    pub fn open(folder: &Path, site: &str, installation: &str) -> Result<Highest, Error> {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let lock = lock(folder)?;
        let owner = format!("{site}/{installation}");
        let path = folder.join(NAME);
        let value = match fs::read_to_string(&path) {
            Ok(text) => parse(&text, &owner, &path, site)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Generation(0),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(torn(&path, site));
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        Ok(Highest {
            folder: folder.to_owned(),
            owner,
            value,
            _lock: lock,
        })
    }

    /// The highest generation that was seen.
    pub fn value(&self) -> Generation {
        self.value
    }

    /// Remembers a generation, if it is higher. It is on disk when this returns.
    pub fn raise(&mut self, to: Generation) -> Result<(), Error> {
        if to <= self.value {
            return Ok(());
        }
        let path = self.folder.join(NAME);
        let next = self.folder.join(format!("{NAME}.next"));
        let body = format!("{FORM}\n{} {}\n", self.owner, to.0);
        let text = format!("{body}{}\n", blake3::hash(body.as_bytes()).to_hex());
        let mut file = File::create(&next).map_err(failed("write", &next))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed("write", &next))?;
        fs::rename(&next, &path).map_err(failed("replace", &path))?;
        // The new name is durable only with the folder.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("sync", &self.folder))?;
        self.value = to;
        Ok(())
    }
}

/// Held until the process ends.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let mut options = File::options();
    let options = options.create(true).write(true).truncate(false);
    let file = options.open(&path).map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        doing,
        path,
        source,
    }
}

fn torn(path: &Path, site: &str) -> Error {
    Error::Torn {
        path: path.to_owned(),
        site: site.to_owned(),
    }
}

fn parse(text: &str, owner: &str, path: &Path, site: &str) -> Result<Generation, Error> {
    let read = || {
        let body_end = text.trim_end().rfind('\n')? + 1;
        let (body, hash) = text.split_at_checked(body_end)?;
        let sound = hash.trim_end() == blake3::hash(body.as_bytes()).to_hex().as_str();
        let line = body.strip_prefix(FORM)?.trim();
        let (found, value) = line.split_once(' ')?;
        sound.then_some((found, Generation(value.parse().ok()?)))
    };
    let (found, value) = read().ok_or_else(|| torn(path, site))?;
    if found != owner {
        return Err(Error::Foreign {
            path: path.to_owned(),
            found: found.to_owned(),
            wanted: owner.to_owned(),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Result<Highest, Error> {
        Highest::open(folder, "b", "b-paris")
    }

    #[test]
    fn the_highest_generation_survives_and_never_falls() {
        let folder = tempfile::tempdir().unwrap();
        let mut highest = open(folder.path()).unwrap();
        assert_eq!(highest.value(), Generation(0));
        highest.raise(Generation(7)).unwrap();
        highest.raise(Generation(3)).unwrap();
        drop(highest);
        assert_eq!(open(folder.path()).unwrap().value(), Generation(7));
    }

    #[test]
    fn a_torn_file_is_refused_with_its_name_and_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path())
            .unwrap()
            .raise(Generation(1234))
            .unwrap();
        let path = folder.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() - 1 {
            fs::write(&path, &whole[..cut]).unwrap();
            let error = open(folder.path()).unwrap_err().to_string();
            assert!(
                error.contains(NAME) && error.contains("remove the file"),
                "{error}"
            );
        }
        for place in 0..whole.len() - 1 {
            let mut changed = whole.clone();
            changed[place] ^= 0x81;
            fs::write(&path, &changed).unwrap();
            assert!(open(folder.path()).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_write_that_was_cut_short_leaves_the_old_value() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap().raise(Generation(5)).unwrap();
        fs::write(folder.path().join(format!("{NAME}.next")), "homing hi").unwrap();
        assert_eq!(open(folder.path()).unwrap().value(), Generation(5));
    }

    #[test]
    fn one_folder_is_of_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
        drop(first);
        open(folder.path()).unwrap();
    }

    #[test]
    fn another_installations_memory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap().raise(Generation(5)).unwrap();
        let error = Highest::open(folder.path(), "b", "b-frankfurt").unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
    }
}
