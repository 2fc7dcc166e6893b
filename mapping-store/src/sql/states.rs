//! Rows whose things have ended, or go on after all, and placed keys whose site leaves: many at once.
//!
//! Owns which of them may be changed: what was seen is judged again under the store's lock. Must not give one another home.

use super::Sql;
use super::names::{Known, generation, state_number};
use super::session::{Revision, StoredMapping, args, stored};
use super::write::{What, Write};
use crate::change::{CHANGES_MAX, StateChange};
use crate::sql::key::StoredKey;
use crate::store::Error;
use crate::{Mapping, RoutingKey};
use std::collections::{HashMap, HashSet};

impl Sql {
    pub(super) async fn change_states_of(
        &self,
        change: &StateChange,
    ) -> Result<Vec<Mapping>, Error> {
        if change.rows.len() > CHANGES_MAX {
            return Err(Error::Limit("mappings changed at once", CHANGES_MAX));
        }
        let site = self.site_number(change.site).await?;
        let mut write = self.write("change states of mappings").await?;
        let known = self.names.refresh(write.session.as_mut()).await?;
        let result = change_each(&mut write, &known, change, site).await;
        let rows = write.end(result).await?;
        let mappings = rows.iter().filter_map(|row| known.mapping(row).transpose());
        mappings.collect()
    }
}

async fn change_each(
    write: &mut Write,
    known: &Known,
    change: &StateChange,
    site: i64,
) -> Result<Vec<StoredMapping>, Error> {
    let lost = lost(write, site, change).await?;
    let seen: HashMap<StoredKey, (&RoutingKey, i64)> = change
        .rows
        .iter()
        .filter_map(|(key, at)| Some((known.key(key)?, (key, stored(at.0)))))
        .collect();
    let keys: Vec<StoredKey> = seen.keys().cloned().collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for from in write.session.find(&keys).await? {
        let as_seen = seen
            .get(&from.key)
            .is_some_and(|(key, at)| from.generation == *at && !lost.contains(key));
        if !as_seen || from.home != Some(site) || from.state != state_number(change.from) {
            continue;
        }
        let next = write.next_generation(Some(generation(from.generation)?));
        let to = StoredMapping {
            generation: stored(next.0),
            home: from.home.filter(|_| change.to.is_some()),
            state: state_number(change.to.unwrap_or(change.from)),
            updated_at: change.at.0,
            ..from.clone()
        };
        rows.push(Revision {
            from,
            to,
            seq: stored(write.next_seq().0),
            actor: change.actor.clone(),
            reason: change.reason.clone(),
        });
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let changed = write.session.revise(What::Mapping as i64, &rows).await?;
    if changed != rows.len() as u64 {
        return Err(Error::Corrupt(format!(
            "{changed} of {} mappings were changed under the store's lock",
            rows.len()
        )));
    }
    Ok(rows.into_iter().map(|row| row.to).collect())
}

/// Those of the keys whose things are lost. Most sites have lost nothing.
async fn lost<'c>(
    write: &mut Write,
    site: i64,
    change: &'c StateChange,
) -> Result<HashSet<&'c RoutingKey>, Error> {
    let any = "SELECT key FROM losses WHERE site = $1 LIMIT 1";
    let mut lost = HashSet::new();
    if write.session.rows(any, args![site]).await?.is_empty() {
        return Ok(lost);
    }
    for (key, _) in &change.rows {
        let one = "SELECT key FROM losses WHERE key = $1";
        let found = write.session.rows(one, args![key.to_string()]).await?;
        lost.extend(found.first().map(|_| key));
    }
    Ok(lost)
}
