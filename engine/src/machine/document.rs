//! The control state of one process instance: which execution stands where and waits for what.
//!
//! The serialised form is the durable record of an instance and what a hand-over carries; fields may be added, never
//! renamed. Variables are rows beside it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the serialised form.
pub(super) const FORMAT: u32 = 1;

/// Names a node inside its document.
pub type NodeKey = u32;

/// The control state of one process instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Version of this form.
    pub format: u32,
    /// Id of the process instance; also the id of its root execution.
    pub id: String,
    /// Id of its definition.
    pub definition: String,
    /// Business key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_key: Option<String>,
    /// Tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Topmost instance of the call hierarchy.
    pub root: String,
    /// Who called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// How many instances there are above it in the call hierarchy.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub depth: u32,
    /// Is it suspended?
    #[serde(default)]
    pub suspended: bool,
    /// Has it ended?
    #[serde(default)]
    pub ended: bool,
    /// Executions by key, in order of making; key 0 is the root.
    pub nodes: BTreeMap<NodeKey, Node>,
    /// Next key.
    pub next: NodeKey,
}

/// Who called an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parent {
    /// The calling instance.
    pub instance: String,
    /// The execution that waits in it.
    pub execution: String,
}

/// One execution.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// The scope it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<NodeKey>,
    /// The element it stands at; the root stands at none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Id of the activity instance, while it is inside the element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
    /// What it is.
    pub role: Role,
    /// What it waits for.
    pub wait: Wait,
    /// Events it listens to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Subscription>,
}

/// What an execution is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// The instance itself.
    Root,
    /// A path through the process; inside a sub-process it is also the scope of the paths there.
    Path,
    /// The body of a multi-instance activity.
    Body,
    /// One of the instances of a multi-instance activity.
    Inner,
}

/// What an execution waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wait {
    /// It moves within this step, or its children do.
    Nothing,
    /// A job, before the element is entered.
    Before {
        /// The job.
        job: String,
    },
    /// A job, after the element was left.
    After {
        /// The job.
        job: String,
    },
    /// A user task.
    Task {
        /// The task.
        task: String,
    },
    /// An external task.
    Work {
        /// The external task.
        work: String,
    },
    /// One of its subscriptions, or a signal to the execution.
    Event,
    /// Others, at a joining gateway.
    Join,
    /// A called instance.
    Call {
        /// The instance.
        instance: String,
    },
}

/// An event that an execution listens to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id; for a timer the id of the job.
    pub id: String,
    /// What kind.
    pub kind: SubscriptionKind,
    /// The event element.
    pub event: String,
}

/// Kinds of events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SubscriptionKind {
    /// A message of this name.
    Message(String),
    /// A signal of this name.
    Signal(String),
    /// A timer.
    Timer {
        /// The cycle, with the moment it is counted from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cycle: Option<(String, i64)>,
    },
    /// A condition over variables.
    Condition,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_nought(depth: &u32) -> bool {
    *depth == 0
}

impl Document {
    /// Key of the root.
    pub const ROOT: NodeKey = 0;

    /// A document whose instance has not begun.
    pub fn new(id: &str, definition: &str) -> Document {
        let root = Node {
            id: id.to_owned(),
            parent: None,
            at: None,
            activity: Some(id.to_owned()),
            role: Role::Root,
            wait: Wait::Nothing,
            subscriptions: Vec::new(),
        };
        Document {
            format: FORMAT,
            id: id.to_owned(),
            definition: definition.to_owned(),
            business_key: None,
            tenant: None,
            root: id.to_owned(),
            parent: None,
            depth: 0,
            suspended: false,
            ended: false,
            nodes: BTreeMap::from([(Document::ROOT, root)]),
            next: 1,
        }
    }

    /// The execution with this id.
    pub fn execution(&self, id: &str) -> Option<NodeKey> {
        self.nodes
            .iter()
            .find(|(_, node)| node.id == id)
            .map(|(key, _)| *key)
    }

    /// Executions directly inside a scope, oldest first.
    pub fn children(&self, scope: NodeKey) -> Vec<NodeKey> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.parent == Some(scope))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Is an execution inside a scope?
    pub fn has_children(&self, scope: NodeKey) -> bool {
        // The youngest are the likely ones.
        let mut youngest_first = self.nodes.values().rev();
        youngest_first.any(|node| node.parent == Some(scope))
    }

    /// An execution and the scopes around it, innermost first.
    pub fn ancestry(&self, key: NodeKey) -> Vec<NodeKey> {
        let mut out = vec![key];
        while let Some(parent) = out
            .last()
            .and_then(|k| self.nodes.get(k))
            .and_then(|n| n.parent)
        {
            out.push(parent);
        }
        out
    }

    /// The activity instance around an execution.
    pub fn parent_activity(&self, key: NodeKey) -> Option<&str> {
        let mut around = self.ancestry(key).into_iter().skip(1);
        around.find_map(|k| self.nodes.get(&k).and_then(|n| n.activity.as_deref()))
    }

    /// The execution with a subscription or job of this id.
    pub fn listener(&self, id: &str) -> Option<(NodeKey, Subscription)> {
        self.nodes.iter().find_map(|(key, node)| {
            node.subscriptions
                .iter()
                .find(|s| s.id == id)
                .map(|s| (*key, s.clone()))
        })
    }
}
