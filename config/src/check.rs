//! Looks at every key and value of the tree, and takes out what is unsound.
//!
//! Owns unknown keys, missing keys, wrong types, words and bounds: all of them at once, wherever they are. Must not
//! compare values with each other; that is `validate`. Relies on the shape.

use crate::diagnostic::Diagnostic;
use crate::schema;
use crate::shape::{Field, Hidden, Shape, TextForm};
use crate::source::{Sources, Span};
use crate::suggest;
use crate::text::Period;
use crate::tree::{Table, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeArray, DeValue};

/// Whether a value can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Sound,
    Unsound,
}

/// Checks `tree` and leaves only what is sound in it.
pub(crate) fn check(tree: &mut Table<'_>, sources: &Sources, problems: &mut Vec<Diagnostic>) {
    let mut check = Check { sources, problems };
    if let Some(fields) = schema::shape().fields() {
        check.table(tree, fields, &(0..0), "");
    }
}

struct Check<'s> {
    sources: &'s Sources,
    problems: &'s mut Vec<Diagnostic>,
}

impl Check<'_> {
    fn table(
        &mut self,
        table: &mut Table<'_>,
        fields: &BTreeMap<String, Field>,
        span: &Span,
        path: &str,
    ) -> Verdict {
        let mut verdict = Verdict::Sound;
        let mut missing: Vec<&str> = fields
            .iter()
            .filter(|(_, field)| field.required)
            .map(|(key, _)| key.as_str())
            .collect();
        let mut unsound = Vec::new();
        for (key, value) in table.iter_mut() {
            let name: &str = key.get_ref();
            missing.retain(|known| *known != name);
            let Some(field) = fields.get(name) else {
                self.problems
                    .push(unknown_key(name, &key.span(), fields, path));
                let near = suggest::nearest(name, fields.keys().map(String::as_str))
                    .and_then(|near| fields.get(near));
                if near.is_some_and(|field| field.hidden == Hidden::Whole) {
                    self.sources.hide(&value.span());
                }
                unsound.push(key.clone());
                continue;
            };
            if field.hidden == Hidden::Whole {
                self.sources.hide(&value.span());
            }
            if self.value(value, &field.shape, &join(path, name)) == Verdict::Unsound {
                unsound.push(key.clone());
                if field.required {
                    verdict = Verdict::Unsound;
                }
            }
        }
        for key in unsound {
            table.remove(&key);
        }
        for key in missing {
            let field = fields.get(key);
            match field.and_then(|field| field.stand_in.as_deref()) {
                Some(text) => {
                    let text = DeValue::String(Cow::Owned(text.to_owned()));
                    let key = Spanned::new(span.clone(), Cow::Owned(key.to_owned()));
                    table.insert(key, Spanned::new(span.clone(), text));
                }
                None => verdict = Verdict::Unsound,
            }
            let doc = field
                .map(|field| first_sentence(&field.doc))
                .unwrap_or_default();
            let what = if path.is_empty() {
                "the configuration".to_owned()
            } else {
                format!("`{path}`")
            };
            self.problems.push(
                Diagnostic::error("missing-key", format!("{what} needs `{key}`"))
                    .at(span, format!("`{key}` is missing here"))
                    .help(format!("{key}: {doc}")),
            );
        }
        verdict
    }

    fn value(&mut self, value: &mut Value<'_>, shape: &Shape, path: &str) -> Verdict {
        let span = value.span();
        match (value.get_mut(), shape) {
            (DeValue::Table(table), Shape::Table(fields)) => self.table(table, fields, &span, path),
            (DeValue::Array(items), Shape::List(element)) => {
                // Not `take`: only the 'static form has a default.
                let all = std::mem::replace(items, DeArray::from_iter([]));
                *items = all
                    .into_iter()
                    .filter_map(|mut item| {
                        (self.value(&mut item, element, path) == Verdict::Sound).then_some(item)
                    })
                    .collect();
                Verdict::Sound
            }
            (DeValue::String(text), Shape::Text(form)) => self.text(text, form, &span, path),
            (DeValue::Integer(number), Shape::Integer(low, high)) => {
                let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let sound = read.is_some_and(|number| (*low..=*high).contains(&number));
                self.bounds(sound, low, high, &span, path)
            }
            (DeValue::Integer(number), Shape::Number(low, high)) => {
                let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
                self.bounds(
                    read.is_some_and(|number| (*low..=*high).contains(&(number as f64))),
                    low,
                    high,
                    &span,
                    path,
                )
            }
            (DeValue::Float(number), Shape::Number(low, high)) => {
                let read = number.as_str().parse::<f64>().ok();
                self.bounds(
                    read.is_some_and(|number| (*low..=*high).contains(&number)),
                    low,
                    high,
                    &span,
                    path,
                )
            }
            (DeValue::Boolean(_), Shape::Bool) => Verdict::Sound,
            (_, Shape::Either(forms)) => {
                match forms.iter().find(|form| same_type(value.get_ref(), form)) {
                    Some(form) => self.value(value, form, path),
                    None => self.wrong_type(value, shape, path),
                }
            }
            _ => self.wrong_type(value, shape, path),
        }
    }

    fn text(&mut self, text: &str, form: &TextForm, span: &Span, path: &str) -> Verdict {
        let problem = match form {
            TextForm::Free => return Verdict::Sound,
            TextForm::Name => match crate::name::check(text) {
                Ok(()) => return Verdict::Sound,
                Err(cure) => Diagnostic::error("name", format!("`{text}` cannot be a name"))
                    .at(span, "names are 1 to 63 of `a-z`, `0-9`, `-`")
                    .help(cure),
            },
            TextForm::Word(words) => {
                let words = words.iter().map(String::as_str);
                if words.clone().any(|word| word == text) {
                    return Verdict::Sound;
                }
                Diagnostic::error("unknown-word", format!("`{path}` cannot be `{text}`"))
                    .at(span, format!("one of {}", suggest::list(words.clone())))
                    .help(suggest::did_you_mean(text, words))
            }
            TextForm::Duration(low, high) => match outside(text, low.as_deref(), high.as_deref()) {
                None => return Verdict::Sound,
                Some((message, label)) => Diagnostic::error("duration", format!("`{path}` {message}"))
                    .at(span, label)
                    .help("durations are a whole number and a unit: \"500ms\", \"10s\", \"3m\", \"2h\", \"1d\""),
            },
        };
        self.problems.push(problem);
        Verdict::Unsound
    }

    fn bounds<N: PartialEq + std::fmt::Display>(
        &mut self,
        sound: bool,
        low: &N,
        high: &N,
        span: &Span,
        path: &str,
    ) -> Verdict {
        if sound {
            return Verdict::Sound;
        }
        self.problems.push(
            Diagnostic::error("out-of-bounds", format!("`{path}` is out of bounds"))
                .at(span, format!("from {low} to {high}"))
                .help(format!("choose a number from {low} to {high}")),
        );
        Verdict::Unsound
    }

    fn wrong_type(&mut self, value: &Value<'_>, shape: &Shape, path: &str) -> Verdict {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let mut problem = Diagnostic::error(
            "wrong-type",
            format!("`{path}` must be {}", shape.in_words()),
        )
        .at(&value.span(), format!("this is {found}"));
        problem.help = Some(cure(value.get_ref(), shape, path));
        self.problems.push(problem);
        Verdict::Unsound
    }
}

/// What to write in place of a value of the wrong type.
fn cure(value: &DeValue<'_>, shape: &Shape, path: &str) -> String {
    match (value, shape) {
        (DeValue::Integer(number), Shape::Text(TextForm::Duration(..))) => {
            format!("write the unit: \"{number}s\" or \"{number}ms\"")
        }
        (DeValue::Table(_), Shape::List(_)) => format!("write `[[{path}]]`, with two brackets"),
        (DeValue::String(text), Shape::List(_)) => format!(
            "put it into brackets: [\"{}\"]",
            crate::secret::redact_urls(text)
        ),
        (DeValue::String(text), Shape::Integer(..) | Shape::Number(..))
            if text.parse::<f64>().is_ok() =>
        {
            format!("without quotes: {text}")
        }
        (DeValue::String(text), Shape::Bool) if matches!(text.as_ref(), "true" | "false") => {
            format!("without quotes: {text}")
        }
        _ => format!("write {}", shape.in_words()),
    }
}

fn outside(text: &str, low: Option<&str>, high: Option<&str>) -> Option<(String, String)> {
    let Some(period) = Period::parse(text) else {
        return Some((
            format!("cannot be `{text}`"),
            "this is not a duration".into(),
        ));
    };
    let bound = |text: Option<&str>| text.and_then(Period::parse);
    let low = bound(low).filter(|low| period < *low);
    let high = bound(high).filter(|high| period > *high);
    low.map(|low| ("is too short".to_owned(), format!("at least {low}")))
        .or_else(|| high.map(|high| ("is too long".to_owned(), format!("at most {high}"))))
}

fn same_type(value: &DeValue<'_>, shape: &Shape) -> bool {
    matches!(
        (value, shape),
        (DeValue::Table(_), Shape::Table(_))
            | (DeValue::Array(_), Shape::List(_))
            | (DeValue::String(_), Shape::Text(_))
            | (DeValue::Integer(_), Shape::Integer(..) | Shape::Number(..))
            | (DeValue::Float(_), Shape::Number(..))
            | (DeValue::Boolean(_), Shape::Bool)
    )
}

fn unknown_key(
    name: &str,
    span: &Span,
    fields: &BTreeMap<String, Field>,
    path: &str,
) -> Diagnostic {
    let inside = if path.is_empty() {
        String::new()
    } else {
        format!(" in `{path}`")
    };
    let problem = Diagnostic::error("unknown-key", format!("there is no key `{name}`{inside}"))
        .at(span, "not known");
    let here = fields.keys().map(String::as_str);
    if let Some(near) = suggest::nearest(name, here.clone()) {
        return problem.help(format!("did you mean `{near}`?"));
    }
    // The right key in the wrong table is as common as a slip of the finger.
    let root = schema::shape().fields().into_iter().flatten();
    let elsewhere =
        root.filter(|(_, field)| inner(&field.shape).is_some_and(|keys| keys.contains_key(name)));
    let tables: Vec<String> = elsewhere
        .map(|(table, _)| format!("{table}.{name}"))
        .collect();
    if tables.is_empty() {
        problem.help(format!("use one of {}", suggest::list(here)))
    } else {
        problem.help(format!(
            "did you mean {}?",
            suggest::list(tables.iter().map(String::as_str))
        ))
    }
}

fn inner(shape: &Shape) -> Option<&BTreeMap<String, Field>> {
    shape
        .fields()
        .or_else(|| shape.elements().and_then(Shape::fields))
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn first_sentence(doc: &str) -> String {
    let doc = doc.replace('\n', " ");
    doc.split(". ")
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}

/// Names of the elements of `array`, sound or not: what they are referred to by must not look unknown only because
/// something else about them is wrong.
pub(crate) fn names(tree: &Table<'_>, array: &str) -> Vec<String> {
    let items = tree
        .get(array)
        .map(Spanned::get_ref)
        .and_then(DeValue::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(crate::overlay::name_of)
        .map(str::to_owned)
        .collect()
}
