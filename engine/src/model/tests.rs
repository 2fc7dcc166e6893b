//! What is read, and what is refused where.

use super::*;
use crate::model::{Delegate, Delegates};

fn wrap(inner: &str) -> String {
    format!(
        r#"<?xml version="1.0"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" targetNamespace="t">
<message id="m" name="paid"/><error id="e" errorCode="broken"/>
<process id="p" isExecutable="true" camunda:historyTimeToLive="P30D">
{inner}
</process></definitions>"#
    )
}

fn problems(inner: &str) -> Vec<Problem> {
    match parse(&wrap(inner), &Delegates::default()) {
        Err(Failure::Model(problems)) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_is_read_with_its_extensions() {
    let text = wrap(
        r#"<startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="w"/>
        <serviceTask id="w" camunda:type="external" camunda:topic="t-${x}" camunda:asyncBefore="true" default="f3">
          <extensionElements><camunda:inputOutput><camunda:inputParameter name="a">${x + 1}</camunda:inputParameter>
            <camunda:inputParameter name="l"><camunda:list><camunda:value>1</camunda:value></camunda:list></camunda:inputParameter>
            </camunda:inputOutput><camunda:failedJobRetryTimeCycle>R5/PT5M</camunda:failedJobRetryTimeCycle></extensionElements>
          <multiInstanceLoopCharacteristics isSequential="true" camunda:collection="items" camunda:elementVariable="item"/>
        </serviceTask>
        <boundaryEvent id="b" attachedToRef="w" cancelActivity="false"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></boundaryEvent>
        <sequenceFlow id="f2" sourceRef="w" targetRef="z"><conditionExpression xsi:type="tFormalExpression">${x > 1}</conditionExpression></sequenceFlow>
        <sequenceFlow id="f3" sourceRef="w" targetRef="z"/><endEvent id="z"/>"#,
    );
    let processes = parse(&text, &Delegates::default()).unwrap();
    let process = &processes[0];
    assert_eq!(
        (process.key.as_str(), process.history_days),
        ("p", Some(30))
    );
    let work = process.get("w").unwrap();
    assert!(work.async_before && work.multi.as_ref().unwrap().sequential);
    assert_eq!(work.inputs.len(), 2);
    assert_eq!(
        work.default.map(|f| process.flow(f).id.as_str()),
        Some("f3")
    );
    assert_eq!(process.boundaries(process.find("w").unwrap()).count(), 1);
    assert_eq!(process.element(process.none_start(None).unwrap()).id, "s");
}

#[test]
fn what_is_not_built_is_refused_with_element_line_and_reason() {
    let found = problems(
        "<startEvent id=\"s\"/>\n<serviceTask id=\"java\" camunda:class=\"a.B\"/>\n<complexGateway id=\"g\"/>\n<businessRuleTask id=\"d\" camunda:decisionRef=\"x\"/>\n<transaction id=\"tx\"><startEvent id=\"i\"/></transaction>",
    );
    let told: Vec<_> = found
        .iter()
        .map(|p| (p.element.as_deref().unwrap(), p.line, p.message.as_str()))
        .collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(
        told[0].0 == "java" && told[0].1 == 7 && told[0].2.contains("a.B"),
        "{told:?}"
    );
    assert!(told[1].0 == "g" && told[1].1 == 8);
    assert!(told[2].2.contains("DMN"));
    assert!(told[3].2.contains("transaction"));
}

#[test]
fn behaviour_that_would_be_dropped_is_refused_with_its_line() {
    for (inner, told, line) in [
        (
            "<startEvent id=\"s\"/><endEvent id=\"g\"/>\n<sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"g\"><extensionElements>\n<camunda:executionListener event=\"take\" class=\"a.B\"/></extensionElements></sequenceFlow>",
            "execution listeners",
            8,
        ),
        (
            "<startEvent id=\"s\"/>\n<serviceTask id=\"w\" camunda:type=\"external\" camunda:topic=\"t\"><extensionElements>\n<camunda:errorEventDefinition id=\"d\" errorRef=\"e\" expression=\"${true}\"/></extensionElements></serviceTask>",
            "error definitions",
            8,
        ),
        (
            "<startEvent id=\"s\"/>\n<endEvent id=\"g\"><messageEventDefinition camunda:type=\"external\" camunda:topic=\"t\"><extensionElements>\n<camunda:connector/></extensionElements></messageEventDefinition></endEvent>",
            "connectors",
            8,
        ),
        (
            "<startEvent id=\"s\"/>\n<userTask id=\"u\" isForCompensation=\"true\"/>",
            "compensation",
            7,
        ),
        (
            "<startEvent id=\"s\"/>\n<userTask id=\"u\" camunda:formRef=\"f\" camunda:formRefBinding=\"wrong\"/>",
            "has to be one of [deployment, latest, version] but was wrong",
            7,
        ),
        (
            "<startEvent id=\"s\" camunda:formHandlerClass=\"a.B\"/>",
            "form handlers",
            6,
        ),
        (
            "<startEvent id=\"s\"/>\n<userTask id=\"u\"><humanPerformer/></userTask>",
            "names nobody",
            7,
        ),
    ] {
        let found = problems(inner);
        assert_eq!(found.len(), 1, "{told}: {found:?}");
        assert!(found[0].message.contains(told), "{found:?}");
        assert_eq!(found[0].line, line, "{found:?}");
    }
    let text = wrap("<startEvent id=\"s\"/>").replace(
        "camunda:historyTimeToLive=\"P30D\"",
        "camunda:historyTimeToLive=\"a month\"",
    );
    let refused = format!("{:?}", parse(&text, &Delegates::default()));
    assert!(refused.contains("not 'a month'"), "{refused}");
}

#[test]
fn people_may_be_named_in_the_words_of_bpmn() {
    let named = |inner: &str| {
        format!(
            "<resourceAssignmentExpression><formalExpression>{inner}</formalExpression></resourceAssignmentExpression>"
        )
    };
    let text = wrap(&format!(
        "<startEvent id=\"s\"/><userTask id=\"u\"><humanPerformer>{}</humanPerformer><potentialOwner>{}</potentialOwner></userTask>",
        named("${boss}"),
        named("user(ann), group(sales), ${f(a, b)}, crew"),
    ));
    let process = &parse(&text, &Delegates::default()).unwrap()[0];
    let Kind::UserTask(task) = &process.get("u").unwrap().kind else {
        panic!("a user task");
    };
    let texts = |all: &[crate::expr::Template]| -> Vec<String> {
        all.iter().map(|one| one.text.clone()).collect()
    };
    assert_eq!(task.assignee.as_ref().unwrap().text, "${boss}");
    assert_eq!(texts(&task.candidate_users), ["ann"]);
    assert_eq!(
        texts(&task.candidate_groups),
        ["sales", "${f(a, b)}", "crew"]
    );
}

#[test]
fn a_delegate_map_makes_java_models_run() {
    let text = wrap(
        "<startEvent id=\"s\"/><serviceTask id=\"j\" camunda:delegateExpression=\"${mailer}\"/>",
    );
    let delegates = Delegates::from([("mailer".to_owned(), Delegate::Topic("mail".to_owned()))]);
    let process = &parse(&text, &delegates).unwrap()[0];
    assert!(
        matches!(&process.get("j").unwrap().kind, Kind::Service(Work::External { topic, .. }) if topic.text == "mail")
    );
    assert!(!process.scripts);
    for (delegate, scripts) in [
        (Delegate::Script("1".to_owned()), true),
        (Delegate::Nothing, false),
    ] {
        let delegates = Delegates::from([("mailer".to_owned(), delegate)]);
        assert_eq!(parse(&text, &delegates).unwrap()[0].scripts, scripts);
    }
}

#[test]
fn hostile_xml_is_refused() {
    let bomb =
        r#"<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><definitions>&b;</definitions>"#;
    assert!(matches!(
        parse(bomb, &Delegates::default()),
        Err(Failure::Xml { .. })
    ));
    let deep = format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000));
    assert!(matches!(
        parse(&deep, &Delegates::default()),
        Err(Failure::Xml { .. })
    ));
    assert!(matches!(
        parse("<definitions", &Delegates::default()),
        Err(Failure::Xml { line: 1, .. })
    ));
    assert!(matches!(
        parse("", &Delegates::default()),
        Err(Failure::Xml { .. })
    ));
}

#[test]
fn broken_xml_is_refused_with_its_place() {
    for (xml, line, column) in [
        ("<a>\n <b>\n  <c ", 3, 6),
        ("<a>\n <b/>\n", 3, 1),
        ("<?xml version=\"1.0\"?>\n<!DOCTYPE a>\n<a/>", 2, 1),
        ("<a>\n</b>", 2, 1),
    ] {
        match parse(xml, &Delegates::default()) {
            Err(Failure::Xml {
                line: l, column: c, ..
            }) => assert_eq!((l, c), (line, column), "{xml}"),
            other => panic!("{xml}: {other:?}"),
        }
    }
}

#[test]
fn broken_references_are_told() {
    let found = problems(
        "<startEvent id=\"s\"/><sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"nowhere\"/>",
    );
    assert!(found[0].message.contains("nowhere"), "{found:?}");
    let found =
        problems("<startEvent id=\"s\"><messageEventDefinition messageRef=\"zzz\"/></startEvent>");
    assert!(found[0].message.contains("zzz"), "{found:?}");
    let found = problems("<startEvent id=\"s\"/><userTask id=\"s\"/>");
    assert!(found[0].message.contains("twice"), "{found:?}");
    let found = problems("<userTask id=\"u\"/>");
    assert!(found[0].message.contains("start event"), "{found:?}");
    let found = problems("<startEvent id=\"s\"/><userTask id=\"u\" camunda:assignee=\"${x\"/>");
    assert!(found[0].message.contains("'}'"), "{found:?}");
}

#[test]
fn an_id_is_used_once_in_the_whole_file() {
    // As Operaton: whoever bears it, also what is only drawn or documented; extension elements have ids of their own.
    let twice = |file: &str| match parse(file, &Delegates::default()) {
        Err(Failure::Model(found)) => found
            .iter()
            .map(|p| p.message.clone())
            .collect::<Vec<_>>()
            .join(" "),
        other => format!("{other:?}"),
    };
    let file = wrap(r#"<startEvent id="s"/>"#);
    for again in [
        r#"<process id="q" isExecutable="true"><startEvent id="s"/></process>"#,
        r#"<collaboration id="c"><participant id="s" processRef="p"/></collaboration>"#,
        r#"<message id="s" name="n"/>"#,
        r#"<d:BPMNDiagram xmlns:d="http://www.omg.org/spec/BPMN/20100524/DI" id="s"/>"#,
    ] {
        let found = twice(&file.replace("</definitions>", &format!("{again}</definitions>")));
        assert_eq!(found, "the id 's' is used twice", "{again}");
    }
    let flows = r#"<startEvent id="s"/><endEvent id="z"/><sequenceFlow id="z" sourceRef="s" targetRef="z"/>"#;
    assert_eq!(twice(&wrap(flows)), "the id 'z' is used twice");
    let own = r#"<startEvent id="s"><extensionElements><camunda:property id="s"/></extensionElements></startEvent>"#;
    assert!(parse(&wrap(own), &Delegates::default()).is_ok());
}

#[test]
fn what_refers_to_a_refused_element_is_not_refused_for_its_sake() {
    let found = problems(
        r#"<startEvent id="s"/><exclusiveGateway id="x" default="b"/><eventBasedGateway id="g"/>
        <serviceTask id="java" camunda:class="a.B"/>
        <boundaryEvent id="be" attachedToRef="java"><errorEventDefinition/></boundaryEvent>
        <transaction id="t"><startEvent id="ts"/></transaction>
        <intermediateCatchEvent id="l"><linkEventDefinition name="l"/></intermediateCatchEvent>
        <subProcess id="sp" triggeredByEvent="true"><startEvent id="c"><compensateEventDefinition/></startEvent></subProcess>
        <callActivity id="case" camunda:caseRef="c"/>
        <sequenceFlow id="a" sourceRef="x" targetRef="g"><conditionExpression>${true}</conditionExpression></sequenceFlow>
        <sequenceFlow id="b" sourceRef="x" targetRef="java"/>
        <sequenceFlow id="d" sourceRef="g" targetRef="l"/>"#,
    );
    let mut elements: Vec<&str> = found.iter().filter_map(|p| p.element.as_deref()).collect();
    elements.sort_unstable();
    assert_eq!(elements, ["c", "case", "java", "l", "t"], "{found:?}");
}

/// Two boundary events of a user task `u`, or what else a process begins with.
fn with(inner: &str) -> String {
    format!(
        "<startEvent id=\"s\"/>\n<userTask id=\"u\"/>\n{inner}<sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"u\"/>"
    )
}

fn at_border(id: &str, event: &str) -> String {
    format!("<boundaryEvent id=\"{id}\" attachedToRef=\"u\">{event}</boundaryEvent>\n")
}

fn event_sub(id: &str, event: &str) -> String {
    format!(
        "<subProcess id=\"{id}\" triggeredByEvent=\"true\"><startEvent id=\"{id}s\">{event}</startEvent></subProcess>\n"
    )
}

const PAID: &str = "<messageEventDefinition messageRef=\"m\"/>";
const ANY_ESCALATION: &str = "<escalationEventDefinition/>";
const TIMER: &str =
    "<timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition>";

#[expect(clippy::too_many_lines, reason = "a table of models and refusals")]
#[test]
fn what_may_be_there_once_is_refused_where_it_stands_again() {
    let pair =
        |make: fn(&str, &str) -> String, event: &str| with(&(make("a", event) + &make("b", event)));
    let starts = |one: &str, other: &str| {
        format!(
            "<startEvent id=\"s\">{one}</startEvent>\n<startEvent id=\"b\">{other}</startEvent>\n<userTask id=\"u\"/><sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"u\"/><sequenceFlow id=\"g\" sourceRef=\"b\" targetRef=\"u\"/>"
        )
    };
    let gateway = format!("<startEvent id=\"s\"/><eventBasedGateway id=\"g\"/><intermediateCatchEvent id=\"a\">{PAID}</intermediateCatchEvent>\n\n\n<intermediateCatchEvent id=\"b\">{PAID}</intermediateCatchEvent>
        <sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"g\"/><sequenceFlow id=\"fa\" sourceRef=\"g\" targetRef=\"a\"/><sequenceFlow id=\"fb\" sourceRef=\"g\" targetRef=\"b\"/>");
    let receive = with(&at_border("b", PAID)).replace(
        "<userTask id=\"u\"/>",
        "<receiveTask id=\"u\" messageRef=\"m\"/>",
    );
    let same = "Cannot have more than one message event subscription with name 'paid' for scope ";
    for (inner, element, line, said) in [
        (pair(at_border, PAID), "b", 9, format!("{same}'u'")),
        (pair(event_sub, PAID), "bs", 9, format!("{same}'p'")),
        (gateway, "b", 9, format!("{same}'g'")),
        (receive, "b", 8, format!("{same}'u'")),
        (starts(PAID, PAID), "b", 7, format!("{same}'p'")),
        (
            starts("", TIMER),
            "b",
            7,
            "multiple none start events or timer start events".to_owned(),
        ),
        (
            starts(TIMER, TIMER),
            "b",
            7,
            "multiple none start events or timer start events".to_owned(),
        ),
        (
            pair(at_border, ANY_ESCALATION),
            "b",
            9,
            "more than one escalation boundary event without escalation code".to_owned(),
        ),
        (
            pair(event_sub, ANY_ESCALATION),
            "bs",
            9,
            "more than one escalation event subprocess without escalation code".to_owned(),
        ),
    ] {
        let found = problems(&inner);
        assert_eq!(found.len(), 1, "{inner}: {found:?}");
        assert_eq!(
            (found[0].element.as_deref(), found[0].line),
            (Some(element), line),
            "{inner}: {found:?}"
        );
        assert!(found[0].message.contains(&said), "{found:?}");
        // What was deployed before is read as it was.
        assert!(
            parse_again(&wrap(&inner), &Delegates::default()).is_ok(),
            "{inner}"
        );
    }
    let error = "<errorEventDefinition/>";
    for inner in [
        pair(at_border, error),
        pair(at_border, TIMER),
        pair(event_sub, error),
        starts("", PAID),
        starts(TIMER, PAID),
        with(&(at_border("a", PAID) + &event_sub("b", PAID))),
        with(&(at_border("a", ANY_ESCALATION) + &event_sub("b", ANY_ESCALATION))),
    ] {
        let read = parse(&wrap(&inner), &Delegates::default());
        assert!(read.is_ok(), "{inner}: {read:?}");
    }
}

#[test]
fn gateways_have_flows_that_can_be_told_apart() {
    let model = |default: &str, a: &str, b: &str| {
        let when = |x: &str| match x {
            "" => String::new(),
            x => format!(
                "<conditionExpression xsi:type=\"tFormalExpression\">${{x == {x}}}</conditionExpression>"
            ),
        };
        format!("<startEvent id=\"s\"/><exclusiveGateway id=\"g\" {default}/><task id=\"a\"/><task id=\"b\"/><sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"g\"/>
            <sequenceFlow id=\"fa\" sourceRef=\"g\" targetRef=\"a\">{}</sequenceFlow><sequenceFlow id=\"fb\" sourceRef=\"g\" targetRef=\"b\">{}</sequenceFlow>", when(a), when(b))
    };
    for (inner, said) in [
        (model("", "", ""), "'fa' without condition which is not the default flow"),
        (model("default=\"fa\"", "", ""), "'fb' without condition which is not the default flow"),
        (model("default=\"fa\"", "1", "2"), "'fa' which is the default flow but has a condition too"),
        (model("default=\"f\"", "1", ""), "'fb' without condition which is not the default flow"),
        (model("default=\"nobody\"", "1", "2"), "the default flow 'nobody' is not in this file"),
        ("<startEvent id=\"s\"/><exclusiveGateway id=\"g\"/><sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"g\"/>".to_owned(), "has no outgoing sequence flows"),
    ] {
        let found = problems(&inner);
        assert!(found[0].message.contains(said) && found[0].element.as_deref() == Some("g"), "{inner}: {found:?}");
    }
    for inner in [
        model("", "", "1"),
        model("default=\"fb\"", "1", ""),
        model("default=\"f\"", "1", "2"),
    ] {
        assert!(
            parse(&wrap(&inner), &Delegates::default()).is_ok(),
            "{inner}"
        );
    }
}
