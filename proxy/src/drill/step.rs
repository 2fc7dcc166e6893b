//! The steps of a drill: there, stay, back, judge.
//!
//! Owns what each phase waits for and what follows it. Must not choose what is switched where: the plan says it. Each step is
//! safe to repeat: a plan's hash is kept before it is applied, and is applied once.

use super::course::{Course, Leg, Mode, Phase, Reached, Way};
use super::instances::considered;
use super::run::{Driller, Watched};
use super::{evidence, load, rules, tally::Read};
use crate::clock;
use crate::decide::plan::{Question, Subject, Verb};
use crate::rehome::apply::{self, Word};
use crate::rehome::work::{Moving, Step, Work};
use crate::telemetry::chain;
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store::{self, Error};
use homing_mapping_store::switch::Rule;
use std::time::Duration;
use uuid::Uuid;

/// Among so many of the newest operations a drill's own is found.
const OPERATIONS_MAX: usize = 100;
/// Between two tries to plan the way back.
const PLAN_EVERY: Duration = Duration::from_secs(1);
/// How long what was ended, or is late on its way home, is waited for before it is left to an operator.
pub(super) const SETTLES_WITHIN: Duration = Duration::from_secs(60);

impl Driller {
    pub(super) async fn step(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
    ) -> Result<(), Error> {
        match course.phase {
            Phase::There if course.wanted.mode == Mode::Evacuate => {
                self.one_by_one(id, course, watched).await
            }
            Phase::There if course.wanted.mode == Mode::Failover => {
                self.outage(id, course, watched).await
            }
            Phase::There => self.there(id, course, watched).await,
            Phase::Stay => {
                stay(course, watched);
                Ok(())
            }
            Phase::Back => self.back(id, course, watched).await,
            Phase::Judge => self.judge(id, course, watched).await,
            Phase::Ended => Ok(()),
        }
    }

    /// One operation takes all sites there.
    pub(super) async fn there(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
    ) -> Result<(), Error> {
        let plan = course.legs.first().and_then(|leg| leg.plan.clone());
        let Some(plan) = plan else {
            course.end_early("there is no plan of the way there");
            course.phase = Phase::Judge;
            return Ok(());
        };
        let Some(operation) = self.operation(&plan).await? else {
            if course.abort.is_some() {
                course.end_early("it was aborted before it had begun");
                course.phase = Phase::Judge;
                return Ok(());
            }
            if let Err(why) = self.apply(id, course, &plan, watched).await? {
                course.end_early(format!("the way there was not begun: {why}"));
                course.phase = Phase::Judge;
            }
            return Ok(());
        };
        let broken = ends(course, Some(watched.took()));
        for leg in &mut course.legs {
            follow(leg, &operation)?;
        }
        if operation.ended_at.is_none() {
            return self
                .take_back(id, course, watched, &operation, broken)
                .await;
        }
        let arrived = arrived(course, watched, Way::There, None);
        self.over(course, watched, &operation).await?;
        if !course.legs.iter().any(Leg::is_done) {
            course.end_early(format!("the way there is {}", operation.state));
            course.phase = Phase::Judge;
        } else if operation.state != "done" {
            course.end_early(format!("the way there is {}", operation.state));
            home(course, watched);
        } else if let Some(why) = broken {
            course.end_early(why);
            home(course, watched);
        } else if arrived {
            course.phase = Phase::Stay;
        }
        Ok(())
    }

    /// A rule was broken, or somebody wants it, while the way there is under way.
    pub(super) async fn take_back(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &Watched,
        operation: &OperationRecord,
        broken: Option<String>,
    ) -> Result<(), Error> {
        let limit = Duration::from_millis(course.wanted.within_ms) + SETTLES_WITHIN;
        match broken {
            Some(why) if may_be_asked_back(course, operation) => {
                self.say_back(id, course, operation, &why).await?;
            }
            Some(why) if watched.took() <= limit => course.end_early(why),
            Some(_) | None if watched.took() > limit => {
                course.end_early("the operation there waits for an operator");
                course.phase = Phase::Judge;
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Says that an operation is to be taken back, once, where that is safe.
    pub(super) async fn say_back(
        &self,
        id: Uuid,
        course: &mut Course,
        operation: &OperationRecord,
        why: &str,
    ) -> Result<(), Error> {
        if !may_be_asked_back(course, operation) {
            return Ok(());
        }
        let word = Word::Abort {
            fenced_by: course.wanted.fenced_by.clone(),
        };
        let actor = course.actor(id);
        let said = apply::say(&self.executor.store, operation.id, None, word, &actor);
        if let Err(error) = said.await {
            tracing::warn!(drill = %id, "the way there cannot be taken back yet: {}", chain(&error));
            return Ok(());
        }
        self.executor.bell.notify_one();
        let own = operation.id.to_string();
        for leg in &mut course.legs {
            if leg.operation.as_ref() == Some(&own) {
                leg.broken = Some(why.to_owned());
                leg.asked_back = true;
            }
        }
        course.end_early(why);
        Ok(())
    }

    /// Site by site, each by a plan and an operation of its own.
    async fn back(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
    ) -> Result<(), Error> {
        let next = course
            .legs
            .iter()
            .position(|leg| leg.way == Way::Back && !leg.over);
        let Some(at) = next else {
            course.phase = Phase::Judge;
            return Ok(());
        };
        let within = Duration::from_millis(course.wanted.within_ms);
        if let Some(why) = ends(course, Some(watched.took())) {
            // Nothing is taken back here: that would leave the site away from its place.
            course.legs[at].broken.get_or_insert(why);
        }
        let Some(plan) = course.legs[at].plan.clone() else {
            if self.has_ended(&mut course.legs[at]).await? {
                return Ok(());
            }
            return self.plan_leg(id, course, watched, at).await;
        };
        let Some(operation) = self.operation(&plan).await? else {
            if let Err(why) = self.apply(id, course, &plan, watched).await? {
                course.legs[at].plan = None;
                course.legs[at].state = why;
            }
            return Ok(());
        };
        follow(&mut course.legs[at], &operation)?;
        let late = watched.took() > within + SETTLES_WITHIN;
        if operation.ended_at.is_none() {
            if late {
                let why = format!(
                    "operation {} of the way back waits for an operator",
                    operation.id
                );
                course.legs[at].over = true;
                course.end_early(why);
            }
            return Ok(());
        }
        let answered = arrived(course, watched, Way::Back, None) || watched.took() > within;
        self.over(course, watched, &operation).await?;
        if course.legs[at].is_done() && answered {
            course.legs[at].over = true;
        } else if !course.legs[at].is_done() && watched.took() <= within {
            // Somebody took it back, or it could not begin: the site is still to come home.
            course.legs[at].plan = None;
        } else if !course.legs[at].is_done() {
            course.legs[at].over = true;
            course.end_early(format!("the way back is {}", operation.state));
        }
        Ok(())
    }

    /// Plans until nothing forbids it: a place that was left may first have to become a replica again.
    pub(super) async fn plan_leg(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
        at: usize,
    ) -> Result<(), Error> {
        let now = clock::now();
        let rests = |planned| now.saturating_duration_since(planned) < PLAN_EVERY;
        if watched.planned.is_some_and(rests) {
            return Ok(());
        }
        watched.planned = Some(now);
        let named = course.wanted.overrides.iter();
        let mut overrides: Vec<Rule> = named.filter_map(|name| Rule::parse(name)).collect();
        overrides.push(Rule::CoolDown);
        let leg = &course.legs[at];
        if course.wanted.mode == Mode::Failover && leg.recovery == "shared-data" {
            // The place was taken away by this drill, and its database is the one that served all the time.
            overrides.push(Rule::Quarantine);
        }
        let question = Question {
            verb: match leg.key {
                Some(_) => Verb::Evacuate,
                None => Verb::Switchover,
            },
            subject: Subject::Site(leg.moved_site().to_owned()),
            to: Some(leg.to.clone()),
            key: leg.key.clone(),
            fenced_by: course.wanted.fenced_by.clone(),
            overrides,
        };
        let actor = course.actor(id);
        let made = apply::make(&self.executor, &question, &actor).await;
        let why = match made {
            Ok((plan, report)) => match report.standing().next() {
                None if plan.moves.is_empty() && course.legs[at].key.is_some() => {
                    considered(&report)
                }
                None if plan.moves.is_empty() => {
                    course.legs[at].state = "it is served from its place already".to_owned();
                    course.legs[at].step = "done".to_owned();
                    course.legs[at].over = true;
                    return Ok(());
                }
                None => {
                    course.legs[at].plan = Some(plan.hash());
                    return Ok(());
                }
                Some(objection) => objection.told(),
            },
            Err(apply::Error::Store(error)) => return Err(error),
            Err(error) => chain(&error),
        };
        course.legs[at].state = format!("waits: {why}");
        if watched.took() > Duration::from_millis(course.wanted.within_ms) {
            course.legs[at].over = true;
            let way = course.legs[at].way.as_str();
            course.end_early(format!("no way {way}: {why}"));
        }
        Ok(())
    }

    pub(super) async fn newest_operations(&self) -> Result<Vec<OperationRecord>, Error> {
        self.executor.store.operations(OPERATIONS_MAX).await
    }

    pub(super) async fn operation(&self, plan: &str) -> Result<Option<OperationRecord>, Error> {
        let newest = self.newest_operations().await?;
        Ok(newest.into_iter().find(|one| one.plan == plan))
    }

    /// The inner error is final: the plan cannot be applied any more.
    pub(super) async fn apply(
        &self,
        id: Uuid,
        course: &Course,
        plan: &str,
        watched: &mut Watched,
    ) -> Result<Result<(), String>, Error> {
        for leg in course
            .legs
            .iter()
            .filter(|leg| leg.plan.as_deref() == Some(plan) && leg.taken_ms.is_none())
        {
            watched.tally.sets_out(leg.subject(), &leg.from, &leg.to);
        }
        watched.applied.insert(plan.to_owned(), clock::now());
        let actor = course.actor(id);
        match apply::apply(&self.executor, plan, &actor).await {
            Ok(_) => {
                self.executor.bell.notify_one();
                Ok(Ok(()))
            }
            Err(apply::Error::Store(error @ store::Error::Unavailable { .. })) => Err(error),
            Err(error) => Ok(Err(chain(&error))),
        }
    }

    /// What an operation that has ended tells of its legs.
    pub(super) async fn over(
        &self,
        course: &mut Course,
        watched: &Watched,
        operation: &OperationRecord,
    ) -> Result<(), Error> {
        let own = operation.id.to_string();
        let legs = course.legs.iter_mut();
        let mine = legs.filter(|leg| leg.operation.as_deref() == Some(own.as_str()));
        let events = self.executor.store.operation_events(operation.id).await?;
        for leg in mine {
            let site = leg.moved_site().to_owned();
            let own = |what: &str| what.split(':').next() == Some(&site) || !what.contains(':');
            let events = events.iter().filter(|event| own(&event.what));
            let since = |at: i64| u64::try_from(at - operation.started_at.0).unwrap_or_default();
            leg.reached.clear();
            leg.events.clear();
            for event in events {
                let at = jiff::Timestamp::from_millisecond(event.at.0)
                    .map_or_else(|_| event.at.0.to_string(), |at| format!("{at:.3}"));
                leg.events
                    .push(format!("{at}  {}  {}", event.what, event.detail));
                let step = event.what.split(": ").nth(1).unwrap_or_default();
                if !matches!(step, "" | "waits") {
                    leg.reached.push(Reached {
                        step: step.to_owned(),
                        since_begin_ms: since(event.at.0),
                    });
                }
            }
            if let (Some((first, pause)), true) =
                (watched.tally.arrived(leg.subject()), leg.is_done())
            {
                leg.pause_ms = pause.map(millis);
                let applied = watched.applied.get(&operation.plan);
                leg.first_success_ms =
                    applied.map(|at| millis(first.saturating_duration_since(*at)));
            }
        }
        Ok(())
    }

    /// Puts together what was measured.
    async fn judge(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
    ) -> Result<(), Error> {
        watched.load = None;
        let store = &self.executor.store;
        let again = load::each(&self.pipeline, course.probes.clone()).await;
        course.lost = match again {
            Ok(answers) => {
                let pairs = course.probes.iter().zip(answers);
                let lost = pairs.filter_map(|(probe, answer)| match answer {
                    Read::Good { .. } => None,
                    Read::Failed(why) => Some(format!("{}: {why}", probe.path)),
                });
                lost.collect()
            }
            Err(error) => vec![format!("not known: {error}")],
        };
        let assignments = store.assignments().await?;
        let at_home = |leg: &Leg| {
            let mut all = assignments.iter();
            let held = all.find(|one| one.site.name() == leg.site);
            held.is_some_and(|one| one.pending.is_none() && one.installation == leg.from)
        };
        let (instances, sites): (Vec<&Leg>, Vec<&Leg>) =
            course.way(Way::There).partition(|leg| leg.key.is_some());
        let mut returned = sites.into_iter().all(at_home);
        for leg in instances {
            returned &= self.is_home(leg).await?;
        }
        course.returned = Some(returned);
        if course.wanted.mode == Mode::Failover {
            course.lost_tail = evidence::lost_tail(store, course).await?;
        }
        course.evidence = evidence::gather(store, id, course).await?;
        course.phase = Phase::Ended;
        Ok(())
    }
}

/// Why the drill has to end early, if it has to.
pub(super) fn ends(course: &Course, took: Option<Duration>) -> Option<String> {
    if let Some(abort) = &course.abort {
        let why = abort.reason.as_deref().unwrap_or_default();
        return Some(format!("aborted by {}: {why}", abort.actor));
    }
    rules::broken(&course.wanted, &course.reads, &course.starts, took)
}

fn stay(course: &mut Course, watched: &mut Watched) {
    let broken = ends(course, None);
    let over = watched.took() >= Duration::from_millis(course.wanted.stay_ms);
    if broken.is_none() && !over {
        return;
    }
    if let Some(why) = broken {
        course.end_early(why);
    }
    match course.wanted.mode {
        Mode::Switch | Mode::Evacuate | Mode::Failover => home(course, watched),
        Mode::Park => course.phase = Phase::Judge,
    }
}

/// Every site that went there is to come home.
pub(super) fn home(course: &mut Course, watched: &mut Watched) {
    let there = course.legs.iter().filter(|leg| leg.is_done());
    let back: Vec<Leg> = there.map(Leg::home).collect();
    for leg in &mut course.legs {
        leg.over = true;
    }
    course.legs.extend(back);
    course.phase = Phase::Back;
    watched.planned = None;
}

/// What the operation says of this leg's site.
pub(super) fn follow(leg: &mut Leg, operation: &OperationRecord) -> Result<(), Error> {
    let work = Work::of(operation)?;
    leg.operation = Some(operation.id.to_string());
    leg.state.clone_from(&operation.state);
    let site = leg.moved_site();
    let own = work.moves.iter().find(|one| one.of.site == site);
    leg.step = own.map_or_else(String::new, |one| one.step.as_str().to_owned());
    Ok(())
}

/// Whether the new place has answered for every site of this way that is read; or for the one whose leg it is.
pub(super) fn arrived(course: &Course, watched: &Watched, way: Way, one: Option<usize>) -> bool {
    let legs = course.legs.iter().enumerate();
    let asked = legs.filter(|(at, leg)| leg.way == way && one.is_none_or(|one| one == *at));
    let under_way = asked
        .map(|(_, leg)| leg)
        .filter(|leg| !leg.over && leg.operation.is_some());
    let read = |leg: &&Leg| {
        let mut probes = course.probes.iter();
        probes.any(|probe| probe.subject() == leg.subject())
    };
    under_way
        .filter(read)
        .all(|leg| watched.tally.arrived(leg.subject()).is_some())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether it was not asked yet, and may be.
fn may_be_asked_back(course: &Course, operation: &OperationRecord) -> bool {
    let own = operation.id.to_string();
    let mut legs = course.legs.iter();
    let asked = legs.any(|leg| leg.asked_back && leg.operation.as_ref() == Some(&own));
    !asked && may_be_taken_back(operation, course.wanted.fenced_by.as_deref())
}

/// Until the old place may be fenced; afterwards only with a statement that the new one is, and not from a replica that may
/// have been promoted. Else the way there goes on to its end, which is sooner over than a switch that nobody can take back.
fn may_be_taken_back(operation: &OperationRecord, fenced_by: Option<&str>) -> bool {
    let may = |one: &Moving| {
        let early = matches!(one.step, Step::Begin | Step::Fence);
        early || (fenced_by.is_some() && one.of.max_lag_ms.is_none())
    };
    Work::of(operation).is_ok_and(|work| work.moves.iter().all(may))
}
