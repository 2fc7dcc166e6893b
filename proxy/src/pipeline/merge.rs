//! A request over all sites: read and merged, or a worker's request for work.
//!
//! Owns which of the ways of merging is taken, and learning before the answer is released: what a list names can be
//! worked on at once. Must not merge or send itself.

use super::correlate::Letter;
use super::{Asked, Pipeline};
use crate::classify::{Class, Gather};
use crate::context::Context;
use crate::deployments::swap::Swap;
use crate::dialect::fetch::Fetch;
use crate::dialect::merge::{Plan, Refused};
use crate::dialect::message::{Signal, Unread};
use crate::dialect::parts::Parts;
use crate::dialect::split::Split;
use crate::dialect::{Answer, Head, Learns, Matched, Operation};
use crate::forward::body::Body;
use crate::forward::gather::{self, Gathered, Read, Told};
use crate::forward::worker_fetch::Job;
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::topology::{Group, Site, Topology};
use bytes::Bytes;
use homing_mapping_store::{Generation, Source};
use http::{Response, StatusCode};
use std::sync::Arc;

/// What a request over all sites needs beside its class. Writes are boxed: every request moves room for the largest.
pub(super) enum Merging {
    /// It is not over all sites.
    Not,
    /// A read.
    Read(Plan),
    /// A worker's request; `None`: not understood.
    Fetch(Option<Fetch>),
    /// A write that is cut by owner; `Err`: it cannot be cut.
    Split(Result<Box<Split>, String>),
    /// About a batch of several sites.
    Parts(Box<Parts>),
    /// A signal; `None`: not understood.
    Signal(Option<Box<dyn Signal>>),
    /// A message; `None`: not understood.
    Message(Option<Box<Letter>>),
}

impl Merging {
    pub(super) fn of(
        group: &Group,
        found: &Matched<'_>,
        head: &Head<'_>,
        class: &Class,
        body: Option<&Bytes>,
        path: &str,
    ) -> Merging {
        match class {
            Class::Gather(_) if group.sites.len() > 1 => {
                Merging::Read(group.dialect.merging(found, head, body.map(|body| &**body)))
            }
            Class::WorkerFetch if group.sites.len() > 1 => {
                Merging::Fetch(body.and_then(|body| group.dialect.fetch(path, body)))
            }
            Class::Correlate
                if group.sites.len() > 1 && &*found.operation.name == "deliverMessage" =>
            {
                match body {
                    Some(body) => {
                        let letter = Letter::read(group, found, body).map(Box::new);
                        understood(letter, Merging::Message)
                    }
                    None => Merging::Read(Plan::Refused(Refused::TooLong)),
                }
            }
            // What is correlated is a message or a signal.
            Class::Correlate if group.sites.len() > 1 => match body {
                Some(body) => understood(group.dialect.signal(found, body), Merging::Signal),
                None => Merging::Read(Plan::Refused(Refused::TooLong)),
            },
            Class::Split if group.sites.len() > 1 => {
                let split = body.and_then(|body| group.dialect.split(found, head, body));
                let split = split.map(|split| Merging::Split(split.map(Box::new)));
                let parts = || {
                    let parts = group.dialect.parts(found, head);
                    parts.map(|parts| Merging::Parts(Box::new(parts)))
                };
                match split.or_else(parts) {
                    Some(merging) => merging,
                    None => Merging::Read(Plan::Refused(Refused::TooLong)),
                }
            }
            Class::Gather(_)
            | Class::WorkerFetch
            | Class::Keyed(_)
            | Class::Create(_)
            | Class::Any(_)
            | Class::Split
            | Class::Broadcast(_)
            | Class::Correlate
            | Class::Shared(..)
            | Class::Local
            | Class::Refuse(_) => Merging::Not,
        }
    }
}

/// What no engine would take, a site refuses in its own words; what one might take must not go to just one.
fn understood<T>(read: Result<T, Unread>, merging: impl FnOnce(Option<T>) -> Merging) -> Merging {
    match read {
        Ok(read) => merging(Some(read)),
        Err(Unread::Nameless) => merging(None),
        Err(Unread::Unclear(why)) => Merging::Read(Plan::Refused(Refused::Unread(why))),
    }
}

impl Pipeline {
    pub(super) async fn merge(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        mut asked: Asked<'_>,
    ) -> Result<Response<Body>, Problem> {
        match (
            std::mem::replace(&mut asked.merging, Merging::Not),
            &asked.class,
        ) {
            (Merging::Read(plan), Class::Gather(gather)) => {
                let gather = gather.clone();
                self.read(context, asked, &plan, &gather).await
            }
            (Merging::Read(Plan::Refused(why)), _) => Err(refused(&why)),
            (Merging::Fetch(Some(fetch)), _) => self.worker_fetch(context, asked, fetch).await,
            (Merging::Message(Some(letter)), _) => {
                self.correlate(topology, context, asked, *letter).await
            }
            (Merging::Split(Ok(split)), _) => self.split(topology, context, asked, *split).await,
            (Merging::Split(Err(why)), _) => Err(Problem::new(Reason::BadRequest, why)),
            (Merging::Parts(parts), _) => self.parts(topology, context, asked, *parts).await,
            (Merging::Signal(Some(signal)), _) => {
                self.signal(topology, context, asked, &*signal).await
            }
            // A site has to say what it thinks of this.
            (Merging::Fetch(None) | Merging::Message(None) | Merging::Signal(None), _) => {
                self.first(context, asked).await
            }
            _ => Err(not_built(asked.found.operation)),
        }
    }

    async fn read(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
        plan: &Plan,
        class: &Gather,
    ) -> Result<Response<Body>, Problem> {
        match plan {
            Plan::Refused(why) => return Err(refused(why)),
            Plan::Saved => return Box::pin(self.saved(context, asked)).await,
            Plan::Copies if class.aliases.is_empty() => return self.first(context, asked).await,
            Plan::Words(why) => {
                let answer = self.first(context, asked).await?;
                return if answer.status().is_success() {
                    Err(unmerged(why))
                } else {
                    Ok(answer)
                };
            }
            Plan::Copies
            | Plan::Rows(_)
            | Plan::Count
            | Plan::Sum(_)
            | Plan::SumCount(_)
            | Plan::Durations(_)
            | Plan::Union
            | Plan::Concat
            | Plan::Single(_)
            | Plan::Add => {}
        }
        let swap = Swap::of(&self.resolver.deployments.picture(), &class.aliases);
        self.gathered(context, asked, plan, &swap).await
    }

    /// Every site asked under its own ids, the answers made one.
    pub(super) async fn gathered(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
        plan: &Plan,
        swap: &Swap,
    ) -> Result<Response<Body>, Problem> {
        if let Plan::Refused(why) = plan {
            return Err(refused(why));
        }
        let settings = self.settings.load().gather;
        let read = Read {
            swap,
            plan,
            class: plan.class(),
            outgoing: &asked.outgoing,
            sites: &asked.group.sites,
            settings,
            budget: &self.budget,
        };
        let began = crate::clock::now();
        let gathered = match plan {
            Plan::Copies => gather::find(&read).await,
            Plan::Durations(durations) => gather::report(&read, durations).await,
            Plan::Single(several) => gather::single(&read, several).await,
            Plan::Rows(_)
            | Plan::Count
            | Plan::Sum(_)
            | Plan::SumCount(_)
            | Plan::Union
            | Plan::Concat
            | Plan::Add
            | Plan::Words(_)
            | Plan::Saved
            | Plan::Refused(_) => gather::gather(&read).await,
        };
        context.site_time += crate::clock::now().duration_since(began);
        let Gathered { answer, told, .. } = gathered?;
        self.learn_told(&asked, &told);
        Ok(answer)
    }

    /// The first site that can be asked answers for all.
    pub(super) async fn first(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Problem> {
        let mut last = Problem::new(Reason::NoSiteAvailable, "there is no site");
        let mut outgoing = Some(asked.outgoing);
        let picture = self.resolver.deployments.picture();
        // One that is still to get what was deployed knows the least.
        let (level, others): (Vec<&Arc<Site>>, Vec<&Arc<Site>>) = asked
            .group
            .sites
            .iter()
            .partition(|site| picture.is_level(site.id));
        for site in level.into_iter().chain(others) {
            let target = match Target::of(site, RouteSource::Default, Generation::default()) {
                Ok(target) => target,
                Err(problem) => {
                    last = problem;
                    continue;
                }
            };
            let Some(mut sending) = outgoing.take() else {
                break;
            };
            outgoing = sending.copy();
            context.routed(&target);
            match self
                .forward(context, &target, &mut sending, &asked.class)
                .await
            {
                Ok(answer) => {
                    return Ok(self.learn(asked.group, &asked.found, &target, answer).await);
                }
                // The next site is as good, unless this one may have done something.
                Err(problem)
                    if asked.found.operation.resend == crate::dialect::Resend::Safe
                        || problem.not_sent == crate::problem::Sent::Never =>
                {
                    last = problem
                }
                Err(problem) => return Err(problem),
            }
        }
        Err(last)
    }

    async fn worker_fetch(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
        fetch: Fetch,
    ) -> Result<Response<Body>, Problem> {
        let settings = self.settings.load_full();
        let job = Job {
            fetch,
            method: asked.outgoing.method.clone(),
            target: asked.outgoing.target.clone(),
            headers: asked.outgoing.headers.clone(),
            sites: asked.group.sites.clone(),
            times: settings.times,
            within: settings.gather.within,
        };
        let began = crate::clock::now();
        let fetched = self.workers.fetch(job, self.draining()).await;
        context.site_time += crate::clock::now().duration_since(began);
        let (answer, told) = fetched?.answer();
        self.learn_told(&asked, &told);
        Ok(answer)
    }

    /// What the sites named is known before the client sees it.
    fn learn_told(&self, asked: &Asked<'_>, told: &[Told]) {
        if asked.found.operation.learns == Learns::Nothing {
            return;
        }
        let limit = self.settings.load().answer_sniff_bytes;
        for told in told.iter().filter(|told| told.body.len() <= limit) {
            let answer = Answer {
                engine: &asked.found.engine,
                status: told.status,
                headers: &told.headers,
                body: &told.body,
            };
            let facts = asked.group.dialect.extract(asked.found.operation, &answer);
            self.learner
                .passing(&facts, told.target.site.id, Source::Learned);
        }
    }
}

pub(super) fn refused(why: &Refused) -> Problem {
    match why {
        Refused::Sort(detail) | Refused::Unread(detail) => {
            Problem::new(Reason::BadRequest, detail.clone())
        }
        Refused::NotBuilt(what) => Problem::new(
            Reason::NotImplemented,
            format!(
                "{what} is not built; with one site, or a trusted Homing-Site header, it passes"
            ),
        ),
        Refused::TooLong => {
            crate::telemetry::metrics::limit_hit("spool_bytes");
            let detail = "limit spool_bytes reached: a body that goes to every site is kept in memory and this one is too long";
            Problem::new(Reason::LimitExceeded, detail).with_status(StatusCode::PAYLOAD_TOO_LARGE)
        }
    }
}

/// The operation merges or splits over sites in a way that is not built.
pub(super) fn not_built(operation: &Operation) -> Problem {
    let name = &operation.name;
    Problem::new(
        Reason::NotImplemented,
        format!(
            "the operation {name} merges or splits over sites, which is not built; with one site, or a trusted Homing-Site header, it passes"
        ),
    )
}

/// A site took what was expected to be refused.
fn unmerged(why: &str) -> Problem {
    Problem::new(
        Reason::NotImplemented,
        format!("this read over several sites cannot be merged: {why}"),
    )
}
