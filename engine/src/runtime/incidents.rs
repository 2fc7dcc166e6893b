//! Incidents of called instances appear at their callers, all the way up.

use super::Handle;
use crate::store::{Failure, Incident};

impl Handle {
    /// An incident with those that it makes at the callers of its instance.
    pub(super) async fn with_callers(&self, incident: Incident) -> Result<Vec<Incident>, Failure> {
        let root_cause = incident.id.clone();
        let mut out = vec![incident];
        while let Some(below) = out.last() {
            let Some((instance, execution)) = self.inner.store.caller_of(&below.instance).await?
            else {
                break;
            };
            let Some(caller) = self.inner.store.load(&instance).await? else {
                break;
            };
            let document = caller.document;
            let node = document.execution(&execution);
            let at = node.and_then(|key| document.nodes.get(&key)?.at.clone());
            let above = Incident {
                id: self.new_id(),
                instance,
                execution,
                definition: document.definition,
                element: at.unwrap_or_default(),
                kind: below.kind,
                message: None,
                about: String::new(),
                causes: Some((below.id.clone(), root_cause.clone())),
                tenant: document.tenant,
            };
            out.push(above);
        }
        Ok(out)
    }
}
