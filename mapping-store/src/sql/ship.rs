//! Shipments: what routers' journals bring, insert-once.
//!
//! Owns the verdict on each mapping of a shipment. Relies on the store's lock: between the look-up and the insert
//! nobody else can insert.

use super::Sql;
use super::mappings::revise;
use super::names::{Known, Wanted, generation, source_number, state_number};
use super::session::{StoredMapping, args, stored};
use super::write::Write;
use crate::mapping::Source;
use crate::sql::key::StoredKey;
use crate::store::{Error, Inserted, NewMapping, OpenIntent, Shipment};
use std::collections::HashMap;

/// Most mappings that one shipment may carry: a transaction holds the store's lock.
pub const SHIPMENT_MAX: usize = 10_000;

impl Sql {
    pub(super) async fn take_shipment(&self, shipment: &Shipment) -> Result<Vec<Inserted>, Error> {
        if shipment.mappings.len() > SHIPMENT_MAX {
            return Err(Error::Limit("mappings in a shipment", SHIPMENT_MAX));
        }
        let mut wanted = Wanted::default();
        for mapping in &shipment.mappings {
            wanted.key(&mapping.key);
            wanted.site(mapping.home);
        }
        shipment
            .intents_opened
            .iter()
            .for_each(|intent| wanted.site(intent.site));
        let known = self.names.ensure(self.backend.as_ref(), &wanted).await?;
        let mut write = self.write("take a shipment").await?;
        let result = self.ship_in(&mut write, &known, shipment).await;
        write.end(result).await
    }

    async fn ship_in(
        &self,
        write: &mut Write,
        known: &Known,
        shipment: &Shipment,
    ) -> Result<Vec<Inserted>, Error> {
        let keys = stored_keys(known, &shipment.mappings)?;
        let mut rows = existing(write, &keys).await?;
        let mut fresh = Vec::new();
        let mut inserted = Vec::with_capacity(keys.len());
        for (mapping, key) in shipment.mappings.iter().zip(keys) {
            let home = number_of(known, mapping)?;
            inserted.push(match rows.get(&key) {
                None => {
                    let row = new_row(write, mapping, key, home);
                    fresh.push(row.clone());
                    rows.insert(row.key.clone(), row);
                    Inserted::New
                }
                Some(row) if row.home == Some(home) => Inserted::Same,
                Some(row) => match row.home {
                    Some(held) => self.conflict(write, held, row.generation).await?,
                    None => {
                        let row = revive(write, row, mapping, home).await?;
                        rows.insert(row.key.clone(), row);
                        Inserted::New
                    }
                },
            });
        }
        if !fresh.is_empty() {
            write.session.insert(&fresh).await?;
        }
        open_intents(write, known, &shipment.intents_opened).await?;
        for closed in &shipment.intents_closed {
            let sql = "DELETE FROM intents WHERE id = $1";
            write
                .session
                .run(sql, args![closed.as_bytes().as_slice()])
                .await?;
        }
        Ok(inserted)
    }

    async fn conflict(&self, write: &mut Write, held: i64, at: i64) -> Result<Inserted, Error> {
        let known = self.names.known();
        let known = if known.knows_site(held) {
            known
        } else {
            self.names.refresh(write.session.as_mut()).await?
        };
        Ok(Inserted::Conflict {
            held: known.site_at(held)?,
            generation: generation(at)?,
        })
    }
}

fn stored_keys(known: &Known, mappings: &[NewMapping]) -> Result<Vec<StoredKey>, Error> {
    let stored = |mapping: &NewMapping| known.key(&mapping.key);
    let keys: Option<Vec<StoredKey>> = mappings.iter().map(stored).collect();
    keys.ok_or_else(|| Error::Corrupt("a name that was numbered has no number".into()))
}

fn number_of(known: &Known, mapping: &NewMapping) -> Result<i64, Error> {
    known
        .site(mapping.home)
        .ok_or_else(|| Error::Corrupt(format!("site {} has no number", mapping.home)))
}

async fn existing(
    write: &mut Write,
    keys: &[StoredKey],
) -> Result<HashMap<StoredKey, StoredMapping>, Error> {
    let rows = if keys.is_empty() {
        Vec::new()
    } else {
        write.session.find(keys).await?
    };
    Ok(rows.into_iter().map(|row| (row.key.clone(), row)).collect())
}

fn new_row(write: &mut Write, mapping: &NewMapping, key: StoredKey, home: i64) -> StoredMapping {
    StoredMapping {
        seq: stored(write.next_seq().0),
        key,
        home: Some(home),
        generation: stored(write.next_generation(None).0),
        state: state_number(mapping.state),
        source: source_number(mapping.source),
        created_at: mapping.at.0,
        updated_at: mapping.at.0,
    }
}

/// A key that an operator removed is found again: its row gets a home and the next generation.
async fn revive(
    write: &mut Write,
    row: &StoredMapping,
    mapping: &NewMapping,
    home: i64,
) -> Result<StoredMapping, Error> {
    let to = StoredMapping {
        home: Some(home),
        generation: stored(write.next_generation(Some(generation(row.generation)?)).0),
        state: state_number(mapping.state),
        source: source_number(mapping.source),
        updated_at: mapping.at.0,
        ..row.clone()
    };
    debug_assert!(
        mapping.source != Source::Operator,
        "an operator changes by compare-and-set"
    );
    revise(write, row, &to, None).await?;
    Ok(to)
}

async fn open_intents(
    write: &mut Write,
    known: &Known,
    intents: &[OpenIntent],
) -> Result<(), Error> {
    for intent in intents {
        let site = known.site(intent.site).ok_or_else(|| Error::Unknown {
            what: format!("site {}", intent.site),
        })?;
        let sql = "INSERT INTO intents (id, router, site, what, at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (id) DO NOTHING";
        let args = args![
            intent.id.as_bytes().as_slice(),
            &intent.router,
            site,
            &intent.what,
            intent.at
        ];
        write.session.run(sql, args).await?;
    }
    Ok(())
}
