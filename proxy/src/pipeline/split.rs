//! A write over things of several owners: each site gets its own part, the first one decides whether the others follow.
//!
//! Owns who gets which part, and that nobody gets any while a site that is concerned cannot be asked. What was done is
//! not undone: the answer names it by site.

use super::several::{self, Order, Outcome, Part};
use super::{Asked, Pipeline};
use crate::classify::{Keyed, Unknown};
use crate::context::Context;
use crate::deployments::swap::Swap;
use crate::dialect::Health;
use crate::dialect::split::{About, Answers, Definition, Place, Split};
use crate::dialect::{batch, merge};
use crate::forward::ask;
use crate::forward::body::Body;
use crate::forward::gather;
use crate::forward::payload::Payload;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::resolve::route::Purpose;
use crate::topology::{Group, Topology};
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use homing_mapping_store::{Kind, RoutingKey, SiteId};
use http::Response;
use http::header::CONTENT_LENGTH;
use std::sync::Arc;
use std::time::Duration;

/// Listed ids that are looked up at a time.
const LOOKED_UP_AT_A_TIME: usize = 16;

/// One site's share of a write.
pub(super) struct Share {
    pub(super) target: Target,
    own: Vec<Place>,
}

impl Pipeline {
    pub(super) async fn split(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        asked: Asked<'_>,
        split: Split,
    ) -> Result<Response<Body>, Problem> {
        let shares = self
            .shares(topology, asked.group, &split, Purpose::Send)
            .await?;
        let swap = self.translation(&split, &shares)?;
        self.all_answer(&shares).await?;
        let parts = shares.into_iter().map(|share| {
            let mut outgoing = asked.outgoing.copy().ok_or_else(not_whole)?;
            let site = share.target.site.id;
            swap.at(site, &mut outgoing);
            let body = split.body(&share.own, swap.pairs(site));
            outgoing.payload = Payload::from(body.ok_or_else(not_whole)?);
            outgoing.headers.remove(CONTENT_LENGTH);
            Ok(Part {
                target: share.target,
                outgoing,
            })
        });
        let parts = parts.collect::<Result<Vec<Part>, Problem>>()?;
        let dialect = &asked.group.dialect;
        let what = (asked.found.operation, &asked.found.engine);
        let done = self
            .several(
                context,
                what,
                parts,
                Order::FirstDecides(Arc::clone(dialect)),
            )
            .await?;
        match several::outcome(done, |status, body| dialect.selects_nothing(status, body)) {
            Outcome::Some(problem) => Err(*problem),
            Outcome::Nothing(head, body) => Ok(several::passed(head, body)),
            Outcome::All(mut answers) => {
                if answers.len() > 1 && split.answers != Answers::Nothing {
                    let bodies: Vec<Bytes> = answers.into_iter().map(|(_, body)| body).collect();
                    return if split.answers == Answers::Batch {
                        one_batch(&bodies)
                    } else {
                        one_list(&bodies)
                    };
                }
                let (head, body) = answers.swap_remove(0);
                Ok(several::passed(head, body))
            }
        }
    }

    /// Nobody gets a part while a site that gets one is known to be away, or turns out to be.
    async fn all_answer(&self, shares: &[Share]) -> Result<(), Problem> {
        if shares.len() < 2 {
            return Ok(());
        }
        let asking = shares.iter().map(|share| async move {
            let site = &share.target.site;
            let Some(question) = site.dialect.health() else {
                return Ok(());
            };
            let answered = ask::ask(&share.target, &question, &self.via, self.asking()).await;
            let why = match answered {
                Ok((status, body)) => match site.dialect.judge_health(status, &body) {
                    Health::Good | Health::Guarded => return Ok(()),
                    Health::Bad(why) => why.to_owned(),
                },
                Err(problem) => problem.detail.clone(),
            };
            Err(away(site.id, &why))
        });
        try_join_all(asking).await.map(|_| ())
    }

    /// Who gets what. Ids that no site knows go to the first site that gets anything, which says what it thinks of them.
    pub(super) async fn shares(
        &self,
        topology: &Topology,
        group: &Group,
        split: &Split,
        purpose: Purpose,
    ) -> Result<Vec<Share>, Problem> {
        let mut shares: Vec<Share> = Vec::new();
        if split.about == About::Queried {
            for site in &group.sites {
                shares.push(Share {
                    target: super::correlate::target(site)?,
                    own: Vec::new(),
                });
            }
        }
        if split.lists(Kind::DEPLOYMENT) {
            return Err(removed_one_by_one());
        }
        let ids = split.ids();
        let owners: Vec<(Place, Option<Target>)> = stream::iter(ids)
            .map(|(place, key)| async move {
                let owner = self.owner_of(topology, group, key, purpose).await?;
                Ok::<_, Problem>((place, owner))
            })
            .buffered(LOOKED_UP_AT_A_TIME)
            .try_collect()
            .await?;
        let mut unknown = Vec::new();
        for (place, owner) in owners {
            let Some(target) = owner else {
                unknown.push(place);
                continue;
            };
            match shares
                .iter_mut()
                .find(|share| share.target.site.id == target.site.id)
            {
                Some(share) => share.own.push(place),
                None => shares.push(Share {
                    target,
                    own: vec![place],
                }),
            }
        }
        if shares.is_empty() {
            let first = group.sites.first().ok_or_else(not_whole)?;
            shares.push(Share {
                target: super::correlate::target(first)?,
                own: Vec::new(),
            });
        }
        shares[0].own.extend(unknown);
        self.translation(split, &shares)?;
        Ok(shares)
    }

    /// Each site's own id of the copies that the write names. A single site is told what the client wrote, where nothing
    /// else is known.
    fn translation(&self, split: &Split, shares: &[Share]) -> Result<Swap, Problem> {
        let keys = match &split.definition {
            Definition::None => return Ok(Swap::default()),
            Definition::Untold if shares.len() > 1 => return Err(one_sites_definition()),
            Definition::Untold => return Ok(Swap::default()),
            Definition::Named(keys) => keys,
        };
        let picture = self.resolver.deployments.picture();
        for key in keys.iter().filter(|_| shares.len() > 1) {
            let copies = picture.copies(key).ok_or_else(one_sites_definition)?;
            let mut sites = shares.iter().map(|share| share.target.site.id);
            if let Some(site) = sites.find(|site| !copies.contains_key(site)) {
                let detail = format!(
                    "nothing was sent to any site: site {site} is still to get its copy of {key}"
                );
                return Err(Problem::new(Reason::SiteUnreachable, detail)
                    .at(site)
                    .about(key));
            }
        }
        Ok(Swap::of(&picture, keys))
    }

    /// `None`: no site knows it.
    async fn owner_of(
        &self,
        topology: &Topology,
        group: &Group,
        key: RoutingKey,
        purpose: Purpose,
    ) -> Result<Option<Target>, Problem> {
        let keyed = Keyed {
            key,
            unknown: Unknown::Locate,
        };
        match self.resolver.keyed(topology, group, &keyed, purpose).await {
            Ok(target) => Ok(Some(target)),
            Err(problem) if problem.reason == Reason::UnknownId => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

fn one_batch(bodies: &[Bytes]) -> Result<Response<Body>, Problem> {
    let broke = |what: &str| {
        let detail =
            format!("every site did its part, but {what}; GET /batch lists the sites' batches");
        Problem::new(Reason::UpstreamBroke, detail).maybe_sent()
    };
    let ids: Option<Vec<String>> = bodies.iter().map(|body| batch::id_in(body)).collect();
    let ids = ids.ok_or_else(|| broke("an answer names no batch"))?;
    let id =
        batch::id_of(&ids).ok_or_else(|| broke("the ids of their batches cannot stand in one"))?;
    let one = batch::together(&id, bodies).map_err(|_| broke("an answer is no batch"))?;
    Ok(gather::answer(one, &[]))
}

fn one_list(bodies: &[Bytes]) -> Result<Response<Body>, Problem> {
    let one = merge::joined(bodies).map_err(|_| {
        let detail = "every site did its part, but an answer is not what this operation promises";
        Problem::new(Reason::UpstreamBroke, detail).maybe_sent()
    })?;
    Ok(gather::answer(one, &[]))
}

fn away(site: SiteId, why: &str) -> Problem {
    let detail =
        format!("nothing was sent to any site: site {site} has a part and cannot be asked; {why}");
    Problem::new(Reason::SiteUnreachable, detail)
        .at(site)
        .retry_after(Duration::from_secs(2))
        .proxy_error("destination_unavailable")
}

fn not_whole() -> Problem {
    Problem::new(Reason::BadRequest, "the body cannot be cut by owner")
}

fn one_sites_definition() -> Problem {
    Problem::new(
        Reason::NotImplemented,
        "the request names a definition or deployment by the id that one site has for it, is about instances at several sites, and what the others call it is not known, because it was not deployed through Homing: send the instances of each site by themselves",
    )
}

fn removed_one_by_one() -> Problem {
    Problem::new(
        Reason::NotImplemented,
        "every site has its own copy of a deployment, and removing several copies in one batch is not built: DELETE /deployment/{id} removes one at every site",
    )
}
