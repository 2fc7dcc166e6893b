//! Taking over what a dead engine held.

use super::Handle;
use crate::cluster::FAILOVERS_MAX;
use crate::cluster::bells::Bell;
use crate::store::{Failure, Incident, Peer};

impl Handle {
    /// Takes over; `false` if another member was faster or the engine lives after all.
    pub(crate) async fn take_over(&self, dead: &Peer) -> Result<bool, Failure> {
        let (mut poisoned, mut incidents) = (Vec::new(), Vec::new());
        for (job, failovers) in self.inner.store.held_by(&dead.id).await? {
            if failovers + 1 < FAILOVERS_MAX || job.retries <= 0 {
                continue;
            }
            poisoned.push((job.id.clone(), job.retries));
            let Some(instance) = job.instance.filter(|_| job.retries <= 1) else {
                continue;
            };
            let incident = Incident {
                id: self.new_id(),
                instance,
                execution: job.execution.unwrap_or_default(),
                definition: job.definition,
                element: job.element,
                kind: "failedJob",
                message: Some("the engines that ran this job died".to_owned()),
                about: job.id,
                causes: None,
                tenant: job.tenant,
            };
            incidents.extend(self.with_callers(incident).await?);
        }
        let now = self.inner.clock.now();
        let taken = self
            .inner
            .store
            .bury(dead, &poisoned, &incidents, now)
            .await?;
        self.inner.bells.ring(Bell::Jobs);
        Ok(taken)
    }
}
