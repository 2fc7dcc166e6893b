//! The change sequence, read as ranges of numbers.
//!
//! Owns the joining of made rows and events. Relies on numbers being given under a lock: whatever is at or below a head
//! that was read is committed, so a range that comes back short is a hole and an error.

use super::Sql;
use super::names::Known;
use super::session::{Row, Session, StoredMapping, args};
use super::write::What;
use crate::sql::key::StoredKey;
use crate::store::{Changed, Changes, Error, Made, Seq};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) async fn head(session: &mut dyn Session) -> Result<u64, Error> {
    let rows = session
        .rows("SELECT head FROM store WHERE only_row = 1", args![])
        .await?;
    rows.first()
        .ok_or_else(|| Error::Schema("the table `store` has no row".into()))?
        .number(0)
}

/// An event as it is stored: number, what, and the key or the name it is about.
struct Event {
    seq: i64,
    what: i64,
    key: Option<StoredKey>,
    name: Option<String>,
}

impl Sql {
    pub(super) async fn changes_since(&self, since: Seq, limit: usize) -> Result<Changes, Error> {
        let mut session = self.read("read changes").await?;
        let head = head(session.as_mut()).await?;
        let last = since.0.saturating_add(limit as u64).min(head);
        if since.0 >= last {
            session.commit().await?;
            return Ok(Changes {
                items: Vec::new(),
                last: since,
                head: Seq(head),
            });
        }
        let (after, to) = (since.0 as i64, last as i64);
        let made = session.made(after, to, to - after).await?;
        let events = events(session.as_mut(), after, to).await?;
        let expected = (to - after) as usize;
        if made.len() + events.len() != expected {
            let found = made.len() + events.len();
            return Err(Error::Corrupt(format!(
                "changes {}..={to}: {expected} expected, {found} found",
                after + 1
            )));
        }
        let touched = self.touched(session.as_mut(), &events).await?;
        let known = self
            .covering(
                session.as_mut(),
                made.iter().chain(touched.values()),
                &events,
            )
            .await?;
        session.commit().await?;
        let items = merge(&known, &made, &events, &touched)?;
        Ok(Changes {
            items,
            last: Seq(last),
            head: Seq(head),
        })
    }

    pub(super) async fn made_between(
        &self,
        after: Seq,
        to: Seq,
        limit: usize,
    ) -> Result<Made, Error> {
        let mut session = self.read("read mappings as they were made").await?;
        let between = (after.0 as i64, to.0 as i64);
        let rows = session.made(between.0, between.1, limit as i64).await?;
        let known = self.covering(session.as_mut(), rows.iter(), &[]).await?;
        session.commit().await?;
        let mappings = rows.iter().map(|row| known.mapping(row).transpose());
        let is_cut = rows.len() == limit;
        let last = rows.last().filter(|_| is_cut);
        Ok(Made {
            items: mappings.flatten().collect::<Result<_, _>>()?,
            last: last.map_or(to, |row| Seq(row.seq as u64)),
        })
    }

    /// The present rows of the keys that events are about.
    async fn touched(
        &self,
        session: &mut dyn Session,
        events: &[Event],
    ) -> Result<HashMap<StoredKey, StoredMapping>, Error> {
        let changed = events
            .iter()
            .filter(|event| event.what == What::Mapping as i64);
        let mut keys: Vec<StoredKey> = changed.filter_map(|event| event.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = session.find(&keys).await?;
        Ok(rows.into_iter().map(|row| (row.key.clone(), row)).collect())
    }

    /// Names that cover all these rows, read again only if they do not.
    async fn covering<'a>(
        &self,
        session: &mut dyn Session,
        mut rows: impl Iterator<Item = &'a StoredMapping>,
        events: &[Event],
    ) -> Result<Arc<Known>, Error> {
        let known = self.names.known();
        let keys_known = events
            .iter()
            .filter_map(|event| event.key.as_ref())
            .all(|key| known.knows_key(key));
        if keys_known && rows.all(|row| known.knows_row(row)) {
            return Ok(known);
        }
        self.names.refresh(session).await
    }
}

async fn events(session: &mut dyn Session, after: i64, to: i64) -> Result<Vec<Event>, Error> {
    let sql = "SELECT seq, what, kind, engine, id, name FROM events WHERE seq > $1 AND seq <= $2 ORDER BY seq";
    session
        .rows(sql, args![after, to])
        .await?
        .iter()
        .map(event)
        .collect()
}

fn event(row: &Row) -> Result<Event, Error> {
    let key = match (row.int_or_null(2)?, row.int_or_null(3)?) {
        (Some(kind), Some(engine)) => Some(StoredKey {
            kind,
            engine,
            id: row.bytes(4)?,
        }),
        _ => None,
    };
    Ok(Event {
        seq: row.int(0)?,
        what: row.int(1)?,
        key,
        name: row.text_or_null(5)?,
    })
}

fn merge(
    known: &Known,
    made: &[StoredMapping],
    events: &[Event],
    touched: &HashMap<StoredKey, StoredMapping>,
) -> Result<Vec<(Seq, Changed)>, Error> {
    let mut items = Vec::with_capacity(made.len() + events.len());
    let mut events = events.iter().peekable();
    for row in made {
        while let Some(event) = events.next_if(|event| event.seq < row.seq) {
            items.push((Seq(event.seq as u64), changed(known, event, touched)?));
        }
        let changed = Changed::Mapping {
            key: known.routing_key(&row.key)?,
            mapping: known.mapping(row)?,
        };
        items.push((Seq(row.seq as u64), changed));
    }
    for event in events {
        items.push((Seq(event.seq as u64), changed(known, event, touched)?));
    }
    Ok(items)
}

fn changed(
    known: &Known,
    event: &Event,
    touched: &HashMap<StoredKey, StoredMapping>,
) -> Result<Changed, Error> {
    let unreadable = || Error::Corrupt(format!("change {} is about nothing", event.seq));
    let key = || event.key.as_ref().ok_or_else(unreadable);
    let name = || event.name.clone().ok_or_else(unreadable);
    let site = || name().map(|name| crate::SiteId::named(&name));
    Ok(match event.what {
        what if what == What::Mapping as i64 => {
            let row = touched.get(key()?).ok_or_else(unreadable)?;
            Changed::Mapping {
                key: known.routing_key(&row.key)?,
                mapping: known.mapping(row)?,
            }
        }
        what if what == What::Pin as i64 => Changed::Pin {
            key: known.routing_key(key()?)?,
        },
        what if what == What::Site as i64 => Changed::Site { site: site()? },
        what if what == What::Assignment as i64 => Changed::Assignment { site: site()? },
        what if what == What::Suffix as i64 => Changed::Suffix { suffix: name()? },
        what if what == What::Loss as i64 => super::losses::changed(&name()?)?,
        other => {
            return Err(Error::Schema(format!(
                "change {} is of the unknown kind {other}",
                event.seq
            )));
        }
    })
}
