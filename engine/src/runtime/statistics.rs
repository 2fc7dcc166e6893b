//! Where instances stand, counted from their documents: it does not depend on how much history is kept.

use super::Handle;
use crate::error::Error;
use crate::machine::{Document, Node, Role, Wait};
use crate::model::{Kind, Process};
use crate::store::Failure;
use std::collections::BTreeMap;

/// Documents that are read at once.
const PAGE: i64 = 500;

impl Handle {
    /// How many executions stand at each element of a definition: those that wait in it, or before it for their job.
    pub async fn standing_at(&self, definition: &str) -> Result<BTreeMap<String, i64>, Error> {
        let (mut out, mut behind) = (BTreeMap::new(), String::new());
        let parsed = self.definition(definition).await?;
        loop {
            let page = self
                .inner
                .store
                .documents_of(definition, &behind, PAGE)
                .await?;
            let Some((last, _)) = page.last() else {
                return Ok(out);
            };
            behind.clone_from(last);
            for (id, text) in &page {
                let document: Document =
                    serde_json::from_str(text).map_err(|error| Failure::Record {
                        what: format!("the document of instance {id}"),
                        reason: error.to_string(),
                    })?;
                let nodes = document.nodes.values();
                for element in nodes.filter_map(|node| stands(node, &parsed.process)) {
                    *out.entry(element).or_default() += 1;
                }
            }
        }
    }
}

fn stands(node: &Node, process: &Process) -> Option<String> {
    let element = node.at.clone()?;
    let kind = || process.get(&element).map(|found| &found.kind);
    match &node.wait {
        // An error end whose boundary event does not interrupt is never left.
        Wait::Nothing if matches!(kind(), Some(Kind::End(_))) => Some(element),
        Wait::Nothing | Wait::After { .. } | Wait::Join => None,
        Wait::Before { .. } => {
            let multi = process.get(&element).is_some_and(|e| e.multi.is_some());
            let body = multi && node.role != Role::Inner;
            Some(if body {
                format!("{element}#multiInstanceBody")
            } else {
                element
            })
        }
        Wait::Task { .. } | Wait::Work { .. } | Wait::Event | Wait::Call { .. } => Some(element),
    }
}
