//! Form fields of user tasks and start events: what people are asked for.
//!
//! Owns their reading, and what of them is refused. Whether a value fits is decided in `runtime`.

use super::namespace::{extensions, is_extension};
use super::xml::Reader;
use crate::expr::Template;
use roxmltree::Node;

/// One field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its id: the name of its variable.
    pub id: String,
    /// What it holds.
    pub kind: FieldKind,
    /// What it holds when nobody says anything.
    pub default: Option<Template>,
    /// What must be true of it, in the order of the file.
    pub rules: Vec<Rule>,
}

/// What a field holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// Text.
    Text,
    /// A whole number.
    Long,
    /// True or false.
    Boolean,
    /// A date in this form, as Java writes it.
    Date(String),
    /// One of these.
    OneOf(Vec<String>),
}

/// What must be true of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// It is there.
    Required,
    /// Nobody sets it.
    ReadOnly,
    /// A number is not below this.
    Min(i64),
    /// A number is not above this.
    Max(i64),
    /// A text is not shorter.
    MinLength(usize),
    /// A text is not longer.
    MaxLength(usize),
}

/// The form of dates where a field names none.
const DATE_FORM: &str = "dd/MM/yyyy";

/// Where a form is.
#[derive(Clone, Debug)]
pub enum Page {
    /// Wherever its key says.
    Key(Template),
    /// A form that was deployed.
    Form {
        /// Its key.
        key: Template,
        /// Which of its versions.
        binding: FormBinding,
    },
}

/// Which version of a form is meant.
#[derive(Clone, Debug)]
pub enum FormBinding {
    /// The latest one.
    Latest,
    /// The one of the same deployment.
    Deployment,
    /// A number.
    Version(Template),
}

/// Where the form of an element is.
pub(super) fn page(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Page> {
    let key = reader.attribute(node, "formKey");
    let Some(reference) = reader.attribute(node, "formRef") else {
        return key.map(Page::Key);
    };
    if key.is_some() {
        reader.problem(
            node,
            "Invalid element definition: only one of the attributes formKey and formRef is allowed.",
        );
        return None;
    }
    let binding = match super::namespace::extension(node, "formRefBinding") {
        Some("latest") => FormBinding::Latest,
        Some("deployment") => FormBinding::Deployment,
        Some("version") => {
            let version = reader.attribute(node, "formRefVersion");
            if version.is_none() {
                reader.problem(node, "Missing attribute 'formRefVersion'");
            }
            FormBinding::Version(version?)
        }
        other => {
            let other = other.unwrap_or("null");
            reader.problem(
                node,
                format!(
                    "Invalid element definition: value for formRefBinding attribute has to be one of [deployment, latest, version] \
                     but was {other}"
                ),
            );
            return None;
        }
    };
    Some(Page::Form {
        key: reference,
        binding,
    })
}

/// The fields of an element.
pub(super) fn fields(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Vec<Field> {
    let mut out = Vec::new();
    for holder in extensions(node, "formData") {
        for found in holder.children().filter(|c| is_extension(*c, "formField")) {
            out.extend(field(reader, found));
        }
    }
    out
}

fn field(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Field> {
    let Some(id) = node.attribute("id").filter(|id| !id.is_empty()) else {
        reader.problem(
            node,
            "attribute id must be set for FormFieldGroup and must have a non-empty value",
        );
        return None;
    };
    let default = node.attribute("defaultValue");
    let default = default.and_then(|text| reader.template(node, text));
    let kind = kind(reader, node)?;
    let mut rules = Vec::new();
    let holders = node.children().filter(|c| is_extension(*c, "validation"));
    for constraint in holders.flat_map(|holder| holder.children()) {
        if is_extension(constraint, "constraint") {
            rules.extend(rule(reader, constraint));
        }
    }
    Some(Field {
        id: id.to_owned(),
        kind,
        default,
        rules,
    })
}

fn kind(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<FieldKind> {
    match node.attribute("type") {
        Some("string") => Some(FieldKind::Text),
        Some("long") => Some(FieldKind::Long),
        Some("boolean") => Some(FieldKind::Boolean),
        Some("date") => {
            let form = node.attribute("datePattern").unwrap_or(DATE_FORM);
            if crate::time::pattern::is_known(form) {
                return Some(FieldKind::Date(form.to_owned()));
            }
            reader.problem(node, format!("the date pattern '{form}' is not built"));
            None
        }
        Some("enum") => {
            let values = node.children().filter(|c| is_extension(*c, "value"));
            let ids = values.filter_map(|value| value.attribute("id").map(str::to_owned));
            Some(FieldKind::OneOf(ids.collect()))
        }
        Some(other) => {
            reader.problem(node, format!("unknown type '{other}'"));
            None
        }
        None => {
            reader.problem(node, "form field must have a 'type' attribute");
            None
        }
    }
}

fn rule(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Rule> {
    let name = node.attribute("name").unwrap_or_default();
    let config = node.attribute("config").unwrap_or_default();
    let number = |reader: &mut Reader<'_, '_>| {
        let number = config.trim().parse::<i64>().ok();
        if number.is_none() {
            let message = format!("the constraint '{name}' needs a whole number, not '{config}'");
            reader.problem(node, message);
        }
        number
    };
    let length =
        |reader: &mut Reader<'_, '_>| number(reader).map(|n| usize::try_from(n).unwrap_or(0));
    match name {
        "required" => Some(Rule::Required),
        "readonly" => Some(Rule::ReadOnly),
        "min" => number(reader).map(Rule::Min),
        "max" => number(reader).map(Rule::Max),
        "minlength" => length(reader).map(Rule::MinLength),
        "maxlength" => length(reader).map(Rule::MaxLength),
        "validator" => {
            reader.problem(
                node,
                "validators of your own need Java classes, which are not built",
            );
            None
        }
        other => {
            let message = format!("Cannot find validator implementation for name '{other}'.");
            reader.problem(node, message);
            None
        }
    }
}
