//! Reads an engine's tables by SQL of its own, in one transaction, and says what in them leads nowhere.
//!
//! It shares no statement with the engine: that one is judged, this one judges.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use std::collections::{HashMap, HashSet};

/// A moment of a database: rows are texts, in the order that was asked for.
pub(crate) struct Judge {
    connection: Either,
}

enum Either {
    File(SqliteConnection),
    Server(PgConnection),
}

type Rows = Vec<Vec<Option<String>>>;

impl Judge {
    pub(crate) async fn new(url: &str) -> Judge {
        let mut connection = if url.starts_with("sqlite:") {
            Either::File(SqliteConnection::connect(url).await.unwrap())
        } else {
            Either::Server(PgConnection::connect(url).await.unwrap())
        };
        match &mut connection {
            Either::File(file) => {
                sqlx::query("BEGIN").execute(file).await.unwrap();
            }
            Either::Server(server) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                sqlx::query(begin).execute(server).await.unwrap();
            }
        }
        Judge { connection }
    }

    /// Columns of a table, as texts.
    pub(crate) async fn rows(&mut self, columns: &[&str], rest: &str) -> Rows {
        let texts: Vec<String> = columns
            .iter()
            .map(|c| format!("CAST({c} AS TEXT)"))
            .collect();
        let sql = AssertSqlSafe(format!("SELECT {} {rest}", texts.join(", ")));
        let width = columns.len();
        match &mut self.connection {
            Either::File(file) => {
                let rows = sqlx::query(sql).fetch_all(file).await.unwrap();
                let texts = rows
                    .iter()
                    .map(|row| (0..width).map(|i| row.get(i)).collect());
                texts.collect()
            }
            Either::Server(server) => {
                let rows = sqlx::query(sql).fetch_all(server).await.unwrap();
                let texts = rows
                    .iter()
                    .map(|row| (0..width).map(|i| row.get(i)).collect());
                texts.collect()
            }
        }
    }

    /// Everything that leads nowhere, in words.
    pub(crate) async fn orphans(&mut self) -> Vec<String> {
        let mut found = Found::default();
        let live = self.instances(&mut found).await;
        self.waits(&live, &mut found).await;
        self.rows_of_instances(&live, &mut found).await;
        self.history(&live, &mut found).await;
        self.around(&mut found).await;
        found.0
    }

    async fn instances(&mut self, found: &mut Found) -> Live {
        let rows = self
            .rows(
                &["id", "super_inst", "super_exec", "root", "doc"],
                "FROM inst",
            )
            .await;
        let mut live = Live::default();
        for row in &rows {
            let id = text(row, 0);
            let document: Json = serde_json::from_str(&text(row, 4)).unwrap();
            let ended = document["ended"] == true;
            found.unless(!ended, || format!("{id} has ended and is kept"));
            for node in document["nodes"].as_object().unwrap().values() {
                live.node(&id, node, &document, found);
            }
            live.instances.insert(id);
        }
        for row in &rows {
            let id = text(row, 0);
            found.unless(live.instances.contains(&text(row, 3)), || {
                format!("the root of {id} is gone")
            });
            if let (Some(caller), Some(execution)) = (&row[1], &row[2]) {
                let waits = live.waits.contains(&("call".to_owned(), id.clone()));
                let there = live
                    .executions
                    .contains(&(caller.clone(), execution.clone()));
                found.unless(waits && there, || {
                    format!("nobody waits for the called {id}")
                });
            }
        }
        for (kind, id) in &live.waits {
            found.unless(kind != "call" || live.instances.contains(id), || {
                format!("the called {id} that is waited for is gone")
            });
        }
        live
    }

    /// What a document waits for is what has rows, both ways.
    async fn waits(&mut self, live: &Live, found: &mut Found) {
        let mut rows = HashSet::new();
        for (kind, table) in [
            ("job", "job"),
            ("task", "task"),
            ("work", "work"),
            ("sub", "sub"),
        ] {
            let of = format!("FROM {table} WHERE inst IS NOT NULL");
            for row in self.rows(&["id", "inst", "exec"], &of).await {
                let (id, instance, execution) = (text(&row, 0), text(&row, 1), text(&row, 2));
                let there = live.executions.contains(&(instance.clone(), execution));
                found.unless(there, || {
                    format!("{kind} {id} of {instance} has no execution")
                });
                rows.insert((kind.to_owned(), id));
            }
        }
        for missing in live.waits.difference(&rows).filter(|w| w.0 != "call") {
            found
                .0
                .push(format!("{missing:?} is waited for and has no row"));
        }
        for extra in rows.difference(&live.waits) {
            found
                .0
                .push(format!("{extra:?} has a row and nobody waits"));
        }
    }

    async fn rows_of_instances(&mut self, live: &Live, found: &mut Found) {
        for row in self
            .rows(&["id", "inst", "scope", "name"], "FROM var")
            .await
        {
            let key = (text(&row, 1), text(&row, 2));
            found.unless(live.executions.contains(&key), || {
                format!("variable {} of {key:?} has no scope", text(&row, 3))
            });
        }
        for table in ["work", "task"] {
            let of = format!("FROM {table} WHERE inst IS NOT NULL");
            for row in self.rows(&["id", "ai"], &of).await {
                found.unless(live.activities.contains(&text(&row, 1)), || {
                    format!("{table} {} has no activity instance", text(&row, 0))
                });
            }
        }
        let of = "FROM incident WHERE inst IS NOT NULL AND (NOT EXISTS (SELECT 1 FROM inst i WHERE i.id = incident.inst) \
                  OR incident.ref <> '' AND NOT EXISTS (SELECT 1 FROM job j WHERE j.id = incident.ref AND j.retries = 0 \
                  UNION ALL SELECT 1 FROM work w WHERE w.id = incident.ref AND w.retries = 0))";
        self.none("incidents about nothing", "id", of, found).await;
        let of = "FROM job WHERE retries = 0 AND NOT EXISTS (SELECT 1 FROM incident i WHERE i.ref = job.id)";
        self.none("jobs without tries and incident", "id", of, found)
            .await;
    }

    async fn history(&mut self, live: &Live, found: &mut Found) {
        let mut open = HashSet::new();
        for row in self
            .rows(&["id", "inst"], "FROM h_act WHERE ended IS NULL")
            .await
        {
            found.unless(live.instances.contains(&text(&row, 1)), || {
                format!("an open activity of {} which is gone", text(&row, 1))
            });
            open.insert(text(&row, 0));
        }
        for extra in open.difference(&live.activities) {
            found
                .0
                .push(format!("history has {extra} open, no document has"));
        }
        for missing in live.activities.difference(&open) {
            found
                .0
                .push(format!("{missing} is inside, history has it ended"));
        }
        for (what, table, of) in [
            (
                "instances open in history only",
                "h_inst",
                "ended IS NULL AND NOT EXISTS (SELECT 1 FROM inst i WHERE i.id = x.id)",
            ),
            (
                "instances ended in history that live",
                "h_inst",
                "ended IS NOT NULL AND EXISTS (SELECT 1 FROM inst i WHERE i.id = x.id)",
            ),
            (
                "tasks open in history only",
                "h_task",
                "ended IS NULL AND NOT EXISTS (SELECT 1 FROM task t WHERE t.id = x.id)",
            ),
            (
                "tasks ended in history that live",
                "h_task",
                "ended IS NOT NULL AND EXISTS (SELECT 1 FROM task t WHERE t.id = x.id)",
            ),
            (
                "incidents open in history only",
                "h_incident",
                "ended IS NULL AND NOT EXISTS (SELECT 1 FROM incident i WHERE i.id = x.id)",
            ),
            (
                "variables of instances that never were",
                "h_var",
                "inst IS NOT NULL AND NOT EXISTS (SELECT 1 FROM h_inst i WHERE i.id = x.inst)",
            ),
            (
                "activities of instances that never were",
                "h_act",
                "NOT EXISTS (SELECT 1 FROM h_inst i WHERE i.id = x.inst)",
            ),
        ] {
            self.none(what, "x.id", &format!("FROM {table} x WHERE {of}"), found)
                .await;
        }
    }

    /// What hangs on jobs and tasks.
    async fn around(&mut self, found: &mut Found) {
        let of = "FROM lane x WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.id = x.job AND j.inst = x.inst)";
        self.none("lanes without their job", "x.inst", of, found)
            .await;
        let of = "FROM link x WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.id = x.task)";
        self.none("links without their task", "x.task", of, found)
            .await;
    }

    async fn none(&mut self, what: &str, column: &str, of: &str, found: &mut Found) {
        let rows = self.rows(&[column], of).await;
        found.unless(rows.is_empty(), || format!("{what}: {rows:?}"));
    }

    /// What a table still holds.
    pub(crate) async fn count(&mut self, table: &str) -> i64 {
        let rows = self.rows(&["COUNT(*)"], &format!("FROM {table}")).await;
        text(&rows[0], 0).parse().unwrap()
    }

    /// How often each element of the instances below a root began, is done and is open.
    pub(crate) async fn activities(&mut self, root: &str) -> HashMap<String, [i64; 2]> {
        let columns = [
            "a.act",
            "COUNT(*)",
            "SUM(CASE WHEN a.ended IS NOT NULL AND a.canceled = 0 THEN 1 ELSE 0 END)",
        ];
        let of = format!(
            "FROM h_act a JOIN h_inst i ON i.id = a.inst WHERE i.root = '{root}' GROUP BY a.act"
        );
        let rows = self.rows(&columns, &of).await;
        let number = |row: &[Option<String>], at| text(row, at).parse().unwrap();
        let counts = rows.iter().map(|row| {
            let counts = [number(row, 1), number(row, 2)];
            (text(row, 0), counts)
        });
        counts.collect()
    }

    /// Counters whose value is not how often their step is done.
    pub(crate) async fn miscounted(&mut self) -> Rows {
        let of = "FROM (SELECT inst, act, COUNT(*) AS times FROM h_act WHERE act LIKE 'x%' AND ended IS NOT NULL AND canceled = 0 \
                  GROUP BY inst, act) a JOIN h_var v ON v.inst = a.inst AND v.name = a.act WHERE v.num <> a.times";
        self.rows(&["a.inst", "a.act", "a.times", "v.num"], of)
            .await
    }
}

fn text(row: &[Option<String>], at: usize) -> String {
    row[at].clone().unwrap_or_default()
}

#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn unless(&mut self, good: bool, told: impl FnOnce() -> String) {
        if !good {
            self.0.push(told());
        }
    }
}

/// What the documents say.
#[derive(Default)]
struct Live {
    instances: HashSet<String>,
    /// Instance and execution.
    executions: HashSet<(String, String)>,
    /// Kind and id.
    waits: HashSet<(String, String)>,
    activities: HashSet<String>,
}

impl Live {
    fn node(&mut self, instance: &str, node: &Json, document: &Json, found: &mut Found) {
        let id = node["id"].as_str().unwrap().to_owned();
        if let Some(parent) = node["parent"].as_u64() {
            let there = document["nodes"][parent.to_string()].is_object();
            found.unless(there, || format!("the scope of execution {id} is gone"));
            if let Some(activity) = node["activity"].as_str() {
                self.activities.insert(activity.to_owned());
            }
        }
        self.executions.insert((instance.to_owned(), id));
        for (kind, of, key) in [
            ("job", "Before", "job"),
            ("job", "After", "job"),
            ("task", "Task", "task"),
            ("work", "Work", "work"),
            ("call", "Call", "instance"),
        ] {
            if let Some(id) = node["wait"][of][key].as_str() {
                self.waits.insert((kind.to_owned(), id.to_owned()));
            }
        }
        for listener in node["subscriptions"].as_array().into_iter().flatten() {
            let id = listener["id"].as_str().unwrap().to_owned();
            let kind = &listener["kind"];
            if kind["Timer"].is_object() {
                self.waits.insert(("job".to_owned(), id));
            } else if kind["Message"].is_string() || kind["Signal"].is_string() {
                self.waits.insert(("sub".to_owned(), id));
            }
        }
    }
}
