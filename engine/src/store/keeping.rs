//! What history keeps: how much is written, and from when on it is counted how long it stays.
//!
//! Owns the levels, and the word of the database on them: all engines of one database write the same. Must not write
//! history itself.

use super::Store;
use super::cell::Cell;
use super::database::{Failure, Under};
use super::statement::Statement;

/// How much history is written, each level with all of the one before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// Nothing.
    None,
    /// Instances, activities, user tasks.
    Activity,
    /// Variables too, with their latest values.
    Audit,
    /// Everything: incidents too.
    #[default]
    Full,
}

impl Level {
    /// All of them, least first.
    pub const ALL: [Level; 4] = [Level::None, Level::Activity, Level::Audit, Level::Full];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Activity => "activity",
            Level::Audit => "audit",
            Level::Full => "full",
        }
    }

    /// The level of this name.
    pub fn named(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// When it is settled how long an instance's history stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Removal {
    /// At the end of the topmost instance: so many days after it.
    #[default]
    End,
    /// At its start: so many days after that, and not before it has ended.
    Start,
    /// Not at all: whoever cleans up counts the days from the end of each instance, as they are then.
    None,
}

/// What history keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keeping {
    /// How much is written.
    pub level: Level,
    /// When its removal is settled.
    pub removal: Removal,
}

/// The name that the database keeps its level under.
const PROPERTY: &str = "history-level";

impl Store {
    /// What history keeps here.
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// The level that the database is at. A database that has none yet gets the one that is wanted, or `full`.
    pub async fn settle_level(&self, wanted: Option<Level>) -> Result<Level, Failure> {
        if let Some(level) = self.level().await? {
            return Ok(level);
        }
        let row: Vec<Cell> = vec![PROPERTY.into(), wanted.unwrap_or_default().name().into()];
        // Of two engines that start on a new database, one is first.
        let sql = "INSERT INTO property (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING";
        self.db
            .apply(vec![Statement::new(sql, row)], Under::Nothing)
            .await?;
        Ok(self.level().await?.unwrap_or_default())
    }

    async fn level(&self) -> Result<Option<Level>, Failure> {
        let sql = "SELECT value FROM property WHERE name = ?";
        let rows = self.rows(sql, vec![PROPERTY.into()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let name = row.text(0);
        let unknown = || Failure::Record {
            what: "the history level".to_owned(),
            reason: format!("'{name}' is no level"),
        };
        Level::named(&name).map(Some).ok_or_else(unknown)
    }
}
