//! Parsed definitions, kept by id: a definition never changes as long as it is there.
//!
//! Owns what this engine keeps in memory of the models. All of it goes when the database's cache epoch has grown, which a
//! deletion raises and every engine reads with each look at its site, and when it becomes more than the limits allow.

use super::Handle;
use crate::error::Error;
use crate::machine::{Called, Definition, Version};
use crate::model::{Delegates, Failure, Problem, Process, parse_again, text_of};
use crate::store::DefinitionRow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most definitions kept; beyond it the cache starts again, and parsing costs milliseconds.
const CACHED_DEFINITIONS: usize = 2_000;
/// Most bytes of their models.
const CACHED_BYTES: usize = 256 * 1024 * 1024;

/// The cache.
#[derive(Default)]
pub(crate) struct Cache {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_id: HashMap<String, Arc<Definition>>,
    bytes: usize,
    epoch: String,
}

impl Kept {
    fn clear(&mut self) {
        self.by_id = HashMap::new();
        self.bytes = 0;
    }
}

impl Cache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Definition>> {
        self.kept().by_id.get(id).cloned()
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept().by_id.len()
    }

    fn epoch(&self) -> String {
        self.kept().epoch.clone()
    }

    /// Keeps one whose row was read in this epoch; later it may be gone, and nobody would say so any more.
    fn put(&self, definition: &Arc<Definition>, bytes: usize, epoch: &str) {
        let mut kept = self.kept();
        if kept.epoch != epoch || kept.by_id.contains_key(&definition.id) {
            return;
        }
        let full = kept.by_id.len() >= CACHED_DEFINITIONS;
        if full || kept.bytes.saturating_add(bytes) > CACHED_BYTES {
            kept.clear();
        }
        kept.bytes = kept.bytes.saturating_add(bytes);
        let (id, definition) = (definition.id.clone(), Arc::clone(definition));
        kept.by_id.insert(id, definition);
    }

    /// The database is at this epoch.
    pub(super) fn at_epoch(&self, epoch: String) {
        let mut kept = self.kept();
        if kept.epoch != epoch {
            kept.clear();
            kept.epoch = epoch;
        }
    }
}

impl Handle {
    /// A definition, parsed.
    pub(crate) async fn definition(&self, id: &str) -> Result<Arc<Definition>, Error> {
        if let Some(known) = self.inner.definitions.get(id) {
            return Ok(known);
        }
        let epoch = self.inner.definitions.epoch();
        let row = self.inner.store.definition(id).await?;
        let row = row.ok_or_else(|| {
            Error::Engine(format!(
                "no deployed process definition found with id '{id}'"
            ))
        })?;
        self.parsed_in(&row, &epoch).await
    }

    /// The definition of a row, parsed.
    pub(crate) async fn parsed(&self, row: &DefinitionRow) -> Result<Arc<Definition>, Error> {
        // The row is a moment old: what was deleted and looked at since then is kept until the next deletion, which hurts nobody.
        let epoch = self.inner.definitions.epoch();
        self.parsed_in(row, &epoch).await
    }

    async fn parsed_in(&self, row: &DefinitionRow, epoch: &str) -> Result<Arc<Definition>, Error> {
        if let Some(known) = self.inner.definitions.get(&row.id) {
            return Ok(known);
        }
        let bytes = self
            .inner
            .store
            .content(&row.sha)
            .await?
            .unwrap_or_default();
        // It was deployed where it could be read: that it cannot be here is no fault of whoever asks.
        let processes = self
            .parse_resource(&row.resource, &bytes, parse_again)
            .map_err(|error| {
                Error::Engine(format!(
                    "the definition {} cannot be read here: {error}",
                    row.id
                ))
            })?;
        let process = processes.into_iter().find(|p| p.key == row.key);
        let process = process
            .ok_or_else(|| Error::Engine(format!("the resource of {} lost its process", row.id)))?;
        let definition = Arc::new(Definition {
            id: row.id.clone(),
            key: row.key.clone(),
            version: i32::try_from(row.version).unwrap_or(i32::MAX),
            process: Arc::new(process),
        });
        self.inner.definitions.put(&definition, bytes.len(), epoch);
        Ok(definition)
    }

    /// The processes of a resource.
    pub(super) fn parse_resource(
        &self,
        name: &str,
        bytes: &[u8],
        parse: impl Fn(&str, &Delegates) -> Result<Vec<Process>, Failure>,
    ) -> Result<Vec<Process>, Error> {
        let problems = |problems| Error::Parse {
            resource: name.to_owned(),
            problems,
        };
        let one = |line, column, message| {
            problems(vec![Problem {
                element: None,
                line,
                column,
                message,
            }])
        };
        let processes = text_of(bytes).and_then(|text| parse(&text, &self.inner.delegates));
        processes.map_err(|failure| match failure {
            Failure::Xml {
                line,
                column,
                message,
            } => one(line, column, message),
            Failure::Model(found) => problems(found),
        })
    }

    /// The definition that a call means.
    pub(crate) async fn called(
        &self,
        called: &Called,
        caller: &Definition,
    ) -> Result<DefinitionRow, Error> {
        let store = &self.inner.store;
        let tenant = called.tenant.as_deref();
        let found = match &called.version {
            Version::Latest => store.latest(&called.key, tenant).await?,
            Version::Number(number) => {
                let versions = store.versions(&called.key, tenant).await?;
                versions
                    .into_iter()
                    .find(|row| row.version == i64::from(*number))
            }
            Version::Tag(tag) => {
                let versions = store.versions(&called.key, tenant).await?;
                versions
                    .into_iter()
                    .find(|row| row.tag.as_ref() == Some(tag))
            }
            Version::Deployment => {
                let deployment = store
                    .definition(&caller.id)
                    .await?
                    .map(|row| row.deployment)
                    .unwrap_or_default();
                store
                    .definitions_of(&deployment)
                    .await?
                    .into_iter()
                    .find(|row| row.key == called.key)
            }
        };
        found.ok_or_else(|| {
            let tenant = if tenant.is_none() {
                " and no tenant-id"
            } else {
                ""
            };
            Error::Engine(format!(
                "no processes deployed with key '{}'{tenant}: processDefinition is null",
                called.key
            ))
        })
    }
}
