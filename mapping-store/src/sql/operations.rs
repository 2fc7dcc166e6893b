//! Operations: plans that are carried out, step by step.
//!
//! Owns their rows and events. Must not know what a step does. Relies on the compare-and-set of each step: of two
//! executors that believe to be the leader only one gets on.

use super::Sql;
use super::names::{Known, generation};
use super::newest::{self, After};
use super::session::{Row, Session, args, stored};
use super::switch::held;
use super::write::Write;
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::operation::{Account, Ends, NewOperation, OperationEvent, OperationRecord, Progress};
use crate::store::{Error, Page, Slice};
use crate::{Generation, SiteId};
use uuid::Uuid;

const ONE: &str = "SELECT id, plan, verb, subject, sites, state, generation, body, started_at, updated_at, ended_at \
                   FROM operations WHERE id = $1";
const OPEN: &str = "SELECT id, plan, verb, subject, sites, state, generation, body, started_at, updated_at, ended_at \
                    FROM operations WHERE ended_at IS NULL OR plan = $1";
const NEWEST: &str = "SELECT id, plan, verb, subject, sites, state, generation, body, started_at, updated_at, ended_at \
                      FROM operations WHERE started_at < $1 OR (started_at = $1 AND id > $2) \
                      ORDER BY started_at DESC, id LIMIT $3";

impl Sql {
    pub(super) async fn start_operation(
        &self,
        new: &NewOperation,
        audit: &AuditEntry,
    ) -> Result<OperationRecord, Error> {
        for (site, _) in &new.sites {
            self.site_number(*site).await?;
        }
        let known = self.names.known();
        let mut write = self.write("begin an operation").await?;
        let result = begin(&mut write, &known, new, audit).await;
        write.end(result).await
    }

    pub(super) async fn one_operation(&self, id: Uuid) -> Result<Option<OperationRecord>, Error> {
        let mut session = self.read("read an operation").await?;
        let record = one(session.as_mut(), id).await?;
        session.commit().await?;
        Ok(record)
    }

    pub(super) async fn newest_operations(
        &self,
        slice: Slice<'_>,
    ) -> Result<Page<OperationRecord>, Error> {
        let after = After::read(slice.after)?;
        let id = match after.id.as_str() {
            "" => Vec::new(),
            id => Uuid::parse_str(id)
                .map_err(|_| newest::no_cursor())?
                .as_bytes()
                .to_vec(),
        };
        let mut session = self.read("read operations").await?;
        let args = args![after.at, id, newest::rows(slice.limit)];
        let rows = session.rows(NEWEST, args).await?;
        session.commit().await?;
        let items: Vec<OperationRecord> = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok(newest::page(items, slice.limit, |one| {
            (one.started_at, one.id.to_string())
        }))
    }

    pub(super) async fn write_account(&self, account: &Account) -> Result<OperationRecord, Error> {
        let mut write = self.write("record an operation").await?;
        let result = keep_account(&mut write, account).await;
        write.end(result).await
    }

    pub(super) async fn step_operation(
        &self,
        progress: &Progress,
    ) -> Result<OperationRecord, Error> {
        let mut write = self.write("follow an operation").await?;
        let result = step(&mut write, progress).await;
        write.end(result).await
    }

    pub(super) async fn events_of(&self, id: Uuid) -> Result<Vec<OperationEvent>, Error> {
        let mut session = self.read("read an operation's events").await?;
        let sql = "SELECT number, at, what, detail FROM operation_events WHERE operation = $1 ORDER BY number";
        let rows = session.rows(sql, args![id.as_bytes().to_vec()]).await?;
        session.commit().await?;
        rows.iter()
            .map(|row| {
                Ok(OperationEvent {
                    number: row.number(0)?,
                    at: Timestamp(row.int(1)?),
                    what: row.text(2)?,
                    detail: row.text(3)?,
                })
            })
            .collect()
    }
}

/// Such a record has ended whenever it is written: nobody goes on with it, and it stands in no other operation's way.
async fn keep_account(write: &mut Write, account: &Account) -> Result<OperationRecord, Error> {
    let id = account.id;
    let now = write.session.now().await?;
    let before = one(write.session.as_mut(), id).await?;
    let next = write.next_generation(before.as_ref().map(|before| before.generation));
    match before {
        None => {
            let names: Vec<&str> = account.sites.iter().map(|site| site.name()).collect();
            let sites = serde_json::json!(names).to_string();
            let sql = "INSERT INTO operations (id, plan, verb, subject, sites, state, generation, body, started_at, updated_at, ended_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9)";
            let args = args![
                id.as_bytes().to_vec(),
                format!("{} {id}", account.verb),
                &account.verb,
                &account.subject,
                sites,
                &account.state,
                next,
                &account.body,
                now,
            ];
            write.session.run(sql, args).await?;
        }
        Some(before) => {
            let sql = "UPDATE operations SET state = $1, generation = $2, body = $3, updated_at = $4, ended_at = $4 \
                       WHERE id = $5 AND generation = $6";
            let args = args![
                &account.state,
                next,
                &account.body,
                now,
                id.as_bytes().to_vec(),
                before.generation,
            ];
            write.session.run(sql, args).await?;
        }
    }
    note(write, id, now, &account.what, &account.detail).await?;
    read_back(write, id).await
}

async fn one(session: &mut dyn Session, id: Uuid) -> Result<Option<OperationRecord>, Error> {
    let rows = session.rows(ONE, args![id.as_bytes().to_vec()]).await?;
    rows.first().map(record).transpose()
}

async fn begin(
    write: &mut Write,
    known: &Known,
    new: &NewOperation,
    audit: &AuditEntry,
) -> Result<OperationRecord, Error> {
    free(write, new).await?;
    for (site, expected) in &new.sites {
        let number = known.site(*site).ok_or_else(|| Error::Unknown {
            what: format!("site {site}"),
        })?;
        let found = held(write, *site, number).await?.generation;
        if found != *expected {
            return Err(Error::Stale {
                what: format!("the assignment of {site}"),
                expected: Some(*expected),
                found: Some(found),
            });
        }
    }
    let now = write.session.now().await?;
    let first = write.next_generation(None);
    let names: Vec<&str> = new.sites.iter().map(|(site, _)| site.name()).collect();
    let sites = serde_json::json!(names).to_string();
    let sql = "INSERT INTO operations (id, plan, verb, subject, sites, state, generation, body, started_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
    let args = args![
        new.id.as_bytes().to_vec(),
        &new.plan,
        &new.verb,
        &new.subject,
        sites,
        &new.state,
        first,
        &new.body,
        now,
    ];
    write.session.run(sql, args).await?;
    note(write, new.id, now, "begun", &new.verb).await?;
    write.audit(audit).await?;
    read_back(write, new.id).await
}

/// Refuses a plan that was applied before, and sites that another operation works on.
async fn free(write: &mut Write, new: &NewOperation) -> Result<(), Error> {
    for row in write.session.rows(OPEN, args![&new.plan]).await? {
        let other = record(&row)?;
        if other.plan == new.plan {
            return Err(Error::Applied {
                operation: other.id,
            });
        }
        let shared = new
            .sites
            .iter()
            .find(|(site, _)| other.sites.contains(site));
        if let Some((site, _)) = shared {
            return Err(Error::Busy(format!(
                "operation {} ({}) works on site {site}; wait for it, or abort it",
                other.id, other.verb
            )));
        }
    }
    Ok(())
}

async fn step(write: &mut Write, progress: &Progress) -> Result<OperationRecord, Error> {
    let id = progress.id;
    let before = one(write.session.as_mut(), id).await?;
    let before = before.ok_or_else(|| Error::Unknown {
        what: format!("operation {id}"),
    })?;
    if before.generation != progress.expected {
        return Err(Error::Stale {
            what: format!("operation {id}"),
            expected: Some(progress.expected),
            found: Some(before.generation),
        });
    }
    if before.ended_at.is_some() {
        return Err(Error::Busy(format!("operation {id} has ended")));
    }
    let now = write.session.now().await?;
    let next = write.next_generation(Some(before.generation));
    let ended = match progress.ends {
        Ends::Yes => Some(now.0),
        Ends::No => None,
    };
    let sql = "UPDATE operations SET state = $1, generation = $2, body = $3, updated_at = $4, ended_at = $5 \
               WHERE id = $6 AND generation = $7";
    let args = args![
        &progress.state,
        next,
        &progress.body,
        now,
        ended,
        id.as_bytes().to_vec(),
        before.generation,
    ];
    write.session.run(sql, args).await?;
    note(write, id, now, &progress.what, &progress.detail).await?;
    read_back(write, id).await
}

async fn read_back(write: &mut Write, id: Uuid) -> Result<OperationRecord, Error> {
    one(write.session.as_mut(), id)
        .await?
        .ok_or_else(|| Error::Corrupt(format!("operation {id} is not there")))
}

async fn note(
    write: &mut Write,
    id: Uuid,
    at: Timestamp,
    what: &str,
    detail: &str,
) -> Result<(), Error> {
    let sql = "INSERT INTO operation_events (operation, number, at, what, detail) \
               SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4 FROM operation_events WHERE operation = $1";
    let id = id.as_bytes().to_vec();
    write
        .session
        .run(sql, args![id, stored(at.0 as u64), what, detail])
        .await?;
    Ok(())
}

fn record(row: &Row) -> Result<OperationRecord, Error> {
    let unreadable = |what: &str| Error::Corrupt(format!("an operation's {what} cannot be read"));
    let names: Vec<String> =
        serde_json::from_str(&row.text(4)?).map_err(|_| unreadable("list of sites"))?;
    let number: Generation = generation(row.int(6)?)?;
    Ok(OperationRecord {
        id: Uuid::from_slice(&row.bytes(0)?).map_err(|_| unreadable("id"))?,
        plan: row.text(1)?,
        verb: row.text(2)?,
        subject: row.text(3)?,
        sites: names.iter().map(|name| SiteId::named(name)).collect(),
        state: row.text(5)?,
        generation: number,
        body: row.text(7)?,
        started_at: Timestamp(row.int(8)?),
        updated_at: Timestamp(row.int(9)?),
        ended_at: row.int_or_null(10)?.map(Timestamp),
    })
}
