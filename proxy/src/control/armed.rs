//! Start timers stay armed at one site each: what goes off elsewhere is held back, and what is armed at a site that takes
//! no new work moves on, once it is certain that it cannot go off there.
//!
//! Owns when sites are looked at. One router at a time changes anything, by the turn that deployments take.
//! Level-triggered: each round looks at the sites anew, so it may be stopped anywhere.

mod journey;

use crate::deployments::Deployments;
use crate::deployments::armed::{Seen, astray, claims, is_event};
use crate::deployments::arming::{Arming, targets};
use crate::deployments::picture::{Picture, scopes};
use crate::deployments::turn::{self, Turn};
use crate::dialect::timers::Wanted;
use crate::resolve::Target;
use crate::telemetry::chain;
use crate::topology::{Group, Topology};
use arc_swap::ArcSwap;
use homing_mapping_store::SiteId;
use homing_mapping_store::armed::{Armed, Stage};
use journey::Journey;
use std::sync::Arc;
use std::time::Duration;

pub use super::deployments::Settings;

/// Between two looks at what sites would start by themselves.
const EVERY: Duration = Duration::from_secs(5);
/// What a turn lasts longer than the wait for one answer.
const TURN_MARGIN: Duration = Duration::from_secs(30);

/// Keeps them armed until the task is dropped.
pub async fn run(
    topology: Arc<ArcSwap<Topology>>,
    deployments: Arc<Deployments>,
    settings: Settings,
) {
    loop {
        let _ = tokio::time::timeout(EVERY, deployments.alarm.notified()).await;
        let topology = topology.load_full();
        for group in &topology.groups {
            if group.dialect.timers().is_none() {
                continue;
            }
            if let Err(error) = look_after(group, &deployments, &settings).await {
                tracing::warn!("start timers are looked at later: {}", chain(&error));
            }
        }
    }
}

async fn look_after(
    group: &Group,
    deployments: &Deployments,
    settings: &Settings,
) -> Result<(), turn::Error> {
    let picture = deployments.picture();
    let records = picture.entries.iter().map(|entry| &*entry.record.scope);
    let rows = picture.all_armed().map(|row| &*row.scope);
    let placement = settings.placement.load_full();
    for (scope, engine) in scopes(group, records.chain(rows)) {
        let arming = Arming {
            deployments,
            placement: &placement,
            sites: &group.sites,
            scope: &scope,
            engine: &engine,
            via: &settings.via,
            times: settings.times,
        };
        let timers = arming.is_due();
        if timers || picture.of_scope(&scope).any(is_event) {
            let round = Round {
                arming,
                timers,
                targets: targets(&group.sites),
                settings,
            };
            round.take().await?;
        }
    }
    Ok(())
}

/// One look at all sites of a scope.
struct Round<'r> {
    arming: Arming<'r>,
    /// Whether timers are looked after, and not only what messages, signals and conditions start.
    timers: bool,
    targets: Vec<Target>,
    settings: &'r Settings,
}

impl Round<'_> {
    async fn take(&self) -> Result<(), turn::Error> {
        let seen = self.look().await;
        let picture = self.arming.deployments.picture();
        if self.is_quiet(&picture, &seen) && self.gone(&picture, &seen).await.is_empty() {
            return Ok(());
        }
        let lasts = self.settings.times.head + TURN_MARGIN;
        let turn = self.arming.deployments.turn(lasts, EVERY).await;
        let turn = match turn {
            Ok(turn) => turn,
            // Whoever has the turn holds back what is to be held back.
            Err(turn::Error::Busy) => return Ok(()),
            Err(error) => return Err(error),
        };
        let done = self.in_turn(&turn, lasts).await;
        turn.end().await;
        done
    }

    async fn look(&self) -> Vec<Seen> {
        match self.timers {
            true => self.arming.look(&self.targets).await,
            false => Vec::new(),
        }
    }

    fn rows<'p>(&self, picture: &'p Picture) -> impl Iterator<Item = &'p Armed> {
        let rows = picture.of_scope(self.arming.scope);
        rows.filter(move |row| self.timers || is_event(row))
    }

    fn is_quiet(&self, picture: &Picture, seen: &[Seen]) -> bool {
        let scope = self.arming.scope;
        let may = |site: SiteId, tenant: Option<&str>| self.arming.may(site, tenant);
        let mut rows = self.rows(picture);
        claims(picture, scope, seen, &[], &may).is_empty()
            && astray(picture, scope, seen).is_empty()
            && !rows.any(|row| self.is_leaving(picture, row))
    }

    /// Rows of definitions that no site has any more.
    async fn gone<'p>(&self, picture: &'p Picture, seen: &[Seen]) -> Vec<&'p Armed> {
        let mut gone = Vec::new();
        for row in self.rows(picture) {
            if is_event(row) {
                continue;
            }
            if self.is_left(row) || is_idle(row, seen) && self.is_nowhere(row).await {
                gone.push(row);
            }
        }
        gone
    }

    async fn in_turn(&self, turn: &Turn, lasts: Duration) -> Result<(), turn::Error> {
        self.arming.deployments.refresh().await?;
        self.arming.settle(&self.targets, &[]).await?;
        let picture = self.arming.deployments.picture();
        let seen = self.look().await;
        for row in self.rows(&picture) {
            // What is no longer ours to change, somebody else may be changing.
            let now = turn.renew(lasts).await?;
            if self.is_leaving(&picture, row) {
                let journey = Journey {
                    arming: self.arming,
                    targets: &self.targets,
                    picture: &picture,
                    bound: self.settings.transaction_bound,
                    row,
                    now,
                };
                match journey.go_on().await? {
                    Ok(()) => self.arming.deployments.alarm.notify_one(),
                    Err(why) => {
                        tracing::debug!(key = row.key, "start timers do not move on: {why}");
                    }
                }
            }
        }
        for row in self.gone(&picture, &seen).await {
            self.arming.deployments.store().forget_armed(row).await?;
        }
        self.arming.deployments.refresh().await?;
        Ok(())
    }

    /// Whether the row is to move: its site takes no new work, and another one could go on.
    fn is_leaving(&self, picture: &Picture, row: &Armed) -> bool {
        match row.stage {
            Stage::Leaving | Stage::Arriving => true,
            Stage::Armed => {
                let known = self.arming.sites.iter().find(|site| site.id == row.site);
                let gives_up = known.is_none_or(|site| {
                    use homing_mapping_store::assignment::SiteState::Draining;
                    site.live.read(|view| view.state == Draining)
                });
                gives_up
                    && self.arming.comes_back()
                    && journey::heirs(&self.arming, picture, row).next().is_some()
            }
        }
    }

    /// Whether its site is gone from the registry and nothing could go on elsewhere: the next version is anybody's.
    fn is_left(&self, row: &Armed) -> bool {
        let mut sites = self.arming.sites.iter();
        !self.arming.comes_back() && !sites.any(|site| site.id == row.site)
    }

    /// Whether no site at all has the definition. A site that does not say so may have it.
    async fn is_nowhere(&self, row: &Armed) -> bool {
        if self.targets.len() < self.arming.sites.len() {
            return false;
        }
        for target in &self.targets {
            let wanted = Wanted::OfKey(&row.key);
            match self.arming.timers(target, wanted).await {
                Ok(timers) if !timers.iter().any(|timer| timer.tenant == row.tenant) => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }
}

/// Whether nothing goes off where it is armed, as far as that site could be asked.
fn is_idle(row: &Armed, seen: &[Seen]) -> bool {
    let here = seen.iter().find(|seen| seen.site == row.site);
    row.stage == Stage::Armed
        && here.is_some_and(|here| {
            let mut timers = here.timers.iter();
            !timers.any(|timer| timer.key == row.key && timer.tenant == row.tenant)
        })
}
