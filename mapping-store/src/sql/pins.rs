//! Pins.
//!
//! Owns their compare-and-set. Must not judge whether a pin is allowed: its caller has probed.

use super::Sql;
use super::names::{Known, Wanted, generation};
use super::session::{Row, args};
use super::write::{What, Write};
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::sql::key::StoredKey;
use crate::store::{Error, Pin};
use crate::{Generation, RoutingKey, SiteId};

impl Sql {
    pub(super) async fn all_pins(&self) -> Result<Vec<Pin>, Error> {
        let mut session = self.read("read pins").await?;
        let known = self.names.refresh(session.as_mut()).await?;
        let sql = "SELECT kind, engine, id, site, generation, actor, reason, created_at FROM pins \
                   WHERE site IS NOT NULL ORDER BY kind, engine, id";
        let rows = session.rows(sql, args![]).await?;
        session.commit().await?;
        rows.iter().map(|row| pin(&known, row)).collect()
    }

    pub(super) async fn set_pin(
        &self,
        key: &RoutingKey,
        site: Option<SiteId>,
        expected: Option<Generation>,
        audit: &AuditEntry,
    ) -> Result<Option<Pin>, Error> {
        let mut wanted = Wanted::default();
        wanted.key(key);
        site.iter().for_each(|site| wanted.site(*site));
        let known = self.names.ensure(self.backend.as_ref(), &wanted).await?;
        let mut write = self.write("change a pin").await?;
        let result = set_in(&mut write, &known, key, site, expected, audit).await;
        let generation = write.end(result).await?;
        Ok(site.zip(generation).map(|(site, generation)| Pin {
            key: key.clone(),
            site,
            generation,
            actor: audit.actor.clone(),
            reason: audit.reason.clone().unwrap_or_default(),
            created_at: audit.at,
        }))
    }
}

async fn set_in(
    write: &mut Write,
    known: &Known,
    key: &RoutingKey,
    site: Option<SiteId>,
    expected: Option<Generation>,
    audit: &AuditEntry,
) -> Result<Option<Generation>, Error> {
    let stored = known.key(key).ok_or_else(|| Error::Unknown {
        what: key.to_string(),
    })?;
    let number = site.map(|site| {
        known.site(site).ok_or_else(|| Error::Unknown {
            what: format!("site {site}"),
        })
    });
    let number = number.transpose()?;
    let sql = "SELECT site, generation FROM pins WHERE kind = $1 AND engine = $2 AND id = $3";
    let row = write
        .session
        .rows(sql, args![stored.kind, stored.engine, stored.id.as_slice()])
        .await?
        .pop();
    let last = row
        .as_ref()
        .map(|row| generation(row.int(1)?))
        .transpose()?;
    let present = row
        .as_ref()
        .map(|row| row.int_or_null(0))
        .transpose()?
        .flatten()
        .is_some();
    let found = last.filter(|_| present);
    if found != expected {
        return Err(Error::Stale {
            what: format!("the pin of {key}"),
            expected,
            found,
        });
    }
    if !present && number.is_none() {
        return Ok(None);
    }
    let next = write.next_generation(last);
    let sql = "INSERT INTO pins (kind, engine, id, site, generation, actor, reason, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, engine, id) DO UPDATE SET \
               site = excluded.site, generation = excluded.generation, actor = excluded.actor, \
               reason = excluded.reason, created_at = excluded.created_at WHERE pins.generation < excluded.generation";
    let reason = audit.reason.clone().unwrap_or_default();
    let args = args![
        stored.kind,
        stored.engine,
        stored.id.as_slice(),
        number,
        next,
        &audit.actor,
        reason,
        audit.at,
    ];
    write.session.run(sql, args).await?;
    write.event_of_key(What::Pin, &stored).await?;
    write.audit(audit).await?;
    Ok(Some(next))
}

fn pin(known: &Known, row: &Row) -> Result<Pin, Error> {
    let key = StoredKey {
        kind: row.int(0)?,
        engine: row.int(1)?,
        id: row.bytes(2)?,
    };
    Ok(Pin {
        key: known.routing_key(&key)?,
        site: known.site_at(row.int(3)?)?,
        generation: generation(row.int(4)?)?,
        actor: row.text(5)?,
        reason: row.text(6)?,
        created_at: Timestamp(row.int(7)?),
    })
}
