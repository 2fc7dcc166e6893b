//! The way there of an unplanned drill: the place that serves is really taken away, and the site fails over from it.
//!
//! Owns taking away by the place's own agent, waiting until it is seen down, and giving it back where no failover has begun.
//! Must not switch: the failover is a plan and an operation like an operator's, or whatever else has failed the site over
//! meanwhile. The agent gives the place back by itself after a time, whoever dies.

use super::begin::{Asked, Means, Rejoins, refuse};
use super::course::{Course, Leg, Phase};
use super::load;
use super::run::{Driller, Watched};
use super::step::{SETTLES_WITHIN, ends};
use super::tally::Read;
use crate::agent::fence::OUTAGE_MAX;
use crate::clock;
use crate::control::tails::past;
use crate::decide::Report;
use crate::decide::plan::{Plan, Question, Subject, Verb};
use crate::decide::world::Agent;
use crate::rehome::apply;
use crate::telemetry::chain;
use homing_mapping_store::agent::{NewOrder, Order, OrderKind, OrderState};
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store::Error;
use homing_mapping_store::switch::Rule;
use homing_mapping_store::{Generation, SiteId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// Between two looks whether the site is seen down.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long before the agent gives the place back by itself the way there has to be over.
const SPARE: Duration = Duration::from_secs(60);
/// Agents that keep their engine from its database, or stop it. Behind others it goes on answering, and nobody sees it down.
const MODES: [&str; 3] = ["relay", "postgres", "command"];

/// Checks that the place may be taken away, and that the site would fail over then. Changes nothing.
pub(super) async fn prepare(
    means: &Means<'_>,
    name: &str,
    asked: &Asked,
) -> Result<(Leg, (Plan, Report)), apply::Error> {
    let declared = means.config.sites.iter().find(|site| site.name == name);
    if !declared.is_some_and(|site| site.unplanned_drills) {
        let why = format!(
            "site {name} is not declared for it: its place would really be taken away; say recovery = {{ ..., unplanned_drills = true }} in its [[site]]"
        );
        return Err(refuse(why));
    }
    let most = OUTAGE_MAX.saturating_sub(SPARE);
    if Duration::from_millis(asked.wanted.within_ms) > most {
        let why = format!("within is at most {} s in mode failover", most.as_secs());
        return Err(refuse(why));
    }
    let subject = Subject::Site(name.to_owned());
    let question = question(subject, asked.to.clone(), asked, &[Rule::Quorum]);
    let (plan, report) = apply::decide(means.executor, &question).await?;
    if let Some(objection) = report.standing().next() {
        return Err(apply::Error::Refused {
            rule: objection.rule.clone(),
            why: objection.told(),
        });
    }
    let Some(one) = plan.moves.first() else {
        let why: Vec<&str> = report.sites.iter().map(|one| one.why.as_str()).collect();
        let why = format!("there is nothing to fail over: {}", why.join("; "));
        return Err(refuse(why));
    };
    if one.recovery == "replica" && asked.rejoins == Rejoins::Unsaid {
        let why = format!(
            "site {name}: a replica that was promoted does not become one again by itself, and the place that was left is in quarantine; say old_place_rejoins if you see to both within the time"
        );
        return Err(refuse(why));
    }
    let leg = Leg::new(&one.site, &one.from, &one.to, &one.recovery);
    can_be_taken_away(means, &leg).await?;
    Ok((leg, (plan, report)))
}

async fn can_be_taken_away(means: &Means<'_>, leg: &Leg) -> Result<(), apply::Error> {
    let records = means.store.agents().await?;
    let here = records
        .iter()
        .filter(|one| one.report.site.name() == leg.site && one.report.installation == leg.from);
    let agents: Vec<Agent> = here.map(Agent::of).collect();
    let able = |agent: &Agent| {
        let mode = agent.mode.as_deref().unwrap_or_default();
        agent.live && MODES.contains(&mode)
    };
    match &agents[..] {
        [only] if able(only) => Ok(()),
        [] => Err(refuse(format!(
            "{} has no agent, and nobody else can take it away",
            leg.from
        ))),
        [_] => Err(refuse(format!(
            "the agent of {} is silent, or its mode is none of {}",
            leg.from,
            MODES.join(", ")
        ))),
        // An order is carried out by one of them.
        [..] => Err(refuse(format!(
            "{} has several agents, and an order takes only one part of it away",
            leg.from
        ))),
    }
}

fn question(subject: Subject, to: Option<String>, asked: &Asked, more: &[Rule]) -> Question {
    let named = asked.wanted.overrides.iter();
    let named = named.filter_map(|name| Rule::parse(name));
    Question {
        verb: Verb::Failover,
        subject,
        to,
        key: None,
        fenced_by: asked.wanted.fenced_by.clone(),
        overrides: named.chain(more.iter().copied()).collect(),
    }
}

impl Driller {
    /// Takes the place away, waits until it is seen down, fails over, follows.
    pub(super) async fn outage(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
    ) -> Result<(), Error> {
        let Some(leg) = course.legs.first().cloned() else {
            course.phase = Phase::Judge;
            return Ok(());
        };
        if leg.asked_back && leg.operation.is_none() {
            return self.give_back(id, course, watched, &leg).await;
        }
        if leg.plan.is_none()
            && let Some(taken) = leg.taken_ms
            && let Some(begun) = self.failover_since(&leg, taken).await?
        {
            // By itself, by an operator's hand, or by the router that carried the drill out before.
            course.legs[0].plan = Some(begun.plan);
        }
        let Some(plan) = course.legs[0].plan.clone() else {
            if let Some(why) = ends(course, Some(watched.took())) {
                course.end_early(why);
                course.legs[0].asked_back = true;
                return Ok(());
            }
            return match leg.taken_ms {
                None => self.take_away(id, course, watched, &leg).await,
                Some(_) => self.fail_over(id, course, watched, &leg).await,
            };
        };
        let Some(operation) = self.operation(&plan).await? else {
            // One that is over by now is made again, or was another's.
            if let Err(why) = self.apply(id, course, &plan, watched).await? {
                course.legs[0].state = why;
                course.legs[0].plan = None;
            }
            return Ok(());
        };
        watched.applied.get_or_insert_with(clock::now);
        let taken = leg.taken_ms.unwrap_or(operation.started_at.0);
        let found = operation.started_at.0.saturating_sub(taken);
        course.legs[0].detection_ms = Some(u64::try_from(found).unwrap_or_default());
        self.there(id, course, watched).await
    }

    /// The failover of this site that began after its place was taken away.
    async fn failover_since(
        &self,
        leg: &Leg,
        taken: i64,
    ) -> Result<Option<OperationRecord>, Error> {
        let newest = self.newest_operations().await?;
        Ok(newest.into_iter().find(|one| {
            let ours = one.sites.iter().any(|site| site.name() == leg.site);
            ours && one.verb == Verb::Failover.as_str() && one.started_at.0 >= taken
        }))
    }

    /// As long as the place serves: its assignment.
    async fn serves(&self, leg: &Leg) -> Result<Option<Assignment>, Error> {
        let all = self.executor.store.assignments().await?;
        let held = all.into_iter().find(|one| one.site.name() == leg.site);
        Ok(held.filter(|one| one.pending.is_none() && one.installation == leg.from))
    }

    async fn order(
        &self,
        id: Uuid,
        course: &Course,
        leg: &Leg,
        what: OrderKind,
        at: Generation,
    ) -> Result<Order, Error> {
        let order = NewOrder {
            id: order_id(id, leg, what),
            site: SiteId::named(&leg.site),
            installation: leg.from.clone(),
            generation: at,
            what,
        };
        let detail = json!({ "drill": id.to_string(), "installation": leg.from });
        let entry = course
            .actor(id)
            .entry(&format!("order.{what}"), &leg.site, &detail);
        self.executor.store.order(&order, &entry).await
    }

    async fn take_away(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &Watched,
        leg: &Leg,
    ) -> Result<(), Error> {
        let Some(held) = self.serves(leg).await? else {
            course.end_early(format!("{} does not serve any more", leg.from));
            course.phase = Phase::Judge;
            return Ok(());
        };
        watched.tally.loses(leg.subject(), &leg.from, &leg.to);
        let asked = self.order(id, course, leg, OrderKind::Stop, held.generation);
        let order = match asked.await {
            Ok(order) => order,
            // Somebody has switched it meanwhile: the next look sees that.
            Err(Error::Stale { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        match order.state {
            OrderState::Done => {
                course.legs[0].taken_ms = Some(order.updated_at.0);
                course.legs[0].state = format!("{} is taken away: {}", leg.from, order.detail);
            }
            OrderState::Failed => {
                let why = format!("{} could not be taken away: {}", leg.from, order.detail);
                course.end_early(why);
                course.legs[0].asked_back = true;
            }
            OrderState::Asked | OrderState::Running => {}
        }
        Ok(())
    }

    /// Plans until enough routers see the site down, and nothing else forbids it.
    async fn fail_over(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
        leg: &Leg,
    ) -> Result<(), Error> {
        let now = clock::now();
        let rests = |planned| now.saturating_duration_since(planned) < LOOK_EVERY;
        if watched.planned.is_some_and(rests) {
            return Ok(());
        }
        watched.planned = Some(now);
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
            course.legs[0].state = format!("waits: {why}");
            return Ok(());
        }
        match apply::make(&self.executor, &question, &course.actor(id)).await {
            Ok((plan, _)) => course.legs[0].plan = Some(plan.hash()),
            Err(apply::Error::Store(error)) => return Err(error),
            Err(error) => course.legs[0].state = format!("waits: {}", chain(&error)),
        }
        Ok(())
    }

    /// No failover has begun: the place is opened again, and serves before anything is judged.
    async fn give_back(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &Watched,
        leg: &Leg,
    ) -> Result<(), Error> {
        let within = Duration::from_millis(course.wanted.within_ms) + SETTLES_WITHIN;
        let late = watched.took() > within;
        let held = self.serves(leg).await?;
        let opened = match held {
            // Whatever serves now has ended the outage.
            None => true,
            Some(held) => {
                let asked = self.order(id, course, leg, OrderKind::Start, held.generation);
                let order = asked.await?;
                course.legs[0].state = format!("given back: {}", order.state);
                matches!(order.state, OrderState::Done | OrderState::Failed)
            }
        };
        let probe = course.probes.iter().take(1).cloned().collect();
        let reads = load::each(&self.pipeline, probe).await.unwrap_or_default();
        let answers = reads.iter().any(|read| matches!(read, Read::Good { .. }));
        if late || (opened && answers) {
            course.phase = Phase::Judge;
        }
        Ok(())
    }

    /// What routers have reported as lost by the failover so far; of a replica only.
    pub(super) async fn lost_tail(&self, course: &Course) -> Result<Option<Value>, Error> {
        let replica = course.legs.iter().find(|leg| leg.recovery == "replica");
        let Some((leg, operation)) = replica.and_then(|leg| Some((leg, leg.operation.as_ref()?)))
        else {
            return Ok(None);
        };
        let trail = past::reports(&self.executor.store, &leg.site).await?;
        let said = past::said(&trail);
        let ours: Vec<&Value> = said
            .iter()
            .filter(|one| one["operation"] == **operation)
            .collect();
        let count = |what: &str| {
            let counts = ours.iter().filter_map(|one| one[what]["count"].as_u64());
            counts.collect::<Vec<u64>>()
        };
        // Every router asks for the same rows, and has writes of its own.
        let rows = |what: &str| count(what).into_iter().max();
        let writes = |what: &str| count(what).into_iter().sum::<u64>();
        Ok(Some(json!({
            "routers_told": ours.len(),
            "starts_lost": rows("starts_lost"),
            "starts_may_be_lost": rows("starts_may_be_lost"),
            "writes_lost": writes("writes_lost"),
            "writes_may_be_lost": writes("writes_may_be_lost"),
        })))
    }
}

/// The same after a router's death.
fn order_id(drill: Uuid, leg: &Leg, what: OrderKind) -> Uuid {
    let mut digest = Sha256::new();
    digest.update(drill.as_bytes());
    digest.update(leg.site.as_bytes());
    digest.update(what.as_str().as_bytes());
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes)
}
