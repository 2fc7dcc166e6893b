//! What came from another site, fitted to how much history this one writes.
//!
//! Owns which of a bundle's rows go in. Where less is kept here, what goes no further would stay as it was and be taken
//! for the truth: it is left out. Where more is kept here, what waits gets the rows that its end will be written to.
//! Pure.

use super::bundle::Rows;
use super::carried::tables;
use super::keeping::Level;
use serde_json::{Value as Json, json};
use std::collections::{HashMap, HashSet};

/// The least level at which a table is written.
const LEVELS: [(&str, Level); 9] = [
    ("h_inst", Level::Activity),
    ("h_act", Level::Activity),
    ("h_task", Level::Activity),
    ("comment", Level::Activity),
    ("h_var", Level::Audit),
    ("h_incident", Level::Full),
    ("h_job", Level::Full),
    ("h_work", Level::Full),
    ("h_detail", Level::Full),
];

/// A table of what lives, the one of its history, and of which columns a row there is made.
type Made = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Which live rows have one of history, and of which columns it is made: a name, `=` and a text, or empty.
const MADE: [Made; 4] = [
    (
        "inst",
        "h_inst",
        &[
            ("id", "id"),
            ("def", "def"),
            ("bkey", "bkey"),
            ("tenant", "tenant"),
            ("super_inst", "super_inst"),
            ("root", "root"),
            ("started", "started"),
            ("state", "=ACTIVE"),
        ],
    ),
    (
        "task",
        "h_task",
        &[
            ("id", "id"),
            ("inst", "inst"),
            ("exec", "exec"),
            ("def", "def"),
            ("act", "act"),
            ("ai", "ai"),
            ("name", "name"),
            ("description", "description"),
            ("assignee", "assignee"),
            ("owner", "owner"),
            ("due", "due"),
            ("follow_up", "follow_up"),
            ("prio", "prio"),
            ("started", "created"),
            ("tenant", "tenant"),
        ],
    ),
    (
        "var",
        "h_var",
        &[
            ("id", "id"),
            ("inst", "inst"),
            ("exec", "scope"),
            ("ai", "ai"),
            ("name", "name"),
            ("type", "type"),
            ("num", "num"),
            ("txt", "txt"),
            ("bytes", "bytes"),
            ("meta", "meta"),
            ("state", "=CREATED"),
        ],
    ),
    (
        "incident",
        "h_incident",
        &[
            ("id", "id"),
            ("inst", "inst"),
            ("exec", "exec"),
            ("def", "def"),
            ("act", "act"),
            ("type", "type"),
            ("message", "message"),
            ("ref", "ref"),
            ("cause", "cause"),
            ("root_cause", "root_cause"),
            ("at", "at"),
            ("state", "=open"),
            ("tenant", "tenant"),
        ],
    ),
];

/// One row by its columns.
type Named<'r> = HashMap<&'static str, &'r Json>;

/// The rows as they go in where this much history is written.
pub(super) fn fitted(rows: &Rows, level: Level) -> Rows {
    let mut out = rows.clone();
    keep_places(&mut out);
    for (live, past, columns) in MADE {
        if least(past) <= level {
            let made = made(&out, live, past, columns);
            out.entry(past.to_owned()).or_default().extend(made);
        }
    }
    out.retain(|table, _| least(table) <= level);
    out
}

fn least(table: &str) -> Level {
    let found = LEVELS.iter().find(|(name, _)| *name == table);
    found.map_or(Level::None, |(_, level)| *level)
}

/// Variables know their activity instance themselves where history does not.
fn keep_places(rows: &mut Rows) {
    let known: HashMap<String, Json> = named(rows, "h_var")
        .map(|row| (text(row["id"]).to_owned(), row["ai"].clone()))
        .collect();
    let (Some(id), Some(ai)) = (at("var", "id"), at("var", "ai")) else {
        return;
    };
    for row in rows.get_mut("var").into_iter().flatten() {
        if row[ai].is_null()
            && let Some(place) = known.get(text(&row[id]))
        {
            row[ai] = place.clone();
        }
    }
}

/// Rows of history for what lives and has none.
fn made(rows: &Rows, live: &str, past: &str, columns: &[(&str, &str)]) -> Vec<Vec<Json>> {
    let has: HashSet<&str> = named(rows, past).map(|row| text(row["id"])).collect();
    let instances: HashMap<&str, Named<'_>> = named(rows, "inst")
        .map(|row| (text(row["id"]), row))
        .collect();
    let Some(table) = tables().find(|table| table.name == past) else {
        return Vec::new();
    };
    let without = named(rows, live).filter(|row| !has.contains(text(row["id"])));
    without
        .map(|row| {
            let instance = row.get("inst").and_then(|id| instances.get(text(id)));
            let of = |column: &str| match columns.iter().find(|(name, _)| *name == column) {
                Some((_, from)) => match from.strip_prefix('=') {
                    Some(text) => json!(text),
                    None => row[*from].clone(),
                },
                // What a variable does not say itself, its instance does.
                None => match (past, column) {
                    ("h_var", "def" | "tenant") => {
                        instance.map_or(Json::Null, |i| i[column].clone())
                    }
                    ("h_var", "created") => {
                        instance.map_or_else(|| json!(0), |i| i["started"].clone())
                    }
                    _ => Json::Null,
                },
            };
            table.columns.iter().map(|(name, _)| of(name)).collect()
        })
        .collect()
}

/// An id.
fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn at(table: &str, column: &str) -> Option<usize> {
    tables().find(|held| held.name == table)?.at(column)
}

fn named<'r>(rows: &'r Rows, table: &str) -> impl Iterator<Item = Named<'r>> {
    let columns = tables()
        .find(|held| held.name == table)
        .map_or(&[][..], |held| held.columns);
    let rows = rows.get(table).into_iter().flatten();
    rows.map(move |row| columns.iter().map(|(name, _)| *name).zip(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn row(table: &str, values: &[(&str, Json)]) -> Vec<Json> {
        let table = tables().find(|held| held.name == table).unwrap();
        let of = |name: &str| {
            values
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| v.clone())
        };
        let cells = table
            .columns
            .iter()
            .map(|(name, _)| of(name).unwrap_or(Json::Null));
        cells.collect()
    }

    fn rows(all: &[(&str, &[(&str, Json)])]) -> Rows {
        let mut out = BTreeMap::new();
        for (table, values) in all {
            let rows: &mut Vec<Vec<Json>> = out.entry((*table).to_owned()).or_default();
            rows.push(row(table, values));
        }
        out
    }

    #[test]
    fn where_less_is_kept_the_rest_stays_out_and_variables_keep_their_places() {
        let full = rows(&[
            ("inst", &[("id", json!("i"))]),
            ("var", &[("id", json!("v")), ("inst", json!("i"))]),
            ("h_inst", &[("id", json!("i"))]),
            ("h_act", &[("id", json!("a"))]),
            ("h_var", &[("id", json!("v")), ("ai", json!("place"))]),
            ("h_incident", &[("id", json!("x"))]),
        ]);
        let names = |level| fitted(&full, level).into_keys().collect::<Vec<_>>();
        assert_eq!(names(Level::None), ["inst", "var"]);
        assert_eq!(
            names(Level::Activity),
            ["h_act", "h_inst", "h_task", "inst", "var"]
        );
        assert_eq!(
            names(Level::Audit),
            ["h_act", "h_inst", "h_task", "h_var", "inst", "var"]
        );
        assert_eq!(fitted(&full, Level::Full)["h_incident"], full["h_incident"]);
        let none = fitted(&full, Level::None);
        assert_eq!(named(&none, "var").next().unwrap()["ai"], &json!("place"));
    }

    #[test]
    fn where_more_is_kept_what_lives_gets_its_rows() {
        let bare = rows(&[
            (
                "inst",
                &[
                    ("id", json!("i")),
                    ("def", json!("d")),
                    ("started", json!(7)),
                ],
            ),
            (
                "task",
                &[
                    ("id", json!("t")),
                    ("inst", json!("i")),
                    ("created", json!(8)),
                ],
            ),
            (
                "var",
                &[
                    ("id", json!("v")),
                    ("inst", json!("i")),
                    ("scope", json!("i")),
                    ("ai", json!("p")),
                ],
            ),
            ("incident", &[("id", json!("x")), ("at", json!(9))]),
        ]);
        let full = fitted(&bare, Level::Full);
        let one = |table: &str, column: &str| named(&full, table).next().unwrap()[column].clone();
        assert_eq!(
            (one("h_inst", "state"), one("h_inst", "started")),
            (json!("ACTIVE"), json!(7))
        );
        assert_eq!(one("h_task", "started"), json!(8));
        assert_eq!(
            (one("h_var", "def"), one("h_var", "ai")),
            (json!("d"), json!("p"))
        );
        assert_eq!(
            (one("h_var", "exec"), one("h_var", "created")),
            (json!("i"), json!(7))
        );
        assert_eq!(
            (one("h_incident", "state"), one("h_incident", "at")),
            (json!("open"), json!(9))
        );
        // And nothing twice.
        assert_eq!(fitted(&full, Level::Full), full);
        assert!(!fitted(&bare, Level::Activity).contains_key("h_var"));
    }
}
