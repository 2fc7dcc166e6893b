//! The form of the configuration as data: which keys exist, of which type, within which bounds.
//!
//! Owns the reading of the generated JSON schema, so that checking, showing, comparing and documenting share one
//! truth: the structs in `file`. Must not look at values. Relies on `schemars`.

use serde_json::Value;
use std::collections::BTreeMap;

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A table with these keys.
    Table(BTreeMap<String, Field>),
    /// An array.
    List(Box<Shape>),
    /// A text.
    Text(TextForm),
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A number within bounds.
    Number(f64, f64),
    /// `true` or `false`.
    Bool,
    /// One of several forms of different types.
    Either(Vec<Shape>),
}

/// What a text may say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TextForm {
    /// Anything; later checks look closer.
    Free,
    /// A name of ours.
    Name,
    /// One of these words.
    Word(Vec<String>),
    /// A length of time, from and to.
    Duration(Option<String>, Option<String>),
}

/// When a new value of a key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A reload is enough.
    Live,
    /// Only a new process takes it.
    Restart,
}

/// What of a value is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// Nothing.
    No,
    /// The password inside of a URL.
    UrlPassword,
    /// All of it.
    Whole,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    pub(crate) default: Option<Value>,
    pub(crate) doc: String,
    pub(crate) when: When,
    pub(crate) hidden: Hidden,
    /// A text that takes the place of a required one that is missing, so that the checks after it see the rest of the
    /// table as well.
    pub(crate) stand_in: Option<String>,
}

impl Shape {
    /// The form that `schema` describes. `when` is inherited by all keys that do not say otherwise.
    pub(crate) fn of(schema: &Value, when: When) -> Shape {
        if let Some(forms) = schema.get("anyOf").and_then(Value::as_array) {
            return match forms.as_slice() {
                [one] => Shape::of(one, when),
                many => Shape::Either(many.iter().map(|form| Shape::of(form, when)).collect()),
            };
        }
        if let Some(words) = words(schema) {
            return Shape::Text(TextForm::Word(words));
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => Shape::Table(fields(schema, when)),
            Some("array") => Shape::List(Box::new(Shape::of(
                schema.get("items").unwrap_or(&Value::Null),
                when,
            ))),
            Some("integer") => {
                let bound = |key, other| schema.get(key).and_then(Value::as_i64).unwrap_or(other);
                Shape::Integer(bound("minimum", 0), bound("maximum", i64::MAX))
            }
            Some("number") => {
                let bound = |key, other| schema.get(key).and_then(Value::as_f64).unwrap_or(other);
                Shape::Number(bound("minimum", f64::MIN), bound("maximum", f64::MAX))
            }
            Some("boolean") => Shape::Bool,
            _ => Shape::Text(text_form(schema)),
        }
    }

    /// The keys, if it is a table.
    pub(crate) fn fields(&self) -> Option<&BTreeMap<String, Field>> {
        match self {
            Shape::Table(fields) => Some(fields),
            Shape::Either(forms) => forms.iter().find_map(Shape::fields),
            Shape::List(_)
            | Shape::Text(_)
            | Shape::Integer(..)
            | Shape::Number(..)
            | Shape::Bool => None,
        }
    }

    /// The form of the elements, if it is an array.
    pub(crate) fn elements(&self) -> Option<&Shape> {
        match self {
            Shape::List(element) => Some(element),
            Shape::Either(forms) => forms.iter().find_map(Shape::elements),
            Shape::Table(_)
            | Shape::Text(_)
            | Shape::Integer(..)
            | Shape::Number(..)
            | Shape::Bool => None,
        }
    }

    /// In words, for "must be ...".
    pub(crate) fn in_words(&self) -> String {
        match self {
            Shape::Table(_) => "a table".into(),
            Shape::List(element) => format!("an array, each element {}", element.in_words()),
            Shape::Text(TextForm::Duration(..)) => "a duration like \"10s\"".into(),
            Shape::Text(TextForm::Word(words)) => {
                crate::suggest::list(words.iter().map(String::as_str))
            }
            Shape::Text(TextForm::Free | TextForm::Name) => "a text in quotes".into(),
            Shape::Integer(..) => "a whole number".into(),
            Shape::Number(..) => "a number".into(),
            Shape::Bool => "`true` or `false`".into(),
            Shape::Either(forms) => forms
                .iter()
                .map(Shape::in_words)
                .collect::<Vec<_>>()
                .join(" or "),
        }
    }
}

fn text_form(schema: &Value) -> TextForm {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_owned);
    match text("format").as_deref() {
        Some("name") => TextForm::Name,
        Some("duration") => TextForm::Duration(text("x-min"), text("x-max")),
        _ => TextForm::Free,
    }
}

fn words(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(word) = schema.get("const") {
        return Some(vec![text(word)?]);
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().map(text).collect();
    }
    let forms = schema.get("oneOf").and_then(Value::as_array)?;
    forms
        .iter()
        .map(|form| form.get("const").and_then(text))
        .collect()
}

fn fields(schema: &Value, when: When) -> BTreeMap<String, Field> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |key: &str| required.is_some_and(|keys| keys.iter().any(|known| known == key));
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(key, schema)| {
            (
                key.clone(),
                field(schema, is_required(key).then_some(()), when),
            )
        })
        .collect()
}

fn field(schema: &Value, required: Option<()>, when: When) -> Field {
    let when = match schema.get("x-change").and_then(Value::as_str) {
        Some("restart") => When::Restart,
        Some(_) => When::Live,
        None => when,
    };
    Field {
        shape: Shape::of(schema, when),
        required: required.is_some(),
        default: schema
            .get("default")
            .filter(|value| !value.is_null())
            .cloned(),
        doc: schema
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        when,
        hidden: match schema.get("x-secret").and_then(Value::as_str) {
            Some("url") => Hidden::UrlPassword,
            Some(_) => Hidden::Whole,
            None => Hidden::No,
        },
        stand_in: schema
            .get("x-stand-in")
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}
