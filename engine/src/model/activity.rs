//! Activities: tasks, calls, and what is set on any of them.

use super::delegate::Delegate;
use super::element::{Binding, CallActivity, Kind, Multi, Source, SubProcess, UserTask, Work};
use super::namespace::{child, extension, extension_flag, is};
use super::xml::{Reader, text};
use crate::expr::Template;
use roxmltree::Node;

/// The kind of an activity; `None` if it is none, or one that cannot run (then there is a problem).
pub(super) fn kind(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Kind> {
    match node.tag_name().name() {
        "userTask" => Some(Kind::UserTask(Box::new(user_task(reader, node)))),
        "serviceTask" => work(reader, node, "service task").map(Kind::Service),
        "sendTask" => work(reader, node, "send task").map(Kind::Service),
        "businessRuleTask" => {
            if extension(node, "decisionRef").is_some() {
                reader.problem(
                    node,
                    "decisions (DMN) are not built; make the business rule task an external task",
                );
                return None;
            }
            work(reader, node, "business rule task").map(Kind::Service)
        }
        "scriptTask" => script_task(reader, node),
        "receiveTask" => match node.attribute("messageRef") {
            Some(_) => {
                super::event::message_name(reader, node).map(|name| Kind::Receive(Some(name)))
            }
            None => Some(Kind::Receive(None)),
        },
        "task" | "manualTask" => Some(Kind::PassThrough),
        "subProcess" => Some(Kind::SubProcess(SubProcess {
            triggered_by_event: node.attribute("triggeredByEvent") == Some("true"),
        })),
        "callActivity" => call(reader, node).map(|c| Kind::Call(Box::new(c))),
        _ => None,
    }
}

fn user_task(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> UserTask {
    let mut users = reader.attributes(node, "candidateUsers");
    let mut groups = reader.attributes(node, "candidateGroups");
    for (owner, text) in people(reader, node, "potentialOwner") {
        for name in super::xml::parts(&text) {
            let of = |kind: &str| Some(name.strip_prefix(kind)?.strip_suffix(')')?.trim());
            if let Some(user) = of("user(") {
                users.extend(reader.template(owner, user));
            } else {
                groups.extend(reader.template(owner, of("group(").unwrap_or(&name)));
            }
        }
    }
    let performer = people(reader, node, "humanPerformer").pop();
    let performer = performer.and_then(|(owner, text)| reader.template(owner, &text));
    UserTask {
        assignee: reader.attribute(node, "assignee").or(performer),
        candidate_users: users,
        candidate_groups: groups,
        due: reader.attribute(node, "dueDate"),
        follow_up: reader.attribute(node, "followUpDate"),
        priority: reader.attribute(node, "priority"),
        description: child(node, "documentation")
            .map(text)
            .filter(|t| !t.is_empty()),
    }
}

/// Who is named by the expressions of BPMN's own elements.
fn people<'a, 'i>(
    reader: &mut Reader<'_, '_>,
    node: Node<'a, 'i>,
    name: &str,
) -> Vec<(Node<'a, 'i>, String)> {
    let mut out = Vec::new();
    for owner in node.children().filter(|child| is(*child, name)) {
        let assignment = child(owner, "resourceAssignmentExpression");
        let named = assignment.and_then(|holder| child(holder, "formalExpression"));
        match named.map(text).filter(|text| !text.is_empty()) {
            Some(text) => out.push((owner, text)),
            None => reader.problem(
                owner,
                format!("{name} names nobody: it needs a resourceAssignmentExpression with a formalExpression"),
            ),
        }
    }
    out
}

fn script_task(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Kind> {
    let result = extension(node, "resultVariable").map(str::to_owned);
    let format = node.attribute("scriptFormat").map(str::to_lowercase);
    let inside = child(node, "script").filter(|script| !text(*script).is_empty());
    if let (None | Some("juel"), Some(script)) = (format.as_deref(), inside) {
        // A script without a language is an expression, with the blanks around it.
        let written: String = script.children().filter_map(|part| part.text()).collect();
        let expression = reader.template(script, &written)?;
        let source = Source::Expression(expression);
        return Some(Kind::Script { source, result });
    }
    if !super::extension::is_javascript(reader, node, node.attribute("scriptFormat")) {
        return None;
    }
    let Some(source) = inside.map(text) else {
        reader.problem(node, "the script is empty");
        return None;
    };
    let source = Source::JavaScript(source);
    Some(Kind::Script { source, result })
}

/// Work of a service task, send task, business rule task or message event.
pub(super) fn work(reader: &mut Reader<'_, '_>, node: Node<'_, '_>, what: &str) -> Option<Work> {
    if extension(node, "type") == Some("external") {
        let Some(topic) = reader.attribute(node, "topic") else {
            reader.problem(
                node,
                "External tasks must specify a 'topic' attribute in the extension namespace",
            );
            return None;
        };
        let priority = reader.attribute(node, "taskPriority");
        return Some(Work::External { topic, priority });
    }
    if let Some(kind) = extension(node, "type") {
        reader.problem(
            node,
            format!("a {what} of type '{kind}' is not built; use type external"),
        );
        return None;
    }
    for attribute in ["class", "delegateExpression"] {
        if let Some(name) = extension(node, attribute) {
            return delegate(reader, node, name, what);
        }
    }
    if let Some(text) = extension(node, "expression") {
        if let Some(mapped) = reader.delegates.get(text).cloned() {
            return work_of(reader, node, text, &mapped);
        }
        let expression = reader.template(node, text)?;
        return Some(Work::Expression {
            expression,
            result: extension(node, "resultVariable").map(str::to_owned),
        });
    }
    reader.problem(
        node,
        format!("One of the attributes 'class', 'delegateExpression', 'type', or 'expression' is mandatory on a {what}."),
    );
    None
}

fn delegate(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    name: &str,
    what: &str,
) -> Option<Work> {
    let bare = super::delegate::bare(name);
    let known = &reader.delegates;
    let braced = format!("${{{bare}}}");
    let mapped = [name, bare, braced.as_str()]
        .into_iter()
        .find_map(|name| known.get(name));
    match mapped.cloned() {
        Some(mapped) => work_of(reader, node, bare, &mapped),
        None => {
            reader.problem(node, format!("the {what} needs '{bare}', which is Java: map the name in [[engine.delegate]], or make it an external task"));
            None
        }
    }
}

fn work_of(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    name: &str,
    delegate: &Delegate,
) -> Option<Work> {
    match delegate {
        Delegate::Topic(topic) => reader.template(node, topic).map(|topic| Work::External {
            topic,
            priority: None,
        }),
        // Whoever looks finds it among the external tasks: it waits, is tried again and has incidents as they do.
        Delegate::Http(_) => Some(Work::External {
            topic: Template::literally(&super::delegate::topic(name)),
            priority: None,
        }),
        Delegate::Script(source) => {
            reader.scripts = true;
            Some(Work::Script(source.clone()))
        }
        Delegate::Nothing => Some(Work::Nothing),
    }
}

fn call(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<CallActivity> {
    for attribute in [
        "caseRef",
        "variableMappingClass",
        "variableMappingDelegateExpression",
    ] {
        if extension(node, attribute).is_some() {
            reader.problem(node, format!("{attribute} is not built"));
        }
    }
    let Some(called) = node.attribute("calledElement") else {
        if extension(node, "caseRef").is_some() {
            return None;
        }
        reader.problem(node, "Missing attribute 'calledElement'");
        return None;
    };
    let called = reader.template(node, called)?;
    let binding = match extension(node, "calledElementBinding") {
        None | Some("latest") => Binding::Latest,
        Some("deployment") => Binding::Deployment,
        Some("version") => Binding::Version(required(reader, node, "calledElementVersion")?),
        Some("versionTag") => {
            Binding::VersionTag(required(reader, node, "calledElementVersionTag")?)
        }
        Some(other) => {
            reader.problem(node, format!("unknown calledElementBinding '{other}'"));
            return None;
        }
    };
    let (inputs, business_key) = super::extension::call_mappings(reader, node, "in");
    let (outputs, _) = super::extension::call_mappings(reader, node, "out");
    let tenant = reader.attribute(node, "calledElementTenantId");
    Some(CallActivity {
        called,
        binding,
        tenant,
        business_key,
        inputs,
        outputs,
    })
}

fn required(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    name: &str,
) -> Option<crate::expr::Template> {
    let found = reader.attribute(node, name);
    if found.is_none() {
        reader.problem(node, format!("Missing attribute '{name}'"));
    }
    found
}

/// Multi-instance settings.
pub(super) fn multi(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Multi> {
    if let Some(standard) = child(node, "standardLoopCharacteristics") {
        reader.problem(standard, "standard loops are not built");
    }
    let inner = child(node, "multiInstanceLoopCharacteristics")?;
    let mut expression = |name: &str| {
        let found = child(inner, name)?;
        let text = text(found);
        if text.is_empty() {
            None
        } else {
            reader.template(found, &text)
        }
    };
    let cardinality = expression("loopCardinality");
    let completion = expression("completionCondition");
    let data_input = child(inner, "loopDataInputRef").map(text);
    let collection = match (
        extension(inner, "collection").map(str::to_owned),
        data_input,
    ) {
        (Some(text), _) | (None, Some(text)) => {
            let text = if text.contains('{') {
                text
            } else {
                format!("${{{text}}}")
            };
            reader.template(inner, &text)
        }
        (None, None) => None,
    };
    if cardinality.is_none() && collection.is_none() {
        reader.problem(
            inner,
            "Either loopCardinality or loopDataInputRef/collection must been set",
        );
    }
    let item = child(inner, "inputDataItem").and_then(|i| i.attribute("name"));
    Some(Multi {
        sequential: inner.attribute("isSequential") == Some("true"),
        cardinality,
        collection,
        element: extension(inner, "elementVariable")
            .or(item)
            .map(str::to_owned),
        completion,
        async_before: extension_flag(inner, "asyncBefore") || extension_flag(inner, "async"),
        async_after: extension_flag(inner, "asyncAfter"),
        exclusive: extension(inner, "exclusive") != Some("false"),
    })
}
