//! Writes of shared data and how far each site is with them.
//!
//! Owns their rows, and when one goes: what something newer decides anew, and what was removed everywhere. Relies on
//! `deployments` for how a site's part reads.

use super::Sql;
use super::deployments::{at_site, numbered};
use super::names::Known;
use super::session::{Row, args, stored};
use super::write::{What, Write};
use crate::SiteId;
use crate::deployment::{AtSite, Standing};
use crate::mapping::Timestamp;
use crate::shared::{
    NewShared, SHARED_BYTES_MAX, SHARED_MAX, SharedAt, SharedId, SharedRecord, SharedState,
    SharedStore, SharedVerb,
};
use crate::store::Error;
use async_trait::async_trait;
use std::collections::HashMap;

const COUNTS: &str = "SELECT scope, count(*) FROM shared GROUP BY scope ORDER BY scope";
const STANDINGS: &str = "SELECT r.scope, s.site, count(*), \
    sum(CASE WHEN s.standing <> 'done' THEN 1 ELSE 0 END), \
    sum(CASE WHEN s.standing IN ('sending', 'unknown', 'missing') AND EXISTS \
        (SELECT 1 FROM shared_sites d WHERE d.number = s.number AND d.standing = 'done') THEN 1 ELSE 0 END), \
    sum(CASE WHEN s.standing = 'failed' OR s.holds <> '' THEN 1 ELSE 0 END) \
    FROM shared r JOIN shared_sites s ON s.number = r.number GROUP BY r.scope, s.site ORDER BY r.scope, s.site";
const IDS: &str = "SELECT r.scope, r.subject, s.site, s.id FROM shared r \
    JOIN shared_sites s ON s.number = r.number WHERE s.id IS NOT NULL ORDER BY r.number, s.site";
const OPEN: &str = "SELECT r.number, r.scope, r.verb, r.subject, r.other, r.what, r.recorded_at FROM shared r \
    JOIN shared_sites s ON s.number = r.number \
    WHERE r.scope = $1 AND s.site = $2 AND (s.standing <> 'done' OR s.holds <> '') \
    ORDER BY CASE WHEN s.standing IN ('failed', 'done') THEN 1 ELSE 0 END, r.number LIMIT $3";
const PARTS: &str = "SELECT o.number, o.site, o.standing, o.id, o.holds, o.detail, o.updated_at FROM shared_sites o \
    JOIN shared r ON r.number = o.number WHERE r.scope = $1 AND r.number <= $3 AND EXISTS \
    (SELECT 1 FROM shared_sites s WHERE s.number = o.number AND s.site = $2 \
    AND (s.standing <> 'done' OR s.holds <> '')) ORDER BY o.number, o.site";

#[async_trait]
impl SharedStore for Sql {
    async fn record_shared(&self, new: &NewShared) -> Result<u64, Error> {
        if new.content.len() > SHARED_BYTES_MAX {
            return Err(Error::Limit("bytes of a shared write", SHARED_BYTES_MAX));
        }
        let known = self.numbered(&new.sites).await?;
        let mut write = self.write("record a shared write").await?;
        let result = add_in(&mut write, &known, new).await;
        write.end(result).await
    }

    async fn shared_state(&self) -> Result<SharedState, Error> {
        let mut session = self.read("read how far shared data is").await?;
        let counts = session.rows(COUNTS, args![]).await?;
        let standings = session.rows(STANDINGS, args![]).await?;
        let ids = session.rows(IDS, args![]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        let kept = counts.iter().map(|row| Ok((row.text(0)?, row.number(1)?)));
        let sites = standings.iter().map(|row| {
            Ok(SharedAt {
                scope: row.text(0)?,
                site: known.site_at(row.int(1)?)?,
                listed: row.number(2)?,
                open: row.number(3)?,
                behind: row.number(4)?,
                flawed: row.number(5)?,
            })
        });
        let ids = ids.iter().map(|row| {
            Ok(SharedId {
                scope: row.text(0)?,
                subject: row.text(1)?,
                site: known.site_at(row.int(2)?)?,
                id: row.text(3)?,
            })
        });
        Ok(SharedState {
            kept: kept.collect::<Result<_, Error>>()?,
            sites: sites.collect::<Result<_, Error>>()?,
            ids: ids.collect::<Result<_, Error>>()?,
        })
    }

    async fn open_shared(
        &self,
        scope: &str,
        site: SiteId,
        limit: usize,
    ) -> Result<Vec<SharedRecord>, Error> {
        let known = self.numbered(&[site]).await?;
        let number = numbered(&known, site)?;
        let mut session = self.read("read what a site is to get").await?;
        let args = args![scope, number, stored(limit as u64)];
        let rows = session.rows(OPEN, args).await?;
        let numbers: Vec<i64> = rows
            .iter()
            .map(|row| row.int(0))
            .collect::<Result<_, _>>()?;
        let last = numbers.iter().max().copied().unwrap_or_default();
        let parts = session.rows(PARTS, args![scope, number, last]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        let mut sites: HashMap<i64, Vec<AtSite>> = HashMap::new();
        for part in &parts {
            let of = sites.entry(part.int(0)?).or_default();
            of.push(at_site(part, &known)?);
        }
        rows.iter()
            .map(|row| record(row, sites.remove(&row.int(0)?).unwrap_or_default()))
            .collect()
    }

    async fn shared_content(&self, number: u64) -> Result<Vec<u8>, Error> {
        let mut session = self.read("read a shared write").await?;
        let sql = "SELECT content FROM shared WHERE number = $1";
        let rows = session.rows(sql, args![stored(number)]).await?;
        session.commit().await?;
        rows.first().ok_or_else(|| unknown(number))?.bytes(0)
    }

    async fn note_shared(&self, number: u64, sites: &[AtSite]) -> Result<(), Error> {
        let of: Vec<SiteId> = sites.iter().map(|at| at.site).collect();
        let known = self.numbered(&of).await?;
        let mut write = self.write("note how far a shared write is").await?;
        let result = note_in(&mut write, &known, number, sites).await;
        write.end(result).await
    }

    async fn withdraw_shared(&self, number: u64) -> Result<(), Error> {
        let mut write = self.write("withdraw a shared write").await?;
        let result = withdraw_in(&mut write, number).await;
        write.end(result).await
    }

    async fn enlist_for_shared(&self, scope: &str, site: SiteId) -> Result<u64, Error> {
        let known = self.numbered(&[site]).await?;
        let number = numbered(&known, site)?;
        let mut write = self.write("give a site the shared data").await?;
        let result = enlist_in(&mut write, scope, site, number).await;
        write.end(result).await
    }
}

fn unknown(number: u64) -> Error {
    Error::Unknown {
        what: format!("shared write {number}"),
    }
}

async fn add_in(write: &mut Write, known: &Known, new: &NewShared) -> Result<u64, Error> {
    let rows = write
        .session
        .rows("SELECT count(*) FROM shared", args![])
        .await?;
    if rows.first().map_or(Ok(0), |row| row.number(0))? >= SHARED_MAX as u64 {
        return Err(Error::Limit("shared writes", SHARED_MAX));
    }
    let first = new.sites.first().map_or("", |site| site.name());
    let number = write.event_of_name(What::Site, first).await?;
    let now = write.session.now().await?;
    let sql = "INSERT INTO shared (number, scope, verb, subject, other, what, content, recorded_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let args = args![
        number,
        &new.scope,
        new.verb.as_str(),
        &new.subject,
        new.other.as_deref().unwrap_or_default(),
        &new.what,
        new.content.as_slice(),
        now,
    ];
    write.session.run(sql, args).await?;
    let sql = "INSERT INTO shared_sites (number, site, standing, id, holds, detail, updated_at) \
               VALUES ($1, $2, $3, NULL, '', '', $4)";
    for site in &new.sites {
        let args = args![
            number,
            numbered(known, *site)?,
            Standing::Sending.as_str(),
            now
        ];
        write.session.run(sql, args).await?;
    }
    Ok(number.0)
}

async fn note_in(
    write: &mut Write,
    known: &Known,
    number: u64,
    sites: &[AtSite],
) -> Result<(), Error> {
    let now = write.session.now().await?;
    let sql = "UPDATE shared_sites SET standing = $1, id = $2, holds = $3, detail = $4, updated_at = $5 \
               WHERE number = $6 AND site = $7";
    for at in sites {
        let args = args![
            at.standing.as_str(),
            at.id.clone(),
            &at.holds,
            &at.detail,
            now,
            stored(number),
            numbered(known, at.site)?,
        ];
        if write.session.run(sql, args).await? == 0 {
            return Err(unknown(number));
        }
    }
    if let Some(at) = sites.first() {
        write.event_of_name(What::Site, at.site.name()).await?;
    }
    settle(write, number).await
}

/// What this one decides anew goes as soon as a site has done this one; what it takes away goes, and it as well, when every site
/// has. What may still be on its way somewhere stays until that is known.
async fn settle(write: &mut Write, number: u64) -> Result<(), Error> {
    let sql = "SELECT scope, verb, subject, other, \
               (SELECT count(*) FROM shared_sites s WHERE s.number = $1 AND s.standing = 'done'), \
               (SELECT count(*) FROM shared_sites s WHERE s.number = $1 AND s.standing <> 'done') \
               FROM shared WHERE number = $1";
    let rows = write.session.rows(sql, args![stored(number)]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (scope, subject, other) = (row.text(0)?, row.text(2)?, row.text(3)?);
    let (done, open) = (row.number(4)?, row.number(5)?);
    let older = match (verb(row, 1)?, done, open) {
        (SharedVerb::Make, _, _) | (_, 0, 1..) => return Ok(()),
        (SharedVerb::Drop, _, 0) => {
            "SELECT number FROM shared r WHERE scope = $1 AND number <= $4 \
             AND (subject = $2 OR other = $2) AND $3 = $3"
        }
        (SharedVerb::Leave, _, 0) => {
            "SELECT number FROM shared r WHERE scope = $1 AND number <= $4 AND subject = $2 AND other = $3 \
             AND verb IN ('join', 'leave')"
        }
        (SharedVerb::Drop | SharedVerb::Leave, _, 1..) => return Ok(()),
        (SharedVerb::Set, _, _) => {
            "SELECT number FROM shared r WHERE scope = $1 AND number < $4 AND subject = $2 AND other = $3 \
             AND verb = 'set' AND NOT EXISTS (SELECT 1 FROM shared_sites s WHERE s.number = r.number \
             AND s.standing IN ('sending', 'unknown'))"
        }
        (SharedVerb::Join, _, _) => {
            "SELECT number FROM shared r WHERE scope = $1 AND number < $4 AND subject = $2 AND other = $3 \
             AND verb IN ('join', 'leave') AND NOT EXISTS (SELECT 1 FROM shared_sites s \
             WHERE s.number = r.number AND s.standing IN ('sending', 'unknown'))"
        }
    };
    let args = args![scope, subject, other, stored(number)];
    for row in &write.session.rows(older, args).await? {
        forget(write, row.int(0)?).await?;
    }
    Ok(())
}

async fn forget(write: &mut Write, number: i64) -> Result<(), Error> {
    for sql in [
        "DELETE FROM shared_sites WHERE number = $1",
        "DELETE FROM shared WHERE number = $1",
    ] {
        write.session.run(sql, args![number]).await?;
    }
    Ok(())
}

/// Removals that waited only for a site that is no longer there.
pub(super) async fn settle_all(write: &mut Write) -> Result<(), Error> {
    let sql = "SELECT number FROM shared WHERE verb IN ('drop', 'leave') ORDER BY number";
    for row in &write.session.rows(sql, args![]).await? {
        settle(write, row.number(0)?).await?;
    }
    Ok(())
}

/// How many this site alone is known to have behind it while others are still to get them.
pub(super) async fn only_there(write: &mut Write, site: i64) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM shared_sites s WHERE s.site = $1 AND s.standing = 'done' \
               AND EXISTS (SELECT 1 FROM shared_sites o WHERE o.number = s.number AND o.site <> $1) \
               AND NOT EXISTS (SELECT 1 FROM shared_sites o \
               WHERE o.number = s.number AND o.site <> $1 AND o.standing = 'done')";
    let rows = write.session.rows(sql, args![site]).await?;
    rows.first().map_or(Ok(0), |row| row.number(0))
}

async fn withdraw_in(write: &mut Write, number: u64) -> Result<(), Error> {
    write.event_of_name(What::Site, "").await?;
    forget(write, stored(number)).await
}

async fn enlist_in(
    write: &mut Write,
    scope: &str,
    site: SiteId,
    number: i64,
) -> Result<u64, Error> {
    let now = write.session.now().await?;
    let sql = "INSERT INTO shared_sites (number, site, standing, id, holds, detail, updated_at) \
               SELECT r.number, $1, $2, NULL, '', '', $3 FROM shared r WHERE r.scope = $4 AND NOT EXISTS \
               (SELECT 1 FROM shared_sites s WHERE s.number = r.number AND s.site = $1)";
    let args = args![number, Standing::Missing.as_str(), now, scope];
    let added = write.session.run(sql, args).await?;
    if added > 0 {
        write.event_of_name(What::Site, site.name()).await?;
    }
    Ok(added)
}

fn verb(row: &Row, at: usize) -> Result<SharedVerb, Error> {
    let text = row.text(at)?;
    SharedVerb::parse(&text)
        .ok_or_else(|| Error::Corrupt(format!("\"{text}\" is no verb of a shared write")))
}

fn record(row: &Row, sites: Vec<AtSite>) -> Result<SharedRecord, Error> {
    Ok(SharedRecord {
        number: row.number(0)?,
        scope: row.text(1)?,
        verb: verb(row, 2)?,
        subject: row.text(3)?,
        other: Some(row.text(4)?).filter(|other| !other.is_empty()),
        what: row.text(5)?,
        recorded_at: Timestamp(row.int(6)?),
        sites,
    })
}
