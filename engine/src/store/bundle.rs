//! An instance and all that belongs to it as one document, to be carried to another database.
//!
//! Owns the form of the document. Must not run statements.

use super::carried::Holds::{self, Blob, Deadline, Definition, Document, Int, Real, Text};
use super::carried::tables;
use super::cell::{Cell, Row};
use super::database::Failure;
use super::fitted::fitted;
use super::keeping::Level;
use super::statement::{Statement, insert};
use crate::clock::Millis;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// The form of the document.
const FORM: u32 = 1;

/// Ids that clients hold, by kind, with their table and column: a later call with one of them is told where it went.
const HELD: [(&str, &str, &str); 11] = [
    ("process-instance", "inst", "id"),
    ("process-instance", "h_inst", "id"),
    ("task", "task", "id"),
    ("external-task", "work", "id"),
    ("job", "job", "id"),
    ("incident", "incident", "id"),
    ("variable", "var", "id"),
    ("execution", "task", "exec"),
    ("execution", "work", "exec"),
    ("execution", "job", "exec"),
    ("execution", "sub", "exec"),
];

/// A definition, as two sites can both know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Model {
    /// Its key.
    pub key: String,
    /// Tenant.
    pub tenant: Option<String>,
    /// The hash of the resource it is in.
    pub sha: String,
}

/// Rows by table.
pub(super) type Rows = BTreeMap<String, Vec<Vec<Json>>>;

/// One instance with those it called, on its way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bundle {
    form: u32,
    /// The hand-over.
    pub handover: String,
    /// The instance.
    pub root: String,
    /// When it was taken, by the clock of the database that it left.
    pub at: Millis,
    /// Its definitions, by the ids that the rows name.
    pub models: BTreeMap<String, Model>,
    /// Rows by table.
    rows: Rows,
}

impl Bundle {
    /// Rows as they were taken out, in the order of the tables. `Busy` if an engine has a job of it.
    pub(super) fn taken(
        handover: &str,
        root: &str,
        at: Millis,
        models: &BTreeMap<String, Model>,
        taken: &[Vec<Row>],
    ) -> Result<Bundle, Failure> {
        let mut rows = BTreeMap::new();
        for (table, taken) in tables().zip(taken) {
            let written = taken.iter().map(|row| {
                table
                    .columns
                    .iter()
                    .zip(&row.0)
                    .map(|(_, cell)| write(cell))
                    .collect()
            });
            rows.insert(table.name.to_owned(), written.collect::<Vec<Vec<Json>>>());
        }
        let bundle = Bundle {
            form: FORM,
            handover: handover.to_owned(),
            root: root.to_owned(),
            at,
            models: models.clone(),
            rows,
        };
        if bundle.column("job", "owner").any(|owner| !owner.is_null()) {
            return Err(Failure::Busy(format!(
                "a job of instance {root} is under way; ask again when it has ended"
            )));
        }
        if bundle.column("inst", "id").all(|id| id != root) {
            // It has just ended, or another call has taken it: whoever asked looks again.
            return Err(Failure::Conflict);
        }
        Ok(bundle)
    }

    /// The seal under which it travels.
    pub fn seal(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&text).to_hex().to_string()
    }

    /// Is it of a form that is understood here?
    pub fn readable(&self) -> bool {
        let tables: Vec<&str> = tables().map(|table| table.name).collect();
        self.form == FORM
            && self.rows.keys().all(|name| tables.contains(&name.as_str()))
            && tables_fit(self)
    }

    fn column(&self, table: &str, name: &str) -> impl Iterator<Item = &Json> {
        let at = tables()
            .find(|held| held.name == table)
            .and_then(|held| held.at(name));
        let rows = self.rows.get(table).into_iter().flatten();
        rows.filter_map(move |row| row.get(at?))
    }

    /// What placement asks of the instance: key of its definition, tenant, business key.
    pub fn about(&self) -> Json {
        let ids = self.column("inst", "id");
        let at = ids.into_iter().position(|id| id == &self.root);
        let of = |name| at.and_then(|at| self.column("inst", name).nth(at));
        let model = of("def").and_then(Json::as_str);
        let model = model.and_then(|id| self.models.get(id));
        json!({
            "definition": model.map(|model| &model.key),
            "tenant": of("tenant"),
            "business_key": of("bkey"),
        })
    }

    /// The ids in it that clients may hold, each once.
    pub(super) fn ids(&self) -> Vec<String> {
        let all: BTreeSet<String> = self.ids_by_kind().into_values().flatten().collect();
        all.into_iter().collect()
    }

    /// The ids in it that clients may hold, by kind.
    pub fn ids_by_kind(&self) -> BTreeMap<&'static str, BTreeSet<String>> {
        let mut out: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        for (kind, table, column) in HELD {
            let ids = self.column(table, column).filter_map(Json::as_str);
            out.entry(kind)
                .or_default()
                .extend(ids.filter(|id| !id.is_empty()).map(str::to_owned));
        }
        out
    }

    /// The statements that put it into a database that keeps so much history, where its definitions have the ids of
    /// `models` and it is `now`.
    pub(super) fn put(
        &self,
        models: &BTreeMap<String, String>,
        (generation, level): (i64, Level),
        now: Millis,
    ) -> Vec<Statement> {
        let mut out = Vec::new();
        let all = fitted(&self.rows, level);
        for table in tables() {
            let rows = all.get(table.name).into_iter().flatten();
            let rows = rows.map(|row| {
                let missing = std::iter::repeat(&Json::Null);
                let columns = table.columns.iter().zip(row.iter().chain(missing));
                let cell = |((name, holds), value): (&(&str, Holds), &Json)| match (*name, value) {
                    ("home_gen", _) => generation.into(),
                    // Nobody holds it here yet, and whoever held it there is fenced.
                    ("fence", value) => (value.as_i64().unwrap_or(0) + 1).into(),
                    _ => self.read(*holds, value, models, now),
                };
                columns.map(cell).collect()
            });
            out.extend(insert(table.name, &table.names(), rows.collect(), ""));
        }
        out
    }

    fn read(
        &self,
        holds: Holds,
        value: &Json,
        models: &BTreeMap<String, String>,
        now: Millis,
    ) -> Cell {
        let text = || value.as_str().map(str::to_owned);
        match holds {
            Text => text().into(),
            Int => value.as_i64().into(),
            Real => {
                let real = value.get("real").and_then(Json::as_str);
                real.and_then(|text| text.parse::<f64>().ok()).into()
            }
            Blob => {
                let bytes = value.get("bytes").and_then(Json::as_str);
                bytes.and_then(|text| BASE64.decode(text).ok()).into()
            }
            Definition => text()
                .map(|id| models.get(&id).cloned().unwrap_or(id))
                .into(),
            Document => text().map(|doc| renamed(doc, models)).into(),
            Deadline => value
                .as_i64()
                .map(|until| until.saturating_sub(self.at).saturating_add(now))
                .into(),
        }
    }
}

fn tables_fit(bundle: &Bundle) -> bool {
    tables().all(|table| {
        let rows = bundle.rows.get(table.name).into_iter().flatten();
        // An earlier program has fewer columns: later ones are added at the end, and may be empty.
        rows.into_iter().all(|row| row.len() <= table.columns.len())
    })
}

/// The document with its definition's id here.
fn renamed(doc: String, models: &BTreeMap<String, String>) -> String {
    let Ok(mut read) = serde_json::from_str::<Json>(&doc) else {
        return doc;
    };
    let here = read
        .get("definition")
        .and_then(Json::as_str)
        .and_then(|id| models.get(id).cloned());
    match (here, read.as_object_mut()) {
        (Some(here), Some(map)) => {
            map.insert("definition".to_owned(), here.into());
            read.to_string()
        }
        (_, _) => doc,
    }
}

fn write(cell: &Cell) -> Json {
    match cell {
        Cell::Text(text) => text.clone().into(),
        Cell::Int(n) => (*n).into(),
        // As text: the shortest that reads back as the same number, whoever reads it; the seal depends on it.
        Cell::Real(n) => n.map_or(Json::Null, |n| json!({ "real": n.to_string() })),
        Cell::Blob(bytes) => bytes
            .as_ref()
            .map_or(Json::Null, |bytes| json!({ "bytes": BASE64.encode(bytes) })),
    }
}
