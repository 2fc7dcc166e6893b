//! Time for requests that run here while a planned switch begins: the routers send no more, and what they have sent may end.
//!
//! Owns how long a switch that has begun is not obeyed yet. Must not lengthen a lease: within the grace the agent does as if
//! it had not looked, which may happen at any time, so what proves a fence does not rely on it.

use super::fence::{self, Decision, Evidence};
use crate::clock::{self, Moment};
use crate::decide::plan::Verb;
use homing_mapping_store::Handle;
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::store::{Error, Seq};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Longest time for what runs (limit `planned_grace`); what takes longer is cut.
pub const GRACE_MAX: Duration = Duration::from_secs(1);
/// Between two looks whether the routers have acknowledged.
pub const LOOK: Duration = Duration::from_millis(50);

/// The grace of the switch that is under way.
#[derive(Debug, Default)]
pub struct Grace(Option<Given>);

#[derive(Debug)]
struct Given {
    operation: Uuid,
    /// A position that routers reach only after they have obeyed the switch.
    seq: Seq,
    until: Moment,
    over: bool,
}

impl Grace {
    /// Whether a switch has begun that is not obeyed yet.
    pub fn is_given(&self) -> bool {
        self.0.as_ref().is_some_and(|given| !given.over)
    }

    /// Whether the switch that this assignment tells of is still not to be obeyed: it was planned, this installation
    /// serves by a lease of its own, a living router has not acknowledged, and the time is not over.
    pub async fn lasts(
        &mut self,
        store: &Handle,
        mine: Option<&Assignment>,
        evidence: &watch::Sender<Evidence>,
    ) -> Result<bool, Error> {
        let begun = mine.and_then(|mine| mine.pending.as_ref());
        let Some(begun) = begun.filter(|begun| begun.fenced.is_none()) else {
            self.0 = None;
            return Ok(false);
        };
        let now = clock::moment();
        let open = matches!(
            fence::decide(&evidence.borrow(), now),
            Decision::Open { .. }
        );
        if self.0.as_ref().map(|given| given.operation) != Some(begun.operation) {
            let planned = open && is_planned(store, begun.operation).await?;
            self.0 = Some(Given {
                operation: begun.operation,
                seq: store.head().await?,
                until: now.plus(GRACE_MAX),
                over: !planned,
            });
        }
        let Some(given) = &mut self.0 else {
            return Ok(false);
        };
        if !given.over {
            let routers = store.routers().await?;
            let mut live = routers.iter().filter(|router| router.live);
            given.over =
                !open || now >= given.until || live.all(|router| router.applied >= given.seq);
        }
        Ok(!given.over)
    }
}

/// Whether the place that served is expected to be well.
async fn is_planned(store: &Handle, operation: Uuid) -> Result<bool, Error> {
    let record = store.operation(operation).await?;
    let verbs = [Verb::Switchover, Verb::Failback].map(Verb::as_str);
    Ok(record.is_some_and(|record| verbs.contains(&record.verb.as_str())))
}
