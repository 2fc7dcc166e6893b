//! What the reads are about: orders of every kind at two sites, and the rows that their databases hold of them.

use std::{collections::BTreeMap, sync::OnceLock};

use anyhow::Result;
use homing_harness::{client::Client, engine::Engine, pair::Pair, ports::loopback};
use serde_json::json;
use sqlx::{AssertSqlSafe, Column as _, Row as _};
use tokio::sync::Mutex;

/// Orders at site a and b; uneven, so that one site's rows end before the other's.
const ORDERS: [(usize, usize); 2] = [(0, 45), (45, 70)];

/// One row of one database, as texts.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) site: &'static str,
    pub(super) id: String,
    columns: BTreeMap<String, Option<String>>,
}

impl Row {
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        self.columns.get(column)?.as_deref()
    }
}

pub(super) struct World {
    pub(super) pair: &'static Pair,
    pub(super) tasks: Vec<Row>,
    pub(super) instances: Vec<Row>,
    pub(super) history: Vec<Row>,
}

impl World {
    /// Made once; nothing changes it afterwards.
    pub(super) async fn shared() -> Result<&'static World> {
        static WORLD: OnceLock<World> = OnceLock::new();
        static MAKING: Mutex<()> = Mutex::const_new(());
        let _making = MAKING.lock().await;
        if let Some(world) = WORLD.get() {
            return Ok(world);
        }
        let pair = Pair::shared().await?;
        for (engine, (from, to)) in [&pair.a, &pair.b].into_iter().zip(ORDERS) {
            populate(engine, from, to).await?;
        }
        let world = World {
            pair,
            tasks: rows(pair, TASKS).await?,
            instances: rows(pair, INSTANCES).await?,
            history: rows(pair, HISTORY).await?,
        };
        Ok(WORLD.get_or_init(|| world))
    }
}

const TASKS: &str = "SELECT t.id_, t.proc_inst_id_, t.name_, lower(t.name_) AS folded_, t.assignee_, t.priority_::text, \
     t.due_date_::text, t.create_time_::text, e.business_key_ \
     FROM act_ru_task t JOIN act_ru_execution e ON e.id_ = t.proc_inst_id_ WHERE e.business_key_ LIKE 'gather-%'";
const INSTANCES: &str = "SELECT id_, business_key_ FROM act_ru_execution \
     WHERE parent_id_ IS NULL AND business_key_ LIKE 'gather-%'";
const HISTORY: &str = "SELECT id_, business_key_, start_time_::text, end_time_::text, duration_::text \
     FROM act_hi_procinst WHERE business_key_ LIKE 'gather-%'";

async fn rows(pair: &Pair, statement: &str) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    for (site, engine) in [("a", &pair.a), ("b", &pair.b)] {
        let mut connection = engine.database().connect().await?;
        for row in sqlx::query(AssertSqlSafe(statement.to_owned()))
            .fetch_all(&mut connection)
            .await?
        {
            let mut columns = BTreeMap::new();
            for column in row.columns() {
                columns.insert(
                    column.name().to_owned(),
                    row.try_get::<Option<String>, _>(column.ordinal())?,
                );
            }
            let id = row.try_get("id_")?;
            all.push(Row { site, id, columns });
        }
    }
    Ok(all)
}

/// Started past the router, with equal and missing values of everything that is sorted by.
async fn populate(engine: &Engine, from: usize, to: usize) -> Result<()> {
    let client = Client::new(loopback(engine.port()), "/engine-rest");
    for number in from..to {
        let body = json!({ "businessKey": format!("gather-{:03}", number * 37 % 101) });
        let started = client
            .post("/process-definition/key/order/start", &body)
            .await?;
        let instance = started.expect(200)?.member("id")?;
        let list = client
            .get(&format!("/task?processInstanceId={instance}"))
            .await?
            .json()?;
        let task = list[0]["id"].as_str().unwrap_or_default().to_owned();
        if number % 5 == 4 {
            client
                .post(&format!("/task/{task}/complete"), &json!({}))
                .await?
                .expect(204)?;
            continue;
        }
        let names = [
            "Check",
            "check",
            "Approve",
            "approve it",
            "Zero",
            "\u{e4}rger",
        ];
        let due = (!number.is_multiple_of(3)).then(|| {
            format!(
                "2027-01-{:02}T0{}:00:00.000+0000",
                1 + number % 7,
                number % 4
            )
        });
        let assignee = (number % 4 != 1).then(|| ["demo", "john", "Mary"][number % 3]);
        let change = json!({ "name": names[number % names.len()], "assignee": assignee, "due": due, "priority": number % 5 * 10 });
        client
            .put(&format!("/task/{task}"), &change)
            .await?
            .expect(204)?;
    }
    Ok(())
}
