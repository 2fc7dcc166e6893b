//! What a backup says of itself.
//!
//! Owns the form of the manifest. Fields may be added, never renamed.

use super::session::Session;
use super::{Error, Kind, copy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The form of the manifest.
const FORM: u32 = 1;
/// Its name in the folder.
const NAME: &str = "manifest.json";

/// What a backup says of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    form: u32,
    /// The program that made it.
    pub version: String,
    /// Whether the database stood still.
    pub kind: Kind,
    /// When it was begun, as text; by the database's clock, where it has one.
    pub taken_at: String,
    /// `SQLite` or `PostgreSQL`.
    pub database: String,
    /// The version of the tables.
    pub schema: i64,
    /// The identity of the database.
    pub installation: String,
    /// The site's own row.
    pub site: SiteRow,
    /// Rows of each table.
    pub counts: BTreeMap<String, i64>,
    /// Its files.
    pub files: Vec<Part>,
}

/// The site as the copy has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SiteRow {
    /// Its generation.
    pub generation: i64,
    /// Who served it.
    pub holder: Option<String>,
    /// When it was restored itself, in milliseconds; 0: never.
    pub restored: i64,
}

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its hash.
    pub blake3: String,
}

impl Manifest {
    /// What a session sees.
    pub(super) async fn of(session: &mut Session, taken_at: String) -> Result<Manifest, Error> {
        let schema = session.text(SCHEMA).await?;
        Ok(Manifest {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: Kind::Hot,
            taken_at,
            database: session.kind().to_owned(),
            schema: schema.and_then(|it| it.parse().ok()).unwrap_or(0),
            installation: session.text(INSTALLATION).await?.unwrap_or_default(),
            site: SiteRow {
                generation: session.number("SELECT generation FROM site").await?,
                holder: session.text("SELECT holder FROM site").await?,
                restored: session.number("SELECT restored FROM site").await?,
            },
            counts: session.counts().await?,
            files: Vec::new(),
        })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        copy::whole(folder, NAME, &text)
    }

    /// Reads it, and makes sure that the files are what they were.
    pub fn read(folder: &Path) -> Result<Manifest, Error> {
        let unfit = |why: String| Error::NoBackup(folder.to_owned(), why);
        let text = std::fs::read(folder.join(NAME))
            .map_err(|error| unfit(format!("it has no {NAME} that can be read ({error})")))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| unfit(format!("its {NAME} cannot be understood ({error})")))?;
        if manifest.form != FORM {
            return Err(unfit(format!(
                "its form {} is not known here",
                manifest.form
            )));
        }
        if manifest.files.len() != 1 {
            return Err(unfit("it does not have one copy of a database".to_owned()));
        }
        let known = crate::store::SCHEMA;
        if manifest.schema > known {
            return Err(unfit(format!(
                "its tables are of version {}, and this program knows {known}",
                manifest.schema
            )));
        }
        Ok(manifest)
    }

    /// Are the rows of what was restored those of the backup? Tables that the restore itself fills are left out.
    pub(super) fn holds(&self, counts: &BTreeMap<String, i64>, but: &[&str]) -> Result<(), Error> {
        for (table, rows) in &self.counts {
            let found = counts.get(table).copied();
            if !but.contains(&table.as_str()) && found != Some(*rows) {
                return Err(Error::Differs(format!(
                    "table {table} has {} rows, and the backup has {rows}",
                    found.unwrap_or(0)
                )));
            }
        }
        Ok(())
    }
}

const SCHEMA: &str = "SELECT value FROM property WHERE name = 'schema'";
const INSTALLATION: &str = "SELECT value FROM property WHERE name = 'installation'";

/// A moment as every tool reads it.
pub(super) fn moment(ms: crate::clock::Millis) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| at.to_string())
}
