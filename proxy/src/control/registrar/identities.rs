//! Whose database a site has shown.
//!
//! Owns the first sight of an identity and the comparison with it afterwards. Must not change an identity that is known.

use super::Registrar;
use crate::clock;
use crate::observe::probe::{Identities, Verdict};
use async_trait::async_trait;
use homing_mapping_store::SiteId;
use homing_mapping_store::audit::AuditEntry;
use std::sync::PoisonError;
use std::time::Duration;

/// Longest wait for the store when a site shows its identity for the first time.
const FIRST_SIGHT_WITHIN: Duration = Duration::from_secs(2);

#[async_trait]
impl Identities for Registrar {
    fn has_others(&self, site: SiteId) -> bool {
        self.held().iter().any(|record| record.site != site)
    }

    async fn check(&self, site: SiteId, shown: &str) -> Verdict {
        let records = self.held();
        if records
            .iter()
            .any(|record| record.site != site && record.identity.as_deref() == Some(shown))
        {
            return Verdict::Shared;
        }
        match records
            .iter()
            .find(|record| record.site == site)
            .map(|record| record.identity.as_deref())
        {
            Some(Some(held)) if held == shown => Verdict::Right,
            Some(Some(_)) => Verdict::Wrong,
            Some(None) => self.first_sight(site, shown).await,
            None => Verdict::Unknown,
        }
    }
}

impl Registrar {
    async fn first_sight(&self, site: SiteId, shown: &str) -> Verdict {
        let audit = AuditEntry {
            actor: format!("router:{}", self.config.load().router.name),
            action: "site.identity".into(),
            subject: site.name().into(),
            reason: Some("first sight".into()),
            detail: serde_json::json!({ "identity": shown }).to_string(),
            request_id: None,
            at: clock::wall(),
        };
        match tokio::time::timeout(
            FIRST_SIGHT_WITHIN,
            self.store.set_identity(site, None, shown, &audit),
        )
        .await
        {
            Ok(Ok(())) => {
                tracing::info!(%site, identity = shown, "site's database seen for the first time");
                let mut held = self.records.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(record) = held.1.iter_mut().find(|record| record.site == site) {
                    record.identity = Some(shown.to_owned());
                }
                Verdict::Right
            }
            // Another router was first, or the store is away: the next round knows more.
            Ok(Err(_)) | Err(_) => {
                self.bell.notify_one();
                Verdict::Unknown
            }
        }
    }
}
