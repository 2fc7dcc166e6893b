//! A message for whoever waits for it, at whatever site: asked first, sent once.
//!
//! Owns the order: what the name does by the deployed models, who waits where, then delivery. Must not deliver while a
//! site is silent whose answer could change where the message belongs. Sites' answers to the questions are not shown.

use super::hold::{HOLD_MAX, MOVING_EVERY};
use super::merge::not_built;
use super::several::{self, Order, Part};
use super::{Asked, Pipeline};
use crate::classify::{Class, Create};
use crate::context::Context;
use crate::dialect::message::{
    self, Candidate, Delivery, Fits, Message, Reach, Results, Unread, deliver,
};
use crate::dialect::{Ask, Matched, Role};
use crate::forward::ask;
use crate::forward::body::Body;
use crate::forward::gather;
use crate::forward::payload::Payload;
use crate::forward::send::Times;
use crate::problem::{Problem, Reason};
use crate::resolve::models::Sort;
use crate::resolve::route::Purpose;
use crate::resolve::{RouteSource, Target};
use crate::topology::{Group, Site, Topology};
use bytes::Bytes;
use futures_util::future::join_all;
use homing_mapping_store::{Engine, Generation, SiteId};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// A message and its body as the client wrote it.
pub(super) struct Letter {
    pub(super) message: Message,
    pub(super) body: Bytes,
}

impl Letter {
    pub(super) fn read(group: &Group, found: &Matched<'_>, body: &Bytes) -> Result<Letter, Unread> {
        Ok(Letter {
            message: group.dialect.message(found, body)?,
            body: body.clone(),
        })
    }
}

/// What is to be done with a message.
pub(super) struct Decided {
    pub(super) delivery: Delivery,
    /// How many wait at each site; nothing, if that does not matter.
    counts: Vec<usize>,
    /// The message as a start.
    pub(super) create: Create,
}

/// What a name does at any of the sites.
pub(super) fn together_they(roles: &[Role]) -> Role {
    roles.iter().copied().fold(Role::default(), Role::or)
}

/// The sites whose own models start it.
pub(super) fn starting(group: &Group, roles: &[Role]) -> Vec<SiteId> {
    let sites = group.sites.iter().zip(roles);
    sites
        .filter(|(_, role)| role.starts)
        .map(|(site, _)| site.id)
        .collect()
}

impl Pipeline {
    pub(super) async fn correlate(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        mut asked: Asked<'_>,
        letter: Letter,
    ) -> Result<Response<Body>, Problem> {
        let Letter { message, body } = letter;
        let group = asked.group;
        let Decided {
            delivery,
            counts,
            create,
        } = self.settled_delivery(group, &message).await?;
        let at = |site: usize| target(&group.sites[site]);
        match delivery {
            Delivery::Nobody => self.first(context, asked).await,
            Delivery::To(site) => {
                self.one(topology, context, &mut asked, None, at(site)?)
                    .await
            }
            Delivery::Place | Delivery::StartAt(_) => {
                let fixed = if let Delivery::StartAt(site) = delivery {
                    Some(at(site)?)
                } else {
                    None
                };
                let body = message::with_results(&body).ok_or_else(|| {
                    Problem::new(Reason::BadRequest, "the message is no JSON object")
                })?;
                asked.outgoing.headers.remove(CONTENT_LENGTH);
                asked.outgoing.payload = Payload::from(body);
                asked.class = Class::Create(create);
                let answer = self.start(topology, context, asked, fixed).await?;
                Ok(as_asked(&message, answer))
            }
            Delivery::ToAll(sites) => {
                let parts = sites.into_iter().map(|site| {
                    let outgoing = asked.outgoing.copy();
                    Ok(Part {
                        target: at(site)?,
                        outgoing: outgoing.ok_or_else(|| not_built(asked.found.operation))?,
                    })
                });
                let parts = parts.collect::<Result<Vec<Part>, Problem>>()?;
                let what = (asked.found.operation, &asked.found.engine);
                let done = self.several(context, what, parts, Order::Together).await?;
                together(several::outcome(done, |_, _| false))
            }
            Delivery::Ambiguous(_) => Ok(ambiguous(&message, counts.iter().sum())),
            Delivery::StartsAndWaits(sites) => Err(starts_and_waits(group, &message, &sites)),
        }
    }

    /// Whoever waits for it may be on the way from one site to another, where nobody sees it: then it is asked again.
    async fn settled_delivery(&self, group: &Group, message: &Message) -> Result<Decided, Problem> {
        let moving = || self.resolver.known.table.moving() > 0;
        let deadline = crate::clock::now() + HOLD_MAX;
        loop {
            let was_moving = moving();
            let decided = self.delivery(group, message, Purpose::Send).await?;
            let nobody =
                !decided.counts.is_empty() && decided.counts.iter().all(|count| *count == 0);
            if !nobody || !(was_moving || moving()) {
                return Ok(decided);
            }
            if crate::clock::now() >= deadline {
                let detail = format!(
                    "nobody was found who waits for the {}, and instances are being handed from one site to another; nothing was sent",
                    label(message)
                );
                return Err(
                    Problem::new(Reason::SiteSwitching, detail).retry_after(Duration::from_secs(1))
                );
            }
            tokio::time::sleep(MOVING_EVERY).await;
        }
    }

    /// What is to be done, and how many wait at each site.
    pub(super) async fn delivery(
        &self,
        group: &Group,
        message: &Message,
        purpose: Purpose,
    ) -> Result<Decided, Problem> {
        let name = (Sort::Message, message.name.as_str());
        let roles = self.roles(group, &message.engine, name).await;
        let role = together_they(&roles);
        let create = Create {
            event: self.start_event(group, &message.engine, name),
            ..message.create(starting(group, &roles))
        };
        if !role.catches && role.starts {
            return Ok(Decided {
                delivery: Delivery::Place,
                counts: Vec::new(),
                create,
            });
        }
        let asking = group.sites.iter().map(|site| self.waiting(site, message));
        let mut waiting: Vec<Vec<Candidate>> = join_all(asking)
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let at_several = waiting.iter().filter(|at| !at.is_empty()).count() > 1;
        if at_several && message.reach == Reach::One || role.starts {
            waiting = self.narrowed(group, message, waiting).await?;
        }
        let counts: Vec<usize> = waiting.iter().map(Vec::len).collect();
        let able = self.able(group, &create, purpose).await?;
        Ok(Decided {
            delivery: deliver(message.reach, role, &able, &counts),
            counts,
            create,
        })
    }

    /// What a name does at each site, by the models there.
    pub(super) async fn roles(
        &self,
        group: &Group,
        engine: &Engine,
        name: (Sort, &str),
    ) -> Vec<Role> {
        let asking = self.asking();
        let roles = group.sites.iter().map(|site| {
            let asking = (&self.via, asking);
            self.models.role(site, engine, name, asking)
        });
        let roles = join_all(roles).await;
        // A name that nobody knows may have been deployed a moment ago, past this router.
        if roles.iter().all(|role| *role == Role::default()) {
            return vec![Role::UNKNOWN; roles.len()];
        }
        roles
    }

    /// The sites that can start it: they lack nothing that it needs, and no other one is armed for it.
    pub(super) async fn able(
        &self,
        group: &Group,
        create: &Create,
        purpose: Purpose,
    ) -> Result<Vec<usize>, Problem> {
        let armed = self.armed_for(group, create, purpose).await?;
        let behind = self.resolver.behind(group, create);
        let able = (0..group.sites.len())
            .filter(|site| !behind.contains(&group.sites[*site].id))
            .filter(|site| armed.is_none_or(|armed| armed == *site));
        Ok(able.collect())
    }

    async fn waiting(
        &self,
        site: &Arc<Site>,
        message: &Message,
    ) -> Result<Vec<Candidate>, Problem> {
        let read = |status, body: &[u8]| message.candidates(status, body);
        let label = label(message);
        match self.told(site, &label, &message.question(), read).await? {
            Fits::These(waiting) => Ok(waiting),
            Fits::Unclear => Err(overlooked(site, &label)),
        }
    }

    /// Only who fits by type and value as well.
    async fn narrowed(
        &self,
        group: &Group,
        message: &Message,
        waiting: Vec<Vec<Candidate>>,
    ) -> Result<Vec<Vec<Candidate>>, Problem> {
        let mut narrowed = Vec::with_capacity(waiting.len());
        for (site, mut candidates) in group.sites.iter().zip(waiting) {
            for key in message.keys.iter().filter(|key| key.is_doubtful()) {
                if candidates.is_empty() {
                    break;
                }
                let question = key.question(&message.engine, &candidates);
                let read = |status, body: &[u8]| key.fitting(candidates.clone(), status, body);
                match self.told(site, &label(message), &question, read).await? {
                    Fits::These(fitting) => candidates = fitting,
                    Fits::Unclear => return Err(unclear(site, message, &key.name)),
                }
            }
            narrowed.push(candidates);
        }
        Ok(narrowed)
    }

    /// What one site says to a question about a message or signal.
    pub(super) async fn told<T>(
        &self,
        site: &Arc<Site>,
        label: &str,
        question: &Ask,
        read: impl FnOnce(StatusCode, &[u8]) -> Option<T>,
    ) -> Result<T, Problem> {
        let target = target(site).map_err(|problem| silent(site, label, problem))?;
        let (status, body) = ask::ask(&target, question, &self.via, self.asking())
            .await
            .map_err(|problem| silent(site, label, problem))?;
        read(status, &body).ok_or_else(|| {
            let detail = format!("it answers {status}");
            silent(site, label, Problem::new(Reason::SiteUnreachable, detail))
        })
    }

    /// Times of the router's own questions.
    pub(super) fn asking(&self) -> Times {
        let settings = self.settings.load();
        Times {
            head: settings.gather.within,
            ..settings.times
        }
    }
}

pub(super) fn target(site: &Arc<Site>) -> Result<Target, Problem> {
    Target::of(site, RouteSource::Default, Generation::default())
}

fn label(message: &Message) -> String {
    format!("message \"{}\"", message.name)
}

/// A site is silent whose answer matters. Nothing of the message has been sent.
fn silent(site: &Site, label: &str, why: Problem) -> Problem {
    let is_state = matches!(
        why.reason,
        Reason::SiteParked | Reason::SiteSwitching | Reason::SiteQuarantined
    );
    let reason = if is_state {
        why.reason
    } else {
        Reason::SiteUnreachable
    };
    let detail = format!(
        "the {label} was not sent: site {} cannot be asked who waits for it; {}",
        site.id, why.detail
    );
    Problem::new(reason, detail)
        .at(site.id)
        .retry_after(std::time::Duration::from_secs(2))
        .proxy_error("destination_unavailable")
}

fn unclear(site: &Site, message: &Message, key: &str) -> Problem {
    let detail = format!(
        "the message \"{}\" was not sent: whether the correlation key {key} fits at site {} cannot be told from outside of the engine (an object, a date or more than {} executions); name processInstanceId",
        message.name,
        site.id,
        message::CANDIDATES_MAX
    );
    Problem::new(Reason::NotImplemented, detail).at(site.id)
}

/// More wait than were looked at, and not all of those have no tenant.
pub(super) fn overlooked(site: &Site, label: &str) -> Problem {
    let detail = format!(
        "the {label} was not sent: who of those that wait at site {} has no tenant is told apart among the first {} only; that is not built for more",
        site.id,
        message::CANDIDATES_MAX
    );
    Problem::new(Reason::NotImplemented, detail).at(site.id)
}

pub(super) fn starts_and_waits(group: &Group, message: &Message, sites: &[usize]) -> Problem {
    let names: Vec<&str> = sites
        .iter()
        .map(|site| group.sites[*site].id.name())
        .collect();
    let detail = format!(
        "the message \"{}\" for all was not sent: it may start something and is waited for at the sites {}, and one start among several deliveries is not built",
        message.name,
        names.join(", ")
    );
    Problem::new(Reason::NotImplemented, detail)
}

/// The answer that the client asked for, whatever the router asked for.
fn as_asked(message: &Message, answer: Response<Body>) -> Response<Body> {
    if message.results == Results::Wanted || !answer.status().is_success() {
        return answer;
    }
    let (mut head, _) = answer.into_parts();
    head.status = StatusCode::NO_CONTENT;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(CONTENT_TYPE);
    Response::from_parts(head, Body::Empty)
}

fn ambiguous(message: &Message, count: usize) -> Response<Body> {
    let mut answer = gather::answer(message.ambiguous(count).to_string().into(), &[]);
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The lists of all sites, or the first answer where there are no lists.
fn together(outcome: several::Outcome) -> Result<Response<Body>, Problem> {
    match outcome {
        several::Outcome::Some(problem) => Err(*problem),
        several::Outcome::Nothing(head, body) => Ok(several::passed(head, body)),
        several::Outcome::All(answers) => {
            let lists: Vec<Bytes> = answers.iter().map(|(_, body)| body.clone()).collect();
            let Some((head, body)) = answers.into_iter().next() else {
                return Err(Problem::new(Reason::NoSiteAvailable, "there is no site"));
            };
            let body = if body.is_empty() {
                body
            } else {
                crate::dialect::merge::concat(&lists).map_err(|_| {
                    Problem::new(Reason::UpstreamBroke, "a site's answer is no list").maybe_sent()
                })?
            };
            Ok(several::passed(head, body))
        }
    }
}
