//! Drills: rehearsals that are under way or have ended.
//!
//! Owns their rows. Must not know what a step does. Relies on the compare-and-set of each step: of two routers that believe
//! to be the leader only one gets on.

use super::Sql;
use super::names::generation;
use super::newest::{self, After};
use super::session::{Row, Session, args};
use super::write::Write;
use crate::audit::AuditEntry;
use crate::drill::{DrillProgress, DrillRecord, NewDrill};
use crate::mapping::Timestamp;
use crate::operation::Ends;
use crate::store::{Error, Page, Slice};
use crate::{Generation, SiteId};
use uuid::Uuid;

const ONE: &str = "SELECT id, mode, subject, sites, state, generation, body, started_at, updated_at, ended_at \
                   FROM drills WHERE id = $1";
const OPEN: &str = "SELECT id, mode, subject, sites, state, generation, body, started_at, updated_at, ended_at \
                    FROM drills WHERE ended_at IS NULL ORDER BY started_at, id";
const NEWEST: &str = "SELECT id, mode, subject, sites, state, generation, body, started_at, updated_at, ended_at \
                      FROM drills WHERE started_at < $1 OR (started_at = $1 AND ($2 = '' OR id < $2)) \
                      ORDER BY started_at DESC, id DESC LIMIT $3";

impl Sql {
    pub(super) async fn start_drill(
        &self,
        new: &NewDrill,
        audit: &AuditEntry,
    ) -> Result<DrillRecord, Error> {
        let mut write = self.write("begin a drill").await?;
        let result = begin(&mut write, new, audit).await;
        write.end(result).await
    }

    pub(super) async fn one_drill(&self, id: Uuid) -> Result<Option<DrillRecord>, Error> {
        let mut session = self.read("read a drill").await?;
        let record = one(session.as_mut(), id).await?;
        session.commit().await?;
        Ok(record)
    }

    pub(super) async fn newest_drills(&self, slice: Slice<'_>) -> Result<Page<DrillRecord>, Error> {
        let after = After::read(slice.after)?;
        let mut session = self.read("read drills").await?;
        let args = args![after.at, &after.id, newest::rows(slice.limit)];
        let rows = session.rows(NEWEST, args).await?;
        session.commit().await?;
        let items: Vec<DrillRecord> = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok(newest::page(items, slice.limit, |one| {
            (one.started_at, one.id.to_string())
        }))
    }

    pub(super) async fn running_drills(&self) -> Result<Vec<DrillRecord>, Error> {
        let mut session = self.read("read the drills that run").await?;
        let rows = session.rows(OPEN, args![]).await?;
        session.commit().await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn step_drill(
        &self,
        progress: &DrillProgress,
        audit: Option<&AuditEntry>,
    ) -> Result<DrillRecord, Error> {
        let mut write = self.write("follow a drill").await?;
        let result = step(&mut write, progress, audit).await;
        write.end(result).await
    }
}

async fn one(session: &mut dyn Session, id: Uuid) -> Result<Option<DrillRecord>, Error> {
    let rows = session.rows(ONE, args![id.to_string()]).await?;
    rows.first().map(record).transpose()
}

async fn begin(
    write: &mut Write,
    new: &NewDrill,
    audit: &AuditEntry,
) -> Result<DrillRecord, Error> {
    for row in write.session.rows(OPEN, args![]).await? {
        let other = record(&row)?;
        // Said again after a lost answer.
        if other.id == new.id {
            return Ok(other);
        }
        let shared = new.sites.iter().find(|site| other.sites.contains(site));
        if let Some(site) = shared {
            return Err(Error::Busy(format!(
                "drill {} rehearses site {site}; wait for its end, or abort it",
                other.id
            )));
        }
    }
    let now = write.session.now().await?;
    let first = write.next_generation(None);
    let names: Vec<&str> = new.sites.iter().map(|site| site.name()).collect();
    let sql = "INSERT INTO drills (id, mode, subject, sites, state, generation, body, started_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    let args = args![
        new.id.to_string(),
        &new.mode,
        &new.subject,
        serde_json::json!(names).to_string(),
        &new.state,
        first,
        &new.body,
        now,
    ];
    write.session.run(sql, args).await?;
    write.audit(audit).await?;
    read_back(write, new.id).await
}

async fn step(
    write: &mut Write,
    progress: &DrillProgress,
    audit: Option<&AuditEntry>,
) -> Result<DrillRecord, Error> {
    let id = progress.id;
    let before = one(write.session.as_mut(), id).await?;
    let before = before.ok_or_else(|| Error::Unknown {
        what: format!("drill {id}"),
    })?;
    if before.ended_at.is_some() {
        return Err(Error::Busy(format!("drill {id} has ended")));
    }
    if before.generation != progress.expected {
        return Err(Error::Stale {
            what: format!("drill {id}"),
            expected: Some(progress.expected),
            found: Some(before.generation),
        });
    }
    let now = write.session.now().await?;
    let ended = match progress.ends {
        Ends::Yes => Some(now.0),
        Ends::No => None,
    };
    let sql = "UPDATE drills SET state = $1, generation = $2, body = $3, updated_at = $4, ended_at = $5 \
               WHERE id = $6 AND generation = $7";
    let args = args![
        &progress.state,
        write.next_generation(Some(before.generation)),
        &progress.body,
        now,
        ended,
        id.to_string(),
        before.generation,
    ];
    write.session.run(sql, args).await?;
    if let Some(audit) = audit {
        write.audit(audit).await?;
    }
    read_back(write, id).await
}

async fn read_back(write: &mut Write, id: Uuid) -> Result<DrillRecord, Error> {
    one(write.session.as_mut(), id)
        .await?
        .ok_or_else(|| Error::Corrupt(format!("drill {id} is not there")))
}

fn record(row: &Row) -> Result<DrillRecord, Error> {
    let unreadable = |what: &str| Error::Corrupt(format!("a drill's {what} cannot be read"));
    let names: Vec<String> =
        serde_json::from_str(&row.text(3)?).map_err(|_| unreadable("list of sites"))?;
    let number: Generation = generation(row.int(5)?)?;
    Ok(DrillRecord {
        id: row.text(0)?.parse().map_err(|_| unreadable("id"))?,
        mode: row.text(1)?,
        subject: row.text(2)?,
        sites: names.iter().map(|name| SiteId::named(name)).collect(),
        state: row.text(4)?,
        generation: number,
        body: row.text(6)?,
        started_at: Timestamp(row.int(7)?),
        updated_at: Timestamp(row.int(8)?),
        ended_at: row.int_or_null(9)?.map(Timestamp),
    })
}
