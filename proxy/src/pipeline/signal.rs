//! A signal for all who wait for it, at every site, that starts what it starts once.
//!
//! Owns the order: what the name does by the deployed models, who waits where, then sending. Nothing is sent while a site
//! is silent. Must not decide who gets what.

use super::correlate::{starting, target, together_they};
use super::several::{self, Order, Outcome, Part};
use super::{Asked, Pipeline};
use crate::classify::{Class, Create};
use crate::context::Context;
use crate::dialect::Role;
use crate::dialect::message::{CANDIDATES_MAX, Fits, Signal, Single, Spread, spread};
use crate::forward::body::Body;
use crate::forward::payload::Payload;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::resolve::models::Sort;
use crate::resolve::route::Purpose;
use crate::topology::{Group, Site, Topology};
use futures_util::future::join_all;
use http::Response;
use http::header::CONTENT_LENGTH;
use std::sync::Arc;

/// What is to be done with a signal.
pub(super) struct Decided {
    pub(super) spread: Spread,
    /// Who waits at each site; nothing, if that does not matter.
    waiting: Vec<Vec<String>>,
    /// The signal as a start.
    pub(super) create: Create,
}

impl Pipeline {
    pub(super) async fn signal(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        mut asked: Asked<'_>,
        signal: &dyn Signal,
    ) -> Result<Response<Body>, Problem> {
        let group = asked.group;
        let Decided {
            spread,
            waiting,
            create,
        } = self.spread(group, signal, Purpose::Send).await?;
        let (whole, others) = match spread {
            Spread::Place => {
                asked.class = Class::Create(create);
                return self.start(topology, context, asked, None).await;
            }
            Spread::StartAt(site, others) if others.is_empty() => {
                let fixed = Some(target(&group.sites[site])?);
                asked.class = Class::Create(create);
                return self.start(topology, context, asked, fixed).await;
            }
            Spread::StartAt(site, others) => (vec![site], others),
            Spread::ToAll => ((0..group.sites.len()).collect(), Vec::new()),
            Spread::Nowhere => return Err(nowhere(signal)),
        };
        let mut parts = Vec::new();
        for site in whole {
            parts.push(asked.part(target(&group.sites[site])?)?);
        }
        for site in others {
            let target = target(&group.sites[site])?;
            for execution in &waiting[site] {
                let one = signal.to_one(execution).ok_or_else(uncut)?;
                parts.push(asked.part(target.clone())?.told(one)?);
            }
        }
        let dialect = &group.dialect;
        let what = (asked.found.operation, &asked.found.engine);
        let order = Order::FirstDecides(Arc::clone(dialect));
        let done = self.several(context, what, parts, order).await?;
        match several::outcome(done, |status, body| dialect.waits_no_more(status, body)) {
            Outcome::Some(problem) => Err(*problem),
            Outcome::Nothing(head, body) => Ok(several::passed(head, body)),
            Outcome::All(mut answers) => {
                let (head, body) = answers.swap_remove(0);
                Ok(several::passed(head, body))
            }
        }
    }

    /// Who gets what, and who waits at each site. Where nothing starts they are asked as well: a site that is away is
    /// noticed before anybody has got the signal.
    pub(super) async fn spread(
        &self,
        group: &Group,
        signal: &dyn Signal,
        purpose: Purpose,
    ) -> Result<Decided, Problem> {
        let label = format!("signal \"{}\"", signal.name());
        let (roles, event) = self.signal_roles(group, signal, &label).await?;
        let role = together_they(&roles);
        let create = Create {
            event,
            ..signal.create(starting(group, &roles))
        };
        let known = match (role.starts, role.catches) {
            (true, false) => Some(Spread::Place),
            // Every site has said so.
            (false, _) if signal.starts().is_some() => Some(Spread::ToAll),
            _ => None,
        };
        if let Some(spread) = known {
            return Ok(Decided {
                spread,
                waiting: Vec::new(),
                create,
            });
        }
        let question = signal.question();
        let asking = group.sites.iter().map(async |site| {
            let read = |status, body: &[u8]| signal.waiting(status, body);
            match self.told(site, &label, &question, read).await? {
                Fits::These(waiting) => Ok(waiting.into_iter().map(|row| row.id).collect()),
                Fits::Unclear => Err(unclear(site, &label, signal)),
            }
        });
        let waiting: Vec<Vec<String>> = join_all(asking)
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let counts: Vec<usize> = waiting.iter().map(Vec::len).collect();
        let spread = spread(role, &self.able(group, &create, purpose).await?, &counts);
        if let Spread::StartAt(_, others) = &spread
            && others.iter().any(|site| counts[*site] >= CANDIDATES_MAX)
        {
            return Err(too_many(&label));
        }
        Ok(Decided {
            spread,
            waiting,
            create,
        })
    }

    /// What it does at each site, and the event by which it starts something: by the site's own word, or by its models.
    async fn signal_roles(
        &self,
        group: &Group,
        signal: &dyn Signal,
        label: &str,
    ) -> Result<(Vec<Role>, Option<String>), Problem> {
        let name = (Sort::Signal, signal.name());
        let Some(question) = signal.starts() else {
            let roles = self.roles(group, signal.engine(), name).await;
            return Ok((roles, self.start_event(group, signal.engine(), name)));
        };
        let asking = group.sites.iter().map(async |site| {
            let read = |status, body: &[u8]| signal.read_starts(status, body);
            let starts = self.told(site, label, &question, read).await?;
            // Who waits is asked where it matters.
            Ok(Role {
                starts,
                catches: true,
            })
        });
        let roles: Vec<Role> = join_all(asking)
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let starts = roles.iter().any(|role| role.starts);
        let event = starts.then(|| format!("signal:{}", signal.name()));
        Ok((roles, event))
    }
}

impl Asked<'_> {
    /// The request as it is, for one of several sites.
    fn part(&self, target: Target) -> Result<Part, Problem> {
        let outgoing = self.outgoing.copy().ok_or_else(uncut)?;
        Ok(Part { target, outgoing })
    }
}

impl Part {
    /// The same for one execution.
    fn told(mut self, one: Single) -> Result<Part, Problem> {
        if let Some((method, path)) = one.at {
            let whole = format!("{}{path}", self.target.site.base_path);
            self.outgoing.target = whole.parse().map_err(|_| uncut())?;
            self.outgoing.method = method;
        }
        self.outgoing.headers.remove(CONTENT_LENGTH);
        self.outgoing.payload = Payload::from(one.body);
        Ok(self)
    }
}

/// Who waits there cannot be told one by one.
fn unclear(site: &Site, label: &str, signal: &dyn Signal) -> Problem {
    let detail = format!(
        "the {label} was not sent: it starts something, and at site {} {}",
        site.id,
        signal.unclear()
    );
    Problem::new(Reason::NotImplemented, detail).at(site.id)
}

fn uncut() -> Problem {
    Problem::new(Reason::BadRequest, "the signal is no JSON object")
}

pub(super) fn nowhere(signal: &dyn Signal) -> Problem {
    let detail = format!(
        "the signal \"{}\" was not sent: it starts something, and no site can start that now: they are still to get what was deployed",
        signal.name()
    );
    Problem::new(Reason::NoSiteAvailable, detail)
        .retry_after(std::time::Duration::from_secs(2))
        .proxy_error("destination_unavailable")
}

fn too_many(label: &str) -> Problem {
    let detail = format!(
        "the {label} was not sent: it starts something, and {CANDIDATES_MAX} executions or more wait for it at each of several sites; that is not built"
    );
    Problem::new(Reason::NotImplemented, detail)
}
