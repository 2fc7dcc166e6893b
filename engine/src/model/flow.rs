//! Conditions of sequence flows.

use super::xml::Reader;
use crate::expr::Template;
use roxmltree::Node;

/// When a flow is taken.
#[derive(Clone, Debug)]
pub enum Condition {
    /// An expression.
    Expression(Template),
    /// A script.
    Script(String),
}

/// The condition in a `conditionExpression` or `condition` element.
pub(super) fn condition(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Condition> {
    let text = super::xml::text(node);
    if text.is_empty() && super::namespace::extension(node, "resource").is_none() {
        reader.problem(node, "a condition needs an expression");
        return None;
    }
    match node.attribute("language").map(str::to_lowercase).as_deref() {
        None | Some("juel") => reader.template(node, &text).map(Condition::Expression),
        Some("javascript" | "ecmascript" | "js")
            if super::namespace::extension(node, "resource").is_none() =>
        {
            reader.scripts = true;
            Some(Condition::Script(text))
        }
        Some(language) if language.contains("xpath") => {
            reader.template(node, &text).map(Condition::Expression)
        }
        Some(language) => {
            reader.problem(
                node,
                format!(
                    "conditions in '{language}' are not built; use an expression or JavaScript"
                ),
            );
            None
        }
    }
}
