//! Kinds, engines and sites as the small numbers of the `names` table.
//!
//! Owns the table's copy in memory. Relies on numbers never changing their meaning: rows are only added.

use super::session::{Access, Backend, Session, StoredMapping, args};
use crate::sql::key::{StoredKey, id_from_bytes, id_to_bytes};
use crate::store::Error;
use crate::{Engine, Generation, Kind, Mapping, RoutingKey, SiteId, Source, State, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

const KIND: i64 = 1;
const ENGINE: i64 = 2;
pub(super) const SITE: i64 = 3;

/// One state of the table.
#[derive(Default)]
pub(super) struct Known {
    kinds: HashMap<i64, Kind>,
    engines: HashMap<i64, Engine>,
    sites: HashMap<i64, SiteId>,
    kind_numbers: HashMap<Kind, i64>,
    engine_numbers: HashMap<Engine, i64>,
    site_numbers: HashMap<SiteId, i64>,
}

impl Known {
    fn add(&mut self, class: i64, number: i64, name: &str) -> Result<(), Error> {
        match class {
            KIND => {
                let kind = Kind::declare(name)
                    .ok_or_else(|| Error::Limit("kinds of keys", crate::key::KINDS_MAX))?;
                self.kinds.insert(number, kind);
                self.kind_numbers.insert(kind, number);
            }
            ENGINE => {
                let engine = Engine::named(name);
                self.engines.insert(number, engine.clone());
                self.engine_numbers.insert(engine, number);
            }
            SITE => {
                let site = SiteId::named(name);
                self.sites.insert(number, site);
                self.site_numbers.insert(site, number);
            }
            other => {
                return Err(Error::Corrupt(format!(
                    "a name of the unknown class {other}"
                )));
            }
        }
        Ok(())
    }

    /// The stored form of a key, if its kind and engine have numbers.
    pub(super) fn key(&self, key: &RoutingKey) -> Option<StoredKey> {
        let kind = *self.kind_numbers.get(&key.kind)?;
        let engine = self.engine(&key.engine)?;
        Some(StoredKey {
            kind,
            engine,
            id: id_to_bytes(&key.id),
        })
    }

    fn engine(&self, engine: &Engine) -> Option<i64> {
        if engine.name().is_none() {
            Some(0)
        } else {
            self.engine_numbers.get(engine).copied()
        }
    }

    pub(super) fn site(&self, site: SiteId) -> Option<i64> {
        self.site_numbers.get(&site).copied()
    }

    pub(super) fn kind(&self, kind: Kind) -> Option<i64> {
        self.kind_numbers.get(&kind).copied()
    }

    pub(super) fn routing_key(&self, key: &StoredKey) -> Result<RoutingKey, Error> {
        let kind = *self
            .kinds
            .get(&key.kind)
            .ok_or_else(|| nameless("kind", key.kind))?;
        let engine = match key.engine {
            0 => Engine::DEFAULT,
            number => self
                .engines
                .get(&number)
                .ok_or_else(|| nameless("engine", number))?
                .clone(),
        };
        Ok(RoutingKey {
            engine,
            kind,
            id: id_from_bytes(&key.id)?,
        })
    }

    pub(super) fn site_at(&self, number: i64) -> Result<SiteId, Error> {
        self.sites
            .get(&number)
            .copied()
            .ok_or_else(|| nameless("site", number))
    }

    /// The mapping in a row; `None` for a key that was removed.
    pub(super) fn mapping(&self, row: &StoredMapping) -> Result<Option<Mapping>, Error> {
        let Some(home) = row.home else {
            return Ok(None);
        };
        Ok(Some(Mapping {
            key: self.routing_key(&row.key)?,
            home: self.site_at(home)?,
            generation: generation(row.generation)?,
            state: state(row.state)?,
            source: source(row.source)?,
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
        }))
    }

    pub(super) fn knows_row(&self, row: &StoredMapping) -> bool {
        self.knows_key(&row.key) && row.home.is_none_or(|home| self.sites.contains_key(&home))
    }

    pub(super) fn knows_key(&self, key: &StoredKey) -> bool {
        self.kinds.contains_key(&key.kind)
            && (key.engine == 0 || self.engines.contains_key(&key.engine))
    }

    pub(super) fn knows_site(&self, number: i64) -> bool {
        self.sites.contains_key(&number)
    }
}

fn nameless(what: &str, number: i64) -> Error {
    Error::Corrupt(format!("{what} number {number} has no name"))
}

pub(super) fn generation(number: i64) -> Result<Generation, Error> {
    u64::try_from(number)
        .map(Generation)
        .map_err(|_| Error::Corrupt(format!("generation {number} is negative")))
}

const STATES: [State; 4] = [State::Placed, State::Homed, State::Moving, State::Ended];
const SOURCES: [Source; 6] = [
    Source::Started,
    Source::Learned,
    Source::Located,
    Source::Imported,
    Source::Operator,
    Source::Reconciled,
];

fn from_number<T: Copy>(all: &[T], number: i64, what: &str) -> Result<T, Error> {
    let value = usize::try_from(number)
        .ok()
        .and_then(|at| all.get(at))
        .copied();
    value.ok_or_else(|| Error::Corrupt(format!("{number} is not the number of a {what}")))
}

fn to_number<T: PartialEq>(all: &[T], value: &T) -> i64 {
    all.iter()
        .position(|one| one == value)
        .map_or(i64::MAX, |at| at as i64)
}

pub(super) fn state(number: i64) -> Result<State, Error> {
    from_number(&STATES, number, "state")
}

pub(super) fn state_number(state: State) -> i64 {
    to_number(&STATES, &state)
}

pub(super) fn source(number: i64) -> Result<Source, Error> {
    from_number(&SOURCES, number, "source")
}

pub(super) fn source_number(source: Source) -> i64 {
    to_number(&SOURCES, &source)
}

/// What must have a number before it can be written.
#[derive(Default)]
pub(super) struct Wanted {
    kinds: Vec<Kind>,
    engines: Vec<Engine>,
    sites: Vec<SiteId>,
}

impl Wanted {
    pub(super) fn key(&mut self, key: &RoutingKey) {
        push_new(&mut self.kinds, key.kind);
        if key.engine.name().is_some() {
            push_new(&mut self.engines, key.engine.clone());
        }
    }

    pub(super) fn site(&mut self, site: SiteId) {
        push_new(&mut self.sites, site);
    }

    fn missing(&self, known: &Known) -> Vec<(i64, String)> {
        let kinds = self
            .kinds
            .iter()
            .filter(|kind| !known.kind_numbers.contains_key(kind));
        let engines = self
            .engines
            .iter()
            .filter(|engine| !known.engine_numbers.contains_key(engine));
        let sites = self
            .sites
            .iter()
            .filter(|site| !known.site_numbers.contains_key(site));
        let kinds = kinds.map(|kind| (KIND, kind.name().to_owned()));
        let engines = engines.filter_map(|engine| Some((ENGINE, engine.name()?.to_owned())));
        kinds
            .chain(engines)
            .chain(sites.map(|site| (SITE, site.name().to_owned())))
            .collect()
    }
}

/// Kinds, engines and sites are few, so a list is quicker than a set.
fn push_new<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

/// The newest state of the table that this process has seen.
#[derive(Default)]
pub(super) struct Names(RwLock<Arc<Known>>);

impl Names {
    pub(super) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the table again: another router may have added names.
    pub(super) async fn refresh(&self, session: &mut dyn Session) -> Result<Arc<Known>, Error> {
        let mut known = Known::default();
        for row in session
            .rows("SELECT class, number, name FROM names", args![])
            .await?
        {
            known.add(row.int(0)?, row.int(1)?, &row.text(2)?)?;
        }
        let known = Arc::new(known);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&known);
        Ok(known)
    }

    /// Gives numbers to what has none, in a transaction of its own: numbers must not be believed before their commit.
    pub(super) async fn ensure(
        &self,
        backend: &dyn Backend,
        wanted: &Wanted,
    ) -> Result<Arc<Known>, Error> {
        let known = self.known();
        if wanted.missing(&known).is_empty() {
            return Ok(known);
        }
        let mut session = backend.session(Access::Write, "number new names").await?;
        session.lock().await?;
        let known = self.refresh(session.as_mut()).await?;
        for (class, name) in wanted.missing(&known) {
            let add = "INSERT INTO names (class, number, name) \
                       SELECT $1, COALESCE(MAX(number), 0) + 1, $2 FROM names WHERE class = $1";
            session.run(add, args![class, name]).await?;
        }
        session.commit().await?;
        let mut session = backend.session(Access::Read, "read the names").await?;
        let known = self.refresh(session.as_mut()).await?;
        session.commit().await?;
        Ok(known)
    }
}
