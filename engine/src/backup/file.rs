//! SQLite: `VACUUM INTO`, and the copy put in its place.

use super::manifest::Manifest;
use super::session::Session;
use super::{Error, Kind, copy, manifest};
use crate::clock::Clock;
use crate::store::lock_file;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The copy's name in the folder.
const COPY: &str = "site.db";
/// How long a writer may keep the copy from beginning.
const BUSY: Duration = Duration::from_secs(10);

async fn session(path: &Path) -> Result<Session, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .disable_statement_logging();
    Ok(Session::File(options.connect().await?))
}

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |file| file.len() == 0)
}

pub(super) async fn take(path: &Path, folder: &Path, kind: Kind) -> Result<Manifest, Error> {
    if is_empty(path) {
        return Err(Error::NoDatabase(path.to_owned()));
    }
    // Held to the end: no engine opens the file meanwhile.
    let _still = match kind {
        Kind::Cold => Some(lock_file(path).map_err(|held| Error::NotCold(held.to_string()))?),
        Kind::Hot => None,
    };
    let taken_at = manifest::moment(Clock::default().now());
    let target = folder.join(COPY);
    let mut live = session(path).await?;
    let quoted = target.display().to_string().replace('\'', "''");
    live.execute(&format!("VACUUM INTO '{quoted}'")).await?;
    live.close().await?;
    let mut made = session(&target).await?;
    let mut manifest = Manifest::of(&mut made, taken_at).await?;
    made.close().await?;
    manifest.files.push(copy::part(folder, COPY)?);
    Ok(manifest)
}

/// Puts the copy where an engine finds it, in quarantine already.
pub(super) async fn put(
    path: &Path,
    folder: &Path,
    manifest: &Manifest,
    site: &str,
) -> Result<(), Error> {
    let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
    let _alone = lock_file(path)?;
    if !is_empty(path) || !is_empty(&beside("-wal")) {
        return Err(Error::Occupied(path.display().to_string()));
    }
    let part = beside(".restoring");
    for file in &manifest.files {
        copy::out(folder, file, &part)?;
    }
    let mut made = session(&part).await?;
    let whole = made
        .text("SELECT quick_check FROM pragma_quick_check")
        .await?;
    if whole.as_deref() != Some("ok") {
        return Err(Error::Differs(whole.unwrap_or_default()));
    }
    manifest.holds(&made.counts().await?, &[])?;
    made.execute("DELETE FROM site").await?;
    made.execute(site).await?;
    made.close().await?;
    copy::at(
        &part,
        std::fs::File::open(&part).and_then(|file| file.sync_all()),
    )?;
    copy::at(path, std::fs::rename(&part, path))?;
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        Some(parent) => copy::settled(parent),
        None => copy::settled(Path::new(".")),
    }
}
