//! A backup becomes a database again, in which nothing happens until it is released.
//!
//! Owns the order: the backup is checked, its data are put in place with the site in quarantine and its executor off, what
//! engines of the old life had claimed is let go, what has moved since is buried, and every reference is looked at.

use super::manifest::Manifest;
use super::moved::{Moved, bury};
use super::{Broken, Error, Place, examine, file, place, server};
use crate::clock::Clock;
use crate::store::{Cell, Statement, Store, Under};
use std::path::Path;

/// Few: nobody else works on it.
const CONNECTIONS: u32 = 4;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup said of itself.
    pub manifest: Manifest,
    /// When the database's new life began, in milliseconds; transactions of an earlier one are refused.
    pub restored: i64,
    /// Instances that live elsewhere by now and were taken out.
    pub buried: u64,
    /// References that lead nowhere; empty: the database is whole.
    pub broken: Vec<Broken>,
}

/// Restores a backup to an empty place. `moved`: instances that live at other sites by now.
pub async fn restore(url: &str, folder: &Path, moved: &[Moved]) -> Result<Restored, Error> {
    let manifest = Manifest::read(folder)?;
    let now = Clock::default().now();
    // Also when clocks went back: no two lives of one database have the same number.
    let restored = now.max(manifest.site.restored.saturating_add(1));
    let site = site_row(&manifest, restored);
    let kind = |wanted: &str| match manifest.database == wanted {
        true => Ok(()),
        false => Err(Error::NoBackup(
            folder.to_owned(),
            format!("it is of {}, and the store is {wanted}", manifest.database),
        )),
    };
    match place(url)? {
        Place::File(path) => {
            kind("SQLite")?;
            file::put(&path, folder, &manifest, &site).await?;
        }
        Place::Server => {
            kind("PostgreSQL")?;
            server::put(url, folder, &manifest, &site).await?;
        }
    }
    let store = Store::open(url, CONNECTIONS).await?;
    let done = settle(&store, moved, now).await;
    store.close().await;
    let (buried, broken) = done?;
    Ok(Restored {
        manifest,
        restored,
        buried,
        broken,
    })
}

async fn settle(store: &Store, moved: &[Moved], now: i64) -> Result<(u64, Vec<Broken>), Error> {
    let free = [
        "UPDATE job SET owner = NULL, lease_until = NULL, fence = fence + 1 WHERE owner IS NOT NULL",
        "DELETE FROM lane",
        "DELETE FROM engine",
    ];
    let free = free.map(|sql| Statement::new(sql, Vec::<Cell>::new()));
    store.db.apply(free.into(), Under::Nothing).await?;
    let buried = bury(store, moved, now).await?;
    Ok((buried, examine(store).await?))
}

/// The site's row of the new life.
fn site_row(manifest: &Manifest, restored: i64) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let holder = manifest.site.holder.as_deref();
    let holder = holder.map_or_else(|| "NULL".to_owned(), quoted);
    let why = quoted(&format!(
        "restored from the backup of {}",
        manifest.taken_at
    ));
    format!(
        "INSERT INTO site (one, generation, holder, executor, quarantine, restored) \
         VALUES (1, {}, {holder}, 'disabled', {why}, {restored})",
        manifest.site.generation
    )
}
