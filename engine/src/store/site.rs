//! The site as its database knows it: generation, who serves it, executor, quarantine; and what each engine may serve.
//!
//! Owns the rows and the number that every transaction is checked against. Must not judge who may serve: it is told.

use super::Store;
use super::cell::Cell;
use super::database::{Failure, Mark, Under};
use super::statement::{Expect, Statement};
use crate::clock::Millis;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Do jobs and timers run?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Executor {
    /// They do.
    #[default]
    Enabled,
    /// They wait; what is asked for through the API still runs.
    Disabled,
}

impl Executor {
    fn text(self) -> &'static str {
        match self {
            Executor::Enabled => "enabled",
            Executor::Disabled => "disabled",
        }
    }

    fn read(text: &str) -> Executor {
        match text {
            "disabled" => Executor::Disabled,
            _ => Executor::Enabled,
        }
    }
}

/// The site's own row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Grows with each change of who serves it.
    pub generation: i64,
    /// The installation that serves it; `None`: whoever was told the generation.
    pub holder: Option<String>,
    /// Of all engines together.
    pub executor: Executor,
    /// Why nobody serves it until it is released.
    pub quarantine: Option<String>,
    /// When this database was last restored from a backup, in milliseconds; 0: never.
    pub restored: i64,
}

/// What is kept of one engine, by its name, also while it is not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The last generation that it was told to serve.
    pub generation: i64,
    /// Its own switch.
    pub executor: Executor,
}

/// One look at the site.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) site: Site,
    pub(crate) member: Option<Member>,
    /// What the database's clock shows, where it has one.
    pub(crate) time: Option<Millis>,
    /// What engines keep in memory of an earlier epoch may be stale.
    pub(crate) cache_epoch: String,
}

/// A change of the site that was asked for through one engine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SiteChange {
    /// What the site is to be at; an older one than it is at refuses the change.
    pub generation: Option<i64>,
    /// The installation that is to serve it.
    pub holder: Option<String>,
    /// The switch of all engines.
    pub executor: Option<Executor>,
    /// `Some(None)` releases it, `Some(Some(why))` puts it into quarantine.
    pub quarantine: Option<Option<String>>,
    /// What the quarantine was when it was looked at: another one by now refuses the change.
    pub seen_quarantine: Option<Option<String>>,
    /// The engine that is told: it may serve the generation from now on.
    pub told: Option<String>,
    /// An engine and its own switch.
    pub engine: Option<(String, Executor)>,
}

impl Site {
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            generation: self.generation,
            restored: self.restored,
        }
    }
}

/// What this engine may serve.
#[derive(Debug)]
pub struct Known {
    mark: Mutex<Mark>,
    /// Rung when a transaction was refused because of it.
    pub(crate) bell: Notify,
}

/// Below every generation: no transaction passes.
const NONE: Mark = Mark {
    generation: -1,
    restored: 0,
};

impl Default for Known {
    fn default() -> Known {
        Known {
            mark: Mutex::new(NONE),
            bell: Notify::new(),
        }
    }
}

impl Known {
    pub(super) fn get(&self) -> Mark {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on transactions are for this; `None`: there are none.
    pub(crate) fn set(&self, mark: Option<Mark>) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = mark.unwrap_or(NONE);
    }
}

impl Store {
    /// The site.
    pub async fn site(&self) -> Result<Site, Failure> {
        Ok(self.seen_by("").await?.site)
    }

    /// The site, what is kept of an engine, and what the database's own clock shows: one question, asked often.
    pub(crate) async fn seen_by(&self, engine: &str) -> Result<Seen, Failure> {
        let clock = self.db.clock();
        let sql = format!(
            "SELECT s.generation, s.holder, s.executor, s.quarantine, s.restored, {clock}, m.generation, m.executor, \
             (SELECT p.value FROM property p WHERE p.name = 'cache_epoch') \
             FROM site s LEFT JOIN member m ON m.name = ? WHERE s.one = 1"
        );
        let rows = self.rows(sql, vec![engine.into()]).await?;
        let row = rows.first().ok_or_else(|| Failure::Record {
            what: "the site".to_owned(),
            reason: "there is none".to_owned(),
        })?;
        let site = Site {
            generation: row.int(0),
            holder: row.maybe_text(1),
            executor: Executor::read(&row.text(2)),
            quarantine: row.maybe_text(3),
            restored: row.int(4),
        };
        let member = row.maybe_int(6).map(|generation| Member {
            generation,
            executor: Executor::read(&row.text(7)),
        });
        Ok(Seen {
            site,
            member,
            time: row.maybe_int(5),
            cache_epoch: row.maybe_text(8).unwrap_or_default(),
        })
    }

    /// What is kept of an engine.
    pub async fn member(&self, name: &str) -> Result<Option<Member>, Failure> {
        Ok(self.seen_by(name).await?.member)
    }

    /// All engines that were ever here.
    pub async fn members(&self) -> Result<Vec<(String, Member)>, Failure> {
        let sql = "SELECT name, generation, executor FROM member ORDER BY name";
        let rows = self.rows(sql, Vec::new()).await?;
        let member = |row: &super::Row| Member {
            generation: row.int(1),
            executor: Executor::read(&row.text(2)),
        };
        Ok(rows.iter().map(|row| (row.text(0), member(row))).collect())
    }

    /// Jobs that engines hold.
    pub async fn jobs_held(&self) -> Result<i64, Failure> {
        let sql = "SELECT COUNT(*) FROM job WHERE owner IS NOT NULL";
        let rows = self.rows(sql, Vec::new()).await?;
        Ok(rows.first().map_or(0, |row| row.int(0)))
    }

    /// Changes the site, when no transaction of any engine is open; `Conflict` if it is ahead of what was asked for.
    pub async fn change_site(&self, change: &SiteChange) -> Result<(), Failure> {
        let asked = change.generation;
        let (quarantine, set_quarantine) = match &change.quarantine {
            Some(why) => (why.clone(), true),
            None => (None, false),
        };
        // A new holder needs a new generation, unless there was none.
        let sql = "UPDATE site SET holder = CASE WHEN generation < COALESCE(?, generation) THEN ? ELSE COALESCE(?, holder) END, \
                   generation = COALESCE(?, generation), executor = COALESCE(?, executor), \
                   quarantine = CASE WHEN ? = 1 THEN ? ELSE quarantine END \
                   WHERE one = 1 AND generation <= COALESCE(?, generation) \
                   AND (generation < COALESCE(?, generation) OR holder IS NULL OR COALESCE(?, holder) = holder) \
                   AND (? = 0 OR COALESCE(quarantine, '') = COALESCE(?, ''))";
        let executor = change.executor.map(|it| it.text().to_owned());
        let cells: Vec<Cell> = vec![
            asked.into(),
            (&change.holder).into(),
            (&change.holder).into(),
            asked.into(),
            executor.into(),
            set_quarantine.into(),
            quarantine.into(),
            asked.into(),
            asked.into(),
            (&change.holder).into(),
            change.seen_quarantine.is_some().into(),
            change.seen_quarantine.clone().flatten().into(),
        ];
        let mut out = vec![Statement::new(sql, cells).expecting(Expect::One)];
        if let Some(name) = &change.told {
            let sql = "INSERT INTO member (name, generation, executor) SELECT ?, generation, 'enabled' FROM site WHERE one = 1 \
                       ON CONFLICT (name) DO UPDATE SET generation = excluded.generation";
            out.push(Statement::new(sql, vec![name.into()]));
        }
        if let Some((name, executor)) = &change.engine {
            let sql = "INSERT INTO member (name, generation, executor) SELECT ?, generation, ? FROM site WHERE one = 1 \
                       ON CONFLICT (name) DO UPDATE SET executor = excluded.executor";
            out.push(Statement::new(
                sql,
                vec![name.into(), executor.text().into()],
            ));
        }
        self.db.apply(out, Under::Site).await.map(|_| ())
    }
}
