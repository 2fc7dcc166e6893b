//! What may be there only once in its scope, because it could not be told which one is meant.
//!
//! Owns these refusals, for models that are to be deployed. Must not be asked about those that run already: they were taken
//! before it was looked at.

use super::element::{Element, Kind, Trigger};
use super::graph::{ElementIndex, Process};
use super::xml::Reader;
use roxmltree::Node;

/// Who listens: the process, an activity, or the body of a multi-instance activity.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Scope {
    of: Option<ElementIndex>,
    body: bool,
    /// Does it start the process?
    start: bool,
}

/// Reports events of which there may be one.
pub(super) fn check(reader: &mut Reader<'_, '_>, node: Node<'_, '_>, process: &Process) {
    let mut found: Vec<(&Element, String)> = Vec::new();
    starts(process, &mut found);
    subscriptions(process, &mut found);
    escalations(process, &mut found);
    for (element, message) in found {
        let mut all = node.descendants();
        let at = all.find(|n| n.attribute("id") == Some(&element.id));
        reader.problem(at.unwrap_or(node), message);
    }
}

/// A process begins at one none or timer start event.
fn starts<'p>(process: &'p Process, found: &mut Vec<(&'p Element, String)>) {
    let exclusive = |element: &Element| {
        matches!(
            &element.kind,
            Kind::Start {
                trigger: Trigger::None
                    | Trigger::Date(_)
                    | Trigger::Duration(_)
                    | Trigger::Cycle(_),
                ..
            }
        )
    };
    let all = process.children(None).map(|(_, element)| element);
    for second in all.filter(|element| exclusive(element)).skip(1) {
        let message =
            "multiple none start events or timer start events not supported on process definition";
        found.push((second, message.to_owned()));
    }
}

/// One scope waits for a message or a signal at one event.
fn subscriptions<'p>(process: &'p Process, found: &mut Vec<(&'p Element, String)>) {
    let mut seen: Vec<(Scope, &str, &str)> = Vec::new();
    for (index, element) in indexed(process) {
        let waits = match &element.kind {
            Kind::Start { trigger, .. } | Kind::Boundary { trigger, .. } => named(trigger),
            Kind::Catch(catch) => named(&catch.trigger),
            Kind::Receive(name) => name.as_ref().map(|name| ("message", name.text.as_str())),
            _ => None,
        };
        let Some((kind, name)) = waits else {
            continue;
        };
        let scope = scope(process, index, element);
        if !seen.contains(&(scope, kind, name)) {
            seen.push((scope, kind, name));
            continue;
        }
        let place = scope.of.map_or(&process.key, |of| &process.element(of).id);
        let message = format!(
            "Cannot have more than one {kind} event subscription with name '{name}' for scope '{place}'"
        );
        found.push((element, message));
    }
}

fn indexed(process: &Process) -> impl Iterator<Item = (ElementIndex, &Element)> {
    let numbers = (0..).map(ElementIndex);
    numbers.zip(&process.elements)
}

fn named(trigger: &Trigger) -> Option<(&'static str, &str)> {
    match trigger {
        Trigger::Message(name) => Some(("message", &name.text)),
        Trigger::Signal(name) => Some(("signal", &name.text)),
        _ => None,
    }
}

/// Whose event it is.
fn scope(process: &Process, index: ElementIndex, element: &Element) -> Scope {
    let inside = |of: ElementIndex| Scope {
        of: Some(of),
        body: false,
        start: false,
    };
    match &element.kind {
        Kind::Boundary { host, .. } => Scope {
            body: process.element(*host).multi.is_some(),
            ..inside(*host)
        },
        Kind::Start { .. } => Scope {
            of: element.scope.and_then(|sub| process.element(sub).scope),
            body: false,
            start: element.scope.is_none(),
        },
        // Events behind an event-based gateway are waited for there.
        _ => {
            let before = |flow| process.flow(flow).source;
            let mut sources = element.incoming.iter().copied().map(before);
            let gateway = |of: &ElementIndex| matches!(process.element(*of).kind, Kind::EventBased);
            inside(sources.find(gateway).unwrap_or(index))
        }
    }
}

/// Of escalations one scope catches each code once, or all of them once.
fn escalations<'p>(process: &'p Process, found: &mut Vec<(&'p Element, String)>) {
    let mut seen: Vec<(Scope, &'static str, Option<&str>)> = Vec::new();
    for (index, element) in indexed(process) {
        let (what, several, trigger) = match &element.kind {
            Kind::Boundary { trigger, .. } => ("boundary event", "s", trigger),
            Kind::Start { trigger, .. } => ("event subprocess", "es", trigger),
            _ => continue,
        };
        let Trigger::Escalation { code, .. } = trigger else {
            continue;
        };
        let (code, scope) = (code.as_deref(), scope(process, index, element));
        let same = seen.iter().filter(|(s, w, _)| *s == scope && *w == what);
        let all =
            format!("The escalation {what} without escalation code catch all escalation events.");
        for other in same.map(|(_, _, other)| *other) {
            let message = match (other, code) {
                (None, None) => format!(
                    "The same scope can not contains more than one escalation {what} without escalation code. {all}"
                ),
                (None, _) | (_, None) => format!(
                    "The same scope can not contains an escalation {what} without escalation code and another one with escalation code. {all}"
                ),
                (Some(one), Some(other)) if one == other => format!(
                    "multiple escalation {what}{several} with the same escalationCode '{one}' are not supported on same scope"
                ),
                _ => continue,
            };
            found.push((element, message));
            break;
        }
        seen.push((scope, what, code));
    }
}
