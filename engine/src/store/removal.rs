//! When the history of a unit's instances may be removed: settled for the whole hierarchy of calls by its topmost one.
//!
//! Owns what is written of it within a unit. Must not remove anything.

use super::cell::Cell;
use super::keeping::{Keeping, Level, Removal};
use super::statement::Statement;
use super::unit::{Changes, InstanceChange, Unit};
use super::write::{INSTANCE_REMOVAL, ended};
use crate::clock::Millis;
use std::collections::HashMap;

/// One day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// Writes removal times into rows of this unit, and updates of rows that are there.
pub(super) fn settle(unit: &Unit, changes: &mut Changes) {
    if changes.keeping.level == Level::None {
        return;
    }
    match changes.keeping.removal {
        Removal::None => {}
        Removal::Start => at_start(unit, changes),
        Removal::End => at_end(unit, changes),
    }
}

fn is_root(change: &InstanceChange) -> bool {
    change.document.parent.is_none()
}

fn after(unit: &Unit, change: &InstanceChange) -> Option<Millis> {
    let days = unit.history_days.get(&change.definition)?;
    Some(unit.now.saturating_add(days.saturating_mul(DAY_MS)))
}

/// Instances that begin in this unit: the topmost by its definition, the others by the topmost.
fn at_start(unit: &Unit, changes: &mut Changes) {
    let begun = |change: &&InstanceChange| change.revision.is_none();
    let roots: HashMap<&str, Option<Millis>> = unit
        .instances
        .iter()
        .filter(begun)
        .filter(|change| is_root(change))
        .map(|root| (root.document.id.as_str(), after(unit, root)))
        .collect();
    for change in unit.instances.iter().filter(begun) {
        let doc = &change.document;
        match roots.get(doc.root.as_str()) {
            Some(removal) => settled(&doc.id, *removal, changes),
            None => {
                let sql = "UPDATE h_inst SET removal = (SELECT r.removal FROM h_inst r WHERE r.id = x.column2) \
                           FROM {rows} WHERE h_inst.id = x.column1";
                let row = vec![Cell::from(&doc.id), Cell::from(&doc.root)];
                changes.updates.push(Statement::each(sql, vec![row]));
            }
        }
    }
}

/// Hierarchies whose topmost instance ends in this unit.
fn at_end(unit: &Unit, changes: &mut Changes) {
    let over = |change: &&InstanceChange| is_root(change) && ended(change).is_some();
    for root in unit.instances.iter().filter(over) {
        let id = &root.document.id;
        if root.revision.is_none() {
            // It has begun here, so all that it called has too.
            let removal = after(unit, root);
            let all = unit.instances.iter().map(|change| &change.document);
            for doc in all.filter(|doc| doc.root == *id) {
                settled(&doc.id, removal, changes);
            }
            continue;
        }
        if is_of_one_row(unit, root, changes.keeping) {
            continue;
        }
        let removal = removal_after("x.column2", "x.column3");
        let sql = format!(
            "UPDATE h_inst SET removal = {removal} FROM {{rows}} WHERE h_inst.root = x.column1"
        );
        let row = vec![id.into(), unit.now.into(), (&root.definition).into()];
        changes.updates.push(Statement::each(sql, vec![row]));
    }
}

/// Is the removal of this instance, where it ends here, that of one row that was there before? Then it is written with the end.
pub(super) fn is_of_one_row(unit: &Unit, change: &InstanceChange, keeping: Keeping) -> bool {
    keeping.removal == Removal::End
        && is_root(change)
        && change.revision.is_some()
        && !unit.callers.contains(&change.definition)
}

/// SQL that sets the removal beside an end at this moment.
pub(super) fn beside_end(ended: &str, definition: &str) -> String {
    format!(", removal = {}", removal_after(ended, definition))
}

/// SQL for the days of a definition after a moment. What counts is what the definition says now, not what its model said.
fn removal_after(moment: &str, definition: &str) -> String {
    format!("{moment} + {DAY_MS} * (SELECT d.ttl FROM definition d WHERE d.id = {definition})")
}

fn settled(instance: &str, removal: Option<Millis>, changes: &mut Changes) {
    if let Some(row) = changes.instance_history.row(instance) {
        row[INSTANCE_REMOVAL] = removal.into();
    }
}
