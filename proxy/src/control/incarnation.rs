//! The highest incarnation of the store that this router has seen, on its own disk: a copy of the store that was left
//! behind counts as away, also after a restart.
//!
//! Owns one small file in the journal's folder. Must not decide what an incarnation means; the store refuses.

use homing_mapping_store::Handle;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const NAME: &str = "highest-incarnation";
/// Between two looks at what the store has shown.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The file.
#[derive(Clone, Debug)]
pub struct Memory(PathBuf);

impl Memory {
    /// Beside the journal's segments.
    pub fn in_folder(folder: &Path) -> Memory {
        Memory(folder.join(NAME))
    }

    /// What was seen; no file is a new router. A file that cannot be understood is an error, never a zero.
    pub fn read(&self) -> io::Result<u16> {
        match fs::read_to_string(&self.0) {
            Ok(text) => text.trim().parse().map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is not a number", self.0.display()),
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn write(&self, incarnation: u16) -> io::Result<()> {
        let next = self.0.with_extension("next");
        let mut file = File::create(&next)?;
        writeln!(file, "{incarnation}")?;
        file.sync_all()?;
        fs::rename(&next, &self.0)
    }

    /// Keeps what the store shows, until the task is dropped.
    pub async fn run(self, store: Handle) {
        let mut kept = self.read().unwrap_or(0);
        loop {
            let seen = store.highest_incarnation();
            if seen > kept {
                match self.write(seen) {
                    Ok(()) => kept = seen,
                    Err(error) => tracing::warn!(
                        "the store's incarnation cannot be kept in {}: {error}",
                        self.0.display()
                    ),
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::in_folder(folder.path());
        assert_eq!(memory.read().unwrap(), 0);
        memory.write(7).unwrap();
        memory.write(8).unwrap();
        assert_eq!(Memory::in_folder(folder.path()).read().unwrap(), 8);
        fs::write(folder.path().join(NAME), "x").unwrap();
        assert!(memory.read().is_err(), "torn is not new");
    }
}
