//! What messages, signals and conditions start, at the one site that is armed for it, if that is wanted.
//!
//! Owns the way from a start event to the site that its row in the store names, and the writing of that row when the event
//! comes for the first time. Must not move rows; the control loop does. While the row's site cannot be asked, the start is
//! refused by that site's name.

use crate::classify::Create;
use crate::deployments::armed::chosen;
use crate::deployments::picture::scope;
use crate::pipeline::{Pipeline, correlate};
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::resolve::choice::StartEvents;
use crate::resolve::models::Sort;
use crate::resolve::route::Purpose;
use crate::telemetry::chain;
use crate::topology::Group;
use homing_mapping_store::armed::{Armed, Stage};
use homing_mapping_store::{Engine, Generation, SiteId, Timestamp};
use std::time::Duration;

/// When to try again while a row is on its way.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

impl Pipeline {
    /// The event that starts something by this name; `None`: no model that has been read says so. What only might start
    /// something gets no row, so that names which nobody deployed leave nothing behind.
    pub(in crate::pipeline) fn start_event(
        &self,
        group: &Group,
        engine: &Engine,
        name: (Sort, &str),
    ) -> Option<String> {
        let mut sites = group.sites.iter();
        let starts = sites.any(|site| self.models.starts(site.id, engine, name));
        let (sort, name) = name;
        starts.then(|| match sort {
            Sort::Message => format!("message:{name}"),
            Sort::Signal => format!("signal:{name}"),
        })
    }

    /// The site that is armed for what this would start; `None`: any may. To explain writes no row.
    pub(in crate::pipeline) async fn armed_for(
        &self,
        group: &Group,
        create: &Create,
        purpose: Purpose,
    ) -> Result<Option<usize>, Problem> {
        let wanted = self.resolver.placement.load().start_events == StartEvents::OneSite;
        let event = create.event.as_deref();
        let Some(event) = event.filter(|_| wanted && group.sites.len() > 1) else {
            return Ok(None);
        };
        let scope = scope(group, &create.engine);
        let picture = self.resolver.deployments.picture();
        let known = picture.armed(&scope, create.tenant.as_deref(), event);
        let row = match known {
            Some(row) => row.clone(),
            None => {
                let row = Armed {
                    scope,
                    tenant: create.tenant.clone(),
                    key: event.to_owned(),
                    site: self.candidate(group, create, event)?,
                    stage: Stage::Armed,
                    detail: String::new(),
                    generation: Generation::default(),
                    since: Timestamp(0),
                };
                match purpose {
                    Purpose::Send => self.write(row).await?,
                    Purpose::Explain => row,
                }
            }
        };
        let at = group.sites.iter().position(|site| site.id == row.site);
        at.map(Some).ok_or_else(|| gone(&row))
    }

    /// The same, ready to be sent to.
    pub(in crate::pipeline) async fn armed_target(
        &self,
        group: &Group,
        create: &Create,
        purpose: Purpose,
    ) -> Result<Option<Target>, Problem> {
        let Some(at) = self.armed_for(group, create, purpose).await? else {
            return Ok(None);
        };
        let site = &group.sites[at];
        let event = create.event.as_deref().unwrap_or_default();
        if self.resolver.behind(group, create).contains(&site.id) {
            let detail = format!(
                "nothing was sent: site {} is armed for {event}, and is still to get what was deployed or does not have it",
                site.id
            );
            return Err(away(Reason::NoSiteAvailable, detail, site.id));
        }
        match correlate::target(site) {
            Ok(target) => Ok(Some(target)),
            Err(why) => {
                let detail = format!(
                    "nothing was sent: site {} is armed for {event}; {}",
                    site.id, why.detail
                );
                Err(away(why.reason, detail, site.id))
            }
        }
    }

    /// Whoever chooses chooses the same, as long as the same sites take new work.
    fn candidate(&self, group: &Group, create: &Create, event: &str) -> Result<SiteId, Problem> {
        let tenant = create.tenant.as_deref();
        let placement = self.resolver.placement.load();
        let behind = self.resolver.behind(group, create);
        let may = group.sites.iter().filter(|site| {
            site.live.read(|view| view.available())
                && placement.allows(site.id, tenant)
                && !behind.contains(&site.id)
        });
        let site = chosen(tenant, event, may.map(|site| site.id));
        site.ok_or_else(|| {
            let detail = format!("nothing was sent: no site can be armed for {event} now");
            Problem::new(Reason::NoSiteAvailable, detail)
                .retry_after(AGAIN_AFTER)
                .proxy_error("destination_unavailable")
        })
    }

    /// The row as it is: another router may have been faster.
    async fn write(&self, row: Armed) -> Result<Armed, Problem> {
        let deployments = &self.resolver.deployments;
        let unwritten = |why: String| {
            let detail = format!(
                "nothing was sent: which site is armed for {} cannot be written to the store: {why}",
                row.key
            );
            Problem::new(Reason::StoreUnavailable, detail).retry_after(AGAIN_AFTER)
        };
        let writing = deployments.store().arm(&row);
        let written = match tokio::time::timeout(self.resolver.store_within, writing).await {
            Ok(written) => written.map_err(|error| unwritten(chain(&error)))?,
            Err(_) => return Err(unwritten("it does not answer in time".to_owned())),
        };
        tracing::info!(site = %written.site, event = written.key, "a start event is armed at one site");
        deployments.changed.notify_one();
        Ok(written)
    }
}

fn away(reason: Reason, detail: String, site: SiteId) -> Problem {
    Problem::new(reason, detail)
        .at(site)
        .retry_after(AGAIN_AFTER)
        .proxy_error("destination_unavailable")
}

fn gone(row: &Armed) -> Problem {
    let detail = format!(
        "nothing was sent: site {} is armed for {} and is no longer in the registry; another one is about to go on",
        row.site, row.key
    );
    away(Reason::SiteSwitching, detail, row.site)
}
