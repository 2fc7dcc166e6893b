//! Columns of the tables that units write, in the order in which their rows are made.

pub(super) const JOB: &str = "id, inst, exec, def, act, kind, due, has_due, prio, retries, tried, exclusive, suspended, \
     fence, failovers, repeat, created, tenant, place";
pub(super) const WORK: &str =
    "id, inst, exec, def, act, ai, topic, prio, created, suspended, tenant";
pub(super) const TASK: &str = "id, inst, exec, def, act, ai, name, description, assignee, due, follow_up, prio, form_key, \
     form_ref, created, suspended, tenant";
pub(super) const SUBSCRIPTION: &str = "id, inst, exec, def, act, kind, name, tenant, created";
pub(super) const ACTIVITY: &str = "id, inst, parent, def, act, name, type, exec, task, called, assignee, started, ended, \
     canceled, seq, tenant";
pub(super) const TASK_HISTORY: &str = "id, inst, exec, def, act, ai, name, description, assignee, due, follow_up, prio, \
     started, ended, reason, tenant";
pub(super) const VARIABLE_HISTORY: &str =
    "id, inst, exec, def, ai, name, type, num, txt, bytes, meta, created, state, tenant";
pub(super) const INSTANCE_HISTORY: &str = "id, def, bkey, tenant, super_inst, root, start_act, end_act, started, ended, state, reason, removal";

/// A variable keeps its row over its life.
pub(super) const VARIABLE_HISTORY_AGAIN: &str = "ON CONFLICT (id) DO UPDATE SET type = excluded.type, num = excluded.num, \
     txt = excluded.txt, bytes = excluded.bytes, meta = excluded.meta, state = excluded.state";
