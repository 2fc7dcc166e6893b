//! Start timers are held back where another site is armed, before a client gets the answer that let them go.
//!
//! Owns when that is due: after a deployment at a site, and after whatever activates definitions or jobs. Must not
//! choose sites.

mod events;

use super::Pipeline;
use super::deploy::Deploying;
use crate::deployments::arming::{Arming, targets};
use crate::deployments::picture::scope;
use crate::dialect::Matched;
use crate::resolve::Target;
use crate::telemetry::chain;
use crate::topology::{Group, Site};
use homing_mapping_store::{Engine, SiteId, store};
use std::sync::Arc;

/// A request that may let start timers go.
pub(super) struct Waking {
    pipeline: Arc<Pipeline>,
    sites: Vec<Arc<Site>>,
    scope: String,
    engine: Engine,
}

impl Deploying {
    /// What this site has just got must not go off there if another one is armed.
    pub(super) async fn settle(
        &self,
        target: &Target,
        coming: &[SiteId],
    ) -> Result<(), store::Error> {
        let pipeline = &self.every.pipeline;
        let placement = pipeline.resolver.placement.load();
        let arming = Arming {
            deployments: &pipeline.resolver.deployments,
            placement: &placement,
            sites: &self.sites,
            scope: &self.scope,
            engine: self.every.engine(),
            via: &pipeline.via,
            times: pipeline.settings.load().times,
        };
        arming.settle(std::slice::from_ref(target), coming).await
    }
}

impl Waking {
    /// `None`: it lets nothing go, or there is nobody else that could.
    pub(super) fn of(
        pipeline: &Arc<Pipeline>,
        group: &Group,
        found: &Matched<'_>,
    ) -> Option<Waking> {
        let wakes = group.dialect.timers()?.wakes(found.operation);
        (wakes && group.sites.len() > 1).then(|| Waking {
            pipeline: Arc::clone(pipeline),
            sites: group.sites.clone(),
            scope: scope(group, &found.engine),
            engine: found.engine.clone(),
        })
    }

    /// Runs to its end whatever the client does.
    pub(super) async fn settle(self) {
        let _ = tokio::spawn(async move { self.run().await }).await;
    }

    async fn run(&self) {
        let pipeline = &self.pipeline;
        let deployments = &pipeline.resolver.deployments;
        let placement = pipeline.resolver.placement.load();
        let arming = Arming {
            deployments,
            placement: &placement,
            sites: &self.sites,
            scope: &self.scope,
            engine: &self.engine,
            via: &pipeline.via,
            times: pipeline.settings.load().times,
        };
        if !arming.is_due() {
            return;
        }
        let told = match pipeline.turn().await {
            Ok((turn, _)) => {
                let settled = arming.settle(&targets(&self.sites), &[]).await;
                turn.end().await;
                settled.map_err(|error| chain(&error))
            }
            Err(error) => Err(chain(&error)),
        };
        if let Err(why) = told {
            tracing::warn!("start timers are looked at later: {why}");
            deployments.alarm.notify_one();
        }
    }
}
