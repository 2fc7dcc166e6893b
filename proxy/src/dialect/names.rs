//! Names of messages and signals in a deployed BPMN model: which of them start something, which are waited for.
//!
//! Owns reading the model and where the sites keep it. What a model does not tell, such as a name that is an
//! expression, counts as everything. Pure.

use super::{Ask, path};
use homing_mapping_store::Engine;
use http::{Method, StatusCode};
use roxmltree::{Document, Node};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};

/// What a name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Role {
    /// A start event has it.
    pub starts: bool,
    /// Something that runs may wait for it.
    pub catches: bool,
}

impl Role {
    /// What has to be assumed of a name that nobody could look up.
    pub const UNKNOWN: Role = Role {
        starts: true,
        catches: true,
    };

    /// Either's.
    #[must_use]
    pub fn or(self, other: Role) -> Role {
        Role {
            starts: self.starts || other.starts,
            catches: self.catches || other.catches,
        }
    }
}

/// Names of one sort of event.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard {
    starts: BTreeSet<Box<str>>,
    catches: BTreeSet<Box<str>>,
    /// A name that only a running instance knows.
    has_expression: bool,
}

/// What models say of messages and signals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    messages: Heard,
    signals: Heard,
}

impl Heard {
    fn role(&self, name: &str) -> Role {
        if self.has_expression {
            return Role::UNKNOWN;
        }
        Role {
            starts: self.starts.contains(name),
            catches: self.catches.contains(name),
        }
    }

    fn absorb(&mut self, other: Heard) {
        self.starts.extend(other.starts);
        self.catches.extend(other.catches);
        self.has_expression |= other.has_expression;
    }

    fn hear(&mut self, name: Option<&str>, event: &Node<'_, '_>) {
        let Some(name) = name.filter(|name| !name.contains("${") && !name.contains("#{")) else {
            self.has_expression = true;
            return;
        };
        match listens(event) {
            Some(Listens::ToStart) => self.starts.insert(name.into()),
            Some(Listens::WhileRunning) => self.catches.insert(name.into()),
            None => false,
        };
    }
}

impl Names {
    /// What must be assumed of a model that cannot be read.
    pub fn unknown() -> Names {
        let any = Heard {
            has_expression: true,
            ..Heard::default()
        };
        Names {
            messages: any.clone(),
            signals: any,
        }
    }

    /// Reads a model.
    pub fn read(xml: &str) -> Names {
        let Ok(document) = Document::parse(xml) else {
            return Names::unknown();
        };
        let named: HashMap<&str, &str> = document
            .descendants()
            .filter(|node| matches!(node.tag_name().name(), "message" | "signal"))
            .filter_map(|node| Some((node.attribute("id")?, node.attribute("name")?)))
            .collect();
        let mut names = Names::default();
        for node in document.descendants() {
            let (heard, reference, event) = match node.tag_name().name() {
                "messageEventDefinition" => (&mut names.messages, "messageRef", node.parent()),
                "receiveTask" => (&mut names.messages, "messageRef", Some(node)),
                "signalEventDefinition" => (&mut names.signals, "signalRef", node.parent()),
                _ => continue,
            };
            let Some(event) = event.filter(|event| listens(event).is_some()) else {
                continue;
            };
            let name = node.attribute(reference).and_then(|id| {
                let local = id.rsplit_once(':').map_or(id, |(_, local)| local);
                named.get(id).or_else(|| named.get(local)).copied()
            });
            // A receive task without a message waits for a signal of its execution.
            if node == event && node.attribute(reference).is_none() {
                continue;
            }
            heard.hear(name, &event);
        }
        names
    }

    /// Adds what another model says.
    pub fn absorb(&mut self, other: Names) {
        self.messages.absorb(other.messages);
        self.signals.absorb(other.signals);
    }

    /// What this message does.
    pub fn message(&self, name: &str) -> Role {
        self.messages.role(name)
    }

    /// What this signal does.
    pub fn signal(&self, name: &str) -> Role {
        self.signals.role(name)
    }

    /// Whether a model says by name that this message starts something.
    pub fn message_starts(&self, name: &str) -> bool {
        self.messages.starts.contains(name)
    }

    /// Whether a model says by name that this signal starts something.
    pub fn signal_starts(&self, name: &str) -> bool {
        self.signals.starts.contains(name)
    }
}

enum Listens {
    ToStart,
    WhileRunning,
}

/// Whether an event listens, and to what end. A start event inside of a sub-process waits like any other.
fn listens(event: &Node<'_, '_>) -> Option<Listens> {
    match event.tag_name().name() {
        "startEvent" => {
            let of_process = event
                .parent()
                .is_some_and(|parent| parent.tag_name().name() == "process");
            Some(if of_process {
                Listens::ToStart
            } else {
                Listens::WhileRunning
            })
        }
        "intermediateCatchEvent" | "boundaryEvent" | "receiveTask" => Some(Listens::WhileRunning),
        _ => None,
    }
}

/// Where an engine's paths begin, below the base path.
pub fn prefix(engine: &Engine) -> String {
    engine
        .name()
        .map(|name| format!("/engine/{}", path::encode(name)))
        .unwrap_or_default()
}

/// How many definitions are deployed, every version.
pub fn count(engine: &Engine) -> Ask {
    get(format!("{}/process-definition/count", prefix(engine)))
}

/// The number in the answer to [`count`]; `None` if it proves nothing.
pub fn read_count(status: StatusCode, body: &[u8]) -> Option<usize> {
    #[derive(Deserialize)]
    struct Count {
        count: usize,
    }
    let count: Count = status
        .is_success()
        .then(|| serde_json::from_slice(body).ok())??;
    Some(count.count)
}

/// The definitions that were deployed last.
pub fn newest(engine: &Engine, max: usize) -> Ask {
    get(format!(
        "{}/process-definition?sortBy=deployTime&sortOrder=desc&firstResult=0&maxResults={max}",
        prefix(engine)
    ))
}

/// A page of all deployed definitions, in an order that is the same for every page: many may share a time.
pub fn page(engine: &Engine, first: usize, max: usize) -> Ask {
    get(format!(
        "{}/process-definition?sortBy=id&sortOrder=asc&firstResult={first}&maxResults={max}",
        prefix(engine)
    ))
}

/// Ids in the answer to [`newest`] and [`page`]; `None` if it proves nothing.
pub fn read_page(status: StatusCode, body: &[u8]) -> Option<Vec<Box<str>>> {
    #[derive(Deserialize)]
    struct Row {
        id: Box<str>,
    }
    let rows: Vec<Row> = status
        .is_success()
        .then(|| serde_json::from_slice(body).ok())??;
    Some(rows.into_iter().map(|row| row.id).collect())
}

/// Where a definition's model is.
pub fn model(engine: &Engine, id: &str) -> Ask {
    get(format!(
        "{}/process-definition/{}/xml",
        prefix(engine),
        path::encode(id)
    ))
}

/// What the answer to [`model`] says.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// These names; every name, if the model cannot be read.
    Says(Names),
    /// There is no such definition any more.
    Gone,
    /// The site cannot say now.
    Unanswered,
}

/// Reads the answer to [`model`].
pub fn read_model(status: StatusCode, body: &[u8]) -> Model {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Xml {
        bpmn20_xml: String,
    }
    if status == StatusCode::NOT_FOUND {
        return Model::Gone;
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Model::Unanswered;
    }
    let xml: Option<Xml> = status
        .is_success()
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    Model::Says(xml.map_or_else(Names::unknown, |xml| Names::read(&xml.bpmn20_xml)))
}

fn get(path: String) -> Ask {
    Ask {
        method: Method::GET,
        path,
        body: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r##"<d:definitions xmlns:d="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:t="x">
        <d:message id="m1" name="begin"/><d:message id="m2" name="paid"/><d:message id="m3" name="told"/>
        <d:message id="m4" name="stopped"/><d:signal id="s1" name="alarm"/>
        <d:process id="p">
          <d:startEvent id="a"><d:messageEventDefinition messageRef="t:m1"/></d:startEvent>
          <d:startEvent id="b"><d:signalEventDefinition signalRef="s1"/></d:startEvent>
          <d:subProcess id="s" triggeredByEvent="true">
            <d:startEvent id="c"><d:messageEventDefinition messageRef="m4"/></d:startEvent>
          </d:subProcess>
          <d:receiveTask id="r" messageRef="m2"/><d:receiveTask id="q"/>
          <d:boundaryEvent id="x"><d:messageEventDefinition messageRef="m1"/></d:boundaryEvent>
          <d:endEvent id="e"><d:messageEventDefinition messageRef="m3"/></d:endEvent>
        </d:process></d:definitions>"##;

    fn role(starts: bool, catches: bool) -> Role {
        Role { starts, catches }
    }

    #[test]
    fn a_model_tells_what_starts_and_what_is_waited_for() {
        let names = Names::read(MODEL);
        assert_eq!(names.message("begin"), role(true, true));
        assert_eq!(names.message("paid"), role(false, true));
        assert_eq!(names.message("stopped"), role(false, true));
        assert_eq!(names.message("told"), role(false, false));
        assert_eq!(names.signal("alarm"), role(true, false));
    }

    #[test]
    fn what_a_model_does_not_tell_is_everything() {
        let expression = MODEL.replace("\"stopped\"", "\"stop-${id}\"");
        assert_eq!(Names::read(&expression).message("told"), Role::UNKNOWN);
        assert_eq!(Names::read(&expression).signal("alarm"), role(true, false));
        let dangling = MODEL.replace("messageRef=\"m4\"", "messageRef=\"m9\"");
        assert_eq!(Names::read(&dangling).message("x"), Role::UNKNOWN);
        assert_eq!(Names::read("<a>").message("x"), Role::UNKNOWN);
    }

    #[test]
    fn a_site_that_cannot_answer_now_says_nothing_about_a_model() {
        let read = |status| read_model(status, b"{}");
        assert_eq!(read(StatusCode::BAD_GATEWAY), Model::Unanswered);
        assert_eq!(read(StatusCode::TOO_MANY_REQUESTS), Model::Unanswered);
        assert_eq!(read(StatusCode::NOT_FOUND), Model::Gone);
        assert_eq!(read(StatusCode::FORBIDDEN), Model::Says(Names::unknown()));
        assert_eq!(read(StatusCode::OK), Model::Says(Names::unknown()));
    }
}
