//! The run of one step: the state it works on, and the operations still to be done.
//!
//! Operations form a stack, so that one path goes to its wait state before the next begins, as people expect of
//! parallel branches in one transaction.

use super::document::{Document, Node, NodeKey, Role, Wait};
use super::effect::{Effect, Outcome, Record};
use super::refusal::Refusal;
use super::variables::Variables;
use super::{Context, MAX_EXECUTIONS, MAX_OPERATIONS, Step};
use crate::model::{Element, ElementIndex, FlowIndex, Process};

/// One operation on an execution.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    /// It stands before its element.
    Arrive(NodeKey),
    /// It goes in.
    Enter(NodeKey),
    /// It does what the element does.
    Execute(NodeKey),
    /// The element is done.
    Complete(NodeKey),
    /// It looks for the way on.
    Leave(NodeKey),
    /// It takes a flow.
    Take(NodeKey, FlowIndex),
    /// Its path ends.
    Finish(NodeKey),
}

impl Operation {
    fn node(self) -> NodeKey {
        match self {
            Operation::Arrive(n)
            | Operation::Enter(n)
            | Operation::Execute(n)
            | Operation::Complete(n)
            | Operation::Leave(n)
            | Operation::Take(n, _)
            | Operation::Finish(n) => n,
        }
    }
}

/// The run of one step.
pub(super) struct Run<'a> {
    pub(super) doc: Document,
    pub(super) vars: Variables,
    pub(super) context: Context<'a>,
    pub(super) effects: Vec<Effect>,
    /// Did a variable change since conditions were last looked at?
    pub(super) changed: bool,
    /// How instances end that were called from here and are not wanted any more.
    pub(super) calls_end: Outcome,
    /// Why they end, in the engine's words.
    pub(super) calls_end_why: Option<String>,
    /// The element at which an operation is being performed.
    pub(super) current: Option<ElementIndex>,
    agenda: Vec<Operation>,
    done: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(doc: Document, vars: Variables, context: Context<'a>) -> Run<'a> {
        Run {
            doc,
            vars,
            context,
            effects: Vec::new(),
            changed: false,
            calls_end: Outcome::Interrupted,
            calls_end_why: None,
            current: None,
            agenda: Vec::new(),
            done: 0,
        }
    }

    pub(super) fn into_step(self) -> Step {
        Step {
            document: self.doc,
            variables: self.vars,
            effects: self.effects,
        }
    }

    /// Puts an operation on top of the stack.
    pub(super) fn plan(&mut self, operation: Operation) {
        self.agenda.push(operation);
    }

    /// Works until every path waits or has ended.
    pub(super) fn settle(&mut self) -> Result<(), Refusal> {
        loop {
            while let Some(operation) = self.agenda.pop() {
                self.done += 1;
                // An earlier operation may have ended this execution.
                if !self.doc.nodes.contains_key(&operation.node()) {
                    continue;
                }
                let place = self.place(operation.node()).unwrap_or_default();
                let spot = |run: &Run<'_>| place.map(|at| run.process().element(at).spot());
                if self.done > MAX_OPERATIONS {
                    return Err(Refusal::Endless(MAX_OPERATIONS).at(spot(self)));
                }
                self.current = place;
                let performed = self.perform(operation);
                performed.map_err(|refusal| refusal.at(spot(self)))?;
            }
            self.current = None;
            if self.doc.ended {
                return Ok(());
            }
            if std::mem::take(&mut self.changed) {
                self.check_conditions()?;
            }
            if self.agenda.is_empty() && !self.open_inclusive_joins()? {
                return Ok(());
            }
        }
    }

    fn perform(&mut self, operation: Operation) -> Result<(), Refusal> {
        match operation {
            Operation::Arrive(node) => self.arrive(node),
            Operation::Enter(node) => self.enter(node),
            Operation::Execute(node) => self.execute(node),
            Operation::Complete(node) => self.complete(node),
            Operation::Leave(node) => self.leave(node),
            Operation::Take(node, flow) => self.take(node, flow),
            Operation::Finish(node) => self.finish(node),
        }
    }

    pub(super) fn process(&self) -> &'a Process {
        let definition: &'a super::Definition = self.context.definition;
        &definition.process
    }

    pub(super) fn node(&self, key: NodeKey) -> Result<&Node, Refusal> {
        self.doc.nodes.get(&key).ok_or_else(|| Refusal::Missing {
            what: "execution",
            id: key.to_string(),
        })
    }

    pub(super) fn node_mut(&mut self, key: NodeKey) -> Result<&mut Node, Refusal> {
        self.doc
            .nodes
            .get_mut(&key)
            .ok_or_else(|| Refusal::Missing {
                what: "execution",
                id: key.to_string(),
            })
    }

    /// The element that an execution stands at; the root stands at none.
    pub(super) fn place(&self, key: NodeKey) -> Result<Option<ElementIndex>, Refusal> {
        match &self.node(key)?.at {
            None => Ok(None),
            Some(id) => self
                .process()
                .find(id)
                .map(Some)
                .ok_or_else(|| Refusal::NoElement(id.clone())),
        }
    }

    /// The element that an execution stands at.
    pub(super) fn element(&self, key: NodeKey) -> Result<&'a Element, Refusal> {
        let index = self
            .place(key)?
            .ok_or_else(|| Refusal::NoElement(self.doc.id.clone()))?;
        Ok(self.process().element(index))
    }

    pub(super) fn new_id(&mut self) -> String {
        self.context.ids.next()
    }

    pub(super) fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn record(&mut self, record: Record) {
        self.effects.push(Effect::Record(record));
    }

    /// A new execution in a scope.
    pub(super) fn spawn(
        &mut self,
        scope: NodeKey,
        at: &str,
        role: Role,
    ) -> Result<NodeKey, Refusal> {
        if self.doc.nodes.len() >= MAX_EXECUTIONS {
            let count = self.doc.nodes.len() + 1;
            return Err(Refusal::TooMany {
                name: "executions",
                element: at.to_owned(),
                count,
                limit: MAX_EXECUTIONS,
            });
        }
        let key = self.doc.next;
        self.doc.next += 1;
        let id = self.new_id();
        let node = Node {
            id,
            parent: Some(scope),
            at: Some(at.to_owned()),
            activity: None,
            role,
            wait: Wait::Nothing,
            subscriptions: Vec::new(),
        };
        self.doc.nodes.insert(key, node);
        Ok(key)
    }
}
