//! A BPMN resource to its executable processes.

use super::delegate::Delegates;
use super::element::{Element, Flow, Kind};
use super::extension;
use super::graph::{ElementIndex, FlowIndex, Process};
use super::namespace::{
    BPMN, child, extension as attribute, extension_flag, extensions, has_schema, is,
};
use super::problem::Failure;
use super::xml::{Reader, document, text};
use super::{activity, event, flow};
use roxmltree::Node;
use std::collections::{HashMap, HashSet};

/// Elements that are drawn or documented, but do not run.
const IGNORED: [&str; 16] = [
    "documentation",
    "extensionElements",
    "laneSet",
    "textAnnotation",
    "association",
    "dataObject",
    "dataObjectReference",
    "dataStoreReference",
    "ioSpecification",
    "property",
    "group",
    "dataInputAssociation",
    "dataOutputAssociation",
    "incoming",
    "outgoing",
    "auditing",
];

/// Elements inside activities that their own readers handle.
const PARTS: [&str; 4] = [
    "multiInstanceLoopCharacteristics",
    "standardLoopCharacteristics",
    "script",
    "sequenceFlow",
];

/// Parses a resource that is to be deployed; all problems of all processes are reported together.
pub fn parse(source: &str, delegates: &Delegates) -> Result<Vec<Process>, Failure> {
    read(source, delegates, false)
}

/// Parses a resource that was deployed before: its instances go on, also if it would be refused today.
pub fn parse_again(source: &str, delegates: &Delegates) -> Result<Vec<Process>, Failure> {
    read(source, delegates, true)
}

fn read(source: &str, delegates: &Delegates, taken: bool) -> Result<Vec<Process>, Failure> {
    let document = document(source)?;
    let root = document.root_element();
    let mut reader = Reader {
        document: &document,
        roots: root
            .children()
            .filter_map(|n| n.attribute("id").map(|id| (id, n)))
            .collect(),
        lines: super::xml::lines(source),
        problems: Vec::new(),
        warnings: Vec::new(),
        taken,
        scripts: false,
        delegates,
    };
    if !is(root, "definitions") {
        reader.problem(
            root,
            format!("the root element is not 'definitions' of {BPMN}"),
        );
    }
    each_id_once(&mut reader, root);
    let mut processes = Vec::new();
    for node in root.children().filter(|n| is(*n, "process")) {
        // Without the attribute a process is not executable; collapsed pools of a collaboration are such.
        if node.attribute("isExecutable") == Some("true") {
            processes.extend(process(&mut reader, node));
        }
    }
    if reader.problems.is_empty() {
        Ok(processes)
    } else {
        Err(Failure::Model(reader.problems))
    }
}

/// Ids are unique in the whole file, drawings and documentation included, as the schema of BPMN has them.
fn each_id_once(reader: &mut Reader<'_, '_>, root: Node<'_, '_>) {
    let mut seen = HashSet::new();
    for node in root.descendants().filter(|node| has_schema(*node)) {
        if let Some(id) = node.attribute("id")
            && !seen.insert(id.to_owned())
        {
            reader.problem(node, format!("the id '{id}' is used twice"));
        }
    }
}

fn process(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Process> {
    let Some(key) = node.attribute("id").filter(|id| !id.is_empty()) else {
        reader.problem(node, "a process needs an id");
        return None;
    };
    let lasts = attribute(node, "historyTimeToLive").filter(|text| !text.trim().is_empty());
    let days = lasts.and_then(days);
    if let Some(text) = lasts.filter(|_| days.is_none()) {
        reader.problem(
            node,
            format!("historyTimeToLive is a number of days, as 30 or P30D, not '{text}'"),
        );
    }
    let mut builder = Builder {
        process: Process {
            key: key.to_owned(),
            name: node.attribute("name").map(str::to_owned),
            version_tag: attribute(node, "versionTag").map(str::to_owned),
            history_days: days,
            startable: attribute(node, "isStartableInTasklist") != Some("false"),
            job_priority: reader.attribute(node, "jobPriority"),
            task_priority: reader.attribute(node, "taskPriority"),
            elements: Vec::new(),
            flows: Vec::new(),
            warnings: Vec::new(),
            scripts: false,
            calls: false,
            by_id: HashMap::new(),
        },
        pending_flows: Vec::new(),
        pending_boundaries: Vec::new(),
    };
    extension::refuse(reader, node);
    builder.scope(reader, node, None, false);
    builder.connect(reader);
    super::check::check(reader, node, &builder.process);
    if !reader.taken {
        super::once::check(reader, node, &builder.process);
    }
    builder.process.warnings = std::mem::take(&mut reader.warnings);
    let called = |element: &Element| matches!(element.kind, Kind::Call(_));
    builder.process.calls = builder.process.elements.iter().any(called);
    builder.process.scripts = std::mem::take(&mut reader.scripts);
    Some(builder.process)
}

/// `30`, `P30D`.
fn days(text: &str) -> Option<u32> {
    text.trim()
        .trim_start_matches('P')
        .trim_end_matches('D')
        .parse()
        .ok()
}

struct Builder<'a, 'i> {
    process: Process,
    pending_flows: Vec<Node<'a, 'i>>,
    pending_boundaries: Vec<(Node<'a, 'i>, Option<ElementIndex>)>,
}

impl<'a, 'i> Builder<'a, 'i> {
    fn scope(
        &mut self,
        reader: &mut Reader<'_, '_>,
        node: Node<'a, 'i>,
        scope: Option<ElementIndex>,
        event_sub: bool,
    ) {
        for inner in node
            .children()
            .filter(|n| n.is_element() && n.tag_name().namespace() == Some(BPMN))
        {
            let name = inner.tag_name().name();
            if name == "sequenceFlow" {
                self.pending_flows.push(inner);
            } else if name == "boundaryEvent" {
                self.pending_boundaries.push((inner, scope));
            } else if !IGNORED.contains(&name) && !PARTS.contains(&name) {
                self.element(reader, inner, scope, event_sub);
            }
        }
    }

    fn element(
        &mut self,
        reader: &mut Reader<'_, '_>,
        node: Node<'a, 'i>,
        scope: Option<ElementIndex>,
        event_sub: bool,
    ) {
        let found = reader.problems.len();
        let kind = match node.tag_name().name() {
            "startEvent" => event::start(reader, node, event_sub, scope.is_some()),
            "endEvent" => event::end(reader, node),
            "intermediateCatchEvent" => event::catch(reader, node),
            "intermediateThrowEvent" => event::throw(reader, node),
            "exclusiveGateway" => Some(Kind::Exclusive),
            "parallelGateway" => Some(Kind::Parallel),
            "inclusiveGateway" => Some(Kind::Inclusive),
            "eventBasedGateway" => Some(Kind::EventBased),
            _ => activity::kind(reader, node),
        };
        let kind = kind.unwrap_or_else(|| {
            if reader.problems.len() == found {
                reader.problem(node, format!("{} is not built", node.tag_name().name()));
            }
            event::in_place_of(node)
        });
        let sub = if let Kind::SubProcess(sub) = &kind {
            Some(sub.triggered_by_event)
        } else {
            None
        };
        let Some(index) = self.add(reader, node, scope, kind) else {
            return;
        };
        if let Some(triggered_by_event) = sub {
            self.scope(reader, node, Some(index), triggered_by_event);
        }
    }

    fn add(
        &mut self,
        reader: &mut Reader<'_, '_>,
        node: Node<'a, 'i>,
        scope: Option<ElementIndex>,
        kind: Kind,
    ) -> Option<ElementIndex> {
        let Some(id) = node.attribute("id").filter(|id| !id.is_empty()) else {
            reader.problem(node, "the element needs an id");
            return None;
        };
        let index = ElementIndex(u32::try_from(self.process.elements.len()).ok()?);
        if self.process.find(id).is_some() {
            return None;
        }
        self.process.by_id.insert(id.to_owned(), index);
        extension::refuse(reader, node);
        let (inputs, outputs) = extension::input_output(reader, node);
        let multi = activity::multi(reader, node);
        if multi.is_some() && !outputs.is_empty() {
            reader.problem(
                node,
                "camunda:outputParameter not allowed for multi-instance constructs",
            );
        }
        let retry = extensions(node, "failedJobRetryTimeCycle").next().map(text);
        let (line, column) = reader.place(node);
        let element = Element {
            id: id.to_owned(),
            name: node.attribute("name").map(str::to_owned),
            type_name: super::names::type_name(node.tag_name().name(), &kind),
            kind,
            scope,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            default: None,
            default_elsewhere: None,
            async_before: extension_flag(node, "asyncBefore") || extension_flag(node, "async"),
            async_after: extension_flag(node, "asyncAfter"),
            exclusive: attribute(node, "exclusive") != Some("false"),
            job_priority: reader.attribute(node, "jobPriority"),
            retry_cycle: retry
                .filter(|r| !r.is_empty())
                .and_then(|r| reader.template(node, &r)),
            inputs,
            outputs,
            multi,
            properties: extension::properties(node),
            form: match node.tag_name().name() {
                "userTask" | "startEvent" => super::form::fields(reader, node),
                _ => Vec::new(),
            },
            page: match node.tag_name().name() {
                "userTask" | "startEvent" => super::form::page(reader, node),
                _ => None,
            },
            line,
            column,
        };
        self.process.elements.push(element);
        Some(index)
    }

    /// Boundary events and flows refer to elements that may come later in the file.
    fn connect(&mut self, reader: &mut Reader<'_, '_>) {
        for (node, scope) in std::mem::take(&mut self.pending_boundaries) {
            let host = node
                .attribute("attachedToRef")
                .and_then(|id| self.process.find(id));
            let Some(host) = host.filter(|h| self.process.element(*h).scope == scope) else {
                reader.problem(node, "attachedToRef names no activity of the same scope");
                continue;
            };
            let kind = event::boundary(reader, node, host);
            let kind = kind.unwrap_or_else(|| event::border_of(host));
            self.add(reader, node, scope, kind);
        }
        for node in std::mem::take(&mut self.pending_flows) {
            self.flow(reader, node);
        }
        for node in reader
            .document
            .descendants()
            .filter(|n| n.has_attribute("default"))
        {
            let Some(index) = node.attribute("id").and_then(|id| self.process.find(id)) else {
                continue;
            };
            let wanted = node.attribute("default").unwrap_or_default();
            let flows = &self.process.flows;
            let found = flows
                .iter()
                .position(|f| f.id == wanted && f.source == index);
            let element = &mut self.process.elements[index.0 as usize];
            element.default = found.and_then(|f| u32::try_from(f).ok()).map(FlowIndex);
            if element.default.is_none() {
                element.default_elsewhere = Some(wanted.to_owned());
            }
            let mut all = reader.document.descendants();
            if found.is_none() && !all.any(|n| n.attribute("id") == Some(wanted)) {
                let message = format!("the default flow '{wanted}' is not in this file");
                reader.problem(node, message);
            }
        }
    }

    fn flow(&mut self, reader: &mut Reader<'_, '_>, node: Node<'a, 'i>) {
        let mut end = |name: &str| {
            let id = node.attribute(name).unwrap_or_default();
            let found = self.process.find(id);
            if found.is_none() {
                reader.problem(node, format!("{name} '{id}' is no element of this process"));
            }
            found
        };
        let (Some(source), Some(target)) = (end("sourceRef"), end("targetRef")) else {
            return;
        };
        if self.process.element(source).scope != self.process.element(target).scope {
            reader.problem(
                node,
                "a sequence flow may not cross the border of a sub-process",
            );
            return;
        }
        extension::refuse(reader, node);
        let condition = child(node, "conditionExpression").and_then(|c| flow::condition(reader, c));
        let Ok(index) = u32::try_from(self.process.flows.len()) else {
            return;
        };
        let id = node.attribute("id").unwrap_or_default().to_owned();
        let (line, column) = reader.place(node);
        self.process.flows.push(Flow {
            id,
            source,
            target,
            condition,
            line,
            column,
        });
        self.process.elements[source.0 as usize]
            .outgoing
            .push(FlowIndex(index));
        self.process.elements[target.0 as usize]
            .incoming
            .push(FlowIndex(index));
    }
}
