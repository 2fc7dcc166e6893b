//! Blocks as BPMN.

use super::{Block, Catch, Event, Kind, Mark, Multi, Scope, Step};

/// A file that is being written: the elements of one process, and the processes that it calls.
#[derive(Default)]
struct Page {
    out: String,
    called: Vec<String>,
}

/// Where a block begins and ends.
type Ends = (String, String);

impl Block {
    /// The file, whose main process is `p`.
    pub(crate) fn xml(&self) -> String {
        let mut called = Vec::new();
        let main = process("p", self, &mut called);
        crate::support::models(&format!("{main}{}", called.concat()))
    }

    fn write(&self, page: &mut Page, risky: bool) -> Ends {
        match self {
            Block::Step(step) => step.write(page, risky),
            Block::Sequence(blocks) => {
                let ends: Vec<Ends> = blocks.iter().map(|b| b.write(page, risky)).collect();
                for pair in ends.windows(2) {
                    page.flow(&pair[0].1, &pair[1].0, "");
                }
                (ends[0].0.clone(), ends[ends.len() - 1].1.clone())
            }
            Block::Fork(fork) => {
                let tag = if fork.inclusive {
                    "inclusiveGateway"
                } else {
                    "parallelGateway"
                };
                let (open, close) = (format!("g{}", fork.id), format!("j{}", fork.id));
                page.gateways(tag, &open, &close);
                for branch in &fork.branches {
                    let (from, to) = branch.write(page, risky);
                    page.flow(&open, &from, if fork.inclusive { "${true}" } else { "" });
                    page.flow(&to, &close, "");
                }
                (open, close)
            }
            Block::Choice(id, taken, branches) => {
                let (open, close) = (format!("g{id}"), format!("j{id}"));
                page.gateways("exclusiveGateway", &open, &close);
                for (at, branch) in branches.iter().enumerate() {
                    let (from, to) = branch.write(page, risky);
                    page.flow(&open, &from, &format!("${{{at} == {taken}}}"));
                    page.flow(&to, &close, "");
                }
                (open, close)
            }
            Block::Race(id, a, b) => {
                let (open, close) = (format!("g{id}"), format!("j{id}"));
                page.out.push_str(&format!(
                    r#"<eventBasedGateway id="{open}"/><exclusiveGateway id="{close}"/>"#
                ));
                let events = [("m", Event::Message, a), ("t", Event::Timer, b)];
                for (prefix, event, path) in events {
                    let own = format!("{prefix}{id}");
                    let definition = definition(event);
                    page.out.push_str(&format!(
                        r#"<intermediateCatchEvent id="{own}">{definition}</intermediateCatchEvent>"#
                    ));
                    let (from, to) = path.write(page, risky);
                    page.flow(&open, &own, "");
                    page.flow(&own, &from, "");
                    page.flow(&to, &close, "");
                }
                (open, close)
            }
            Block::Scope(scope) => scope.write(page, risky),
            Block::Call(id, inner, multi) => {
                let text = process(&format!("called{id}"), inner, &mut page.called);
                page.called.push(text);
                let loops = loops(*multi);
                page.out.push_str(&format!(
                    r#"<callActivity id="c{id}" calledElement="called{id}"><extensionElements><camunda:in variables="all"/></extensionElements>{loops}</callActivity>"#
                ));
                (format!("c{id}"), format!("c{id}"))
            }
        }
    }
}

fn process(key: &str, block: &Block, called: &mut Vec<String>) -> String {
    let mut page = Page::default();
    let (from, to) = block.write(&mut page, false);
    page.around(key, &from, &to);
    called.append(&mut page.called);
    format!(
        r#"<process id="{key}" isExecutable="true" camunda:historyTimeToLive="P1D">{}</process>"#,
        page.out
    )
}

impl Page {
    /// A start and an end event around what was written.
    fn around(&mut self, key: &str, from: &str, to: &str) {
        let (start, end) = (format!("s_{key}"), format!("e_{key}"));
        self.out.push_str(&format!(
            r#"<startEvent id="{start}"/><endEvent id="{end}"/>"#
        ));
        self.flow(&start, from, "");
        self.flow(to, &end, "");
    }

    fn flow(&mut self, from: &str, to: &str, condition: &str) {
        let condition = if condition.is_empty() {
            String::new()
        } else {
            format!(
                r#"<conditionExpression xsi:type="tFormalExpression">{condition}</conditionExpression>"#
            )
        };
        self.out.push_str(&format!(
            r#"<sequenceFlow id="{from}-{to}" sourceRef="{from}" targetRef="{to}">{condition}</sequenceFlow>"#
        ));
    }

    fn gateways(&mut self, tag: &str, open: &str, close: &str) {
        self.out
            .push_str(&format!(r#"<{tag} id="{open}"/><{tag} id="{close}"/>"#));
    }
}

fn definition(event: Event) -> &'static str {
    match event {
        Event::Message => r#"<messageEventDefinition messageRef="paid"/>"#,
        Event::Timer => {
            "<timerEventDefinition><timeDuration>PT0.4S</timeDuration></timerEventDefinition>"
        }
        Event::Error => r#"<errorEventDefinition errorRef="broken"/>"#,
    }
}

fn loops(multi: Multi) -> String {
    let (sequential, times) = match multi {
        Multi::Once => return String::new(),
        Multi::AtATime(n) => (true, n),
        Multi::Together(n) => (false, n),
    };
    format!(
        r#"<multiInstanceLoopCharacteristics isSequential="{sequential}"><loopCardinality>{times}</loopCardinality></multiInstanceLoopCharacteristics>"#
    )
}

impl Mark {
    fn attributes(self) -> &'static str {
        match self {
            Mark::Nowhere => "",
            Mark::Before => r#"camunda:asyncBefore="true""#,
            Mark::Shared => r#"camunda:asyncBefore="true" camunda:exclusive="false""#,
            Mark::After => r#"camunda:asyncAfter="true""#,
        }
    }
}

impl Step {
    pub(super) fn name(&self) -> String {
        let prefix = match self.kind {
            Kind::Counted => "x",
            Kind::User => "u",
            Kind::External => "w",
            Kind::Risky => "r",
            Kind::Timer => "t",
            Kind::Message => "m",
            Kind::Flaky => "y",
            Kind::Plain => "n",
        };
        format!("{prefix}{}", self.id)
    }

    fn write(&self, page: &mut Page, risky: bool) -> Ends {
        let (id, mark) = (self.name(), self.mark.attributes());
        let text = match self.kind {
            Kind::Counted => format!(
                r#"<serviceTask id="{id}" {mark} camunda:expression="${{{id} + 1}}" camunda:resultVariable="{id}"/>"#
            ),
            Kind::User => format!(r#"<userTask id="{id}" {mark} camunda:candidateGroups="g"/>"#),
            Kind::External | Kind::Risky => {
                let topic = if risky && self.kind == Kind::Risky {
                    "risky"
                } else {
                    "work"
                };
                format!(
                    r#"<serviceTask id="{id}" {mark} camunda:type="external" camunda:topic="{topic}"/>"#
                )
            }
            Kind::Timer | Kind::Message => {
                let event = if self.kind == Kind::Timer {
                    Event::Timer
                } else {
                    Event::Message
                };
                let definition = definition(event);
                format!(
                    r#"<intermediateCatchEvent id="{id}" {mark}>{definition}</intermediateCatchEvent>"#
                )
            }
            Kind::Flaky => format!(
                r#"<serviceTask id="{id}" camunda:asyncBefore="true" camunda:expression="${{ok + 1}}"/>"#
            ),
            Kind::Plain => format!(r#"<task id="{id}" {mark}/>"#),
        };
        page.out.push_str(&text);
        (id.clone(), id)
    }
}

impl Scope {
    fn write(&self, page: &mut Page, risky: bool) -> Ends {
        let id = self.id;
        let (own, close) = (format!("p{id}"), format!("k{id}"));
        let mark = self.mark.attributes();
        let loops = loops(self.multi);
        page.out
            .push_str(&format!(r#"<subProcess id="{own}" {mark}>{loops}"#));
        let inside = risky || self.catches_errors();
        let (from, to) = self.inner.write(page, inside);
        if self.ends {
            page.out.push_str(&format!(
                r#"<parallelGateway id="f{id}"/><userTask id="a{id}"/><endEvent id="z{id}"><terminateEventDefinition/></endEvent>"#
            ));
            page.flow(&format!("f{id}"), &from, "");
            page.flow(&format!("f{id}"), &format!("a{id}"), "");
            page.flow(&format!("a{id}"), &format!("z{id}"), "");
            page.around(&own, &format!("f{id}"), &to);
        } else {
            page.around(&own, &from, &to);
        }
        let beyond = self
            .outside
            .as_ref()
            .is_some_and(|c| c.event == Event::Error);
        if let Some(catch) = &self.inside {
            self.event_sub_process(catch, page, risky || beyond);
        }
        page.out.push_str("</subProcess>");
        page.out
            .push_str(&format!(r#"<exclusiveGateway id="{close}"/>"#));
        page.flow(&own, &close, "");
        if let Some(catch) = &self.outside {
            let (definition, interrupts) = (definition(catch.event), catch.interrupts());
            page.out.push_str(&format!(
                r#"<boundaryEvent id="b{id}" attachedToRef="{own}" cancelActivity="{interrupts}">{definition}</boundaryEvent>"#
            ));
            let (from, to) = catch.path.write(page, risky);
            page.flow(&format!("b{id}"), &from, "");
            if interrupts {
                page.flow(&to, &close, "");
            } else {
                page.out.push_str(&format!(r#"<endEvent id="q{id}"/>"#));
                page.flow(&to, &format!("q{id}"), "");
            }
        }
        (own, close)
    }

    fn event_sub_process(&self, catch: &Catch, page: &mut Page, risky: bool) {
        let id = self.id;
        let (definition, interrupts) = (definition(catch.event), catch.interrupts());
        page.out.push_str(&format!(
            r#"<subProcess id="v{id}" triggeredByEvent="true"><startEvent id="h{id}" isInterrupting="{interrupts}">{definition}</startEvent>"#
        ));
        let (from, to) = catch.path.write(page, risky);
        page.out.push_str(&format!(r#"<endEvent id="i{id}"/>"#));
        page.flow(&format!("h{id}"), &from, "");
        page.flow(&to, &format!("i{id}"), "");
        page.out.push_str("</subProcess>");
    }
}
