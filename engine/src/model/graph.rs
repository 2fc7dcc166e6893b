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
    /// Does a step of it run scripts, which may take a while?
    pub scripts: bool,
    /// Does it call others?
    pub calls: bool,
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
    pub fn children(
        &self,
        scope: Option<ElementIndex>,
    ) -> impl Iterator<Item = (ElementIndex, &Element)> {
        let all = self.elements.iter().enumerate();
        all.filter(move |(_, element)| element.scope == scope)
            .map(|(index, element)| {
                (
                    ElementIndex(u32::try_from(index).unwrap_or(u32::MAX)),
                    element,
                )
            })
    }

    /// The none start event of a scope.
    pub fn none_start(&self, scope: Option<ElementIndex>) -> Option<ElementIndex> {
        let mut children = self.children(scope);
        children
            .find(|(_, e)| {
                matches!(
                    e.kind,
                    Kind::Start {
                        trigger: Trigger::None,
                        ..
                    }
                )
            })
            .map(|(index, _)| index)
    }

    /// Where an instance begins that is not started by an event: at the none start event, or at the only one.
    pub fn initial(&self) -> Option<ElementIndex> {
        let mut starts = self
            .children(None)
            .filter(|(_, e)| matches!(e.kind, Kind::Start { .. }));
        let only = starts
            .next()
            .filter(|_| starts.next().is_none())
            .map(|(index, _)| index);
        self.none_start(None).or(only)
    }

    /// Boundary events of an activity.
    pub fn boundaries(&self, host: ElementIndex) -> impl Iterator<Item = (ElementIndex, &Element)> {
        let scope = self.element(host).scope;
        self.children(scope)
            .filter(move |(_, e)| matches!(e.kind, Kind::Boundary { host: h, .. } if h == host))
    }

    /// Event sub-processes of a scope, each with its start event.
    pub fn event_sub_processes(
        &self,
        scope: Option<ElementIndex>,
    ) -> impl Iterator<Item = (ElementIndex, ElementIndex, &Element)> {
        let subs = self
            .children(scope)
            .filter(|(_, e)| matches!(&e.kind, Kind::SubProcess(s) if s.triggered_by_event));
        subs.filter_map(|(sub, _)| {
            let mut children = self.children(Some(sub));
            children
                .find(|(_, e)| matches!(e.kind, Kind::Start { .. }))
                .map(|(start, e)| (sub, start, e))
        })
    }
}
