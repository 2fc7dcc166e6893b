//! Single values from the environment and from `--set`, laid over the tree.
//!
//! Owns how a variable's or argument's name becomes a path and its text a value. Must not read the process
//! environment: it is passed in. Relies on the shape to tell texts from other values.

use crate::diagnostic::Diagnostic;
use crate::schema;
use crate::shape::{Field, Shape};
use crate::source::{Origin, Source, Sources, Span};
use crate::tree::{self, Table, Value};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeArray, DeValue};

/// Beginning of the name of each variable that is a setting.
pub const PREFIX: &str = "HOMING__";

/// Takes the variables and arguments in as sources.
pub(crate) fn collect(sources: &mut Sources, environment: &[(String, String)], set: &[String]) {
    let mut variables: Vec<_> = environment
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    variables.sort();
    for (name, value) in variables {
        sources.add(Origin::Environment(name.clone()), format!("{name}={value}"));
    }
    for argument in set {
        sources.add(Origin::Argument, argument.clone());
    }
}

/// Lays the value of `source` over `tree`.
pub(crate) fn apply<'a>(tree: &mut Table<'a>, source: &'a Source, problems: &mut Vec<Diagnostic>) {
    let text = source.text();
    let Some((name, value)) = text.split_once('=') else {
        let span = source.base..source.base + text.len();
        problems.push(
            Diagnostic::error("set-syntax", "`--set` needs a key and a value")
                .at(&span, "there is no `=` here")
                .help("write `--set store.url=sqlite:homing.db`"),
        );
        return;
    };
    let path: Vec<String> = match &source.origin {
        Origin::Environment(_) => name
            .trim_start_matches(PREFIX)
            .split("__")
            .map(str::to_ascii_lowercase)
            .collect(),
        Origin::Argument | Origin::File(_) => name
            .trim()
            .split('.')
            .map(|part| part.trim().to_owned())
            .collect(),
    };
    let overlay = Overlay {
        source,
        name: source.base..source.base + name.len(),
        value: source.base + name.len() + 1..source.base + text.len(),
        text: value,
    };
    if let Err(problem) = overlay.table(tree, schema::shape(), &path) {
        problems.push(*problem);
    }
}

struct Overlay<'a> {
    source: &'a Source,
    name: Span,
    value: Span,
    text: &'a str,
}

impl<'a> Overlay<'a> {
    fn table(
        &self,
        table: &mut Table<'a>,
        shape: &Shape,
        path: &[String],
    ) -> Result<(), Box<Diagnostic>> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(());
        };
        let field = shape.fields().and_then(|fields| fields.get(first));
        let key = Spanned::new(self.name.clone(), Cow::Owned(first.clone()));
        if rest.is_empty() {
            let value = self.leaf(field);
            table.remove(&key);
            table.insert(key, value);
            return Ok(());
        }
        let Some(field) = field else {
            // An unknown key in the middle: put in as it is, so that the check names it like any other.
            let value = Spanned::new(
                self.value.clone(),
                DeValue::String(Cow::Borrowed(self.text)),
            );
            table.insert(key, value);
            return Ok(());
        };
        if !table.contains_key(&key) {
            let empty = if field.shape.elements().is_some() && field.shape.fields().is_none() {
                DeValue::Array(DeArray::default())
            } else {
                DeValue::Table(Table::default())
            };
            table.insert(key.clone(), Spanned::new(self.name.clone(), empty));
        }
        match table.get_mut(&key).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => self.table(inner, &field.shape, rest),
            Some(DeValue::Array(items)) => self.element(items, field.shape.elements(), first, rest),
            _ => Err(Box::new(
                Diagnostic::error(
                    "set-path",
                    format!("`{first}` is a plain value, it has no `{}`", rest.join(".")),
                )
                .at(&self.name, "this path leads nowhere"),
            )),
        }
    }

    /// Elements of an array are addressed by their name, or by their number from 0.
    fn element(
        &self,
        items: &mut DeArray<'a>,
        shape: Option<&Shape>,
        array: &str,
        path: &[String],
    ) -> Result<(), Box<Diagnostic>> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(());
        };
        let named = items.iter().position(|item| name_of(item) == Some(first));
        let at = named.or_else(|| first.parse().ok().filter(|index| *index < items.len()));
        match (
            at.and_then(|at| items.get_mut(at)).map(Spanned::get_mut),
            shape,
        ) {
            (Some(DeValue::Table(inner)), Some(shape)) => self.table(inner, shape, rest),
            _ => {
                let names: Vec<&str> = items.iter().filter_map(name_of).collect();
                let help = if names.is_empty() {
                    format!(
                        "elements of `{array}` can be changed here, but not be made; write them into a file"
                    )
                } else {
                    crate::suggest::did_you_mean(first, names.iter().copied())
                };
                Err(Box::new(
                    Diagnostic::error(
                        "set-path",
                        format!("no `{array}` has the name or number `{first}`"),
                    )
                    .at(&self.name, "this path leads nowhere")
                    .help(help),
                ))
            }
        }
    }

    fn leaf(&self, field: Option<&Field>) -> Value<'a> {
        let plain = || {
            Spanned::new(
                self.value.clone(),
                DeValue::String(Cow::Borrowed(self.text)),
            )
        };
        let takes_text = field.is_none_or(|field| match &field.shape {
            Shape::Text(_) => true,
            Shape::Either(forms) => {
                let text = forms.iter().any(|form| matches!(form, Shape::Text(_)));
                text && !self.text.trim_start().starts_with(['{', '['])
            }
            Shape::Table(_)
            | Shape::List(_)
            | Shape::Integer(..)
            | Shape::Number(..)
            | Shape::Bool => false,
        });
        if takes_text {
            return plain();
        }
        tree::parse_value(self.source, self.value.start - self.source.base).unwrap_or_else(plain)
    }
}

/// The `name` of an element, as it stands in the text.
pub(crate) fn name_of<'t>(item: &'t Value<'_>) -> Option<&'t str> {
    item.get_ref().as_table()?.get("name")?.get_ref().as_str()
}
