//! Extension elements: input/output mappings, call mappings, properties, and those that are refused.

use super::element::{InOut, Mapping, Parameter, Variables};
use super::namespace::{extensions, is_extension};
use super::xml::{Reader, text};
use roxmltree::Node;

/// Extension elements that carry behaviour and are not built: refused, so that nobody believes they run.
const REFUSED: [(&str, &str); 6] = [
    ("executionListener", "execution listeners are not built"),
    ("taskListener", "task listeners are not built"),
    (
        "connector",
        "connectors are not built; make it an external task",
    ),
    (
        "errorEventDefinition",
        "error definitions of external tasks are not built; let the worker report the BPMN error",
    ),
    (
        "field",
        "field injection needs Java classes, which are not built",
    ),
    (
        "formProperty",
        "form properties are not built; use form fields",
    ),
];

/// The same of attributes.
const REFUSED_ATTRIBUTES: [(&str, &str); 1] = [(
    "formHandlerClass",
    "form handlers are Java classes, which are not built",
)];

/// Reports extension elements and attributes that cannot be honoured.
pub(super) fn refuse(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) {
    for (name, reason) in REFUSED_ATTRIBUTES {
        if super::namespace::extension(node, name).is_some() {
            reader.problem(node, reason);
        }
    }
    if node.attribute("isForCompensation") == Some("true") {
        reader.problem(node, "compensation is not built");
    }
    for (name, reason) in REFUSED {
        if let Some(found) = extensions(node, name).next() {
            reader.problem(found, reason);
        }
    }
}

/// Inputs and outputs.
pub(super) fn input_output(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
) -> (Vec<Mapping>, Vec<Mapping>) {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for holder in extensions(node, "inputOutput") {
        for parameter in holder.children() {
            let list = if is_extension(parameter, "inputParameter") {
                &mut inputs
            } else if is_extension(parameter, "outputParameter") {
                &mut outputs
            } else {
                continue;
            };
            let Some(name) = parameter.attribute("name").filter(|n| !n.is_empty()) else {
                reader.problem(
                    parameter,
                    "Missing attribute 'name' for an input or output parameter",
                );
                continue;
            };
            if let Some(value) = value(reader, parameter) {
                list.push(Mapping {
                    name: name.to_owned(),
                    value,
                });
            }
        }
    }
    (inputs, outputs)
}

fn value(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Parameter> {
    let Some(inner) = node.children().find(Node::is_element) else {
        let text = text(node);
        return if text.is_empty() {
            Some(Parameter::Null)
        } else {
            reader.template(node, &text).map(Parameter::Text)
        };
    };
    match inner.tag_name().name() {
        "list" => {
            let items = inner.children().filter(Node::is_element);
            let items = items.map(|item| match item.tag_name().name() {
                "value" => reader.template(item, &text(item)).map(Parameter::Text),
                "script" => script(reader, item).map(Parameter::Script),
                other => {
                    reader.problem(item, format!("'{other}' in a list is not built"));
                    None
                }
            });
            items.collect::<Option<Vec<_>>>().map(Parameter::List)
        }
        "map" => {
            let entries = inner.children().filter(|e| is_extension(*e, "entry"));
            let entries = entries.map(|entry| {
                let key = entry.attribute("key").unwrap_or_default().to_owned();
                value(reader, entry).map(|v| (key, v))
            });
            entries.collect::<Option<Vec<_>>>().map(Parameter::Map)
        }
        "script" => script(reader, inner).map(Parameter::Script),
        other => {
            reader.problem(inner, format!("'{other}' as a parameter is not built"));
            None
        }
    }
}

fn script(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<String> {
    is_javascript(reader, node, node.attribute("scriptFormat")).then(|| text(node))
}

/// Checks a script's language; JavaScript is the one that is built.
pub(super) fn is_javascript(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    format: Option<&str>,
) -> bool {
    if super::namespace::extension(node, "resource").is_some()
        || node.attribute("resource").is_some()
    {
        reader.problem(
            node,
            "scripts in resources are not built; put the script into the model",
        );
        return false;
    }
    match format.map(str::to_lowercase).as_deref() {
        Some("javascript" | "ecmascript" | "js" | "text/javascript" | "application/javascript") => {
            reader.scripts = true;
            true
        }
        other => {
            let other = other.unwrap_or("(none)");
            reader.problem(
                node,
                format!("scripts in '{other}' are not built; use JavaScript"),
            );
            false
        }
    }
}

/// Mappings into and out of a call, and the business key that is handed on.
pub(super) fn call_mappings(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    element: &'static str,
) -> (Vec<InOut>, Option<crate::expr::Template>) {
    let mut mappings = Vec::new();
    let mut business_key = None;
    for mapping in extensions(node, element) {
        let local = mapping.attribute("local") == Some("true");
        let target = mapping.attribute("target").map(str::to_owned);
        if let Some(key) = mapping.attribute("businessKey") {
            business_key = reader.template(mapping, key);
        } else if mapping.attribute("variables") == Some("all") {
            mappings.push(InOut {
                variables: Variables::All,
                local,
            });
        } else if let Some(source) = mapping.attribute("source") {
            let target = target.unwrap_or_else(|| source.to_owned());
            mappings.push(InOut {
                variables: Variables::One {
                    source: source.to_owned(),
                    target,
                },
                local,
            });
        } else if let (Some(source), Some(target)) = (mapping.attribute("sourceExpression"), target)
        {
            if let Some(source) = reader.template(mapping, source) {
                mappings.push(InOut {
                    variables: Variables::Expression { source, target },
                    local,
                });
            }
        } else {
            reader.problem(
                mapping,
                format!(
                    "an '{element}' mapping needs a source and a target, variables or a businessKey"
                ),
            );
        }
    }
    (mappings, business_key)
}

/// Extension properties.
pub(super) fn properties(node: Node<'_, '_>) -> Vec<(String, String)> {
    let holders: Vec<Node<'_, '_>> = extensions(node, "properties").collect();
    let all = holders
        .iter()
        .flat_map(Node::children)
        .filter(|p| is_extension(*p, "property"));
    let pairs = all.filter_map(|p| {
        let name = p.attribute("name").or_else(|| p.attribute("id"))?;
        Some((
            name.to_owned(),
            p.attribute("value").unwrap_or_default().to_owned(),
        ))
    });
    pairs.collect()
}
