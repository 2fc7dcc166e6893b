//! What verbs print.
//!
//! Owns tables for people and the `schema` envelope for machines. Must not ask the router.

use super::Exit;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

/// Says what went wrong; answers the exit code.
pub(super) fn complain(exit: Exit, why: &str) -> Exit {
    let _ = writeln!(std::io::stderr(), "homing: {why}");
    exit
}

/// Tells how far something has got, beside what is printed.
pub(super) fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a text; a closed pipe is the reader's business.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints an answer for machines: `{"schema": "homing/NAME/v1", "data": ...}`.
pub(super) fn machine(name: &str, data: &Value) {
    say(&json!({ "schema": format!("homing/{name}/v1"), "data": data }).to_string());
}

/// Prints rows with these members as columns.
pub(super) fn rows(columns: &[&str], rows: &[Value]) {
    let mut table = plain();
    table.set_header(columns.iter().map(|column| column.to_uppercase()));
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(row.get(column))));
    }
    say(&table.to_string());
}

/// Prints the members of one object; lists of objects follow as tables of their own.
pub(super) fn members(object: &Value) {
    let mut table = plain();
    let mut lists = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match listed(value) {
            Some(items) => lists.push((name, items)),
            None => {
                table.add_row([name.clone(), cell(Some(value))]);
            }
        }
    }
    say(&table.to_string());
    for (name, (columns, items)) in lists {
        say(&format!("\n {name}:"));
        rows(&columns, items);
    }
}

/// The columns and rows of a list of objects.
fn listed(value: &Value) -> Option<(Vec<&str>, &[Value])> {
    let items = value.as_array()?;
    let first = items.first()?.as_object()?;
    Some((first.keys().map(String::as_str).collect(), items))
}

fn plain() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => "-".into(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| cell(Some(item))).collect();
            items.join("; ")
        }
        // What is not known is left out: a cell is one line.
        Some(Value::Object(members)) => {
            let known = members.iter().filter(|(_, value)| !value.is_null());
            let known: Vec<String> = known
                .map(|(name, value)| format!("{name}={}", cell(Some(value))))
                .collect();
            known.join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// Asks before something dangerous is done. Without a terminal `--yes` is needed.
pub(super) fn confirmed(yes: bool, what: &str) -> Result<(), Exit> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(complain(
            Exit::Usage,
            &format!("to {what} without a terminal, add --yes"),
        ));
    }
    let _ = write!(std::io::stderr(), "{what}? Type yes: ");
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        Ok(_) | Err(_) => Err(complain(Exit::Failed, "nothing was changed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_for_people() {
        let endpoints = json!([
            { "url": "http://a:1", "running": 0, "why": null },
            { "url": "http://a:2", "running": 3, "why": "slow" },
        ]);
        assert_eq!(
            cell(Some(&endpoints)),
            "running=0 url=http://a:1; running=3 url=http://a:2 why=slow"
        );
        assert_eq!(cell(Some(&json!([]))), "-");
        assert_eq!(cell(Some(&json!(["x", "y"]))), "x; y");
        assert_eq!(cell(None), "-");
    }
}
