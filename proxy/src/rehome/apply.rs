//! From a plan to an operation: everything is checked again.
//!
//! Owns the checks before an operation begins, and an operator's words to one that runs. Must not take its steps.

use super::audit::Actor;
use super::execute::Executor;
use super::work::{Abort, Step, Work};
use crate::clock;
use crate::decide::plan::{ANY, Plan, Question, Verb};
use crate::decide::{Report, plan};
use homing_mapping_store::operation::{Ends, NewOperation, OperationRecord, PlanRecord, Progress};
use homing_mapping_store::store;
use homing_mapping_store::switch::Rule;
use homing_mapping_store::{Generation, Handle, SiteId};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Why a plan is not applied, or an operation does not do what an operator wants.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refuses or is away.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No such plan or operation.
    #[error("there is no {0}")]
    Unknown(String),
    /// The world is not the plan's any more.
    #[error("the plan is stale: {0}; plan again")]
    Stale(String),
    /// The plan says to do nothing.
    #[error("the plan has nothing to do")]
    Nothing,
    /// Something forbids it.
    #[error("{why}")]
    Refused {
        /// The rule, where a word can override it.
        rule: Option<String>,
        why: String,
    },
}

/// Makes a plan and does not keep it.
pub async fn decide(executor: &Executor, question: &Question) -> Result<(Plan, Report), Error> {
    let mut world = executor.world(question.verb).await?;
    if question.verb == Verb::Evacuate && question.key.is_none() {
        executor.look_at_leaving(&mut world, question).await?;
    }
    match question.subject.unknown(&world) {
        Some(nothing) => Err(Error::Unknown(nothing)),
        None => Ok(plan(question, &world, clock::wall())),
    }
}

/// Makes a plan and keeps it.
pub async fn make(
    executor: &Executor,
    question: &Question,
    actor: &Actor,
) -> Result<(Plan, Report), Error> {
    let store = &executor.store;
    let (made, report) = decide(executor, question).await?;
    store
        .put_plan(&PlanRecord {
            hash: made.hash(),
            verb: made.verb.as_str().to_owned(),
            subject: made.subject.text(),
            body: made.canonical(),
            created_by: actor.name.clone(),
            created_at: clock::wall(),
        })
        .await?;
    Ok((made, report))
}

/// A plan out of the store.
pub async fn kept(store: &Handle, hash: &str) -> Result<Plan, Error> {
    let record = store.plan(hash).await?;
    let record = record.ok_or_else(|| Error::Unknown(format!("plan {hash}")))?;
    let corrupt = |why: String| Error::Store(store::Error::Corrupt(why));
    let plan: Plan = serde_json::from_str(&record.body)
        .map_err(|error| corrupt(format!("plan {hash}: {error}")))?;
    if plan.hash() == hash {
        Ok(plan)
    } else {
        Err(corrupt(format!(
            "plan {hash} is not what was kept under its hash"
        )))
    }
}

/// Begins the operation of a plan, if the plan still is what this world asks for.
pub async fn apply(
    executor: &Executor,
    hash: &str,
    actor: &Actor,
) -> Result<OperationRecord, Error> {
    let store = &executor.store;
    let plan = check(executor, hash).await?;
    let sites = plan
        .moves
        .iter()
        .map(|one| (SiteId::named(&one.site), Generation(one.generation)))
        .collect();
    let routers = store.routers().await?;
    let routers: BTreeSet<String> = routers.into_iter().map(|one| one.name).collect();
    let routers = routers.into_iter().collect();
    let operation = NewOperation {
        id: Uuid::now_v7(),
        plan: hash.to_owned(),
        verb: plan.verb.as_str().to_owned(),
        subject: plan.subject.text(),
        sites,
        state: "running".to_owned(),
        body: Work::new(plan.clone(), actor, routers).body(),
    };
    let detail = json!({ "operation": operation.id.to_string(), "plan": hash });
    let action = format!("{}.apply", plan.verb.as_str());
    let entry = actor.entry(&action, &plan.subject.text(), &detail);
    Ok(store.begin_operation(&operation, &entry).await?)
}

/// The plan, made again from what is true now.
pub async fn check(executor: &Executor, hash: &str) -> Result<Plan, Error> {
    let kept = kept(&executor.store, hash).await?;
    let now = clock::wall();
    if now.0 > kept.expires_at {
        return Err(Error::Stale("it has expired".to_owned()));
    }
    let question = Question {
        verb: kept.verb,
        subject: kept.subject.clone(),
        to: single_target(&kept),
        key: kept.moves.first().and_then(|one| one.key.clone()),
        fenced_by: kept.fenced_by.clone(),
        overrides: kept
            .overrides
            .iter()
            .filter_map(|name| Rule::parse(name))
            .collect(),
    };
    let world = executor.world(kept.verb).await?;
    // What moved on since is no reason of its own to refuse: it is stale.
    for one in &kept.moves {
        let site = world.sites.iter().find(|site| site.name == one.site);
        let found = site.map(|site| site.generation.0);
        if found != Some(one.generation) {
            return Err(Error::Stale(format!(
                "site {} is not at generation {} any more",
                one.site, one.generation
            )));
        }
    }
    let (again, report) = plan(&question, &world, now);
    if let Some(objection) = report.standing().next() {
        return Err(Error::Refused {
            rule: objection.rule.clone(),
            why: objection.told(),
        });
    }
    if again.moves != kept.moves {
        return Err(Error::Stale(
            "what is true now asks for other moves".to_owned(),
        ));
    }
    if kept.moves.is_empty() {
        return Err(Error::Nothing);
    }
    Ok(kept)
}

/// A plan for one site says where it goes; asked again it has to go to the same place.
fn single_target(plan: &Plan) -> Option<String> {
    match (plan.verb, &plan.moves[..]) {
        (Verb::Evacuate, moves) => {
            let to = moves.first().map(|one| one.to.clone());
            to.filter(|to| to != ANY)
        }
        (_, [only]) => Some(only.to.clone()),
        (_, _) => None,
    }
}

/// Steps of an operation that may come between reading it and saying something to it.
const SAID_AGAIN_MAX: usize = 10;

/// What an operator may say to an operation that has not ended.
#[derive(Clone, Debug)]
pub enum Word {
    /// Go on after an order has failed.
    Resume,
    /// Go back, where that is safe.
    Abort {
        /// The statement that the new place is fenced.
        fenced_by: Option<String>,
    },
}

/// What `say` would be said to, if it were said now.
pub async fn hear(
    store: &Handle,
    id: Uuid,
    expected: Option<Generation>,
) -> Result<OperationRecord, Error> {
    let record = store.operation(id).await?;
    let record = record.ok_or_else(|| Error::Unknown(format!("operation {id}")))?;
    if record.ended_at.is_some() {
        let why = format!("operation {id} has ended");
        return Err(store::Error::Busy(why).into());
    }
    match expected {
        Some(expected) if expected != record.generation => Err(store::Error::Stale {
            what: format!("operation {id}"),
            expected: Some(expected),
            found: Some(record.generation),
        }
        .into()),
        Some(_) | None => Ok(record),
    }
}

/// What would keep an operation that is told to go back from doing so, if it were told now.
pub async fn no_way_back(
    store: &Handle,
    record: &OperationRecord,
    fenced_by: Option<&str>,
) -> Result<Option<String>, Error> {
    let work = Work::of(record)?;
    if work.plan.verb == Verb::Evacuate {
        return Ok(None);
    }
    let assignments = store.assignments().await?;
    let mut begun = work
        .moves
        .iter()
        .filter(|one| one.step != Step::Begin && !one.step.is_last());
    Ok(begun.find_map(|one| {
        let site = SiteId::named(&one.of.site);
        let held = assignments.iter().find(|held| held.site == site)?;
        let target = held.pending.as_ref()?;
        if let Some(promoted) = one.promoted() {
            return Some(promoted);
        }
        let unproven = target.fenced.is_some() && fenced_by.is_none();
        unproven.then(|| {
            format!(
                "{} may have begun to serve site {site}; say with --fenced-by how it is made sure that it can change nothing, or let the operation go on",
                target.installation
            )
        })
    }))
}

/// Says it. Without an expected generation it is said to the operation as it is by then: its own next step may come in
/// between.
pub async fn say(
    store: &Handle,
    id: Uuid,
    expected: Option<Generation>,
    word: Word,
    actor: &Actor,
) -> Result<OperationRecord, Error> {
    for _ in 1..SAID_AGAIN_MAX {
        match say_once(store, id, expected, word.clone(), actor).await {
            Err(Error::Store(store::Error::Stale { .. })) if expected.is_none() => {}
            other => return other,
        }
    }
    say_once(store, id, expected, word, actor).await
}

async fn say_once(
    store: &Handle,
    id: Uuid,
    expected: Option<Generation>,
    word: Word,
    actor: &Actor,
) -> Result<OperationRecord, Error> {
    let record = hear(store, id, expected).await?;
    let mut work = Work::of(&record)?;
    let (what, detail) = match word {
        Word::Resume => {
            // Whatever could not be taken back goes on.
            work.abort = None;
            for one in work.moves.iter_mut().filter(|one| !one.step.is_last()) {
                one.attempt += 1;
                one.note = String::new();
            }
            ("resume", actor.name.clone())
        }
        Word::Abort { fenced_by } => {
            // What stands in the way is told anew, also if it is the same.
            for one in work.moves.iter_mut().filter(|one| !one.step.is_last()) {
                one.note = String::new();
            }
            work.abort = Some(Abort {
                actor: actor.name.clone(),
                reason: actor.reason.clone(),
                fenced_by,
            });
            ("abort", actor.name.clone())
        }
    };
    let entry = actor.entry(
        &format!("operation.{what}"),
        &record.subject,
        &json!({ "operation": id.to_string() }),
    );
    let progress = Progress {
        id,
        expected: expected.unwrap_or(record.generation),
        state: "running".to_owned(),
        body: work.body(),
        ends: Ends::No,
        what: what.to_owned(),
        detail,
    };
    let record = store.operation_progress(&progress).await?;
    store.audit_append(&entry).await?;
    Ok(record)
}
