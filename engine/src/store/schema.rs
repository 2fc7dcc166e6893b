//! The tables, and how an older database is brought forward.

use super::cell::Cell;
use super::database::{Database, Failure, Under};
use super::statement::Statement;

/// Steps in order; a database remembers how many it has. Steps are never changed, only added.
const STEPS: &[&[&str]] = &[
    FIRST,
    SITE,
    HANDOVER,
    QUEUES,
    RETENTION,
    CAUSES,
    POSITIONS,
    JOB_DEFINITIONS,
    LOGS,
    ARRIVALS,
    CACHES,
    FORMS,
];

/// The version of the tables that this program works with.
pub(crate) const LATEST: i64 = STEPS.len() as i64;

/// Whether an instance came here a moment ago is asked for with each refusal that says that it is not there.
const ARRIVALS: &[&str] = &["CREATE INDEX handover_root ON handover (root)"];

/// Grows with whatever makes stale what engines keep in memory.
const CACHES: &[&str] = &["INSERT INTO property (name, value) VALUES ('cache_epoch', '0')"];

/// Forms that were deployed, and what a task means by one.
const FORMS: &[&str] = &[
    "CREATE TABLE form (id TEXT PRIMARY KEY, key TEXT NOT NULL, version BIGINT NOT NULL, tenant TEXT, deployment TEXT NOT NULL, \
     resource TEXT NOT NULL, sha TEXT NOT NULL)",
    "CREATE UNIQUE INDEX form_version ON form (key, COALESCE(tenant, ''), version)",
    "CREATE INDEX form_deployment ON form (deployment)",
    "ALTER TABLE task ADD COLUMN form_ref TEXT",
];

const FIRST: &[&str] = &[
    "CREATE TABLE property (name TEXT PRIMARY KEY, value TEXT)",
    "CREATE TABLE deployment (id TEXT PRIMARY KEY, name TEXT, source TEXT, tenant TEXT, at BIGINT NOT NULL)",
    "CREATE TABLE content (sha TEXT PRIMARY KEY, bytes {blob} NOT NULL)",
    "CREATE TABLE resource (id TEXT PRIMARY KEY, deployment TEXT NOT NULL, name TEXT NOT NULL, sha TEXT NOT NULL)",
    "CREATE INDEX resource_deployment ON resource (deployment)",
    "CREATE TABLE definition (id TEXT PRIMARY KEY, key TEXT NOT NULL, version BIGINT NOT NULL, name TEXT, tag TEXT, tenant TEXT, \
     deployment TEXT NOT NULL, resource TEXT NOT NULL, sha TEXT NOT NULL, suspended BIGINT NOT NULL, ttl BIGINT, startable BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX definition_version ON definition (key, COALESCE(tenant, ''), version)",
    "CREATE INDEX definition_deployment ON definition (deployment)",
    "CREATE TABLE inst (id TEXT PRIMARY KEY, def TEXT NOT NULL, root TEXT NOT NULL, super_inst TEXT, super_exec TEXT, bkey TEXT, \
     tenant TEXT, suspended BIGINT NOT NULL, rev BIGINT NOT NULL, home_gen BIGINT NOT NULL, doc TEXT NOT NULL, started BIGINT NOT NULL)",
    "CREATE INDEX inst_def ON inst (def)",
    "CREATE INDEX inst_bkey ON inst (bkey)",
    "CREATE INDEX inst_super ON inst (super_inst)",
    "CREATE TABLE var (id TEXT PRIMARY KEY, inst TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, \
     num DOUBLE PRECISION, txt TEXT, bytes {blob}, meta TEXT, ai TEXT)",
    "CREATE UNIQUE INDEX var_scope ON var (inst, scope, name)",
    "CREATE INDEX var_name ON var (name, inst)",
    "CREATE TABLE job (id TEXT PRIMARY KEY, inst TEXT, exec TEXT, def TEXT NOT NULL, act TEXT NOT NULL, kind TEXT NOT NULL, \
     due BIGINT NOT NULL, has_due BIGINT NOT NULL, prio BIGINT NOT NULL, retries BIGINT NOT NULL, tried BIGINT NOT NULL, exclusive BIGINT NOT NULL, \
     suspended BIGINT NOT NULL, owner TEXT, fence BIGINT NOT NULL, lease_until BIGINT, failovers BIGINT NOT NULL, err TEXT, trace TEXT, \
     repeat TEXT, created BIGINT NOT NULL, tenant TEXT)",
    "CREATE INDEX job_ready ON job (due) WHERE owner IS NULL AND retries > 0 AND suspended = 0",
    "CREATE INDEX job_owner ON job (owner) WHERE owner IS NOT NULL",
    "CREATE INDEX job_inst ON job (inst)",
    "CREATE TABLE lane (inst TEXT PRIMARY KEY, job TEXT NOT NULL, owner TEXT NOT NULL)",
    "CREATE TABLE work (id TEXT PRIMARY KEY, inst TEXT NOT NULL, exec TEXT NOT NULL, def TEXT NOT NULL, act TEXT NOT NULL, ai TEXT NOT NULL, \
     topic TEXT NOT NULL, prio BIGINT NOT NULL, created BIGINT NOT NULL, retries BIGINT, suspended BIGINT NOT NULL, worker TEXT, \
     lock_until BIGINT, err TEXT, details TEXT, tenant TEXT)",
    "CREATE INDEX work_topic ON work (topic, created)",
    "CREATE INDEX work_inst ON work (inst)",
    "CREATE TABLE task (id TEXT PRIMARY KEY, inst TEXT, exec TEXT, def TEXT, act TEXT, ai TEXT, name TEXT, description TEXT, \
     assignee TEXT, owner TEXT, delegation TEXT, due BIGINT, follow_up BIGINT, prio BIGINT NOT NULL, form_key TEXT, created BIGINT NOT NULL, \
     updated BIGINT, suspended BIGINT NOT NULL, tenant TEXT, parent TEXT)",
    "CREATE INDEX task_inst ON task (inst)",
    "CREATE INDEX task_assignee ON task (assignee)",
    "CREATE TABLE link (task TEXT NOT NULL, type TEXT NOT NULL, user_id TEXT, group_id TEXT)",
    "CREATE INDEX link_task ON link (task)",
    "CREATE TABLE sub (id TEXT PRIMARY KEY, inst TEXT, exec TEXT, def TEXT NOT NULL, act TEXT NOT NULL, kind TEXT NOT NULL, \
     name TEXT NOT NULL, tenant TEXT, created BIGINT NOT NULL)",
    "CREATE INDEX sub_name ON sub (kind, name)",
    "CREATE INDEX sub_inst ON sub (inst)",
    "CREATE TABLE incident (id TEXT PRIMARY KEY, inst TEXT, exec TEXT, def TEXT, act TEXT, type TEXT NOT NULL, message TEXT, \
     ref TEXT NOT NULL, cause TEXT NOT NULL, root_cause TEXT NOT NULL, at BIGINT NOT NULL, tenant TEXT)",
    "CREATE INDEX incident_inst ON incident (inst)",
    "CREATE INDEX incident_ref ON incident (ref)",
    "CREATE TABLE h_inst (id TEXT PRIMARY KEY, def TEXT NOT NULL, bkey TEXT, tenant TEXT, super_inst TEXT, root TEXT NOT NULL, \
     start_act TEXT, end_act TEXT, started BIGINT NOT NULL, ended BIGINT, state TEXT NOT NULL, reason TEXT, removal BIGINT)",
    "CREATE INDEX h_inst_started ON h_inst (started)",
    "CREATE INDEX h_inst_ended ON h_inst (ended)",
    "CREATE INDEX h_inst_bkey ON h_inst (bkey)",
    "CREATE TABLE h_act (id TEXT PRIMARY KEY, inst TEXT NOT NULL, parent TEXT, def TEXT NOT NULL, act TEXT NOT NULL, name TEXT, type TEXT NOT NULL, \
     exec TEXT NOT NULL, task TEXT, called TEXT, assignee TEXT, started BIGINT NOT NULL, ended BIGINT, canceled BIGINT NOT NULL, seq BIGINT NOT NULL, tenant TEXT)",
    "CREATE INDEX h_act_inst ON h_act (inst, seq)",
    "CREATE TABLE h_task (id TEXT PRIMARY KEY, inst TEXT, exec TEXT, def TEXT, act TEXT, ai TEXT, name TEXT, description TEXT, \
     assignee TEXT, owner TEXT, due BIGINT, follow_up BIGINT, prio BIGINT NOT NULL, started BIGINT NOT NULL, ended BIGINT, reason TEXT, tenant TEXT)",
    "CREATE INDEX h_task_inst ON h_task (inst)",
    "CREATE TABLE h_var (id TEXT PRIMARY KEY, inst TEXT, exec TEXT, def TEXT, ai TEXT, name TEXT NOT NULL, type TEXT NOT NULL, \
     num DOUBLE PRECISION, txt TEXT, bytes {blob}, meta TEXT, created BIGINT NOT NULL, state TEXT NOT NULL, tenant TEXT)",
    "CREATE INDEX h_var_inst ON h_var (inst)",
    "CREATE TABLE h_incident (id TEXT PRIMARY KEY, inst TEXT, exec TEXT, def TEXT, act TEXT, type TEXT NOT NULL, message TEXT, \
     ref TEXT NOT NULL, cause TEXT NOT NULL, root_cause TEXT NOT NULL, at BIGINT NOT NULL, ended BIGINT, state TEXT NOT NULL, tenant TEXT)",
    "CREATE INDEX h_incident_inst ON h_incident (inst)",
    "CREATE TABLE comment (id TEXT PRIMARY KEY, task TEXT NOT NULL, inst TEXT, user_id TEXT, at BIGINT NOT NULL, message TEXT NOT NULL)",
    "CREATE TABLE engine (id TEXT PRIMARY KEY, name TEXT NOT NULL, epoch BIGINT NOT NULL, status TEXT NOT NULL, beat BIGINT NOT NULL, \
     beat_at BIGINT NOT NULL, window_ms BIGINT NOT NULL, running BIGINT NOT NULL, capacity BIGINT NOT NULL)",
];

/// The site as such: its generation, who serves it, its executor; what each engine may serve; loads of engines.
const SITE: &[&str] = &[
    "CREATE TABLE site (one BIGINT PRIMARY KEY, generation BIGINT NOT NULL, holder TEXT, executor TEXT NOT NULL, quarantine TEXT, \
     restored BIGINT NOT NULL)",
    "INSERT INTO site (one, generation, executor, restored) VALUES (1, 0, 'enabled', 0)",
    "CREATE TABLE member (name TEXT PRIMARY KEY, generation BIGINT NOT NULL, executor TEXT NOT NULL)",
    "ALTER TABLE engine ADD COLUMN weight DOUBLE PRECISION",
];

/// Instances that left or came, and where the ids that left went.
const HANDOVER: &[&str] = &[
    "CREATE TABLE handover (id TEXT PRIMARY KEY, root TEXT NOT NULL, stage TEXT NOT NULL, seal TEXT NOT NULL, bundle TEXT, \
     site TEXT, generation BIGINT NOT NULL, at BIGINT NOT NULL)",
    "CREATE TABLE handed (id TEXT PRIMARY KEY, handover TEXT NOT NULL)",
    "CREATE INDEX handed_handover ON handed (handover)",
    "CREATE INDEX h_inst_root ON h_inst (root)",
    "CREATE INDEX inst_root ON inst (root)",
];

/// Work queues: their settings, their messages (also those that are done, for as long as their keys are remembered), and
/// how far a bridge has read what counts its messages itself.
const QUEUES: &[&str] = &[
    "CREATE TABLE queue (name TEXT PRIMARY KEY, concurrency BIGINT, rate DOUBLE PRECISION, burst DOUBLE PRECISION NOT NULL, \
     attempts BIGINT NOT NULL, backoff_ms BIGINT NOT NULL, backoff_max_ms BIGINT NOT NULL, lease_ms BIGINT NOT NULL, \
     remember_ms BIGINT NOT NULL, paused BIGINT NOT NULL, deliver TEXT, tokens DOUBLE PRECISION NOT NULL, tokens_at BIGINT NOT NULL)",
    "CREATE TABLE message (id TEXT PRIMARY KEY, queue TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, prio BIGINT NOT NULL, \
     created BIGINT NOT NULL, visible BIGINT NOT NULL, attempts BIGINT NOT NULL, owner TEXT, lease TEXT, fence BIGINT NOT NULL, \
     media TEXT NOT NULL, body {blob}, origin TEXT, err TEXT, trace TEXT, ended BIGINT, effect TEXT)",
    "CREATE UNIQUE INDEX message_key ON message (queue, key)",
    "CREATE INDEX message_ready ON message (queue, prio DESC, visible, id) WHERE state = 'ready'",
    "CREATE INDEX message_leased ON message (queue, visible) WHERE state = 'ready' AND lease IS NOT NULL",
    "CREATE INDEX message_dead ON message (queue, id) WHERE state = 'dead'",
    "CREATE INDEX message_done ON message (visible) WHERE state = 'done'",
    "CREATE TABLE bridge (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until BIGINT NOT NULL)",
    "CREATE TABLE bridge_position (bridge TEXT NOT NULL, topic TEXT NOT NULL, part BIGINT NOT NULL, next BIGINT NOT NULL, \
     PRIMARY KEY (bridge, topic, part))",
];

/// The job that removes old history, and how much is gone.
const RETENTION: &[&str] = &[
    "CREATE TABLE cleanup (one BIGINT PRIMARY KEY, created BIGINT, due BIGINT, asked BIGINT NOT NULL, owner TEXT, until BIGINT NOT NULL, \
     removed BIGINT NOT NULL, instances BIGINT NOT NULL, activities BIGINT NOT NULL)",
    "INSERT INTO cleanup (one, asked, until, removed, instances, activities) VALUES (1, 0, 0, 0, 0, 0)",
    "CREATE INDEX h_inst_removal ON h_inst (removal) WHERE removal IS NOT NULL",
    "CREATE INDEX comment_task ON comment (task)",
];

/// Incidents of called instances are found again at their callers by their root cause.
const CAUSES: &[&str] = &["CREATE INDEX incident_root_cause ON incident (root_cause)"];

/// Which nodes have a bridge, for balance, and what of its messages was gone before it was read.
const POSITIONS: &[&str] = &[
    "DROP TABLE bridge",
    "CREATE TABLE bridge_node (bridge TEXT NOT NULL, node TEXT NOT NULL, until BIGINT NOT NULL, PRIMARY KEY (bridge, node))",
    "ALTER TABLE bridge_position ADD COLUMN lost BIGINT NOT NULL DEFAULT 0",
];

/// The kinds of jobs that definitions have, and by which place at its element a job is of which kind. What an earlier
/// program deployed has none yet (`listed`); its async jobs do not say their place and stay without.
const JOB_DEFINITIONS: &[&str] = &[
    "CREATE TABLE job_def (id TEXT PRIMARY KEY, def TEXT NOT NULL, act TEXT NOT NULL, place TEXT NOT NULL, type TEXT NOT NULL, \
     config TEXT NOT NULL, suspended BIGINT NOT NULL, prio BIGINT)",
    "CREATE UNIQUE INDEX job_def_place ON job_def (def, act, place)",
    "ALTER TABLE definition ADD COLUMN listed BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX definition_listed ON definition (id) WHERE listed = 0",
    "ALTER TABLE job ADD COLUMN place TEXT",
    "UPDATE job SET place = 'timer' WHERE kind IN ('timer', 'start-timer')",
];

/// What happened to jobs, external tasks and variables, each time.
const LOGS: &[&str] = &[
    "CREATE TABLE h_job (id TEXT PRIMARY KEY, job TEXT NOT NULL, at BIGINT NOT NULL, seq BIGINT NOT NULL, state TEXT NOT NULL, inst TEXT, \
     exec TEXT, def TEXT NOT NULL, act TEXT NOT NULL, place TEXT, due BIGINT, retries BIGINT NOT NULL, prio BIGINT NOT NULL, err TEXT, \
     trace TEXT, failed TEXT, tenant TEXT, host TEXT)",
    "CREATE INDEX h_job_inst ON h_job (inst)",
    "CREATE INDEX h_job_start ON h_job (def, at) WHERE inst IS NULL",
    "CREATE TABLE h_work (id TEXT PRIMARY KEY, work TEXT NOT NULL, at BIGINT NOT NULL, seq BIGINT NOT NULL, state TEXT NOT NULL, \
     inst TEXT NOT NULL, exec TEXT, def TEXT NOT NULL, act TEXT NOT NULL, ai TEXT, topic TEXT, worker TEXT, retries BIGINT, \
     prio BIGINT NOT NULL, err TEXT, details TEXT, tenant TEXT)",
    "CREATE INDEX h_work_inst ON h_work (inst)",
    "CREATE TABLE h_detail (id TEXT PRIMARY KEY, at BIGINT NOT NULL, rev BIGINT NOT NULL, pos BIGINT NOT NULL, kind TEXT NOT NULL, var TEXT, \
     inst TEXT NOT NULL, exec TEXT, def TEXT, ai TEXT, task TEXT, name TEXT NOT NULL, type TEXT, num DOUBLE PRECISION, txt TEXT, \
     bytes {blob}, meta TEXT, initial BIGINT NOT NULL, tenant TEXT)",
    "CREATE INDEX h_detail_inst ON h_detail (inst)",
];

/// Brings the schema to this version.
pub(super) async fn migrate(db: &Database) -> Result<(), Failure> {
    let blob = if matches!(db, Database::Sqlite(_)) {
        "BLOB"
    } else {
        "BYTEA"
    };
    let mut have = version(db).await;
    if have == 0 && of_router(db).await? {
        return Err(Failure::Routers);
    }
    while let Some(step) = STEPS.get(usize::try_from(have).unwrap_or(usize::MAX)) {
        let mut statements: Vec<Statement> = Vec::new();
        if matches!(db, Database::Postgres(_)) {
            // Two engines that start together on an empty database take turns.
            let key: Vec<Cell> = vec![Cell::from(0x686f_6d69_6e67_i64)];
            statements.push(Statement::new("SELECT pg_advisory_xact_lock(?)", key));
        }
        statements.extend(
            step.iter()
                .map(|sql| Statement::new(sql.replace("{blob}", blob), Vec::new())),
        );
        if have == 0 {
            let installation = uuid::Uuid::new_v4().to_string();
            let row = vec![Cell::from("installation"), Cell::from(installation)];
            statements.push(Statement::new(
                "INSERT INTO property (name, value) VALUES (?, ?)",
                row,
            ));
        }
        statements.push(Statement::new(
            "DELETE FROM property WHERE name = 'schema'",
            Vec::new(),
        ));
        let row = vec![Cell::from("schema"), Cell::from((have + 1).to_string())];
        statements.push(Statement::new(
            "INSERT INTO property (name, value) VALUES (?, ?)",
            row,
        ));
        match db.apply(statements, Under::Nothing).await {
            Ok(_) => have += 1,
            // The other engine was first: look again.
            Err(failure) => {
                let now = version(db).await;
                if now <= have {
                    return Err(failure);
                }
                have = now;
            }
        }
    }
    Ok(())
}

/// Is it a router's store? Its tables have names of their own, so that both would fit into one database, and nobody could tell
/// any more what a backup or a switch of it is of.
async fn of_router(db: &Database) -> Result<bool, Failure> {
    let sql = if matches!(db, Database::Sqlite(_)) {
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('mappings', 'suffixes')"
    } else {
        "SELECT COUNT(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename IN ('mappings', 'suffixes')"
    };
    let rows = db.query(sql, Vec::new()).await?;
    Ok(rows.first().is_some_and(|row| row.int(0) == 2))
}

async fn version(db: &Database) -> i64 {
    let rows = db
        .query(
            "SELECT value FROM property WHERE name = 'schema'",
            Vec::new(),
        )
        .await;
    // Without the table the database is new.
    rows.ok()
        .and_then(|rows| rows.first().and_then(|row| row.text(0).parse().ok()))
        .unwrap_or(0)
}
