//! The way there of an unplanned drill: the places that serve are really taken away, and each site fails over from its own.
//!
//! Owns the order of things: all places are away before a failover is begun here; each site has a failover of its own, as it
//! is seen down; where something goes wrong, what has not begun is given back and what has is taken back, or comes home. Must not
//! switch: a failover is a plan and an operation like an operator's, or whatever else has failed the site over meanwhile.

use super::course::{Course, Leg, Phase, Way};
use super::instances::turn_around;
use super::run::{Driller, Watched};
use super::step::{SETTLES_WITHIN, arrived, ends, follow};
use crate::agent::fence::OUTAGE_MAX;
use crate::clock;
use crate::decide::plan::{Question, Subject, Verb};
use crate::rehome::apply;
use crate::telemetry::chain;
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store::Error;
use homing_mapping_store::switch::Rule;
use std::time::Duration;
use uuid::Uuid;

mod able;
mod place;

pub(super) use able::{measured, prepare};

/// Between two looks whether the sites are seen down.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Whether anything of a site is still to be done on the way there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    /// It is at the other place, or back at its own.
    Settled,
    Busy,
}

impl Driller {
    /// Takes the places away, waits until they are seen down, fails over, follows.
    pub(super) async fn outage(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
    ) -> Result<(), Error> {
        let newest = self.newest_operations().await?;
        for leg in course.legs.iter_mut().filter(|leg| leg.plan.is_none()) {
            // By itself, by an operator's hand, or by the router that carried the drill out before.
            leg.plan = begun(leg, &newest).map(|one| one.plan.clone());
        }
        if let Some(why) = ends(course, Some(watched.took())) {
            course.end_early(why);
        }
        let now = clock::now();
        let rests = |planned| now.saturating_duration_since(planned) < LOOK_EVERY;
        let away = course.legs.iter().all(|leg| leg.taken_ms.is_some());
        let plans = away && !watched.planned.is_some_and(rests);
        if plans {
            watched.planned = Some(now);
        }
        let mut settled = true;
        for at in 0..course.legs.len() {
            let plan = course.legs[at].plan.as_deref();
            let operation = newest.iter().find(|one| Some(one.plan.as_str()) == plan);
            let site = match operation {
                Some(one) => self.failing_over(id, course, watched, at, one).await?,
                None => {
                    self.not_begun(id, course, watched, at).await?;
                    if plans && course.ended_early.is_none() {
                        self.fail_over(id, course, at).await?;
                    }
                    back_again(&course.legs[at])
                }
            };
            settled &= site == Site::Settled;
        }
        let limit = Duration::from_millis(course.wanted.within_ms) + SETTLES_WITHIN;
        if settled && course.ended_early.is_none() {
            course.phase = Phase::Stay;
        } else if settled || watched.took() > limit {
            turn_around(course, watched);
        }
        Ok(())
    }

    /// A site from whose place nothing fails over yet.
    async fn not_begun(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
        at: usize,
    ) -> Result<(), Error> {
        let leg = &mut course.legs[at];
        if leg.given_back {
            return Ok(());
        }
        if course.ended_early.is_some() {
            leg.plan = None;
            return self.give_back(id, course, at).await;
        }
        if let Some(plan) = leg.plan.clone() {
            // One that is over by now is made again, or was another's.
            if let Err(why) = self.apply(id, course, &plan, watched).await? {
                course.legs[at].state = why;
                course.legs[at].plan = None;
            }
            return Ok(());
        }
        if leg.taken_ms.is_none() {
            return self.take_away(id, course, watched, at).await;
        }
        Ok(())
    }

    /// Follows the failover, and takes it back where the drill has to end.
    async fn failing_over(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
        at: usize,
        operation: &OperationRecord,
    ) -> Result<Site, Error> {
        let applied = watched.applied.entry(operation.plan.clone());
        applied.or_insert_with(clock::now);
        let leg = &mut course.legs[at];
        let taken = leg.taken_ms.unwrap_or(operation.started_at.0);
        let found = operation.started_at.0.saturating_sub(taken);
        leg.detection_ms = Some(u64::try_from(found).unwrap_or_default());
        follow(leg, operation)?;
        if operation.ended_at.is_none() {
            if let Some(why) = course.ended_early.clone() {
                self.say_back(id, course, operation, &why).await?;
            }
            return Ok(Site::Busy);
        }
        let there = arrived(course, watched, Way::There, Some(at));
        self.over(course, watched, operation).await?;
        let leg = &course.legs[at];
        if leg.is_done() {
            let waits = !there && course.ended_early.is_none();
            return Ok(if waits { Site::Busy } else { Site::Settled });
        }
        if !leg.given_back {
            let why = format!("the failover of site {} is {}", leg.site, operation.state);
            course.end_early(why);
            self.give_back(id, course, at).await?;
        }
        Ok(back_again(&course.legs[at]))
    }

    /// Plans until enough routers see the site down, and nothing else forbids it.
    async fn fail_over(&self, id: Uuid, course: &mut Course, at: usize) -> Result<(), Error> {
        let leg = &course.legs[at];
        if leg.plan.is_some() || leg.given_back {
            return Ok(());
        }
        let named = course.wanted.overrides.iter();
        let question = Question {
            verb: Verb::Failover,
            subject: Subject::Site(leg.site.clone()),
            to: Some(leg.to.clone()),
            key: None,
            fenced_by: course.wanted.fenced_by.clone(),
            overrides: named.filter_map(|name| Rule::parse(name)).collect(),
        };
        let seen = match apply::decide(&self.executor, &question).await {
            Ok((plan, report)) => match report.standing().next() {
                Some(objection) => Err(objection.told()),
                None if plan.moves.is_empty() => Err("there is nothing to fail over".to_owned()),
                None => Ok(()),
            },
            Err(apply::Error::Store(error)) => return Err(error),
            Err(error) => Err(chain(&error)),
        };
        if let Err(why) = seen {
            course.legs[at].state = format!("waits: {why}");
            return Ok(());
        }
        match apply::make(&self.executor, &question, &course.actor(id)).await {
            Ok((plan, _)) => course.legs[at].plan = Some(plan.hash()),
            Err(apply::Error::Store(error)) => return Err(error),
            Err(error) => course.legs[at].state = format!("waits: {}", chain(&error)),
        }
        Ok(())
    }
}

/// The failover of this site that began after its place was taken away.
fn begun<'a>(leg: &Leg, newest: &'a [OperationRecord]) -> Option<&'a OperationRecord> {
    let taken = leg.taken_ms.filter(|_| !leg.given_back)?;
    newest.iter().find(|one| {
        let ours = one.sites.iter().any(|site| site.name() == leg.site);
        ours && one.verb == Verb::Failover.as_str() && one.started_at.0 >= taken
    })
}

fn back_again(leg: &Leg) -> Site {
    if leg.given_back {
        Site::Settled
    } else {
        Site::Busy
    }
}
