//! Losses: keys whose mapping stays although their thing is gone.
//!
//! Owns the table `losses`. Must not change or remove a mapping. A loss is marked only while the key's row names the site,
//! and each mark and its end is one change in the sequence, so that routers hear of them in order.

use super::Sql;
use super::names::Known;
use super::session::{Row, args};
use super::write::{What, Write};
use crate::audit::AuditEntry;
use crate::loss::Loss;
use crate::sql::key::StoredKey;
use crate::store::{Changed, Error, Page};
use crate::{RoutingKey, SiteId, Timestamp};
use std::collections::HashSet;
use uuid::Uuid;

/// Most keys that one transaction marks: it holds the store's lock.
const LOSSES_AT_ONCE_MAX: usize = 1_000;

const ONE: &str = "SELECT key, site, operation, at FROM losses WHERE key = $1";
const PAGE: &str =
    "SELECT key, site, operation, at FROM losses WHERE key > $1 ORDER BY key LIMIT $2";

impl Sql {
    pub(super) async fn mark_losses(
        &self,
        site: SiteId,
        operation: Uuid,
        keys: &[RoutingKey],
        audit: &AuditEntry,
    ) -> Result<u64, Error> {
        if keys.len() > LOSSES_AT_ONCE_MAX {
            return Err(Error::Limit("losses at once", LOSSES_AT_ONCE_MAX));
        }
        let number = self.site_number(site).await?;
        let mut write = self.write("mark what is lost").await?;
        let known = self.names.refresh(write.session.as_mut()).await?;
        let what = (number, operation, audit);
        let result = mark(&mut write, &known, keys, what).await;
        write.end(result).await
    }

    pub(super) async fn end_losses(
        &self,
        keys: &[RoutingKey],
        audit: &AuditEntry,
    ) -> Result<u64, Error> {
        let mut write = self.write("end losses").await?;
        let result = end(&mut write, keys, audit).await;
        write.end(result).await
    }

    pub(super) async fn loss_of(&self, key: &RoutingKey) -> Result<Option<Loss>, Error> {
        let mut session = self.read("read a loss").await?;
        let rows = session.rows(ONE, args![key.to_string()]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.first().map(|row| loss(&known, row)).transpose()
    }

    pub(super) async fn page_of_losses(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Loss>, Error> {
        let mut session = self.read("read losses").await?;
        let args = args![after.unwrap_or_default(), limit as i64];
        let rows = session.rows(PAGE, args).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        let items: Vec<Loss> = rows
            .iter()
            .map(|row| loss(&known, row))
            .collect::<Result<_, _>>()?;
        let last = items.last().filter(|_| rows.len() == limit);
        let next = last.map(|last| last.key.to_string());
        Ok(Page { items, next })
    }
}

fn loss(known: &Known, row: &Row) -> Result<Loss, Error> {
    Ok(Loss {
        key: key(&row.text(0)?)?,
        site: known.site_at(row.int(1)?)?,
        operation: operation(&row.text(2)?)?,
        at: Timestamp(row.int(3)?),
    })
}

fn key(text: &str) -> Result<RoutingKey, Error> {
    text.parse()
        .map_err(|_| Error::Corrupt(format!("\"{text}\" in the losses is no key")))
}

fn operation(text: &str) -> Result<Uuid, Error> {
    text.parse()
        .map_err(|_| Error::Corrupt(format!("\"{text}\" in the losses is no operation")))
}

async fn mark(
    write: &mut Write,
    known: &Known,
    keys: &[RoutingKey],
    (site, operation, audit): (i64, Uuid, &AuditEntry),
) -> Result<u64, Error> {
    let stored: Vec<Option<StoredKey>> = keys.iter().map(|key| known.key(key)).collect();
    let wanted: Vec<StoredKey> = stored.iter().flatten().cloned().collect();
    let rows = match wanted.is_empty() {
        true => Vec::new(),
        false => write.session.find(&wanted).await?,
    };
    let there: HashSet<StoredKey> = rows
        .into_iter()
        .filter(|row| row.home == Some(site))
        .map(|row| row.key)
        .collect();
    let mut marked = 0;
    for (key, stored) in keys.iter().zip(stored) {
        if !stored.is_some_and(|stored| there.contains(&stored)) {
            continue;
        }
        let sql = "INSERT INTO losses (key, site, operation, at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (key) DO NOTHING";
        let args = args![key.to_string(), site, operation.to_string(), audit.at];
        if write.session.run(sql, args).await? == 1 {
            marked += 1;
            let event = format!("{operation} {key}");
            write.event_of_name(What::Loss, &event).await?;
        }
    }
    if marked > 0 {
        write.audit(audit).await?;
    }
    Ok(marked)
}

async fn end(write: &mut Write, keys: &[RoutingKey], audit: &AuditEntry) -> Result<u64, Error> {
    let mut ended = 0;
    for key in keys {
        ended += u64::from(forget(write, key).await?);
    }
    if ended > 0 {
        write.audit(audit).await?;
    }
    Ok(ended)
}

/// The key has a home again, by an operator's word or because its site has the thing. Whether it was lost.
pub(super) async fn forget(write: &mut Write, key: &RoutingKey) -> Result<bool, Error> {
    let sql = "DELETE FROM losses WHERE key = $1";
    if write.session.run(sql, args![key.to_string()]).await? == 0 {
        return Ok(false);
    }
    write.event_of_name(What::Loss, &format!("- {key}")).await?;
    Ok(true)
}

/// The change that an event tells.
pub(super) fn changed(name: &str) -> Result<Changed, Error> {
    let parts = name.split_once(' ');
    let (by, text) = parts.ok_or_else(|| Error::Corrupt(format!("\"{name}\" is no loss")))?;
    Ok(Changed::Loss {
        key: key(text)?,
        operation: match by {
            "-" => None,
            by => Some(operation(by)?),
        },
    })
}
