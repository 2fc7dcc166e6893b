//! How messages end: done, given back, failed, dead; and what people do with the dead.
//!
//! Owns the statements; the caller commits them, alone or together with what a message did.

use super::super::Incident;
use super::super::cell::Cell;
use super::super::statement::{Expect, Statement};
use crate::clock::Millis;

/// Opens an incident about a dead message, if it is one.
pub(super) fn dead_letter(incident: &str, message: &str, why: &str, now: Millis) -> Vec<Statement> {
    let columns = "id, type, message, ref, cause, root_cause, at";
    let values = "?, 'deadLetter', ?, m.id, ?, ?, ?";
    let from = "FROM message m WHERE m.id = ? AND m.state = 'dead'";
    // History holds incidents at the highest level alone.
    let kept =
        "AND EXISTS (SELECT 1 FROM property WHERE name = 'history-level' AND value = 'full')";
    let cells = || -> Vec<Cell> {
        vec![
            incident.into(),
            why.into(),
            incident.into(),
            incident.into(),
            now.into(),
            message.into(),
        ]
    };
    vec![
        Statement::new(
            format!("INSERT INTO incident ({columns}) SELECT {values} {from}"),
            cells(),
        ),
        Statement::new(
            format!(
                "INSERT INTO h_incident ({columns}, state) SELECT {values}, 'open' {from} {kept}"
            ),
            cells(),
        ),
    ]
}

/// The holder of a lease may do this.
fn held(set: &str, mut cells: Vec<Cell>, id: &str, lease: &str) -> Statement {
    cells.extend([id.into(), lease.into()]);
    let sql = format!("UPDATE message SET {set} WHERE id = ? AND lease = ? AND state = 'ready'");
    Statement::new(sql, cells).expecting(Expect::One)
}

/// A message is done, with what it did. Its key is remembered from now on.
pub fn message_done(id: &str, lease: &str, effect: Option<&str>, now: Millis) -> Statement {
    let set = "state = 'done', body = NULL, err = NULL, trace = NULL, lease = NULL, ended = ?, effect = ?, \
               visible = ? + (SELECT q.remember_ms FROM queue q WHERE q.name = message.queue)";
    let cells = vec![now.into(), effect.map(str::to_owned).into(), now.into()];
    held(set, cells, id, lease)
}

/// A lease lasts longer.
pub fn message_extended(id: &str, lease: &str, until: Millis) -> Statement {
    held("visible = ?", vec![until.into()], id, lease)
}

/// A message is given back without having been tried.
pub fn message_released(id: &str, lease: &str, now: Millis) -> Statement {
    let set = "lease = NULL, visible = ?, attempts = attempts - 1";
    held(set, vec![now.into()], id, lease)
}

/// A message failed and is tried again.
pub fn message_failed(
    id: &str,
    lease: &str,
    error: &str,
    details: Option<&str>,
    visible: Millis,
) -> Statement {
    let set = "lease = NULL, visible = ?, err = ?, trace = ?";
    let cells = vec![
        visible.into(),
        error.into(),
        details.map(str::to_owned).into(),
    ];
    held(set, cells, id, lease)
}

/// A message failed for the last time.
pub fn message_died(
    id: &str,
    lease: &str,
    error: &str,
    details: Option<&str>,
    incident: &str,
    now: Millis,
) -> Vec<Statement> {
    let set = "state = 'dead', lease = NULL, err = ?, trace = ?, ended = ?";
    let cells = vec![error.into(), details.map(str::to_owned).into(), now.into()];
    let mut out = vec![held(set, cells, id, lease)];
    out.extend(dead_letter(incident, id, error, now));
    out
}

/// A dead letter is tried again, from the first try on.
pub fn message_revived(queue: &str, id: &str, now: Millis) -> Vec<Statement> {
    let sql = "UPDATE message SET state = 'ready', attempts = 0, visible = ?, ended = NULL \
               WHERE id = ? AND queue = ? AND state = 'dead'";
    let cells = vec![now.into(), id.into(), queue.into()];
    let mut out = vec![Statement::new(sql, cells).expecting(Expect::One)];
    out.extend(Incident::resolve(id, now));
    out
}

/// A message that nobody has is removed, and its key forgotten.
pub fn message_removed(queue: &str, id: &str, now: Millis) -> Vec<Statement> {
    let sql = "DELETE FROM message WHERE id = ? AND queue = ? AND (state <> 'ready' OR lease IS NULL OR visible <= ?)";
    let cells = vec![id.into(), queue.into(), now.into()];
    let mut out = vec![Statement::new(sql, cells).expecting(Expect::One)];
    out.extend(Incident::resolve(id, now));
    out
}
