//! Routers: who is alive, and how far each has come.
//!
//! Owns the heartbeats' rows: one for each process, the newest of a name in `routers`, and in `displaced_routers` those that
//! hand over to it, and those of which nobody knows whether they have ended when another journal took their name. Relies on
//! the store's clock for what is alive.

use super::Sql;
use super::agents::FACTS_BYTES_MAX;
use super::session::{Access, Row, Session, args, stored};
use super::write::Write;
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::{Beside, Error, RouterRecord, Seq};
use crate::witness::{self, Before};

/// What a router's row has.
macro_rules! columns {
    () => {
        "name, registry_acknowledged, applied, address, version, config_hash, seen_at, expires_at, facts, journal, process, \
         since, beat"
    };
}
const ALL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM routers UNION ALL SELECT ",
    columns!(),
    " FROM displaced_routers ORDER BY name, seen_at DESC"
);
const ONE: &str = concat!("SELECT ", columns!(), " FROM routers WHERE name = $1");
const DISPLACE: &str = concat!(
    "INSERT INTO displaced_routers (",
    columns!(),
    ") SELECT ",
    columns!(),
    " FROM routers WHERE name = $1"
);

impl Sql {
    /// Without the store's lock: a process writes only its own row. Its first heartbeat takes the name, under the lock, so that
    /// the incarnation in which the store heard of it is the right one. One that is late changes nothing.
    pub(super) async fn note_router(
        &self,
        router: &RouterRecord,
        lease_ms: u64,
    ) -> Result<(), Error> {
        if router.facts.len() > FACTS_BYTES_MAX {
            return Err(Error::Limit(
                "bytes of facts in a router's heartbeat",
                FACTS_BYTES_MAX,
            ));
        }
        let mut session = self.session(Access::Write, "send a heartbeat").await?;
        let place = place(session.as_mut(), router).await?;
        if place != Place::ToTake {
            let kept = match place {
                Place::Beside => beat_beside(session.as_mut(), router, lease_ms).await?,
                Place::Own | Place::ToTake => {
                    keep(session.as_mut(), router, lease_ms, None).await?
                }
            };
            session.commit().await?;
            // Whoever was told nothing must not rely on it.
            return match kept {
                0 => Err(Error::Busy(format!(
                    "another heartbeat of router {} has come between",
                    router.name
                ))),
                _ => Ok(()),
            };
        }
        session.rollback().await?;
        let mut write = self.write("register a router").await?;
        let result = take_over(&mut write, router, lease_ms).await;
        write.end(result).await
    }

    pub(super) async fn all_routers(&self) -> Result<Vec<RouterRecord>, Error> {
        let mut session = self.read("read the routers").await?;
        let routers = in_session(session.as_mut()).await?;
        session.commit().await?;
        Ok(routers)
    }

    pub(super) async fn remove_router(
        &self,
        router: &RouterRecord,
        audit: &AuditEntry,
    ) -> Result<(), Error> {
        let mut write = self.write("forget a router").await?;
        let result = remove_in(&mut write, router, audit).await;
        write.end(result).await
    }
}

pub(super) async fn in_session(session: &mut dyn Session) -> Result<Vec<RouterRecord>, Error> {
    let now = session.now().await?;
    let rows = session.rows(ALL, args![]).await?;
    rows.iter().map(|row| router(row, now)).collect()
}

/// Where a process's row is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Its name's newest.
    Own,
    /// It hands over: its row is beside that of the one that has taken its name.
    Beside,
    /// It has none, or may take the name back.
    ToTake,
}

async fn place(session: &mut dyn Session, router: &RouterRecord) -> Result<Place, Error> {
    let now = session.now().await?;
    let rows = session.rows(ONE, args![&router.name]).await?;
    let Some(newest) = rows.first().map(|row| self::router(row, now)).transpose()? else {
        return Ok(Place::ToTake);
    };
    if newest.process == router.process {
        return Ok(Place::Own);
    }
    // The one that took the name may have died before it served, and this one goes on.
    let gone = router.beside == Beside::Nobody && !newest.live;
    if newest.journal != router.journal || gone {
        return Ok(Place::ToTake);
    }
    let sql = "SELECT 1 FROM displaced_routers WHERE name = $1 AND journal = $2 AND process = $3";
    let args = args![&router.name, &router.journal, &router.process];
    Ok(match session.rows(sql, args).await?.is_empty() {
        true => Place::ToTake,
        false => Place::Beside,
    })
}

/// The name's row is this process's from here on. What was there stays beside it, unless that has certainly ended.
async fn take_over(write: &mut Write, router: &RouterRecord, lease_ms: u64) -> Result<(), Error> {
    let since = write.incarnation();
    let session = write.session.as_mut();
    let now = session.now().await?;
    let rows = session.rows(ONE, args![&router.name]).await?;
    let before = rows.first().map(|row| self::router(row, now)).transpose()?;
    let stays = before.is_some_and(|before| witness::before(&before, router) == Before::Stays);
    let sql = "DELETE FROM displaced_routers WHERE name = $1 AND journal = $2 AND process = $3";
    let args = args![&router.name, &router.journal, &router.process];
    session.run(sql, args).await?;
    if stays {
        session.run(DISPLACE, args![&router.name]).await?;
    }
    keep(session, router, lease_ms, Some(since)).await?;
    Ok(())
}

/// The heartbeat of a process that hands over.
async fn beat_beside(
    session: &mut dyn Session,
    router: &RouterRecord,
    lease_ms: u64,
) -> Result<u64, Error> {
    let now = session.now().await?;
    let sql = "UPDATE displaced_routers SET registry_acknowledged = $4, applied = $5, address = $6, version = $7, \
               config_hash = $8, seen_at = $9, expires_at = $10, facts = $11, beat = $12 \
               WHERE name = $1 AND journal = $2 AND process = $3 AND beat <= $12";
    let args = args![
        &router.name,
        &router.journal,
        &router.process,
        stored(router.registry_acknowledged),
        router.applied,
        &router.address,
        &router.version,
        &router.config_hash,
        now,
        now.0.saturating_add(stored(lease_ms)),
        &router.facts,
        stored(router.beat),
    ];
    session.run(sql, args).await
}

/// The newest of its name. Another process begins anew, if it may: it is heard of first `since` this incarnation. What is
/// beside it with its journal goes when that has ended.
async fn keep(
    session: &mut dyn Session,
    router: &RouterRecord,
    lease_ms: u64,
    since: Option<u16>,
) -> Result<u64, Error> {
    let now = session.now().await?;
    if router.beside == Beside::Nobody {
        let sql = "DELETE FROM displaced_routers WHERE name = $1 AND journal = $2";
        session
            .run(sql, args![&router.name, &router.journal])
            .await?;
    }
    let sql = "INSERT INTO routers (name, registry_acknowledged, applied, address, version, config_hash, seen_at, \
               expires_at, facts, process, since, beat, journal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $14) \
               ON CONFLICT (name) DO UPDATE SET \
               registry_acknowledged = excluded.registry_acknowledged, applied = excluded.applied, \
               address = excluded.address, version = excluded.version, config_hash = excluded.config_hash, \
               seen_at = excluded.seen_at, expires_at = excluded.expires_at, facts = excluded.facts, \
               since = CASE WHEN routers.process = excluded.process THEN routers.since ELSE excluded.since END, \
               process = excluded.process, beat = excluded.beat, journal = excluded.journal \
               WHERE (routers.process <> excluded.process AND $13 = 1) \
               OR (routers.process = excluded.process AND routers.beat <= excluded.beat)";
    let args = args![
        &router.name,
        stored(router.registry_acknowledged),
        router.applied,
        &router.address,
        &router.version,
        &router.config_hash,
        now,
        now.0.saturating_add(stored(lease_ms)),
        &router.facts,
        &router.process,
        // Of one that is forgotten in this very moment nothing is known.
        i64::from(since.unwrap_or(u16::MAX)),
        stored(router.beat),
        i64::from(since.is_some()),
        &router.journal,
    ];
    session.run(sql, args).await
}

async fn remove_in(
    write: &mut Write,
    router: &RouterRecord,
    audit: &AuditEntry,
) -> Result<(), Error> {
    let RouterRecord {
        name,
        journal,
        process,
        ..
    } = router;
    let mut gone = 0;
    for sql in [
        "DELETE FROM routers WHERE name = $1 AND journal = $2 AND process = $3",
        "DELETE FROM displaced_routers WHERE name = $1 AND journal = $2 AND process = $3",
    ] {
        gone += write
            .session
            .run(sql, args![name, journal, process])
            .await?;
    }
    if gone == 0 {
        return Err(Error::Unknown {
            what: format!("router {name} with journal \"{journal}\""),
        });
    }
    write.audit(audit).await?;
    Ok(())
}

fn router(row: &Row, now: Timestamp) -> Result<RouterRecord, Error> {
    Ok(RouterRecord {
        name: row.text(0)?,
        registry_acknowledged: row.number(1)?,
        applied: Seq(row.number(2)?),
        address: row.text(3)?,
        version: row.text(4)?,
        config_hash: row.text(5)?,
        seen_at: Timestamp(row.int(6)?),
        live: row.int(7)? > now.0,
        lease_ms: u64::try_from(row.int(7)?.saturating_sub(row.int(6)?)).unwrap_or(0),
        facts: row.text(8)?,
        journal: row.text(9)?,
        beside: Beside::default(),
        process: row.text(10)?,
        since: u16::try_from(row.int(11)?).unwrap_or(u16::MAX),
        beat: row.number(12)?,
    })
}
