//! A saved query that is run over all sites: each site runs its own copy of it, and the rows become one list.
//!
//! Owns finding the copies and reading in which order they give their rows. Must not run a query whose copy a site lacks:
//! the list would be short without saying so. Relies on shared data for who has which copy.

use super::merge::refused;
use super::{Asked, Pipeline};
use crate::context::Context;
use crate::deployments::picture::scope;
use crate::deployments::swap::Swap;
use crate::dialect::shares::Thing;
use crate::dialect::{Head, path};
use crate::forward::ask;
use crate::forward::body::Body;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::shared::{Copies, Rank};
use bytes::Bytes;
use homing_mapping_store::SiteId;
use http::Response;
use std::sync::Arc;
use std::time::Duration;

impl Pipeline {
    pub(super) async fn saved(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Problem> {
        let target = asked.outgoing.target.clone();
        let below = target.path().strip_prefix(&*asked.group.base_path);
        let below = below.unwrap_or_default();
        let id = asked.found.params.raw(below, 0).and_then(path::decode);
        let id = id.ok_or_else(|| Problem::new(Reason::BadRequest, "the id cannot be read"))?;
        let copies = self.filter_copies(&asked, &id)?;
        let engine = &asked.found.engine;
        let reader = self
            .resolver
            .reader(asked.group, engine, Some((Thing::Filter, &id)))?;
        let content = self.content(&asked, &reader, &copies).await?;
        let head = Head {
            method: &asked.outgoing.method,
            path: below,
            query: target.query(),
            headers: &asked.outgoing.headers,
        };
        let body = asked.outgoing.payload.bytes().unwrap_or_default();
        let dialect = &asked.group.dialect;
        let plan = dialect.saved(&asked.found, &head, &body, &content);
        let swap = Swap::between(&id, copies);
        self.gathered(context, asked, &plan, &swap).await
    }

    /// What every site calls it. Refused while a site is still to get it.
    fn filter_copies(&self, asked: &Asked<'_>, id: &str) -> Result<Copies, Problem> {
        let scope = scope(asked.group, &asked.found.engine);
        let picture = self.resolver.deployments.shared.picture();
        let subject = picture.subject(&scope, Thing::Filter, id);
        let Some(copies) = subject.and_then(|subject| picture.copies(&scope, subject)) else {
            return Err(refused(&crate::dialect::merge::Refused::NotBuilt(
                "running a filter over several sites that was not made through Homing".into(),
            )));
        };
        let lacks = |site: &SiteId| {
            !copies.contains_key(site) || picture.rank(*site, &scope) == Rank::Behind
        };
        let sites = asked.group.sites.iter().map(|site| site.id);
        match sites.into_iter().find(lacks) {
            None => Ok(copies.clone()),
            Some(site) => {
                let detail = format!("site {site} is still to get this filter, or a change of it");
                Err(Problem::new(Reason::SiteUnreachable, detail)
                    .at(site)
                    .retry_after(Duration::from_secs(2)))
            }
        }
    }

    /// The saved query as the site tells it.
    async fn content(
        &self,
        asked: &Asked<'_>,
        reader: &Target,
        copies: &Copies,
    ) -> Result<Bytes, Problem> {
        let question = asked.group.dialect.shares().and_then(|shares| {
            let own = copies.get(&reader.site.id)?;
            Some(shares.probe(&asked.found.engine, Thing::Filter, own))
        });
        let unread = || {
            let detail = "the site that has this filter does not tell in which order it lists";
            Problem::new(Reason::UpstreamBroke, detail).at(reader.site.id)
        };
        let question = question.ok_or_else(unread)?;
        let times = self.settings.load().times;
        let (status, content) = ask::ask(reader, &question, &self.via, times).await?;
        if status.is_success() {
            Ok(content)
        } else {
            Err(unread())
        }
    }
}
