//! Effects as rows.

use super::cell::Cell;
use super::keeping::Level;
use super::statement::{Expect, Statement};
use super::unit::{Changes, InstanceChange};
use super::variable;
use crate::clock::Millis;
use crate::machine::{ActivityRecord, Effect, Job, JobKind, Outcome, Record, Task, Work};
use crate::model::TIMER;
use std::collections::HashMap;

pub(super) use super::columns::{
    ACTIVITY, INSTANCE_HISTORY, JOB, SUBSCRIPTION, TASK, TASK_HISTORY, VARIABLE_HISTORY,
    VARIABLE_HISTORY_AGAIN, WORK,
};

/// Positions of columns that a later effect of the same unit changes.
const ACTIVITY_ENDED: usize = 12;
const TASK_ENDED: usize = 13;
const VARIABLE_STATE: usize = 12;
const INSTANCE_END: usize = 7;
pub(super) const INSTANCE_REMOVAL: usize = 12;

/// The instance's own row and its variables.
pub(super) fn instance(
    change: &InstanceChange,
    level: Level,
    now: Millis,
    out: &mut Vec<Statement>,
) {
    let doc = &change.document;
    let id = || Cell::from(&doc.id);
    match (change.revision, doc.ended) {
        (None, true) => return,
        (None, false) => {
            let sql = "INSERT INTO inst (id, def, root, super_inst, super_exec, bkey, tenant, suspended, doc, started, rev, home_gen) \
                       SELECT x.*, 1, 0 FROM {rows} WHERE true";
            let parent = doc.parent.as_ref();
            let row = vec![
                id(),
                (&change.definition).into(),
                (&doc.root).into(),
                parent.map(|p| p.instance.clone()).into(),
                parent.map(|p| p.execution.clone()).into(),
                (&doc.business_key).into(),
                (&doc.tenant).into(),
                doc.suspended.into(),
                text(doc).into(),
                now.into(),
            ];
            out.push(Statement::each(sql, vec![row]));
        }
        (Some(revision), false) => {
            let sql = "UPDATE inst SET doc = x.column3, bkey = x.column4, suspended = x.column5, rev = inst.rev + 1 \
                       FROM {rows} WHERE inst.id = x.column1 AND inst.rev = x.column2";
            let row = vec![
                id(),
                revision.into(),
                text(doc).into(),
                (&doc.business_key).into(),
                doc.suspended.into(),
            ];
            out.push(Statement::each(sql, vec![row]).expecting(Expect::One));
        }
        (Some(revision), true) => {
            let sql = "DELETE FROM inst WHERE (id, rev) IN (SELECT column1, column2 FROM {rows})";
            let row = vec![id(), revision.into()];
            out.push(Statement::each(sql, vec![row]).expecting(Expect::One));
            out.extend(Statement::deleting("var", "inst", [&doc.id]));
            return;
        }
    }
    variables(change, level, out);
}

fn text(doc: &crate::machine::Document) -> String {
    serde_json::to_string(doc).unwrap_or_default()
}

fn variables(change: &InstanceChange, level: Level, out: &mut Vec<Statement>) {
    let inst = &change.document.id;
    let activities = activities_of_variables(change, level);
    let mut rows = Vec::new();
    for ((scope, name), variable) in change.variables.touched() {
        match variable {
            None => {
                let sql = "DELETE FROM var WHERE (inst, scope, name) IN (SELECT column1, column2, column3 FROM {rows})";
                let row = vec![inst.into(), scope.into(), name.into()];
                out.push(Statement::each(sql, vec![row]));
            }
            Some(variable) => {
                let mut cells: Vec<Cell> = vec![
                    (&variable.id).into(),
                    inst.into(),
                    scope.into(),
                    name.into(),
                ];
                cells.extend(variable::columns(&variable.value));
                cells.push(
                    activities
                        .get(variable.id.as_str())
                        .map(|id| (*id).to_owned())
                        .into(),
                );
                rows.push(cells);
            }
        }
    }
    let columns = "id, inst, scope, name, type, num, txt, bytes, meta, ai";
    let conflict = "ON CONFLICT (inst, scope, name) DO UPDATE SET id = excluded.id, type = excluded.type, num = excluded.num, \
                    txt = excluded.txt, bytes = excluded.bytes, meta = excluded.meta, ai = COALESCE(excluded.ai, var.ai)";
    out.extend(Statement::inserting("var", columns, rows, conflict));
}

/// The activity instances of variables. Where history knows them, it is asked.
fn activities_of_variables(change: &InstanceChange, level: Level) -> HashMap<&str, &str> {
    if level >= Level::Audit {
        return HashMap::new();
    }
    let set = change.effects.iter().filter_map(|effect| match effect {
        Effect::Record(Record::Set { id, activity, .. }) => Some((id.as_str(), activity.as_str())),
        _ => None,
    });
    set.collect()
}

/// One effect.
pub(super) fn effect(effect: &Effect, change: &InstanceChange, now: Millis, changes: &mut Changes) {
    match effect {
        Effect::CreateJob(made) => changes.jobs.make(&made.id, job(made, change, now)),
        Effect::RemoveJob(id) => changes.jobs.remove(id.clone()),
        Effect::CreateTask(made) => task(made, change, now, changes),
        Effect::RemoveTask { task, outcome } => remove_task(task, *outcome, now, changes),
        Effect::CreateWork(made) => changes.work.make(&made.id, work(made, change, now)),
        Effect::RemoveWork(id) => changes.work.remove(id.clone()),
        Effect::Subscribe {
            id,
            kind,
            name,
            execution,
            element,
        } => {
            let row = vec![
                id.into(),
                (&change.document.id).into(),
                execution.into(),
                (&change.definition).into(),
                element.into(),
                (*kind).into(),
                name.into(),
                (&change.document.tenant).into(),
                now.into(),
            ];
            changes.subscriptions.make(id, row);
        }
        Effect::Unsubscribe(id) => changes.subscriptions.remove(id.clone()),
        Effect::Record(record) => history(record, change, now, changes),
        // These were carried out before the unit was written.
        Effect::Call(_)
        | Effect::CancelCall { .. }
        | Effect::Return { .. }
        | Effect::RaiseAbove { .. }
        | Effect::Uncaught { .. }
        | Effect::Broadcast { .. } => {}
    }
}

fn job(job: &Job, change: &InstanceChange, now: Millis) -> Vec<Cell> {
    let (kind, place) = match job.kind {
        JobKind::Continue(at) => ("continue", at.name()),
        JobKind::Timer => ("timer", TIMER),
        JobKind::StartTimer => ("start-timer", TIMER),
    };
    vec![
        (&job.id).into(),
        (&change.document.id).into(),
        (&job.execution).into(),
        (&change.definition).into(),
        (&job.element).into(),
        kind.into(),
        job.due.unwrap_or(now).into(),
        job.due.is_some().into(),
        job.priority.into(),
        job.retries.into(),
        false.into(),
        job.exclusive.into(),
        change.document.suspended.into(),
        0_i64.into(),
        0_i64.into(),
        (&job.repeat).into(),
        now.into(),
        (&change.document.tenant).into(),
        place.into(),
    ]
}

fn work(work: &Work, change: &InstanceChange, now: Millis) -> Vec<Cell> {
    vec![
        (&work.id).into(),
        (&change.document.id).into(),
        (&work.execution).into(),
        (&change.definition).into(),
        (&work.element).into(),
        (&work.activity).into(),
        (&work.topic).into(),
        work.priority.into(),
        now.into(),
        change.document.suspended.into(),
        (&change.document.tenant).into(),
    ]
}

fn task(task: &Task, change: &InstanceChange, now: Millis, changes: &mut Changes) {
    let common = |tail: Vec<Cell>| {
        let mut row: Vec<Cell> = vec![
            (&task.id).into(),
            (&change.document.id).into(),
            (&task.execution).into(),
            (&change.definition).into(),
            (&task.element).into(),
            (&task.activity).into(),
            (&task.name).into(),
            (&task.description).into(),
            (&task.assignee).into(),
            task.due.into(),
            task.follow_up.into(),
            task.priority.into(),
        ];
        row.extend(tail);
        row.push((&change.document.tenant).into());
        row
    };
    let form_ref = task.form_ref.as_ref();
    let form_ref = form_ref.and_then(|form| serde_json::to_string(form).ok());
    let live = vec![
        (&task.form_key).into(),
        form_ref.into(),
        now.into(),
        change.document.suspended.into(),
    ];
    changes.tasks.make(&task.id, common(live));
    if changes.keeping.level > Level::None {
        let kept = vec![now.into(), Cell::Int(None), Cell::Text(None)];
        changes.task_history.make(&task.id, common(kept));
    }
    for user in &task.candidate_users {
        changes.links.push(vec![
            (&task.id).into(),
            "candidate".into(),
            user.into(),
            Cell::Text(None),
        ]);
    }
    for group in &task.candidate_groups {
        changes.links.push(vec![
            (&task.id).into(),
            "candidate".into(),
            Cell::Text(None),
            group.into(),
        ]);
    }
}

fn remove_task(id: &str, outcome: Outcome, now: Millis, changes: &mut Changes) {
    let reason = if outcome == Outcome::Completed {
        "completed"
    } else {
        "deleted"
    };
    changes.tasks.remove(id.to_owned());
    changes.links.retain(|link| link[0] != Cell::from(id));
    if changes.keeping.level == Level::None {
        return;
    }
    if let Some(row) = changes.task_history.row(id) {
        row[TASK_ENDED] = now.into();
        row[TASK_ENDED + 1] = reason.into();
    } else {
        let sql = "UPDATE h_task SET ended = x.column2, reason = x.column3 FROM {rows} WHERE h_task.id = x.column1";
        let row = vec![id.into(), now.into(), reason.into()];
        changes.updates.push(Statement::each(sql, vec![row]));
    }
}

/// The level from which on a line of history is written.
fn level_of(record: &Record) -> Level {
    match record {
        Record::Started { .. }
        | Record::Ended { .. }
        | Record::Entered(_)
        | Record::Left { .. } => Level::Activity,
        Record::Set { .. } | Record::Removed { .. } => Level::Audit,
    }
}

fn history(record: &Record, change: &InstanceChange, now: Millis, changes: &mut Changes) {
    if changes.keeping.level < level_of(record) {
        return;
    }
    let doc = &change.document;
    match record {
        Record::Started { element } => {
            let row = vec![
                (&doc.id).into(),
                (&change.definition).into(),
                (&doc.business_key).into(),
                (&doc.tenant).into(),
                doc.parent.as_ref().map(|p| p.instance.clone()).into(),
                (&doc.root).into(),
                element.into(),
                Cell::Text(None),
                now.into(),
                Cell::Int(None),
                "ACTIVE".into(),
                Cell::Text(None),
                Cell::Int(None),
            ];
            changes.instance_history.make(&doc.id, row);
        }
        Record::Ended { .. } => {}
        Record::Entered(entered) => {
            changes.entered = true;
            changes.position += 1;
            changes.activities.make(
                &entered.activity,
                activity(entered, change, now, changes.position),
            );
        }
        Record::Left { activity, outcome } => {
            let canceled = *outcome != Outcome::Completed;
            if let Some(row) = changes.activities.row(activity) {
                row[ACTIVITY_ENDED] = now.into();
                row[ACTIVITY_ENDED + 1] = canceled.into();
            } else {
                let sql = "UPDATE h_act SET ended = x.column2, canceled = x.column3 FROM {rows} WHERE h_act.id = x.column1";
                let row = vec![activity.into(), now.into(), canceled.into()];
                changes.updates.push(Statement::each(sql, vec![row]));
            }
        }
        Record::Set { .. } => variable_history(record, change, now, changes),
        Record::Removed { id } => {
            if changes.keeping.level == Level::Full {
                let revision = change.revision.unwrap_or(0);
                let position = i64::try_from(changes.details.len() + changes.removed.len());
                changes
                    .removed
                    .push((id.clone(), revision, position.unwrap_or(0)));
            }
            if let Some(row) = changes.variable_history.row(id) {
                row[VARIABLE_STATE] = "DELETED".into();
            } else {
                changes.variables_gone.push(vec![id.into()]);
            }
        }
    }
}

fn variable_history(record: &Record, change: &InstanceChange, now: Millis, changes: &mut Changes) {
    let Record::Set {
        id,
        execution,
        name,
        value,
        activity,
        ..
    } = record
    else {
        return;
    };
    let mut row: Vec<Cell> = vec![
        id.into(),
        (&change.document.id).into(),
        execution.into(),
        (&change.definition).into(),
        activity.into(),
        name.into(),
    ];
    row.extend(variable::columns(value));
    if changes.keeping.level == Level::Full {
        detail(id, &row, change, now, changes);
    }
    let tenant = &change.document.tenant;
    row.extend([now.into(), "CREATED".into(), tenant.into()]);
    changes.variable_history.make(id, row);
}

/// A change of a variable, whose history begins with these columns.
fn detail(id: &str, row: &[Cell], change: &InstanceChange, now: Millis, changes: &mut Changes) {
    let revision = change.revision.unwrap_or(0);
    let position = changes.details.len() + changes.removed.len();
    let position = i64::try_from(position).unwrap_or(0);
    let mut out: Vec<Cell> = vec![
        super::log::detail_id(id, revision, position).into(),
        now.into(),
        revision.into(),
        position.into(),
        "variableUpdate".into(),
    ];
    out.extend_from_slice(row);
    // What an instance is given before it has entered an element it begins with.
    out.extend([
        (!changes.entered).into(),
        (&change.document.tenant).into(),
        Cell::Text(None),
    ]);
    changes.details.push(out);
}

fn activity(
    entered: &ActivityRecord,
    change: &InstanceChange,
    now: Millis,
    position: i64,
) -> Vec<Cell> {
    vec![
        (&entered.activity).into(),
        (&change.document.id).into(),
        (&entered.parent).into(),
        (&change.definition).into(),
        (&entered.element).into(),
        (&entered.name).into(),
        (&entered.type_name).into(),
        (&entered.execution).into(),
        (&entered.task).into(),
        (&entered.called).into(),
        (&entered.assignee).into(),
        now.into(),
        Cell::Int(None),
        false.into(),
        // Millisecond first, then the order within the unit.
        now.saturating_mul(10_000).saturating_add(position).into(),
        (&change.document.tenant).into(),
    ]
}

/// How and where it ended, if it did.
pub(super) fn ended(change: &InstanceChange) -> Option<(Outcome, Option<String>)> {
    change.effects.iter().rev().find_map(|effect| match effect {
        Effect::Record(Record::Ended { outcome, element }) => Some((*outcome, element.clone())),
        _ => None,
    })
}

/// The end of an instance in history.
pub(super) fn ending(
    change: &InstanceChange,
    now: Millis,
    (reason, removal): (Option<&str>, bool),
    changes: &mut Changes,
) {
    let Some((outcome, element)) = ended(change) else {
        return;
    };
    let state = match outcome {
        Outcome::Completed => "COMPLETED",
        Outcome::Cancelled => "EXTERNALLY_TERMINATED",
        Outcome::Interrupted => "INTERNALLY_TERMINATED",
    };
    let reason = if outcome == Outcome::Completed {
        None
    } else {
        reason.map(str::to_owned)
    };
    let id = &change.document.id;
    if let Some(row) = changes.instance_history.row(id) {
        row[INSTANCE_END] = element.into();
        row[INSTANCE_END + 2] = now.into();
        row[INSTANCE_END + 3] = state.into();
        row[INSTANCE_END + 4] = reason.into();
    } else {
        let mut row = vec![
            id.into(),
            element.into(),
            now.into(),
            state.into(),
            reason.into(),
        ];
        let mut more = String::new();
        if removal {
            row.push((&change.definition).into());
            more = super::removal::beside_end("x.column3", "x.column6");
        }
        let sql = format!(
            "UPDATE h_inst SET end_act = x.column2, ended = x.column3, state = x.column4, reason = x.column5{more} \
             FROM {{rows}} WHERE h_inst.id = x.column1"
        );
        changes.updates.push(Statement::each(sql, vec![row]));
    }
}
