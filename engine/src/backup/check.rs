//! Does everything in a database lead somewhere? Rows name instances, definitions and contents that are there, documents
//! can be read, and what a document waits for is what the rows of its instance are.
//!
//! Reads only, a page at a time. Must not mend: whoever asked decides.

use crate::machine::{Document, SubscriptionKind, Wait};
use crate::model::{Delegates, Process, parse, text_of};
use crate::store::{Cell, Failure, Store};
use std::collections::{BTreeSet, HashMap};

/// Instances that are read at once.
const PAGE: i64 = 500;
/// Failures that are told with a text of their own; all are counted.
const TOLD_MAX: usize = 100;

/// Something that leads nowhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// What, in words.
    pub what: String,
    /// How many.
    pub count: i64,
    /// The first of them.
    pub first: String,
}

/// Rows that name a row which is not there: what they are, their table, its id, when it counts, and what has to exist.
const ROWS: [(&str, &str, &str, &str, &str); 28] = [
    (
        "job definitions without their definition",
        "job_def",
        "id",
        "1 = 1",
        "SELECT 1 FROM definition y WHERE y.id = x.def",
    ),
    (
        "jobs without their instance",
        "job",
        "id",
        "x.inst IS NOT NULL",
        "SELECT 1 FROM inst y WHERE y.id = x.inst",
    ),
    (
        "external tasks without their instance",
        "work",
        "id",
        "1 = 1",
        "SELECT 1 FROM inst y WHERE y.id = x.inst",
    ),
    (
        "tasks without their instance",
        "task",
        "id",
        "x.inst IS NOT NULL",
        "SELECT 1 FROM inst y WHERE y.id = x.inst",
    ),
    (
        "variables without their instance",
        "var",
        "id",
        "1 = 1",
        "SELECT 1 FROM inst y WHERE y.id = x.inst",
    ),
    (
        "subscriptions without their instance",
        "sub",
        "id",
        "x.inst IS NOT NULL",
        "SELECT 1 FROM inst y WHERE y.id = x.inst",
    ),
    (
        "incidents without their instance",
        "incident",
        "id",
        "x.inst IS NOT NULL",
        "SELECT 1 FROM inst y WHERE y.id = x.inst",
    ),
    (
        "incidents without their job, external task or message",
        "incident",
        "id",
        "x.ref <> ''",
        "SELECT 1 FROM job y WHERE y.id = x.ref UNION ALL SELECT 1 FROM work y WHERE y.id = x.ref \
         UNION ALL SELECT 1 FROM message y WHERE y.id = x.ref",
    ),
    (
        "messages without their queue",
        "message",
        "id",
        "1 = 1",
        "SELECT 1 FROM queue y WHERE y.name = x.queue",
    ),
    (
        "incidents without what caused them",
        "incident",
        "id",
        "1 = 1",
        "SELECT 1 FROM incident y WHERE y.id = x.root_cause",
    ),
    (
        "instances without their root",
        "inst",
        "id",
        "1 = 1",
        "SELECT 1 FROM inst y WHERE y.id = x.root",
    ),
    (
        "called instances without their caller",
        "inst",
        "id",
        "x.super_inst IS NOT NULL",
        "SELECT 1 FROM inst y WHERE y.id = x.super_inst",
    ),
    (
        "instances without their history",
        "inst",
        "id",
        "NOT EXISTS (SELECT 1 FROM property p WHERE p.name = 'history-level' AND p.value = 'none')",
        "SELECT 1 FROM h_inst y WHERE y.id = x.id AND y.ended IS NULL",
    ),
    (
        "instances without their definition",
        "inst",
        "id",
        "1 = 1",
        "SELECT 1 FROM definition y WHERE y.id = x.def",
    ),
    (
        "jobs without their definition",
        "job",
        "id",
        "1 = 1",
        "SELECT 1 FROM definition y WHERE y.id = x.def",
    ),
    (
        "external tasks without their definition",
        "work",
        "id",
        "1 = 1",
        "SELECT 1 FROM definition y WHERE y.id = x.def",
    ),
    (
        "tasks without their definition",
        "task",
        "id",
        "x.def IS NOT NULL",
        "SELECT 1 FROM definition y WHERE y.id = x.def",
    ),
    (
        "subscriptions without their definition",
        "sub",
        "id",
        "1 = 1",
        "SELECT 1 FROM definition y WHERE y.id = x.def",
    ),
    (
        "definitions without their deployment",
        "definition",
        "id",
        "1 = 1",
        "SELECT 1 FROM deployment y WHERE y.id = x.deployment",
    ),
    (
        "definitions without their content",
        "definition",
        "id",
        "1 = 1",
        "SELECT 1 FROM content y WHERE y.sha = x.sha",
    ),
    (
        "resources without their deployment",
        "resource",
        "id",
        "1 = 1",
        "SELECT 1 FROM deployment y WHERE y.id = x.deployment",
    ),
    (
        "forms without their content",
        "form",
        "id",
        "1 = 1",
        "SELECT 1 FROM content y WHERE y.sha = x.sha",
    ),
    (
        "resources without their content",
        "resource",
        "id",
        "1 = 1",
        "SELECT 1 FROM content y WHERE y.sha = x.sha",
    ),
    (
        "identity links without their task",
        "link",
        "task",
        "1 = 1",
        "SELECT 1 FROM task y WHERE y.id = x.task",
    ),
    (
        "comments without their task",
        "comment",
        "id",
        "1 = 1",
        "SELECT 1 FROM h_task y WHERE y.id = x.task UNION ALL SELECT 1 FROM task y WHERE y.id = x.task",
    ),
    (
        "lanes without their job",
        "lane",
        "inst",
        "1 = 1",
        "SELECT 1 FROM job y WHERE y.id = x.job",
    ),
    (
        "ids that left without their hand-over",
        "handed",
        "id",
        "1 = 1",
        "SELECT 1 FROM handover y WHERE y.id = x.handover",
    ),
    (
        "instances that live here and have left",
        "inst",
        "id",
        "EXISTS (SELECT 1 FROM handed d WHERE d.id = x.id)",
        "SELECT 1 WHERE 1 = 0",
    ),
];

/// Everything that leads nowhere; empty: the database is whole.
pub async fn examine(store: &Store) -> Result<Vec<Broken>, Failure> {
    let mut out = Vec::new();
    for (what, table, id, when, there) in ROWS {
        let sql = format!(
            "SELECT COUNT(*), MIN(x.{id}) FROM {table} x WHERE {when} AND NOT EXISTS ({there})"
        );
        let rows = store.rows(sql, Vec::new()).await?;
        if let Some(row) = rows.first().filter(|row| row.int(0) > 0) {
            out.push(Broken {
                what: what.to_owned(),
                count: row.int(0),
                first: row.text(1),
            });
        }
    }
    let mut found = Found::default();
    let models = models(store, &mut found).await?;
    documents(store, &models, &mut found).await?;
    out.extend(found.broken);
    Ok(out)
}

#[derive(Default)]
struct Found {
    broken: Vec<Broken>,
    more: i64,
}

impl Found {
    fn add(&mut self, what: String, first: &str) {
        if self.broken.len() < TOLD_MAX {
            let (count, first) = (1, first.to_owned());
            self.broken.push(Broken { what, count, first });
        } else {
            self.more += 1;
            if let Some(last) = self.broken.last_mut() {
                last.what = "more that is not told one by one".to_owned();
                last.count = self.more + 1;
            }
        }
    }
}

/// The processes by the ids of their definitions.
async fn models(store: &Store, found: &mut Found) -> Result<HashMap<String, Process>, Failure> {
    let sql =
        "SELECT d.id, d.key, c.bytes, c.sha FROM definition d JOIN content c ON c.sha = d.sha";
    let delegates = Delegates::default();
    let mut out = HashMap::new();
    for row in store.rows(sql, Vec::new()).await? {
        let (id, key) = (row.text(0), row.text(1));
        let bytes = row.maybe_blob(2).unwrap_or_default();
        if blake3::hash(&bytes).to_hex().as_str() != row.text(3) {
            found.add(format!("the content of definition {id} was changed"), &id);
        }
        let parsed = text_of(&bytes).and_then(|text| parse(&text, &delegates));
        // What a delegate stands for is said by the engine's own configuration, which is not here.
        let Ok(processes) = parsed else { continue };
        match processes.into_iter().find(|process| process.key == key) {
            Some(process) => drop(out.insert(id, process)),
            None => found.add(
                format!("the content of definition {id} lacks its process"),
                &id,
            ),
        }
    }
    Ok(out)
}

async fn documents(
    store: &Store,
    models: &HashMap<String, Process>,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut after = String::new();
    loop {
        let sql = "SELECT id, def, doc FROM inst WHERE id > ? ORDER BY id LIMIT ?";
        let rows = store
            .rows(sql, vec![after.as_str().into(), PAGE.into()])
            .await?;
        let Some(last) = rows.last().map(|row| row.text(0)) else {
            return Ok(());
        };
        let held = held(store, &after, &last).await?;
        for row in &rows {
            let id = row.text(0);
            let read = serde_json::from_str::<Document>(&row.text(2));
            let Ok(document) = read else {
                found.add(format!("the document of instance {id} cannot be read"), &id);
                continue;
            };
            if (document.id.as_str(), document.definition.as_str()) != (id.as_str(), &row.text(1)) {
                found.add(format!("the document of instance {id} is another's"), &id);
            }
            places(&document, models.get(&document.definition), found);
            let none = BTreeSet::new();
            let rows = held.get(&id).unwrap_or(&none);
            let waits = waits(&document);
            for missing in waits.difference(rows) {
                let what = format!(
                    "instance {id} waits for {} {} which has no row",
                    missing.0, missing.1
                );
                found.add(what, &id);
            }
            for extra in rows.difference(&waits) {
                let what = format!(
                    "instance {id} does not wait for {} {} which has a row",
                    extra.0, extra.1
                );
                found.add(what, &id);
            }
        }
        after = last;
    }
}

/// What the rows of these instances are: kind and id.
type Held = HashMap<String, BTreeSet<(&'static str, String)>>;

async fn held(store: &Store, after: &str, last: &str) -> Result<Held, Failure> {
    let mut out = Held::new();
    let tables = [
        ("job", "SELECT inst, id FROM job"),
        ("task", "SELECT inst, id FROM task"),
        ("external task", "SELECT inst, id FROM work"),
        ("subscription", "SELECT inst, id FROM sub"),
    ];
    for (kind, of) in tables {
        let sql = format!("{of} WHERE inst > ? AND inst <= ?");
        let cells: Vec<Cell> = vec![after.into(), last.into()];
        for row in store.rows(sql, cells).await? {
            out.entry(row.text(0))
                .or_default()
                .insert((kind, row.text(1)));
        }
    }
    Ok(out)
}

/// What a document waits for that has a row.
fn waits(document: &Document) -> BTreeSet<(&'static str, String)> {
    let mut out = BTreeSet::new();
    for node in document.nodes.values() {
        match &node.wait {
            Wait::Before { job } | Wait::After { job } => out.insert(("job", job.clone())),
            Wait::Task { task } => out.insert(("task", task.clone())),
            Wait::Work { work } => out.insert(("external task", work.clone())),
            Wait::Nothing | Wait::Event | Wait::Join | Wait::Call { .. } => false,
        };
        for subscription in &node.subscriptions {
            let id = subscription.id.clone();
            match subscription.kind {
                SubscriptionKind::Timer { .. } => out.insert(("job", id)),
                SubscriptionKind::Message(_)
                | SubscriptionKind::Signal(_)
                | SubscriptionKind::Condition => out.insert(("subscription", id)),
            };
        }
    }
    out
}

/// Do its executions stand at elements that the model has?
fn places(document: &Document, model: Option<&Process>, found: &mut Found) {
    let Some(model) = model else { return };
    for at in document.nodes.values().filter_map(|node| node.at.as_ref()) {
        if model.get(at).is_none() {
            let id = &document.id;
            found.add(
                format!("instance {id} stands at '{at}', which its model lacks"),
                id,
            );
        }
    }
}
