//! One way of a drill: planned, applied, watched, and taken back when a rule is broken.
//!
//! Owns the rules that end a drill early and the times of each step. Must not decide where a site goes: that is the plan's.

use super::load::Tally;
use crate::cli::Exit;
use crate::cli::client::{Call, Remote, segment};
use crate::cli::rehome::{self, HOMING_REASON};
use crate::clock;
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Between two looks at an operation.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long what was ended is waited for.
pub(super) const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// Between two tries to plan the way back.
const PLAN_EVERY: Duration = Duration::from_secs(1);

/// A step and the words for the time that ends when it begins.
type Step = (&'static str, &'static str);

/// The steps of an operation in their order, where a replica is promoted.
const STEPS_OF_A_REPLICA: [Step; 7] = [
    ("begin", "applied"),
    ("fence", "taken out of service"),
    ("promote", "fence proven"),
    ("start", "replica promoted"),
    ("prove", "start carried out"),
    ("open", "a write proven"),
    ("done", "new place ready, flip"),
];
/// Where the database is the same.
const STEPS: [Step; 5] = [
    ("begin", "applied"),
    ("fence", "taken out of service"),
    ("start", "fence proven"),
    ("open", "start carried out"),
    ("done", "new place ready, flip"),
];

fn steps(planned: &Value) -> &'static [Step] {
    if planned["moves"][0]["recovery"] == "replica" {
        &STEPS_OF_A_REPLICA
    } else {
        &STEPS
    }
}

/// What is asked of the planner.
pub(super) struct Way {
    pub(super) site: String,
    pub(super) to: Option<String>,
    pub(super) fenced_by: Option<String>,
    pub(super) overrides: Vec<String>,
}

impl Way {
    fn question(&self) -> Call {
        let body = json!({
            "verb": "switchover", "site": self.site, "to": self.to,
            "fenced_by": self.fenced_by, "overrides": self.overrides,
        });
        Call::with(Method::POST, "/v1/plans", &body)
    }
}

/// Plans the way there. What forbids it is printed, and nothing is begun.
pub(super) fn plan(remote: &Remote, way: &Way) -> Result<Value, Exit> {
    let made = remote.call(way.question())?.json;
    if !remote.json {
        rehome::show(&made);
    }
    let moves = made["moves"].as_array().is_some_and(|all| !all.is_empty());
    // Nothing to switch: there is nothing that this drill could rehearse.
    if rehome::verdict(&made) == Exit::Ok && moves {
        Ok(made)
    } else {
        Err(Exit::Refused)
    }
}

/// Whether a broken rule ends the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    Enforced,
    /// On the way back: ending it would leave the site away from home.
    Noted,
}

/// What a drill may cost.
pub(super) struct Limits {
    pub(super) max_failed: u64,
    pub(super) within: Duration,
}

/// One way.
pub(super) struct Leg<'a> {
    pub(super) remote: &'a Remote,
    pub(super) tally: &'a Tally,
    pub(super) name: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) reason: String,
    pub(super) fenced_by: Option<String>,
    pub(super) rules: Rules,
    pub(super) limits: Limits,
}

/// What became of it.
pub(super) struct Done {
    pub(super) name: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) operation: String,
    /// done, aborted, failed, or what it was when nobody waited any longer.
    pub(super) state: String,
    /// Steps and when each was reached, since it was applied.
    pub(super) reached: Vec<(&'static str, &'static str, Duration)>,
    /// From the last answer of the old place to the first of the new one.
    pub(super) pause: Option<Duration>,
    /// From the apply to the first answer of the new place.
    pub(super) first_success: Option<Duration>,
    /// The rule that was broken.
    pub(super) broken: Option<String>,
    /// What the operation itself tells.
    pub(super) events: Vec<String>,
}

impl Done {
    pub(super) fn is_done(&self) -> bool {
        self.state == "done"
    }
}

impl Leg<'_> {
    /// The rule that is broken, if one is.
    fn broken(&self, began: Instant) -> Option<String> {
        let seen = self.tally.seen();
        if seen.wrong_site > 0 {
            return Some(format!("{} answers of a wrong place", seen.wrong_site));
        }
        if seen.failures() > self.limits.max_failed {
            return Some(format!(
                "{} reads failed, and {} may (--max-failed)",
                seen.failures(),
                self.limits.max_failed
            ));
        }
        let took = clock::now().saturating_duration_since(began);
        (took > self.limits.within).then(|| {
            format!(
                "the way {} took longer than {:?} (--within)",
                self.name, self.limits.within
            )
        })
    }

    /// Stays where it is while nothing goes wrong.
    pub(super) fn stay(&self, time: Duration) -> Option<String> {
        let began = clock::now();
        while clock::now().saturating_duration_since(began) < time {
            // Staying is not what has to be done in time.
            if let Some(broken) = self.broken(clock::now()) {
                return Some(broken);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        None
    }

    /// Plans until nothing forbids it: a place that was left may first have to become a replica again.
    pub(super) fn plan_again(&self, way: &Way) -> Result<Value, String> {
        let began = clock::now();
        loop {
            let why = match self.remote.ask(way.question()) {
                Ok(reply) if reply.status.is_success() => {
                    let standing = reply.json["report"]["objections"].as_array();
                    let mut standing = standing.into_iter().flatten();
                    match standing.find(|one| one["overridden"] == false) {
                        None => return Ok(reply.json),
                        Some(one) => one["why"].as_str().unwrap_or_default().to_owned(),
                    }
                }
                Ok(reply) => reply.json["detail"].as_str().unwrap_or_default().to_owned(),
                Err(_) => "the router cannot be asked".to_owned(),
            };
            if clock::now().saturating_duration_since(began) > self.limits.within {
                return Err(why);
            }
            std::thread::sleep(PLAN_EVERY);
        }
    }

    /// Applies the plan and waits for its end.
    pub(super) fn carry_out(&self, planned: &Value) -> Done {
        let mut done = Done {
            name: self.name,
            from: self.from.clone(),
            to: self.to.clone(),
            operation: String::new(),
            state: "not begun".to_owned(),
            reached: Vec::new(),
            pause: None,
            first_success: None,
            broken: None,
            events: Vec::new(),
        };
        self.tally.sets_out(&self.from, &self.to);
        let began = clock::now();
        let hash = planned["hash"].as_str().unwrap_or_default();
        let path = format!("/v1/plans/{}/apply", segment(hash));
        let begun = self.say(path, &json!({}));
        let Ok(begun) = begun else {
            return done;
        };
        done.operation = begun["operation"].as_str().unwrap_or_default().to_owned();
        self.watch(&mut done, steps(planned), began);
        let seen = match done.is_done() {
            true => self.answered(began),
            false => self.tally.seen(),
        };
        done.first_success = seen.first.map(|at| at.saturating_duration_since(began));
        done.pause = match (seen.last, seen.first) {
            (Some(last), Some(first)) => Some(first.saturating_duration_since(last)),
            _ => None,
        };
        done.events = self.events(&done.operation);
        done
    }

    /// Waits for the first answer of the new place, as long as the way may take.
    fn answered(&self, began: Instant) -> super::load::Seen {
        loop {
            let seen = self.tally.seen();
            let late = clock::now().saturating_duration_since(began) > self.limits.within;
            if seen.first.is_some() || late {
                return seen;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn watch(&self, done: &mut Done, steps: &[Step], began: Instant) {
        let path = format!("/v1/operations/{}", segment(&done.operation));
        let mut asked_back = None;
        loop {
            // A router that is busy for a moment is asked again.
            if let Ok(reply) = self.remote.ask(Call::get(&path))
                && reply.status.is_success()
            {
                note(done, steps, &reply.json, began);
                if !reply.json["ended_at"].is_null() {
                    return;
                }
            }
            if let Some(at) = asked_back {
                // What cannot be taken back goes on; an operator is told.
                if clock::now().saturating_duration_since(at) > SETTLES_WITHIN {
                    return;
                }
            } else if let Some(broken) = self.broken(began) {
                done.broken.get_or_insert(broken);
                asked_back = Some(clock::now());
                if self.rules == Rules::Enforced {
                    let body = json!({ "fenced_by": self.fenced_by });
                    let _ = self.say(format!("{path}/abort"), &body);
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn say(&self, path: String, body: &Value) -> Result<Value, Exit> {
        let call = Call::with(Method::POST, path, body);
        let call = call.header(HOMING_REASON.clone(), &self.reason)?;
        Ok(self.remote.call(call)?.json)
    }

    fn events(&self, operation: &str) -> Vec<String> {
        let path = format!("/v1/operations/{}/events", segment(operation));
        let Ok(reply) = self.remote.ask(Call::get(path)) else {
            return Vec::new();
        };
        let items = reply.json["items"].as_array().cloned().unwrap_or_default();
        let line = |event: &Value| {
            let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            format!("{}  {}  {}", word("at"), word("what"), word("detail"))
        };
        items.iter().map(line).collect()
    }
}

/// A step that was over between two looks has the time of the next one.
fn note(done: &mut Done, steps: &[Step], operation: &Value, began: Instant) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    done.state = word(&operation["state"]);
    let step = word(&operation["moves"][0]["step"]);
    let at = steps.iter().position(|(name, _)| *name == step);
    let since = clock::now().saturating_duration_since(began);
    let reached = at.map_or(0, |at| at + 1);
    for (step, words) in steps.iter().take(reached).skip(done.reached.len()) {
        done.reached.push((step, words, since));
    }
}
