//! Events: what they wait for, what they raise.

use super::element::{Catch, End, ErrorCatch, Kind, SubProcess, Throw, Trigger, Work};
use super::graph::ElementIndex;
use super::namespace::{child, extension, is};
use super::xml::{Reader, text};
use roxmltree::Node;

/// The one event definition of an event, if it has one.
fn definition<'a, 'i>(reader: &mut Reader<'_, '_>, event: Node<'a, 'i>) -> Option<Node<'a, 'i>> {
    let is_definition =
        |n: &Node<'_, '_>| n.is_element() && n.tag_name().name().ends_with("EventDefinition");
    let mut all = event.children().filter(is_definition);
    let first = all.next();
    if let Some(second) = all.next() {
        reader.problem(
            second,
            "several event definitions in one event are not built",
        );
    }
    if let Some(reference) = event.children().find(|n| is(*n, "eventDefinitionRef")) {
        reader.problem(
            reference,
            "references to event definitions are not built; put the definition into the event",
        );
    }
    first
}

/// What a catching event waits for.
pub(super) fn trigger(reader: &mut Reader<'_, '_>, event: Node<'_, '_>) -> Option<Trigger> {
    let Some(node) = definition(reader, event) else {
        return Some(Trigger::None);
    };
    match node.tag_name().name() {
        "messageEventDefinition" => message_name(reader, node).map(Trigger::Message),
        "signalEventDefinition" => {
            let name = reader.reference(node, "signalRef", "signal", "name");
            named(reader, node, name, "signal").map(Trigger::Signal)
        }
        "timerEventDefinition" => timer(reader, node),
        "errorEventDefinition" => Some(Trigger::Error(ErrorCatch {
            code: error_code(reader, node),
            code_variable: extension(node, "errorCodeVariable").map(str::to_owned),
            message_variable: extension(node, "errorMessageVariable").map(str::to_owned),
        })),
        "escalationEventDefinition" => Some(Trigger::Escalation {
            code: reader
                .reference(node, "escalationRef", "escalation", "escalationCode")
                .filter(|c| !c.is_empty()),
            variable: extension(node, "escalationCodeVariable").map(str::to_owned),
        }),
        "conditionalEventDefinition" => conditional(reader, node),
        other => {
            reader.problem(node, format!("{other} is not built"));
            None
        }
    }
}

fn conditional(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Trigger> {
    if extension(node, "variableName")
        .or_else(|| extension(node, "variableEvents"))
        .is_some()
    {
        reader.problem(
            node,
            "conditional events with variableName or variableEvents are not built",
        );
        return None;
    }
    let Some(condition) = child(node, "condition") else {
        reader.problem(node, "a conditional event needs a condition");
        return None;
    };
    super::flow::condition(reader, condition).map(Trigger::Condition)
}

/// The name of the message that a definition or a receive task refers to.
pub(super) fn message_name(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
) -> Option<crate::expr::Template> {
    let name = reader.reference(node, "messageRef", "message", "name");
    named(reader, node, name, "message")
}

fn named(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    name: Option<String>,
    kind: &str,
) -> Option<crate::expr::Template> {
    match name.filter(|n| !n.is_empty()) {
        Some(name) => reader.template(node, &name),
        None => {
            reader.problem(node, format!("the {kind} has no name"));
            None
        }
    }
}

fn error_code(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<String> {
    node.attribute("errorRef")?;
    let known = reader
        .roots
        .contains_key(node.attribute("errorRef").unwrap_or_default());
    if known {
        reader
            .reference(node, "errorRef", "error", "errorCode")
            .filter(|c| !c.is_empty())
    } else {
        // A reference to no error element is itself the code.
        node.attribute("errorRef").map(str::to_owned)
    }
}

fn timer(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Trigger> {
    for (name, make) in [
        ("timeDate", Trigger::Date as fn(_) -> _),
        ("timeDuration", Trigger::Duration),
        ("timeCycle", Trigger::Cycle),
    ] {
        if let Some(inner) = child(node, name) {
            let text = text(inner);
            if text.is_empty() {
                reader.problem(inner, format!("{name} is empty"));
                return None;
            }
            return reader.template(inner, &text).map(make);
        }
    }
    reader.problem(
        node,
        "a timer needs one of timeDate, timeDuration, timeCycle",
    );
    None
}

/// A start event.
pub(super) fn start(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    in_event_sub: bool,
    nested: bool,
) -> Option<Kind> {
    let trigger = trigger(reader, node)?;
    match (&trigger, in_event_sub, nested) {
        (Trigger::None, true, _) => {
            reader.problem(
                node,
                "the start event of an event sub-process needs an event definition",
            );
            return None;
        }
        (Trigger::None, false, _)
        | (
            Trigger::Message(_)
            | Trigger::Signal(_)
            | Trigger::Date(_)
            | Trigger::Duration(_)
            | Trigger::Cycle(_),
            false,
            false,
        ) => {}
        (Trigger::Condition(_), false, false) => {
            reader.problem(node, "conditional start events of a process are not built");
            return None;
        }
        (_, true, _) => {}
        (_, false, _) => {
            reader.problem(node, "this start event belongs into an event sub-process");
            return None;
        }
    }
    let interrupting = node.attribute("isInterrupting") != Some("false");
    if !interrupting && matches!(trigger, Trigger::Error(_)) {
        reader.problem(node, "an error start event always interrupts");
    }
    Some(Kind::Start {
        trigger,
        interrupting,
        initiator: extension(node, "initiator").map(str::to_owned),
    })
}

/// A boundary event.
pub(super) fn boundary(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    host: ElementIndex,
) -> Option<Kind> {
    let trigger = trigger(reader, node)?;
    if matches!(trigger, Trigger::None) {
        reader.problem(node, "a boundary event needs an event definition");
        return None;
    }
    Some(Kind::Boundary {
        host,
        interrupting: node.attribute("cancelActivity") != Some("false"),
        trigger,
    })
}

/// What stands for an element that was refused while the rest of the model is read: with it, the others that refer to it
/// are not refused for its sake. A model with a refused element never runs.
pub(super) fn in_place_of(node: Node<'_, '_>) -> Kind {
    match node.tag_name().name() {
        "startEvent" => Kind::Start {
            trigger: REFUSED,
            interrupting: true,
            initiator: None,
        },
        "intermediateCatchEvent" => Kind::Catch(Catch { trigger: REFUSED }),
        "transaction" | "adHocSubProcess" => Kind::SubProcess(SubProcess {
            triggered_by_event: false,
        }),
        _ => Kind::PassThrough,
    }
}

/// As [`in_place_of`], for an event at the border of `host`.
pub(super) fn border_of(host: ElementIndex) -> Kind {
    Kind::Boundary {
        host,
        interrupting: true,
        trigger: REFUSED,
    }
}

/// No event that is counted: not one of several starts without an event.
const REFUSED: Trigger = Trigger::Error(ErrorCatch {
    code: None,
    code_variable: None,
    message_variable: None,
});

/// An intermediate catch event.
pub(super) fn catch(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Kind> {
    let trigger = trigger(reader, node)?;
    match trigger {
        Trigger::Message(_)
        | Trigger::Signal(_)
        | Trigger::Date(_)
        | Trigger::Duration(_)
        | Trigger::Cycle(_)
        | Trigger::Condition(_) => Some(Kind::Catch(Catch { trigger })),
        Trigger::None | Trigger::Error(_) | Trigger::Escalation { .. } => {
            reader.problem(
                node,
                "an intermediate catch event needs a message, signal, timer or condition",
            );
            None
        }
    }
}

/// An intermediate throw event.
pub(super) fn throw(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Kind> {
    let Some(inner) = definition(reader, node) else {
        return Some(Kind::Throw(Throw::None));
    };
    throws(reader, inner).map(Kind::Throw)
}

fn throws(reader: &mut Reader<'_, '_>, inner: Node<'_, '_>) -> Option<Throw> {
    match inner.tag_name().name() {
        "messageEventDefinition" => {
            super::extension::refuse(reader, inner);
            let works = ["type", "class", "delegateExpression", "expression"];
            if works.iter().all(|name| extension(inner, name).is_none()) {
                return Some(Throw::Message(None));
            }
            let work: Option<Work> = super::activity::work(reader, inner, "message event");
            work.map(|work| Throw::Message(Some(work)))
        }
        "signalEventDefinition" => {
            let name = reader.reference(inner, "signalRef", "signal", "name");
            let name = named(reader, inner, name, "signal")?;
            let (variables, _) = super::extension::call_mappings(reader, inner, "in");
            Some(Throw::Signal { name, variables })
        }
        "escalationEventDefinition" => {
            let code = reader.reference(inner, "escalationRef", "escalation", "escalationCode");
            match code.filter(|c| !c.is_empty()) {
                Some(code) => Some(Throw::Escalation { code }),
                None => {
                    reader.problem(inner, "an escalation that is thrown needs a code");
                    None
                }
            }
        }
        other => {
            reader.problem(
                inner,
                format!("{other} in a throw or end event is not built"),
            );
            None
        }
    }
}

/// An end event.
pub(super) fn end(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Kind> {
    let Some(inner) = definition(reader, node) else {
        return Some(Kind::End(End::None));
    };
    match inner.tag_name().name() {
        "terminateEventDefinition" => Some(Kind::End(End::Terminate)),
        "errorEventDefinition" => {
            let Some(code) = error_code(reader, inner) else {
                reader.problem(inner, "an error that is thrown needs a code");
                return None;
            };
            let message = extension_message(reader, inner);
            Some(Kind::End(End::Error {
                code: reader.template(inner, &code)?,
                message,
            }))
        }
        _ => throws(reader, inner).map(|t| Kind::End(End::Throw(t))),
    }
}

fn extension_message(
    reader: &mut Reader<'_, '_>,
    inner: Node<'_, '_>,
) -> Option<crate::expr::Template> {
    let root = reader.roots.get(inner.attribute("errorRef")?).copied()?;
    let text = extension(root, "errorMessage")?;
    reader.template(inner, text)
}
