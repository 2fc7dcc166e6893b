//! Armed start events.
//!
//! Owns the table `armed`. A row is made once, whoever comes first; each change is a compare-and-set on its generation,
//! and is announced as a change of its site.

use super::Sql;
use super::names::{Known, generation};
use super::session::{Row, args};
use super::write::{What, Write};
use crate::armed::{ARMED_MAX, Armed, Stage};
use crate::mapping::{Generation, Timestamp};
use crate::store::Error;

const ALL: &str = "SELECT scope, tenant, key, site, stage, detail, generation, since FROM armed \
                   ORDER BY scope, tenant, key";
const ONE: &str = "SELECT scope, tenant, key, site, stage, detail, generation, since FROM armed \
                   WHERE scope = $1 AND tenant = $2 AND key = $3";

impl Sql {
    pub(super) async fn all_armed(&self) -> Result<Vec<Armed>, Error> {
        let mut session = self.read("read where start events are armed").await?;
        let rows = session.rows(ALL, args![]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.iter().map(|row| armed(&known, row)).collect()
    }

    pub(super) async fn arm_once(&self, new: &Armed) -> Result<Armed, Error> {
        let number = self.site_number(new.site).await?;
        let mut write = self.write("arm start events").await?;
        let known = self.names.refresh(write.session.as_mut()).await?;
        let result = arm(&mut write, &known, number, new).await;
        write.end(result).await
    }

    pub(super) async fn change_armed(&self, last: Generation, new: &Armed) -> Result<bool, Error> {
        let number = self.site_number(new.site).await?;
        let mut write = self.write("move armed start events").await?;
        let result = change(&mut write, number, last, new).await;
        write.end(result).await
    }

    pub(super) async fn drop_armed(&self, row: &Armed) -> Result<bool, Error> {
        let mut write = self.write("forget armed start events").await?;
        let result = forget(&mut write, row).await;
        write.end(result).await
    }
}

async fn arm(write: &mut Write, known: &Known, site: i64, new: &Armed) -> Result<Armed, Error> {
    let key = args![&new.scope, tenant(new), &new.key];
    if let Some(row) = write.session.rows(ONE, key).await?.first() {
        return armed(known, row);
    }
    let rows = write
        .session
        .rows("SELECT count(*) FROM armed", args![])
        .await?;
    if rows.first().map_or(Ok(0), |row| row.number(0))? >= ARMED_MAX as u64 {
        return Err(Error::Limit("armed definitions", ARMED_MAX));
    }
    let since = write.session.now().await?;
    let generation = write.next_generation(None);
    let sql = "INSERT INTO armed (scope, tenant, key, site, stage, detail, generation, since) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let args = args![
        &new.scope,
        tenant(new),
        &new.key,
        site,
        new.stage.as_str(),
        &new.detail,
        generation,
        since,
    ];
    write.session.run(sql, args).await?;
    write.event_of_name(What::Site, new.site.name()).await?;
    Ok(Armed {
        generation,
        since,
        ..new.clone()
    })
}

async fn change(
    write: &mut Write,
    site: i64,
    last: Generation,
    new: &Armed,
) -> Result<bool, Error> {
    let since = write.session.now().await?;
    let sql = "UPDATE armed SET site = $1, stage = $2, detail = $3, generation = $4, since = $5 \
               WHERE scope = $6 AND tenant = $7 AND key = $8 AND generation = $9";
    let args = args![
        site,
        new.stage.as_str(),
        &new.detail,
        write.next_generation(Some(last)),
        since,
        &new.scope,
        tenant(new),
        &new.key,
        last,
    ];
    let changed = write.session.run(sql, args).await? > 0;
    if changed {
        write.event_of_name(What::Site, new.site.name()).await?;
    }
    Ok(changed)
}

async fn forget(write: &mut Write, row: &Armed) -> Result<bool, Error> {
    let sql = "DELETE FROM armed WHERE scope = $1 AND tenant = $2 AND key = $3 AND generation = $4";
    let args = args![&row.scope, tenant(row), &row.key, row.generation];
    let forgotten = write.session.run(sql, args).await? > 0;
    if forgotten {
        write.event_of_name(What::Site, row.site.name()).await?;
    }
    Ok(forgotten)
}

/// A tenant has a name, so none is the empty text.
fn tenant(row: &Armed) -> &str {
    row.tenant.as_deref().unwrap_or_default()
}

fn armed(known: &Known, row: &Row) -> Result<Armed, Error> {
    let stage = row.text(4)?;
    Ok(Armed {
        scope: row.text(0)?,
        tenant: Some(row.text(1)?).filter(|tenant| !tenant.is_empty()),
        key: row.text(2)?,
        site: known.site_at(row.int(3)?)?,
        stage: Stage::parse(&stage)
            .ok_or_else(|| Error::Corrupt(format!("\"{stage}\" is no stage of start events")))?,
        detail: row.text(5)?,
        generation: generation(row.int(6)?)?,
        since: Timestamp(row.int(7)?),
    })
}
