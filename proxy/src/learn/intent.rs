//! A start's intent and outcome in the journal.
//!
//! Owns the order: intent before the request is sent, outcome synced before the answer is released. Must not send.

use super::Learner;
use crate::clock;
use crate::dialect::Fact;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use homing_mapping_store::store::{NewMapping, OpenIntent, Shipment};
use homing_mapping_store::{SiteId, Source, journal};
use std::time::Duration;
use uuid::Uuid;

/// How long a start may wait for the journal's sync before it is told that nothing durable can be written.
const SYNC_WITHIN: Duration = Duration::from_secs(10);

impl Learner {
    /// Notes what is about to be sent. Without it nothing is sent.
    pub fn intend(&self, router: &str, target: &Target, what: String) -> Result<Uuid, Problem> {
        let intent = OpenIntent {
            id: Uuid::new_v4(),
            router: router.to_owned(),
            site: target.site.id,
            what,
            at: clock::wall(),
        };
        let id = intent.id;
        self.journal().intent(intent).map_err(|error| {
            if matches!(error, journal::Error::Full { .. }) {
                crate::telemetry::metrics::limit_hit("journal_bytes");
            }
            unwritable(&crate::telemetry::chain(&error))
        })?;
        Ok(id)
    }

    /// Makes the outcome of a start durable; only then may its answer be released.
    pub async fn made(
        &self,
        intent: Uuid,
        facts: &[Fact],
        placed: Vec<NewMapping>,
        site: SiteId,
    ) -> Result<(), Problem> {
        let mut rows = self.rows(facts, site, Source::Started);
        rows.extend(placed);
        let synced =
            tokio::time::timeout(SYNC_WITHIN, self.journal().outcome(intent, rows.clone())).await;
        let failed = match synced {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(crate::telemetry::chain(&error)),
            Err(_) => Some(format!("the journal did not sync within {SYNC_WITHIN:?}")),
        };
        if let Some(why) = failed {
            self.made_in_store(intent, &rows, &why).await?;
        }
        self.remember(&rows, facts, site);
        self.share(facts, &rows).await;
        Ok(())
    }

    /// The journal cannot take it: the store is as good.
    async fn made_in_store(
        &self,
        intent: Uuid,
        rows: &[NewMapping],
        why: &str,
    ) -> Result<(), Problem> {
        let shipment = Shipment {
            router: self.router().to_owned(),
            mappings: rows.to_vec(),
            intents_closed: vec![intent],
            ..Shipment::default()
        };
        let shipped = tokio::time::timeout(self.store_within(), self.store().ship(&shipment)).await;
        if matches!(shipped, Ok(Ok(_))) {
            return Ok(());
        }
        // It was carried out but cannot be kept: the caller must not take it for known. It is found again by search.
        Err(unwritable(why).maybe_sent())
    }

    /// The request was proven not to have been sent, or refused by the engine.
    pub fn not_made(&self, intent: Uuid, why: &str) {
        if let Err(error) = self.journal().closed(intent, why) {
            tracing::debug!(
                "could not close an intent: {}",
                crate::telemetry::chain(&error)
            );
        }
    }
}

fn unwritable(why: &str) -> Problem {
    Problem::new(
        Reason::StoreUnavailable,
        format!("a start cannot be made durable: {why}"),
    )
    .retry_after(Duration::from_secs(2))
    .proxy_error("proxy_internal_error")
}
