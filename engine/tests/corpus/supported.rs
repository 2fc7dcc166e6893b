//! Does a model use nothing but what `docs/engine/coverage.md` says is there? Read from the XML alone, by lists of its own:
//! what the engine's parser thinks is not asked.

use roxmltree::{Document, Node};

const BPMN: &str = "http://www.omg.org/spec/BPMN/20100524/MODEL";
const CAMUNDA: [&str; 2] = [
    "http://camunda.org/schema/1.0/bpmn",
    "http://activiti.org/bpmn",
];

const ELEMENTS: &[&str] = &[
    "definitions",
    "process",
    "documentation",
    "extensionElements",
    "incoming",
    "outgoing",
    "sequenceFlow",
    "conditionExpression",
    "startEvent",
    "endEvent",
    "intermediateCatchEvent",
    "intermediateThrowEvent",
    "boundaryEvent",
    "messageEventDefinition",
    "signalEventDefinition",
    "timerEventDefinition",
    "errorEventDefinition",
    "escalationEventDefinition",
    "terminateEventDefinition",
    "timeDate",
    "timeDuration",
    "timeCycle",
    "message",
    "signal",
    "error",
    "escalation",
    "userTask",
    "serviceTask",
    "sendTask",
    "receiveTask",
    "manualTask",
    "task",
    "businessRuleTask",
    "exclusiveGateway",
    "parallelGateway",
    "inclusiveGateway",
    "eventBasedGateway",
    "subProcess",
    "callActivity",
    "multiInstanceLoopCharacteristics",
    "loopCardinality",
    "completionCondition",
    "loopDataInputRef",
    "inputDataItem",
    "humanPerformer",
    "potentialOwner",
    "resourceAssignmentExpression",
    "formalExpression",
    "laneSet",
    "lane",
    "flowNodeRef",
    "collaboration",
    "participant",
    "messageFlow",
    "textAnnotation",
    "text",
    "association",
];

const EXTENSIONS: &[&str] = &[
    "in",
    "out",
    "inputOutput",
    "inputParameter",
    "outputParameter",
    "list",
    "map",
    "entry",
    "value",
    "properties",
    "property",
    "failedJobRetryTimeCycle",
    "formData",
    "formField",
    "validation",
    "constraint",
];

/// Attributes of extensions that name what is not there, or what a model brings from elsewhere.
const REFUSED: &[&str] = &[
    "class",
    "delegateExpression",
    "decisionRef",
    "caseRef",
    "resource",
    "variableMappingClass",
    "variableMappingDelegateExpression",
    "formHandlerClass",
    "taskListener",
    "errorMessageVariable",
    "connector",
];

/// It does, and each process can be run.
pub(crate) fn documented(model: &str) -> bool {
    let Ok(document) = Document::parse(model) else {
        return false;
    };
    let mut elements = document.descendants().filter(Node::is_element);
    let root = document.root_element();
    root.has_tag_name((BPMN, "definitions")) && elements.all(element) && runnable(&document)
}

fn element(node: Node<'_, '_>) -> bool {
    let name = node.tag_name();
    let known = match name.namespace() {
        Some(BPMN) => ELEMENTS.contains(&name.name()) && plain(node),
        Some(space) if CAMUNDA.contains(&space) => EXTENSIONS.contains(&name.name()),
        // Diagrams and the like.
        Some(_) => return true,
        None => false,
    };
    let mut attributes = node.attributes();
    known
        && node.attribute("isForCompensation") != Some("true")
        && attributes.all(|a| {
            !a.namespace().is_some_and(|space| CAMUNDA.contains(&space))
                || !REFUSED.contains(&a.name())
        })
        && !(name.name() == "validation"
            || name.name() == "constraint" && node.attribute("name") == Some("validator"))
}

/// What no list of names tells.
fn plain(node: Node<'_, '_>) -> bool {
    let children = |end: &str| {
        let all = node.children().filter(Node::is_element);
        all.filter(|child| child.tag_name().name().ends_with(end))
            .count()
    };
    let camunda = |name: &str| {
        CAMUNDA
            .iter()
            .find_map(|space| node.attribute((*space, name)))
    };
    match node.tag_name().name() {
        // One definition, and in its place.
        "startEvent"
        | "endEvent"
        | "intermediateCatchEvent"
        | "intermediateThrowEvent"
        | "boundaryEvent" => {
            children("EventDefinition") <= 1 && children("eventDefinitionRef") == 0
        }
        // Work that somebody outside does, or an expression.
        "serviceTask" | "sendTask" | "businessRuleTask" => {
            camunda("type") == Some("external") || camunda("expression").is_some()
        }
        "messageEventDefinition" => {
            let throws = node.parent().is_some_and(|at| {
                matches!(at.tag_name().name(), "endEvent" | "intermediateThrowEvent")
            });
            !throws || camunda("type") == Some("external")
        }
        "conditionExpression" | "completionCondition" => {
            node.attribute("language").is_none() && camunda("resource").is_none()
        }
        _ => true,
    }
}

/// Each process that is to run has a place to begin.
fn runnable(document: &Document<'_>) -> bool {
    let mut all = document
        .descendants()
        .filter(|node| node.has_tag_name((BPMN, "process")));
    all.all(|process| {
        process
            .children()
            .any(|child| child.has_tag_name((BPMN, "startEvent")))
    })
}
