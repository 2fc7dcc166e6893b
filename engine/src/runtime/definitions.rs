//! Parsed definitions, kept by id: a definition never changes.

use super::Handle;
use crate::error::Error;
use crate::machine::{Called, Definition, Version};
use crate::model::{Failure, Problem, Process, parse, text_of};
use crate::store::DefinitionRow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most definitions kept; beyond it the cache starts again, and parsing costs milliseconds.
const CACHE_MAX: usize = 2_000;

/// The cache.
#[derive(Default)]
pub(crate) struct Cache {
    by_id: Mutex<HashMap<String, Arc<Definition>>>,
}

impl Cache {
    fn get(&self, id: &str) -> Option<Arc<Definition>> {
        self.by_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    fn put(&self, definition: &Arc<Definition>) {
        let mut all = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CACHE_MAX {
            all.clear();
        }
        all.insert(definition.id.clone(), Arc::clone(definition));
    }
}

impl Handle {
    /// A definition, parsed.
    pub(crate) async fn definition(&self, id: &str) -> Result<Arc<Definition>, Error> {
        if let Some(known) = self.inner.definitions.get(id) {
            return Ok(known);
        }
        let row = self.inner.store.definition(id).await?;
        let row = row.ok_or_else(|| {
            Error::Engine(format!(
                "no deployed process definition found with id '{id}'"
            ))
        })?;
        self.parsed(&row).await
    }

    /// The definition of a row, parsed.
    pub(crate) async fn parsed(&self, row: &DefinitionRow) -> Result<Arc<Definition>, Error> {
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
            .parse_resource(&row.resource, &bytes)
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
        self.inner.definitions.put(&definition);
        Ok(definition)
    }

    /// The processes of a resource.
    pub(crate) fn parse_resource(&self, name: &str, bytes: &[u8]) -> Result<Vec<Process>, Error> {
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
