//! Backups of a site's database, and what a restored one may do.
//!
//! Owns the form of a backup: a folder with a copy of the database and a manifest that is written last, so that a folder
//! without one is no backup. A copy is one snapshot: definitions, documents and what they name are rows of the same
//! database, so nothing has to be copied in an order. Must not run processes. The copying itself is `VACUUM INTO` for
//! SQLite, and `pg_dump` and `pg_restore` for PostgreSQL: both are what their makers give out for it.

mod check;
mod copy;
mod file;
mod manifest;
mod moved;
mod restore;
mod server;
mod session;

pub use check::{Broken, examine};
pub use manifest::{Manifest, SiteRow};
pub use moved::Moved;
pub use restore::{Restored, restore};

use crate::store::Failure;
use std::path::{Path, PathBuf};

/// Does the database stand still meanwhile?
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Engines may work on it: the copy is what was committed when it was begun.
    Hot,
    /// No engine has it open, which is made sure of, and none can write before the copy is done.
    Cold,
}

/// Why a backup was not taken, or not restored.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The folder is there and holds something.
    #[error("{} is not empty; a backup is made in a folder of its own", .0.display())]
    Folder(PathBuf),
    /// A file could not be written or read.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, std::io::Error),
    /// There is no database.
    #[error("{} is no database file", .0.display())]
    NoDatabase(PathBuf),
    /// The server has no database of this name.
    #[error(
        "the server at {place} has no database '{name}': correct the name in `[engine] store`, or make the database first if a backup \
         is to be restored to it"
    )]
    NotOnServer {
        /// Its name.
        name: String,
        /// Host and port, or the folder of a socket.
        place: String,
    },
    /// Somebody works on what is to stand still.
    #[error(
        "the database does not stand still: {0}; stop the site's engines, or take a hot backup"
    )]
    NotCold(String),
    /// The database could not.
    #[error(transparent)]
    Database(#[from] Failure),
    /// PostgreSQL's own program could not.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// The folder holds no backup that can be used.
    #[error("{} is no backup that can be restored: {}", .0.display(), .1)]
    NoBackup(PathBuf, String),
    /// The place to restore to is not empty.
    #[error("{0} is not empty; a backup is restored to a new one")]
    Occupied(String),
    /// What was restored is not what the manifest says.
    #[error("the restored database is not what the manifest says: {0}")]
    Differs(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        Error::Database(error.into())
    }
}

/// Takes a backup of a database into a folder of its own.
pub async fn take(url: &str, folder: &Path, kind: Kind) -> Result<Manifest, Error> {
    copy::folder(folder)?;
    let mut manifest = match place(url)? {
        Place::File(path) => file::take(&path, folder, kind).await?,
        Place::Server => server::take(url, folder, kind).await?,
    };
    manifest.kind = kind;
    manifest.write(folder)?;
    Ok(manifest)
}

/// Where a database is.
enum Place {
    File(PathBuf),
    Server,
}

fn place(url: &str) -> Result<Place, Error> {
    use std::str::FromStr;
    if url.starts_with("sqlite:") {
        let options = sqlx::sqlite::SqliteConnectOptions::from_str(url)?;
        Ok(Place::File(options.get_filename().to_owned()))
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        Ok(Place::Server)
    } else {
        Err(Failure::Url("the store".to_owned()).into())
    }
}
