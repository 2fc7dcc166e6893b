//! A file system of a few hundred KiB in memory, so that a test can fill a disk without filling the machine's.
//!
//! Owns the mount and its end. Needs root with the right to mount, as the container of a continuous integration has.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

/// A mounted file system; unmounted when dropped.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it over this folder, which is made.
    pub fn mount(folder: &Path, kibibytes: u32) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={kibibytes}k"),
                "homing-tests",
            ])
            .arg(folder)
            .output()?;
        ensure!(
            mounted.status.success(),
            "tmpfs cannot be mounted on {}: {}",
            folder.display(),
            String::from_utf8_lossy(&mounted.stderr)
        );
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Takes every byte that is left.
    pub fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.filler())?;
        let mut piece = vec![0_u8; 4096];
        while !piece.is_empty() {
            // Down to the last byte.
            if filler.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
        Ok(())
    }

    /// Gives it back.
    pub fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the router may still have a file open there.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
    }
}
