//! Every value that counts, with the place that it comes from.
//!
//! Owns the walk over the checked tree beside its shape: what is not written is built in. Must not show secrets. Relies
//! on `check` having removed what is unsound.

use crate::check::join;
use crate::overlay;
use crate::schema;
use crate::secret::{Secret, redact_urls};
use crate::settings::Config;
use crate::shape::{Field, Hidden, Shape, When};
use crate::source::{Place, Sources, Span};
use crate::tree::{Table, Value as Node};
use serde_json::Value;
use std::collections::BTreeMap;
use toml::de::DeValue;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// Its path: `limits.headers`, `site.a.weight`, `listen.0.bind`.
    pub path: String,
    /// The value, secrets as stars.
    pub shown: Value,
    /// Where it was written; `None`: built in.
    pub place: Option<Place>,
    /// Whether a running process takes another value.
    pub when: When,
    /// The value as it is, to compare with another.
    pub(crate) real: Secret,
}

/// All values of a configuration, by path.
pub(crate) fn of(tree: &Table<'_>, sources: &Sources) -> Vec<Effective> {
    let mut walk = Walk {
        sources,
        values: Vec::new(),
    };
    if let Some(fields) = schema::shape().fields() {
        walk.table(tree, fields, "");
    }
    walk.values
}

/// Adds what is built in but depends on the host or on other values.
pub(crate) fn derived(values: &mut Vec<Effective>, config: &Config) {
    let journal = config.store.journal.display().to_string();
    let mut derived: Vec<(String, Value, When)> = vec![
        (
            "router.name".into(),
            config.router.name.clone().into(),
            When::Restart,
        ),
        (
            "router.threads".into(),
            config.router.threads.into(),
            When::Restart,
        ),
        ("store.journal".into(), journal.into(), When::Restart),
    ];
    if values
        .iter()
        .all(|value| !value.path.starts_with("listen."))
    {
        let binds = config.listen.iter().enumerate();
        derived.extend(binds.map(|(at, listen)| {
            (
                format!("listen.{at}.bind"),
                listen.bind.to_string().into(),
                When::Restart,
            )
        }));
    }
    for (path, shown, when) in derived {
        if values.iter().all(|value| value.path != path) {
            let real = Secret::new(shown.to_string());
            values.push(Effective {
                path,
                shown,
                place: None,
                when,
                real,
            });
        }
    }
    values.sort_by(|a, b| a.path.cmp(&b.path));
}

struct Walk<'s> {
    sources: &'s Sources,
    values: Vec<Effective>,
}

impl Walk<'_> {
    fn table(&mut self, table: &Table<'_>, fields: &BTreeMap<String, Field>, path: &str) {
        for (key, field) in fields {
            let path = join(path, key);
            match table.get(key.as_str()) {
                Some(node) => self.node(node, &field.shape, field, &path),
                None => self.built_in(field, &path),
            }
        }
    }

    fn node(&mut self, node: &Node<'_>, shape: &Shape, field: &Field, path: &str) {
        match (node.get_ref(), shape.fields(), shape.elements()) {
            (DeValue::Table(table), Some(fields), _) => self.table(table, fields, path),
            (DeValue::Array(items), _, Some(element)) if element.fields().is_some() => {
                for (index, item) in items.iter().enumerate() {
                    let name =
                        overlay::name_of(item).map_or_else(|| index.to_string(), str::to_owned);
                    self.node(item, element, field, &join(path, &name));
                }
            }
            (value, _, _) => self.leaf(json(value), &node.span(), field, path),
        }
    }

    fn built_in(&mut self, field: &Field, path: &str) {
        match (&field.default, field.shape.fields()) {
            (Some(_), Some(fields)) => self.table(&Table::default(), fields, path),
            (Some(value), None) if value.as_array().is_none_or(|items| !items.is_empty()) => {
                self.leaf(value.clone(), &(0..0), field, path);
            }
            _ => {}
        }
    }

    fn leaf(&mut self, value: Value, span: &Span, field: &Field, path: &str) {
        let shown = match field.hidden {
            Hidden::Whole => "***".into(),
            Hidden::UrlPassword | Hidden::No => redacted(value.clone()),
        };
        self.values.push(Effective {
            path: path.to_owned(),
            shown,
            place: self.sources.place(span),
            when: field.when,
            real: Secret::new(value.to_string()),
        });
    }
}

/// Any text may hold a URL with a password: a command's argument as well as a store.
fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => redact_urls(&text).into(),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or(Value::Null, Value::from),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())))
            .collect(),
        DeValue::Datetime(date) => date.to_string().into(),
    }
}
