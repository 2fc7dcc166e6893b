//! Two sites are heard to have one held key: an alarm, or a key that was handed over meanwhile?
//!
//! Owns that look. The key's past in the store tells: a site that was never its home is an alarm; its home by now, and this
//! router's memory was behind; an earlier home is asked, because an answer that it gave before the hand-over may arrive late.
//! Where the store cannot be asked it is an alarm.

use crate::dialect::Presence;
use crate::learn::Learner;
use crate::learn::write::Dispute;
use crate::pipeline::Pipeline;
use homing_mapping_store::store::Error;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Disputes that wait to be looked into; the next one is an alarm at once.
const DISPUTES_MAX: usize = 1_000;

/// What a dispute comes to.
enum Finding {
    /// Both may have it.
    Alarm,
    /// It was handed over.
    Explained,
}

/// Looks into what this learner hears, from now on.
pub fn begin(pipeline: &Arc<Pipeline>, learner: &Learner) {
    let (judge, disputes) = mpsc::channel(DISPUTES_MAX);
    learner.disputes_to(judge);
    tokio::spawn(run(Arc::clone(pipeline), disputes));
}

/// Until nobody can tell of any.
async fn run(pipeline: Arc<Pipeline>, mut disputes: mpsc::Receiver<Dispute>) {
    while let Some(dispute) = disputes.recv().await {
        let within = pipeline.resolver.store_within;
        let found = tokio::time::timeout(within, look(&pipeline, &dispute)).await;
        match found {
            Ok(Ok(Finding::Explained)) => {
                tracing::debug!(key = %dispute.key, claimed = %dispute.claimed, "the key was handed over");
            }
            Ok(Ok(Finding::Alarm) | Err(_)) | Err(_) => {
                let sites = [dispute.held, dispute.claimed];
                pipeline.resolver.known.alarm(&dispute.key, &sites);
            }
        }
    }
}

async fn look(pipeline: &Pipeline, dispute: &Dispute) -> Result<Finding, Error> {
    let (key, resolver) = (&dispute.key, &pipeline.resolver);
    let past = resolver.store.history(key).await?;
    if !past
        .iter()
        .any(|version| version.home == Some(dispute.claimed))
    {
        return Ok(Finding::Alarm);
    }
    if let Some(now) = resolver.store.get(key).await?
        && now.home == dispute.claimed
    {
        resolver.known.table.apply(&now);
        return Ok(Finding::Explained);
    }
    let topology = pipeline.topology.load_full();
    let Some(site) = topology.site(dispute.claimed) else {
        return Ok(Finding::Alarm);
    };
    Ok(match resolver.locator.ask(key, site).await {
        Presence::Present(_) => Finding::Alarm,
        Presence::Absent | Presence::Unclear => Finding::Explained,
    })
}
