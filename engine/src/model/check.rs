//! Checks what only the whole graph shows.

use super::element::{Element, Kind};
use super::graph::{ElementIndex, FlowIndex, Process};
use super::xml::Reader;
use roxmltree::Node;

/// Reports problems and warnings of a process as a whole.
pub(super) fn check(reader: &mut Reader<'_, '_>, node: Node<'_, '_>, process: &Process) {
    let is_start = |e: &Element| matches!(e.kind, Kind::Start { .. });
    if !process.children(None).any(|(_, e)| is_start(e)) {
        reader.problem(node, "the process has no start event");
    }
    for (index, element) in process.elements.iter().enumerate() {
        let index = ElementIndex(u32::try_from(index).unwrap_or(u32::MAX));
        let at = node
            .descendants()
            .find(|n| n.attribute("id") == Some(&element.id))
            .unwrap_or(node);
        match &element.kind {
            Kind::SubProcess(sub) => {
                sub_process(reader, at, process, index, sub.triggered_by_event);
            }
            Kind::EventBased => event_based(reader, at, process, element),
            Kind::Exclusive => exclusive(reader, at, process, element),
            Kind::Parallel if element.incoming.len() > 1 => join(reader, at, process, element),
            _ => {}
        }
    }
}

fn sub_process(
    reader: &mut Reader<'_, '_>,
    at: Node<'_, '_>,
    process: &Process,
    index: ElementIndex,
    triggered_by_event: bool,
) {
    let starts = process
        .children(Some(index))
        .filter(|(_, e)| matches!(e.kind, Kind::Start { .. }));
    if starts.count() != 1 {
        reader.problem(at, "a sub-process needs exactly one start event");
    }
    let element = process.element(index);
    if triggered_by_event && !(element.incoming.is_empty() && element.outgoing.is_empty()) {
        reader.problem(at, "an event sub-process has no sequence flows");
    }
}

fn event_based(
    reader: &mut Reader<'_, '_>,
    at: Node<'_, '_>,
    process: &Process,
    element: &Element,
) {
    let waits = |target: ElementIndex| matches!(process.element(target).kind, Kind::Catch(_));
    let all = element
        .outgoing
        .iter()
        .all(|f| waits(process.flow(*f).target));
    if !all || element.outgoing.is_empty() {
        reader.problem(
            at,
            "Event based gateway can only be connected to elements of type intermediateCatchEvent",
        );
    }
}

fn exclusive(reader: &mut Reader<'_, '_>, at: Node<'_, '_>, process: &Process, element: &Element) {
    if element.outgoing.is_empty() && !reader.taken {
        let message = format!(
            "Exclusive Gateway '{}' has no outgoing sequence flows.",
            element.id
        );
        reader.problem(at, message);
    }
    if let [only] = element.outgoing.as_slice() {
        let flow = process.flow(*only);
        if flow.condition.is_some() {
            reader.problem(at, format!("Exclusive Gateway '{}' has only one outgoing sequence flow ('{}'). This is not allowed to have a condition.", element.id, flow.id));
        }
        return;
    }
    let open = |index: &&FlowIndex| {
        process.flow(**index).condition.is_none() && element.default != Some(**index)
    };
    let open: Vec<_> = element.outgoing.iter().filter(open).collect();
    let named = element.default.is_some() || element.default_elsewhere.is_some();
    for index in &open {
        let flow = &process.flow(**index).id;
        if !reader.taken && (named || open.len() > 1) {
            reader.problem(at, format!("Exclusive Gateway '{}' has outgoing sequence flow '{flow}' without condition which is not the default flow.", element.id));
        } else {
            let message = format!("the flow '{flow}' has no condition and is not the default");
            reader.warn(at, message);
        }
    }
    let default = element.default.map(|index| process.flow(index));
    if let Some(flow) = default.filter(|flow| flow.condition.is_some() && !reader.taken) {
        reader.problem(at, format!("Exclusive Gateway '{}' has outgoing sequence flow '{}' which is the default flow but has a condition too.", element.id, flow.id));
    }
}

fn join(reader: &mut Reader<'_, '_>, at: Node<'_, '_>, process: &Process, element: &Element) {
    let mut sources: Vec<_> = element
        .incoming
        .iter()
        .map(|f| process.flow(*f).source)
        .collect();
    sources.sort_unstable();
    sources.dedup();
    if sources.len() < element.incoming.len() {
        reader.warn(
            at,
            "the join counts tokens, not flows: two tokens on one flow satisfy it",
        );
    }
}
