//! Errors and escalations: from the inside out, until something catches them.

use super::agenda::{Operation, Run};
use super::command::{Raised, Values};
use super::document::{Document, NodeKey, Role};
use super::effect::Effect;
use super::refusal::Refusal;
use crate::model::{ElementIndex, ErrorCatch, Kind, Trigger};
use crate::value::Value;

/// What catches: at the border of this execution, or in the scope that this execution is.
enum Catcher {
    Border(NodeKey, ElementIndex),
    Scope(NodeKey, ElementIndex),
}

impl Run<'_> {
    /// Raises an error at an execution of this instance.
    pub(super) fn raise_error(
        &mut self,
        node: NodeKey,
        code: String,
        message: Option<String>,
    ) -> Result<(), Refusal> {
        let origin = (self.doc.id.clone(), self.node(node)?.id.clone());
        self.raise(node, Raised::Error { code, message }, origin)
    }

    /// Raises an escalation at an execution of this instance; it goes on unless something interrupts it.
    pub(super) fn raise_escalation(&mut self, node: NodeKey, code: &str) -> Result<(), Refusal> {
        let origin = (self.doc.id.clone(), self.node(node)?.id.clone());
        self.raise(
            node,
            Raised::Escalation {
                code: code.to_owned(),
            },
            origin,
        )
    }

    /// Looks for a catcher, here or above.
    pub(super) fn raise(
        &mut self,
        node: NodeKey,
        raised: Raised,
        origin: (String, String),
    ) -> Result<(), Refusal> {
        match self.catcher(node, &raised)? {
            Some(catcher) => self.caught(&catcher, &raised),
            None if self.doc.parent.is_some() => {
                let variables = self.visible(Document::ROOT);
                self.emit(Effect::RaiseAbove {
                    raised,
                    variables,
                    origin,
                });
                Ok(())
            }
            None if matches!(raised, Raised::Escalation { .. }) => Ok(()),
            None if origin.0 == self.doc.id => self.uncaught(&origin.1),
            None => {
                self.emit(Effect::Uncaught { origin });
                Ok(())
            }
        }
    }

    /// Nobody catches it: the path ends as at a none end event.
    pub(super) fn uncaught(&mut self, execution: &str) -> Result<(), Refusal> {
        if let Some(node) = self.doc.execution(execution) {
            self.cancel_inside(node)?;
            self.end_activity(node, super::Outcome::Completed)?;
            self.plan(Operation::Finish(node));
        }
        Ok(())
    }

    /// Whether something in this instance catches it.
    pub(super) fn is_caught(&self, node: NodeKey, raised: &Raised) -> Result<bool, Refusal> {
        Ok(self.catcher(node, raised)?.is_some())
    }

    fn catcher(&self, node: NodeKey, raised: &Raised) -> Result<Option<Catcher>, Refusal> {
        let process = self.process();
        let mut at = node;
        loop {
            let here = self.node(at)?;
            if here.role != Role::Inner
                && here.activity.is_some()
                && let Some(host) = self.place(at)?
            {
                let matching = |kind: &Kind| matches!(kind, Kind::Boundary { trigger, .. } if catches(trigger, raised));
                if let Some(event) = best(
                    process.boundaries(host).map(|(i, e)| (i, &e.kind)),
                    matching,
                ) {
                    return Ok(Some(Catcher::Border(at, event)));
                }
            }
            let Some(scope) = here.parent else {
                return Ok(None);
            };
            let inside = self.place(at)?;
            let starts = process.event_sub_processes(self.place(scope)?);
            // An event sub-process does not catch what it raises itself.
            let starts = starts
                .filter(|(sub, _, _)| Some(*sub) != inside)
                .map(|(_, i, e)| (i, &e.kind));
            let matching = |kind: &Kind| matches!(kind, Kind::Start { trigger, .. } if catches(trigger, raised));
            let is_body = self.node(scope)?.role == Role::Body;
            if let Some(event) = best(starts, matching).filter(|_| !is_body) {
                return Ok(Some(Catcher::Scope(scope, event)));
            }
            at = scope;
        }
    }

    fn caught(&mut self, catcher: &Catcher, raised: &Raised) -> Result<(), Refusal> {
        let (event, node) = match catcher {
            Catcher::Border(host, event) => {
                let interrupting = matches!(
                    self.process().element(*event).kind,
                    Kind::Boundary {
                        interrupting: true,
                        ..
                    }
                );
                let node = if interrupting {
                    self.interrupt_at_border(*host, *event)?
                } else {
                    self.branch_at_border(*host, *event)?
                };
                (*event, node)
            }
            Catcher::Scope(scope, event) => (*event, self.open_event_sub_process(*scope, *event)?),
        };
        let (Kind::Boundary { trigger, .. } | Kind::Start { trigger, .. }) =
            &self.process().element(event).kind
        else {
            return Ok(());
        };
        let mut set: Values = Vec::new();
        match (trigger, raised) {
            (
                Trigger::Error(ErrorCatch {
                    code_variable,
                    message_variable,
                    ..
                }),
                Raised::Error { code, message },
            ) => {
                set.extend(
                    code_variable
                        .clone()
                        .map(|name| (name, Value::String(code.clone()))),
                );
                let message = message.clone().map_or(Value::Null, Value::String);
                set.extend(message_variable.clone().map(|name| (name, message)));
            }
            (Trigger::Escalation { variable, .. }, Raised::Escalation { code }) => {
                set.extend(
                    variable
                        .clone()
                        .map(|name| (name, Value::String(code.clone()))),
                );
            }
            _ => {}
        }
        self.set_all(node, set);
        Ok(())
    }
}

fn catches(trigger: &Trigger, raised: &Raised) -> bool {
    match (trigger, raised) {
        (Trigger::Error(ErrorCatch { code: wanted, .. }), Raised::Error { code, .. })
        | (Trigger::Escalation { code: wanted, .. }, Raised::Escalation { code }) => {
            wanted.as_ref().is_none_or(|wanted| wanted == code)
        }
        _ => false,
    }
}

/// The catcher that names the code before the one that catches all.
fn best<'k>(
    candidates: impl Iterator<Item = (ElementIndex, &'k Kind)>,
    matching: impl Fn(&Kind) -> bool,
) -> Option<ElementIndex> {
    let names_code = |kind: &Kind| match kind {
        Kind::Boundary { trigger, .. } | Kind::Start { trigger, .. } => match trigger {
            Trigger::Error(ErrorCatch { code, .. }) | Trigger::Escalation { code, .. } => {
                code.is_some()
            }
            _ => false,
        },
        _ => false,
    };
    let mut found: Vec<(ElementIndex, bool)> = candidates
        .filter(|(_, kind)| matching(kind))
        .map(|(index, kind)| (index, names_code(kind)))
        .collect();
    found.sort_by_key(|(index, named)| (!named, *index));
    found.first().map(|(index, _)| *index)
}
