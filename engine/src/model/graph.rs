//! A process as a graph: elements and flows by index, and the lookups that the machine makes.

use super::element::{Element, Flow, Kind, Trigger};
use super::problem::Problem;
use std::collections::HashMap;

/// Where an element is in its process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ElementIndex(pub u32);

/// Where a sequence flow is in its process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FlowIndex(pub u32);

/// An executable process.
#[derive(Clone, Debug)]
pub struct Process {
    /// The definition's key.
    pub key: String,
    /// Name for people.
    pub name: Option<String>,
    /// Version tag.
    pub version_tag: Option<String>,
    /// Days that history is kept after the end.
    pub history_days: Option<u32>,
    /// May it be started by a task list?
    pub startable: bool,
    /// Default priority of its jobs.
    pub job_priority: Option<crate::expr::Template>,
    /// Default priority of its external tasks.
    pub task_priority: Option<crate::expr::Template>,
    /// All elements, in the order of the file.
    pub elements: Vec<Element>,
    /// All sequence flows, in the order of the file.
    pub flows: Vec<Flow>,
    /// What runs, but perhaps not as its author thinks.
    pub warnings: Vec<Problem>,
    pub(super) by_id: HashMap<String, ElementIndex>,
}

impl Process {
    /// The element at an index.
    pub fn element(&self, index: ElementIndex) -> &Element {
        &self.elements[index.0 as usize]
    }

    /// The flow at an index.
    pub fn flow(&self, index: FlowIndex) -> &Flow {
        &self.flows[index.0 as usize]
    }

    /// The index of an element.
    pub fn find(&self, id: &str) -> Option<ElementIndex> {
        self.by_id.get(id).copied()
    }

    /// The element with this id.
    pub fn get(&self, id: &str) -> Option<&Element> {
        self.find(id).map(|index| self.element(index))
    }

    /// The elements directly inside a scope (`None`: the process), in the order of the file.
    pub fn children(&self, scope: Option<ElementIndex>) -> impl Iterator<Item = (ElementIndex, &Element)> {
        let all = self.elements.iter().enumerate();
        all.filter(move |(_, element)| element.scope == scope)
            .map(|(index, element)| (ElementIndex(u32::try_from(index).unwrap_or(u32::MAX)), element))
    }

    /// The none start event of a scope.
    pub fn none_start(&self, scope: Option<ElementIndex>) -> Option<ElementIndex> {
        let mut children = self.children(scope);
        children.find(|(_, e)| matches!(e.kind, Kind::Start { trigger: Trigger::None, .. })).map(|(index, _)| index)
    }

    /// Boundary events of an activity.
    pub fn boundaries(&self, host: ElementIndex) -> impl Iterator<Item = (ElementIndex, &Element)> {
        let scope = self.element(host).scope;
        self.children(scope).filter(move |(_, e)| matches!(e.kind, Kind::Boundary { host: h, .. } if h == host))
    }

    /// Event sub-processes of a scope, each with its start event.
    pub fn event_sub_processes(
        &self,
        scope: Option<ElementIndex>,
    ) -> impl Iterator<Item = (ElementIndex, ElementIndex, &Element)> {
        let subs = self.children(scope).filter(|(_, e)| matches!(&e.kind, Kind::SubProcess(s) if s.triggered_by_event));
        subs.filter_map(|(sub, _)| {
            let mut children = self.children(Some(sub));
            children.find(|(_, e)| matches!(e.kind, Kind::Start { .. })).map(|(start, e)| (sub, start, e))
        })
    }
}

/// Checks what only the whole graph shows.
pub(super) fn check(reader: &mut super::xml::Reader<'_, '_>, node: roxmltree::Node<'_, '_>, process: &Process) {
    let at = |id: &str| node.descendants().find(|n| n.attribute("id") == Some(id)).unwrap_or(node);
    if !process.children(None).any(|(_, e)| matches!(e.kind, Kind::Start { .. })) {
        reader.problem(node, "the process has no start event");
    }
    for scope in std::iter::once(None).chain((0..process.elements.len()).filter_map(|i| Some(Some(ElementIndex(u32::try_from(i).ok()?))))) {
        let none_starts = process.children(scope).filter(|(_, e)| matches!(e.kind, Kind::Start { trigger: Trigger::None, .. }));
        if none_starts.count() > 1 {
            reader.problem(node, "multiple none start events in one scope are not supported");
        }
    }
    for (index, element) in process.elements.iter().enumerate() {
        let index = ElementIndex(u32::try_from(index).unwrap_or(u32::MAX));
        match &element.kind {
            Kind::SubProcess(sub) => {
                let starts = process.children(Some(index)).filter(|(_, e)| matches!(e.kind, Kind::Start { .. })).count();
                if starts != 1 {
                    reader.problem(at(&element.id), "a sub-process needs exactly one start event");
                }
                if sub.triggered_by_event && !(element.incoming.is_empty() && element.outgoing.is_empty()) {
                    reader.problem(at(&element.id), "an event sub-process has no sequence flows");
                }
            }
            Kind::EventBased => {
                let waits = element.outgoing.iter().all(|f| {
                    matches!(process.element(process.flow(*f).target).kind, Kind::Catch(_))
                });
                if !waits || element.outgoing.is_empty() {
                    reader.problem(at(&element.id), "Event based gateway can only be connected to elements of type intermediateCatchEvent");
                }
            }
            Kind::Exclusive if element.outgoing.len() > 1 => {
                for flow in &element.outgoing {
                    if process.flow(*flow).condition.is_none() && element.default != Some(*flow) {
                        reader.warn(at(&element.id), format!("the flow '{}' has no condition and is not the default", process.flow(*flow).id));
                    }
                }
            }
            Kind::Parallel if element.incoming.len() > 1 => {
                let mut sources: Vec<_> = element.incoming.iter().map(|f| process.flow(*f).source).collect();
                sources.dedup();
                if sources.len() < element.incoming.len() {
                    reader.warn(at(&element.id), "the join counts tokens, not flows: two tokens on one flow satisfy it");
                }
            }
            _ => {}
        }
    }
}
