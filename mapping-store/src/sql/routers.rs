//! Routers: who is alive, and how far each has come.
//!
//! Owns the heartbeat's row, and what stays of a router whose name another journal has taken. Relies on the store's clock
//! for what is alive.

use super::Sql;
use super::agents::FACTS_BYTES_MAX;
use super::session::{Access, Row, Session, args, stored};
use super::write::Write;
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::{Error, RouterRecord, Seq};
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
    /// Without the store's lock: a router writes only its own row. The first heartbeat of a process takes it, so that the
    /// incarnation in which the store heard of it is the right one. One that is late changes nothing.
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
        if same_process(session.as_mut(), router).await? {
            let kept = keep(session.as_mut(), router, lease_ms, None).await?;
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

/// The name's row is this process's from here on. What was there stays beside it, unless that has certainly ended.
async fn take_over(write: &mut Write, router: &RouterRecord, lease_ms: u64) -> Result<(), Error> {
    let since = write.incarnation();
    let session = write.session.as_mut();
    let now = session.now().await?;
    let rows = session.rows(ONE, args![&router.name]).await?;
    let before = rows.first().map(|row| self::router(row, now)).transpose()?;
    let stays = before.is_some_and(|before| witness::before(&before, router) == Before::Stays);
    let sql = "DELETE FROM displaced_routers WHERE name = $1 AND journal = $2";
    session
        .run(sql, args![&router.name, &router.journal])
        .await?;
    if stays {
        session.run(DISPLACE, args![&router.name]).await?;
    }
    keep(session, router, lease_ms, Some(since)).await?;
    Ok(())
}

async fn same_process(session: &mut dyn Session, router: &RouterRecord) -> Result<bool, Error> {
    let sql = "SELECT process FROM routers WHERE name = $1";
    let rows = session.rows(sql, args![&router.name]).await?;
    let process = rows.first().map(|row| row.text(0)).transpose()?;
    Ok(process.as_deref() == Some(router.process.as_str()))
}

/// Another process of the same name begins anew, if it may: it is heard of first `since` this incarnation.
async fn keep(
    session: &mut dyn Session,
    router: &RouterRecord,
    lease_ms: u64,
    since: Option<u16>,
) -> Result<u64, Error> {
    let now = session.now().await?;
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
    let RouterRecord { name, journal, .. } = router;
    let mut gone = 0;
    for sql in [
        "DELETE FROM routers WHERE name = $1 AND journal = $2",
        "DELETE FROM displaced_routers WHERE name = $1 AND journal = $2",
    ] {
        gone += write.session.run(sql, args![name, journal]).await?;
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
        process: row.text(10)?,
        since: u16::try_from(row.int(11)?).unwrap_or(u16::MAX),
        beat: row.number(12)?,
    })
}
