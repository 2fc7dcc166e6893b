//! A filter or authorization that only one site has: it was made before there was Homing, past it, or by an engine itself.
//!
//! Owns finding that site by asking. Must not record anything: what only one site has is nobody else's business.

use crate::context::Context;
use crate::dialect::shares::Thing;
use crate::forward::ask;
use crate::forward::body::Body;
use crate::pipeline::{Asked, Pipeline};
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::topology::Topology;
use homing_mapping_store::{Engine, Generation, SiteId};
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

impl Pipeline {
    /// To the site that has it; if none has, the first one says so.
    pub(super) async fn at_owner(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        mut asked: Asked<'_>,
        (engine, thing, id): (&Engine, Thing, &str),
    ) -> Result<Response<Body>, Problem> {
        let times = self.settings.load().times;
        let looking = asked.group.sites.iter().map(|site| async {
            let target = Target::of(site, RouteSource::Located, Generation::default()).ok();
            let question = site
                .dialect
                .shares()
                .map(|shares| shares.probe(engine, thing, id));
            let has = match (&target, question) {
                (Some(target), Some(question)) => {
                    let told = ask::ask(target, &question, &self.via, times).await;
                    told.map(|(status, _)| status).ok()
                }
                (_, _) => None,
            };
            (site.id, target, has)
        });
        let mut silent: Vec<SiteId> = Vec::new();
        let mut absent = None;
        for (site, target, has) in futures_util::future::join_all(looking).await {
            match (has, target) {
                (Some(status), Some(target)) if status.is_success() => {
                    return self.one(topology, context, &mut asked, None, target).await;
                }
                (Some(StatusCode::NOT_FOUND), Some(target)) => absent = absent.or(Some(target)),
                (_, _) => silent.push(site),
            }
        }
        match absent.filter(|_| silent.is_empty()) {
            Some(target) => self.one(topology, context, &mut asked, None, target).await,
            None => {
                let names: Vec<&str> = silent.iter().map(|site| site.name()).collect();
                let detail = format!(
                    "{} {id} was not found, but these sites could not be asked: {}",
                    thing.as_str(),
                    names.join(", ")
                );
                Err(Problem::new(Reason::LocateIncomplete, detail)
                    .retry_after(Duration::from_secs(2)))
            }
        }
    }
}
