//! Instances that go to another site and back, one after another, each by a plan and an operation of its own.
//!
//! Owns which ones go where, and what follows when one has gone, or has not. Must not hand anything over: the operations do
//! (`rehome`).

use super::begin::{Asked, Means, probe_of, refuse};
use super::course::{Course, Leg, Phase, Probe, Way};
use super::run::{Driller, Watched};
use super::step::{arrived, ends, follow, home};
use crate::decide::Report;
use crate::decide::plan::{Plan, Question, Subject, Verb};
use crate::decide::world::{HandsOver, Recovery};
use crate::rehome::apply;
use homing_mapping_store::store::Error;
use homing_mapping_store::switch::Rule;
use homing_mapping_store::{RoutingKey, State};
use std::time::Duration;
use uuid::Uuid;

/// What goes, and the plan of the first.
pub(super) struct Chosen {
    pub(super) legs: Vec<Leg>,
    pub(super) planned: (Plan, Report),
}

/// Chooses live instances of a site, and the site that takes them and lets them go again.
pub(super) async fn choose(
    means: &Means<'_>,
    site: &str,
    asked: &Asked,
) -> Result<Chosen, apply::Error> {
    if !asked.probes.is_empty() {
        let why = "mode evacuate reads the instances that go; other probes cannot be named";
        return Err(refuse(why));
    }
    let keys = means.executor.live(site, asked.wanted.instances).await;
    let keys = keys.map_err(|why| refuse(format!("site {site}: {why}")))?;
    let Some(first) = keys.first() else {
        return Err(refuse(format!("no live instance lives at site {site}")));
    };
    let world = means.executor.world(Verb::Evacuate).await?;
    let mut others = world.sites.iter().filter(|one| one.name != site);
    let to = match &asked.to {
        Some(named) => others.find(|one| one.name == *named),
        None => others.find(|one| one.hands_over == HandsOver::Yes && one.is_available()),
    };
    let rules = asked.wanted.overrides.iter();
    let question = Question {
        verb: Verb::Evacuate,
        subject: Subject::Site(site.to_owned()),
        to: to.map(|to| to.name.clone()).or_else(|| asked.to.clone()),
        key: Some(first.to_string()),
        fenced_by: None,
        overrides: rules.filter_map(|name| Rule::parse(name)).collect(),
    };
    let (plan, report) = apply::decide(means.executor, &question).await?;
    if let Some(objection) = report.standing().next() {
        return Err(apply::Error::Refused {
            rule: objection.rule.clone(),
            why: objection.told(),
        });
    }
    let Some(to) = to.filter(|_| !plan.moves.is_empty()) else {
        return Err(refuse(considered(&report)));
    };
    if to.recovery != Some(Recovery::Evacuate) {
        let why = format!(
            "there is no way back: site {} does not let instances go again (its recovery is not evacuate)",
            to.name
        );
        return Err(refuse(why));
    }
    let legs = keys.iter().map(|key| Leg {
        key: Some(key.to_string()),
        ..Leg::new(site, site, &to.name, Recovery::Evacuate.as_str())
    });
    Ok(Chosen {
        legs: legs.collect(),
        planned: (plan, report),
    })
}

/// Why nothing moves.
pub(super) fn considered(report: &Report) -> String {
    let sites = report.sites.iter();
    let why: Vec<String> = sites
        .map(|one| format!("{}: {}", one.site, one.why))
        .collect();
    why.join("; ")
}

/// How those are read that go.
pub(super) fn probes(means: &Means<'_>, legs: &[Leg]) -> Vec<Probe> {
    let topology = means.pipeline.topology.load_full();
    let probe = |leg: &Leg| {
        let site = topology.sites().find(|site| site.id.name() == leg.site)?;
        let probe = probe_of(site, &key(leg)?)?;
        Some(Probe {
            key: leg.key.clone(),
            ..probe
        })
    };
    legs.iter().filter_map(probe).collect()
}

impl Driller {
    pub(super) async fn one_by_one(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &mut Watched,
    ) -> Result<(), Error> {
        let broken = ends(course, Some(watched.took()));
        let Some(at) = course.legs.iter().position(|leg| !leg.over) else {
            if let Some(why) = broken {
                course.end_early(why);
            }
            if course.ended_early.is_some() {
                turn_around(course, watched);
            } else {
                course.phase = Phase::Stay;
            }
            return Ok(());
        };
        let Some(plan) = course.legs[at].plan.clone() else {
            if broken.is_some() || course.ended_early.is_some() {
                if let Some(why) = broken {
                    course.end_early(why);
                }
                turn_around(course, watched);
                return Ok(());
            }
            return self.plan_leg(id, course, watched, at).await;
        };
        let Some(operation) = self.operation(&plan).await? else {
            if let Err(why) = self.apply(id, course, &plan, watched).await? {
                let leg = &mut course.legs[at];
                leg.state.clone_from(&why);
                leg.over = true;
                course.end_early(format!(
                    "{} did not set out: {why}",
                    course.legs[at].subject()
                ));
            }
            return Ok(());
        };
        follow(&mut course.legs[at], &operation)?;
        if operation.ended_at.is_none() {
            return self
                .take_back(id, course, watched, &operation, broken)
                .await;
        }
        let within = Duration::from_millis(course.wanted.within_ms);
        let answered = arrived(course, watched, Way::There, None) || watched.took() > within;
        self.over(course, watched, &operation).await?;
        let leg = &mut course.legs[at];
        if !leg.is_done() {
            leg.over = true;
            let why = format!("{} did not leave: {}", leg.subject(), operation.state);
            course.end_early(why);
        } else if answered {
            leg.over = true;
        }
        Ok(())
    }

    /// Whether an instance lives at its site again, or has ended.
    pub(super) async fn is_home(&self, leg: &Leg) -> Result<bool, Error> {
        let Some(key) = key(leg) else {
            return Ok(false);
        };
        let row = self.executor.store.get(&key).await?;
        Ok(row.is_some_and(|row| {
            row.state == State::Ended || (row.state == State::Homed && row.home.name() == leg.from)
        }))
    }

    /// What has ended while it was away has no way back, and needs none.
    pub(super) async fn has_ended(&self, leg: &mut Leg) -> Result<bool, Error> {
        let Some(key) = key(leg) else {
            return Ok(false);
        };
        let row = self.executor.store.get(&key).await?;
        let ended = row.is_some_and(|row| row.state == State::Ended);
        if ended {
            leg.state = "it has ended meanwhile".to_owned();
            leg.step = "done".to_owned();
            leg.over = true;
        }
        Ok(ended)
    }
}

fn key(leg: &Leg) -> Option<RoutingKey> {
    leg.key.as_ref()?.parse().ok()
}

/// Nothing more goes there; what has gone comes home.
pub(super) fn turn_around(course: &mut Course, watched: &mut Watched) {
    if course.legs.iter().any(Leg::is_done) {
        home(course, watched);
    } else {
        course.phase = Phase::Judge;
    }
}
