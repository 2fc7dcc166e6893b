//! Routers: who is alive, and how far each has come.
//!
//! Owns the heartbeat's row. Relies on the store's clock for what is alive.

use super::Sql;
use super::agents::FACTS_BYTES_MAX;
use super::session::{Access, Row, args, stored};
use super::write::Write;
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::{Error, RouterRecord, Seq};

impl Sql {
    /// Without the store's lock: a router writes only its own row.
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
        let now = session.now().await?;
        let sql = "INSERT INTO routers (name, registry_acknowledged, applied, address, version, config_hash, seen_at, \
                   expires_at, facts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO UPDATE SET \
                   registry_acknowledged = excluded.registry_acknowledged, applied = excluded.applied, \
                   address = excluded.address, version = excluded.version, config_hash = excluded.config_hash, \
                   seen_at = excluded.seen_at, expires_at = excluded.expires_at, facts = excluded.facts";
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
        ];
        session.run(sql, args).await?;
        session.commit().await
    }

    pub(super) async fn all_routers(&self) -> Result<Vec<RouterRecord>, Error> {
        let mut session = self.read("read the routers").await?;
        let now = session.now().await?;
        let sql = "SELECT name, registry_acknowledged, applied, address, version, config_hash, seen_at, expires_at, facts \
                   FROM routers ORDER BY name";
        let rows = session.rows(sql, args![]).await?;
        session.commit().await?;
        rows.iter().map(|row| router(row, now)).collect()
    }

    pub(super) async fn remove_router(&self, name: &str, audit: &AuditEntry) -> Result<(), Error> {
        let mut write = self.write("forget a router").await?;
        let result = remove_in(&mut write, name, audit).await;
        write.end(result).await
    }
}

async fn remove_in(write: &mut Write, name: &str, audit: &AuditEntry) -> Result<(), Error> {
    if write
        .session
        .run("DELETE FROM routers WHERE name = $1", args![name])
        .await?
        == 0
    {
        return Err(Error::Unknown {
            what: format!("router {name}"),
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
    })
}
