//! Mappings: reading them, changing one by compare-and-set, its history.
//!
//! Owns the versions of a row. Must not insert in bulk (`ship.rs`).

use super::Sql;
use super::losses;
use super::names::{Known, Wanted, generation, source, source_number, state, state_number};
use super::session::{Row, StoredMapping, args, stored};
use super::write::{What, Write};
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::sql::key::{Prefix, StoredKey};
use crate::store::{
    CHANGES_MAX, Cursor, Error, HistoryRow, MappingChange, MappingFilter, Page, Seq,
};
use crate::{Mapping, RoutingKey, SiteId};
use std::collections::HashMap;

impl Sql {
    pub(super) async fn mappings_of(
        &self,
        keys: &[RoutingKey],
    ) -> Result<Vec<Option<Mapping>>, Error> {
        let mut session = self.read("read mappings").await?;
        let mut known = self.names.known();
        if keys.iter().any(|key| known.key(key).is_none()) {
            known = self.names.refresh(session.as_mut()).await?;
        }
        let stored: Vec<Option<StoredKey>> = keys.iter().map(|key| known.key(key)).collect();
        let wanted: Vec<StoredKey> = stored.iter().flatten().cloned().collect();
        let rows = if wanted.is_empty() {
            Vec::new()
        } else {
            session.find(&wanted).await?
        };
        if !rows.iter().all(|row| known.knows_row(row)) {
            known = self.names.refresh(session.as_mut()).await?;
        }
        session.commit().await?;
        let rows: HashMap<&StoredKey, &StoredMapping> =
            rows.iter().map(|row| (&row.key, row)).collect();
        let mapping = |key: &Option<StoredKey>| match key.as_ref().and_then(|key| rows.get(key)) {
            Some(row) => known.mapping(row),
            None => Ok(None),
        };
        stored.iter().map(mapping).collect()
    }

    pub(super) async fn history_of(&self, key: &RoutingKey) -> Result<Vec<HistoryRow>, Error> {
        let mut session = self.read("read a mapping's history").await?;
        let known = self.names.refresh(session.as_mut()).await?;
        let Some(key) = known.key(key) else {
            return Ok(Vec::new());
        };
        let sql = "SELECT seq, home, generation, state, source, at, actor, reason FROM history \
                   WHERE kind = $1 AND engine = $2 AND id = $3 ORDER BY generation";
        let past = session
            .rows(sql, args![key.kind, key.engine, key.id.as_slice()])
            .await?;
        let rows = if past.is_empty() {
            session.find(std::slice::from_ref(&key)).await?
        } else {
            Vec::new()
        };
        session.commit().await?;
        let past = past.iter().map(|row| version(&known, row));
        past.chain(rows.iter().map(|row| only_version(&known, row)))
            .collect()
    }

    pub(super) async fn change_mapping(
        &self,
        change: &MappingChange,
    ) -> Result<Option<Mapping>, Error> {
        let changed = self.change_mappings(std::slice::from_ref(change)).await?;
        Ok(changed.into_iter().next().flatten())
    }

    pub(super) async fn change_mappings(
        &self,
        changes: &[MappingChange],
    ) -> Result<Vec<Option<Mapping>>, Error> {
        if changes.len() > CHANGES_MAX {
            return Err(Error::Limit("mappings changed at once", CHANGES_MAX));
        }
        let mut wanted = Wanted::default();
        for change in changes {
            wanted.key(&change.key);
            change.to.iter().for_each(|(site, _)| wanted.site(*site));
        }
        let known = self.names.ensure(self.backend.as_ref(), &wanted).await?;
        let mut write = self.write("change a mapping").await?;
        let result = change_each(&mut write, &known, changes).await;
        let rows = write.end(result).await?;
        rows.iter()
            .map(|row| row.as_ref().map_or(Ok(None), |row| known.mapping(row)))
            .collect()
    }

    pub(super) async fn scan_mappings(
        &self,
        filter: &MappingFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Mapping>, Error> {
        let mut session = self.read("scan mappings").await?;
        let known = self.names.refresh(session.as_mut()).await?;
        let Some(mut arguments) = filter_args(&known, filter) else {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        };
        let first = filter.kind.and_then(|kind| known.kind(kind)).unwrap_or(-1);
        let (kind, engine, id) =
            after.map_or(Ok((first, -1, Vec::new())), |cursor| parse_cursor(cursor))?;
        arguments.extend(args![kind, engine, id, limit as i64]);
        session.by_index().await?;
        let rows = session.rows(SCAN, arguments).await?;
        let rows: Vec<StoredMapping> = rows.iter().map(scanned).collect::<Result<_, _>>()?;
        let all_known = rows.iter().all(|row| known.knows_row(row));
        let known = if all_known {
            known
        } else {
            self.names.refresh(session.as_mut()).await?
        };
        session.commit().await?;
        let full = rows.len() == limit;
        let next = rows.last().filter(|_| full).map(|row| cursor(&row.key));
        let items = rows
            .iter()
            .filter_map(|row| known.mapping(row).transpose())
            .collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    pub(super) async fn count_mappings(&self, filter: &MappingFilter) -> Result<u64, Error> {
        let mut session = self.read("count mappings").await?;
        let known = self.names.refresh(session.as_mut()).await?;
        let Some(arguments) = filter_args(&known, filter) else {
            return Ok(0);
        };
        let rows = session.rows(COUNT, arguments).await?;
        session.commit().await?;
        rows.first().map_or(Ok(0), |row| row.number(0))
    }

    pub(super) async fn newest_mapping(&self, home: SiteId) -> Result<Option<Timestamp>, Error> {
        let mut session = self.read("find the newest mapping of a site").await?;
        let known = self.names.refresh(session.as_mut()).await?;
        let rows = match known.site(home) {
            Some(number) => session.rows(NEWEST, args![number]).await?,
            None => Vec::new(),
        };
        session.commit().await?;
        let newest = rows.first().map(|row| row.int(0).map(Timestamp));
        newest.transpose()
    }
}

/// Rows are made in the order of `seq`, so the last one of a site is found from the end.
const NEWEST: &str = "SELECT created_at FROM mappings WHERE home = $1 ORDER BY seq DESC LIMIT 1";

/// What `filter_args` fills: `$1..$2` kinds, `$3..$4` homes, `$5..$6` states, `$7..$11` bounds of ids, `$12` the time
/// after which a row was made.
macro_rules! filtered {
    ($select:literal, $kind:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM mappings WHERE ",
            $kind,
            " >= $1 AND kind <= $2 AND home >= $3 AND home <= $4 AND state >= $5 \
               AND state <= $6 AND (CAST($7 AS BIGINT) = 0 OR (length(id) = 16 AND id >= $8 AND id <= $9) \
               OR (length(id) <> 16 AND id >= $10 AND id <= $11)) AND created_at > $12",
            $rest
        )
    };
}

/// The plus keeps SQLite from beginning at the first row of the kind instead of at the cursor: every page would walk over
/// all pages before it.
const SCAN: &str = filtered!(
    "SELECT seq, kind, engine, id, home, generation, state, source, created_at, updated_at",
    "+kind",
    " AND (kind, engine, id) > ($13, $14, $15) ORDER BY kind, engine, id LIMIT $16"
);
const COUNT: &str = filtered!("SELECT COUNT(*)", "kind", "");

/// `None`: the store knows nothing that the filter could match.
fn filter_args(known: &Known, filter: &MappingFilter) -> Option<Vec<super::session::Arg>> {
    let bounds = |number: Option<i64>, all: i64| number.map_or((0, all), |number| (number, number));
    let kind = match filter.kind {
        Some(kind) => Some(known.kind(kind)?),
        None => None,
    };
    let home = match filter.home {
        Some(home) => Some(known.site(home)?),
        None => None,
    };
    let kinds = bounds(kind, i64::from(i16::MAX));
    let homes = bounds(home, i64::MAX);
    let states = bounds(filter.state.map(state_number), i64::from(i16::MAX));
    let prefix = filter.id_prefix.as_deref().unwrap_or_default();
    let ids = Prefix::new(prefix);
    Some(args![
        kinds.0,
        kinds.1,
        homes.0,
        homes.1,
        states.0,
        states.1,
        i64::from(!prefix.is_empty()),
        ids.uuid.0,
        ids.uuid.1,
        ids.text.0,
        ids.text.1,
        filter.created_after.map_or(i64::MIN, |after| after.0),
    ])
}

fn scanned(row: &Row) -> Result<StoredMapping, Error> {
    Ok(StoredMapping {
        seq: row.int(0)?,
        key: StoredKey {
            kind: row.int(1)?,
            engine: row.int(2)?,
            id: row.bytes(3)?,
        },
        home: row.int_or_null(4)?,
        generation: row.int(5)?,
        state: row.int(6)?,
        source: row.int(7)?,
        created_at: row.int(8)?,
        updated_at: row.int(9)?,
    })
}

fn cursor(key: &StoredKey) -> Cursor {
    let id: String = key.id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{id}", key.kind, key.engine)
}

fn parse_cursor(text: &str) -> Result<(i64, i64, Vec<u8>), Error> {
    let parsed = || {
        let mut parts = text.splitn(3, '-');
        let kind = parts.next()?.parse().ok()?;
        let engine = parts.next()?.parse().ok()?;
        let digits = parts.next()?.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let id: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        Some((kind, engine, id?))
    };
    parsed().ok_or_else(|| Error::Unknown {
        what: format!("page \"{text}\""),
    })
}

async fn change_each(
    write: &mut Write,
    known: &Known,
    changes: &[MappingChange],
) -> Result<Vec<Option<StoredMapping>>, Error> {
    let mut rows = Vec::with_capacity(changes.len());
    for change in changes {
        rows.push(change_in(write, known, change).await?);
    }
    Ok(rows)
}

async fn change_in(
    write: &mut Write,
    known: &Known,
    change: &MappingChange,
) -> Result<Option<StoredMapping>, Error> {
    let key = known.key(&change.key).ok_or_else(|| Error::Unknown {
        what: change.key.to_string(),
    })?;
    let row = write.session.find(std::slice::from_ref(&key)).await?.pop();
    let last = row
        .as_ref()
        .map(|row| generation(row.generation))
        .transpose()?;
    let found = last.filter(|_| row.as_ref().is_some_and(|row| row.home.is_some()));
    if found != change.expected {
        return Err(Error::Stale {
            what: change.key.to_string(),
            expected: change.expected,
            found,
        });
    }
    let home = match change.to {
        Some((site, _)) => Some(known.site(site).ok_or_else(|| Error::Unknown {
            what: format!("site {site}"),
        })?),
        None => None,
    };
    if row.is_none() && home.is_none() {
        return Ok(None);
    }
    let at = change.audit.at;
    let to = StoredMapping {
        seq: row.as_ref().map_or(0, |row| row.seq),
        key,
        home,
        generation: stored(write.next_generation(last).0),
        state: change.to.map_or_else(
            || row.as_ref().map_or(0, |row| row.state),
            |(_, state)| state_number(state),
        ),
        source: source_number(change.source),
        created_at: row.as_ref().map_or(at.0, |row| row.created_at),
        updated_at: at.0,
    };
    let to = match &row {
        Some(row) => {
            revise(write, row, &to, Some(&change.audit)).await?;
            to
        }
        None => {
            let to = StoredMapping {
                seq: stored(write.next_seq().0),
                ..to
            };
            write.session.insert(std::slice::from_ref(&to)).await?;
            keep_version(write, &to, to.seq, Some(&change.audit)).await?;
            to
        }
    };
    losses::forget(write, &change.key).await?;
    write.audit(&change.audit).await?;
    Ok(Some(to))
}

/// Gives an existing row its next version, by compare-and-set on its generation.
pub(super) async fn revise(
    write: &mut Write,
    from: &StoredMapping,
    to: &StoredMapping,
    audit: Option<&AuditEntry>,
) -> Result<(), Error> {
    debug_assert!(to.generation > from.generation, "generations only grow");
    keep_version(write, from, from.seq, None).await?;
    let seq = write.event_of_key(What::Mapping, &to.key).await?;
    keep_version(write, to, stored(seq.0), audit).await?;
    let sql = "UPDATE mappings SET home = $1, generation = $2, state = $3, source = $4, updated_at = $5 \
               WHERE kind = $6 AND engine = $7 AND id = $8 AND generation = $9";
    let args = args![
        to.home,
        to.generation,
        to.state,
        to.source,
        to.updated_at,
        to.key.kind,
        to.key.engine,
        to.key.id.as_slice(),
        from.generation,
    ];
    if write.session.run(sql, args).await? == 1 {
        return Ok(());
    }
    let expected = Some(generation(from.generation)?);
    Err(Error::Stale {
        what: "a mapping under the store's lock".into(),
        expected,
        found: None,
    })
}

/// A version that is kept already stays as it is: its actor and reason were written with it.
async fn keep_version(
    write: &mut Write,
    row: &StoredMapping,
    seq: i64,
    audit: Option<&AuditEntry>,
) -> Result<(), Error> {
    let sql = "INSERT INTO history (kind, engine, id, generation, seq, home, state, source, at, actor, reason) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
               ON CONFLICT (kind, engine, id, generation) DO NOTHING";
    let args = args![
        row.key.kind,
        row.key.engine,
        row.key.id.as_slice(),
        row.generation,
        seq,
        row.home,
        row.state,
        row.source,
        row.updated_at,
        audit.map(|audit| audit.actor.clone()),
        audit.and_then(|audit| audit.reason.clone()),
    ];
    write.session.run(sql, args).await?;
    Ok(())
}

fn version(known: &Known, row: &Row) -> Result<HistoryRow, Error> {
    Ok(HistoryRow {
        seq: Seq(row.number(0)?),
        home: row
            .int_or_null(1)?
            .map(|home| known.site_at(home))
            .transpose()?,
        generation: generation(row.int(2)?)?,
        state: state(row.int(3)?)?,
        source: source(row.int(4)?)?,
        at: Timestamp(row.int(5)?),
        actor: row.text_or_null(6)?,
        reason: row.text_or_null(7)?,
    })
}

fn only_version(known: &Known, row: &StoredMapping) -> Result<HistoryRow, Error> {
    Ok(HistoryRow {
        seq: Seq(row.seq as u64),
        home: row.home.map(|home| known.site_at(home)).transpose()?,
        generation: generation(row.generation)?,
        state: state(row.state)?,
        source: source(row.source)?,
        at: Timestamp(row.updated_at),
        actor: None,
        reason: None,
    })
}
