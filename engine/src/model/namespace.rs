//! The namespaces that models use, and how their parts are asked for.

use roxmltree::Node;

/// BPMN 2.0.
pub(super) const BPMN: &str = "http://www.omg.org/spec/BPMN/20100524/MODEL";

/// The drawings that go with it.
const DRAWINGS: [&str; 2] = [
    "http://www.omg.org/spec/BPMN/20100524/DI",
    "http://www.omg.org/spec/DD/20100524/DI",
];

/// The extension namespaces: one vocabulary under several names.
const EXTENSIONS: [&str; 4] = [
    "http://camunda.org/schema/1.0/bpmn",
    "http://operaton.org/schema/1.0/bpmn",
    "http://activiti.org/bpmn",
    "http://cibseven.org/schema/1.0/bpmn",
];

/// Is it a BPMN element of this name?
pub(super) fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().namespace() == Some(BPMN) && node.tag_name().name() == name
}

/// Is it of the schema of BPMN, drawings included?
pub(super) fn has_schema(node: Node<'_, '_>) -> bool {
    let namespace = node.tag_name().namespace();
    node.is_element() && namespace.is_some_and(|ns| ns == BPMN || DRAWINGS.contains(&ns))
}

/// The first BPMN child of this name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|c| is(*c, name))
}

/// An extension attribute.
pub(super) fn extension<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    EXTENSIONS.iter().find_map(|ns| node.attribute((*ns, name)))
}

/// An extension attribute that says true.
pub(super) fn extension_flag(node: Node<'_, '_>, name: &str) -> bool {
    extension(node, name) == Some("true")
}

/// Is it an extension element of this name?
pub(super) fn is_extension(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == name
        && node
            .tag_name()
            .namespace()
            .is_some_and(|ns| EXTENSIONS.contains(&ns))
}

/// Extension elements of this name below `extensionElements`.
pub(super) fn extensions<'a, 'i>(
    node: Node<'a, 'i>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    let holder = child(node, "extensionElements");
    holder
        .into_iter()
        .flat_map(|h| h.children())
        .filter(move |c| is_extension(*c, name))
}
