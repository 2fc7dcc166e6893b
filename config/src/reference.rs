//! The reference page of all keys.
//!
//! Owns its form. Must not hold words about keys: they are the comments of the fields in `file`.

use crate::schema;
use crate::shape::{Field, Shape, TextForm, When};
use std::collections::BTreeMap;
use std::fmt::Write;

const HEAD: &str = "# Configuration reference

Generated from the comments in `config/src/file/`; change it there.

Order of values: built-in < files in the order given < environment (`HOMING__STORE__URL`) < `--set store.url=...`.
Tables of several files are merged; arrays of tables (`[[site]]`, `[[listen]]`, `[[dialect]]`) are joined. In the
environment and in `--set` an element is named by its name or its number from 0: `--set site.a.weight=50`.

Durations are text: `\"500ms\"`, `\"10s\"`, `\"3m\"`, `\"2h\"`, `\"1d\"`. Names are 1 to 63 of `a-z`, `0-9`, `-`. Paths are taken
from the working folder of the process. Unknown keys are errors. *Live* keys change by a reload, the others by a
restart.
";

/// The page, as Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (name, field) in schema::shape().fields().into_iter().flatten() {
        section(&mut page, name, field, &field.shape);
    }
    page
}

fn section(page: &mut String, path: &str, field: &Field, shape: &Shape) {
    let Some((fields, is_list)) = keys(shape) else {
        return;
    };
    let title = if is_list && !path.contains(".rules") {
        format!("[[{path}]]")
    } else {
        format!("[{path}]")
    };
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## `{title}`\n\n{}\n\n", one_line(&field.doc));
    page.push_str("| key | value | built in | change | meaning |\n|---|---|---|---|---|\n");
    for (key, field) in fields {
        let default = match (&field.default, field.required) {
            (_, true) => "*required*".to_owned(),
            (Some(value), _) if keys(&field.shape).is_none() && *value != serde_json::json!([]) => {
                format!("`{value}`")
            }
            _ => String::new(),
        };
        let when = match field.when {
            When::Live => "live",
            When::Restart => "restart",
        };
        let _ = writeln!(
            page,
            "| `{key}` | {} | {default} | {when} | {} |",
            kind(&field.shape),
            one_line(&field.doc).replace('|', "\\|")
        );
    }
    for (key, field) in fields {
        section(page, &format!("{path}.{key}"), field, &field.shape);
    }
}

fn keys(shape: &Shape) -> Option<(&BTreeMap<String, Field>, bool)> {
    match (shape.fields(), shape.elements().and_then(Shape::fields)) {
        (Some(fields), _) => Some((fields, false)),
        (None, Some(fields)) => Some((fields, true)),
        (None, None) => None,
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Table(_) => "table".into(),
        Shape::List(element) => match element.as_ref() {
            Shape::Table(_) => "tables".into(),
            Shape::List(_)
            | Shape::Text(_)
            | Shape::Integer(..)
            | Shape::Number(..)
            | Shape::Bool
            | Shape::Either(_) => {
                format!("array of {}", kind(element))
            }
        },
        Shape::Text(TextForm::Free) => "text".into(),
        Shape::Text(TextForm::Name) => "name".into(),
        Shape::Text(TextForm::Word(words)) => words
            .iter()
            .map(|word| format!("`\"{word}\"`"))
            .collect::<Vec<_>>()
            .join(", "),
        Shape::Text(TextForm::Duration(low, high)) => match (low, high) {
            (Some(low), Some(high)) => format!("duration, {low} to {high}"),
            _ => "duration".into(),
        },
        Shape::Integer(low, high) if *high == i64::MAX => format!("whole number from {low}"),
        Shape::Integer(low, high) => format!("whole number, {low} to {high}"),
        Shape::Number(low, high) => format!("number, {low} to {high}"),
        Shape::Bool => "`true` or `false`".into(),
        Shape::Either(forms) => forms.iter().map(kind).collect::<Vec<_>>().join(" or "),
    }
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
