//! Everything that a step may ask to be done. There is no other way out of the machine.

use super::command::{Raised, Values};
use crate::clock::Millis;
use crate::model::ElementIndex;
use crate::value::Value;

/// One thing to be done, in the order of the list.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Make a job.
    CreateJob(Job),
    /// Remove a job.
    RemoveJob(String),
    /// Make a user task.
    CreateTask(Task),
    /// Remove a user task: done, or not.
    RemoveTask {
        /// The task.
        task: String,
        /// How.
        outcome: Outcome,
    },
    /// Make an external task.
    CreateWork(Work),
    /// Remove an external task.
    RemoveWork(String),
    /// Listen to a message or signal.
    Subscribe {
        /// The subscription.
        id: String,
        /// `message` or `signal`.
        kind: &'static str,
        /// The event's name.
        name: String,
        /// Who listens.
        execution: String,
        /// At which element.
        element: String,
    },
    /// Stop listening.
    Unsubscribe(String),
    /// Start another instance.
    Call(Called),
    /// End a called instance.
    CancelCall {
        /// The instance.
        instance: String,
        /// How it ends.
        outcome: Outcome,
        /// Why, in the engine's words; without any as the caller ends.
        reason: Option<String>,
    },
    /// Tell the caller that this instance has ended.
    Return {
        /// Its variables.
        variables: Values,
    },
    /// Ask the caller whether it catches this.
    RaiseAbove {
        /// What.
        raised: Raised,
        /// Variables of this instance.
        variables: Values,
        /// Where it was raised: instance and execution.
        origin: (String, String),
    },
    /// Tell the place where it was raised that nobody catches it.
    Uncaught {
        /// Where it was raised: instance and execution.
        origin: (String, String),
    },
    /// Raise a signal for everyone.
    Broadcast {
        /// Its name.
        name: String,
        /// What goes with it.
        variables: Values,
    },
    /// Write history.
    Record(Record),
}

/// A job.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Whose.
    pub execution: String,
    /// At which element.
    pub element: String,
    /// What for.
    pub kind: JobKind,
    /// When; `None`: at once.
    pub due: Option<Millis>,
    /// The cycle, for people.
    pub repeat: Option<String>,
    /// Tries it has.
    pub retries: i64,
    /// Must it be alone among the instance's jobs?
    pub exclusive: bool,
    /// How urgent.
    pub priority: i64,
}

/// Where a transaction break is at its element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    /// Before it, or before one of many instances.
    Before,
    /// After it, or after one of many instances.
    After,
    /// Before all instances of a multi-instance activity.
    BodyBefore,
    /// After all of them.
    BodyAfter,
}

impl Break {
    /// Its name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Break::Before => "before",
            Break::After => "after",
            Break::BodyBefore => "body-before",
            Break::BodyAfter => "body-after",
        }
    }
}

/// What a job is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// Going on after a transaction break.
    Continue(Break),
    /// A timer.
    Timer,
    /// A timer that starts an instance.
    StartTimer,
}

/// A user task.
#[derive(Clone, PartialEq, Debug)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Whose.
    pub execution: String,
    /// Its activity instance.
    pub activity: String,
    /// At which element.
    pub element: String,
    /// Name for people.
    pub name: Option<String>,
    /// Text for people.
    pub description: Option<String>,
    /// Who does it.
    pub assignee: Option<String>,
    /// Who may do it.
    pub candidate_users: Vec<String>,
    /// Groups that may do it.
    pub candidate_groups: Vec<String>,
    /// When it should be done.
    pub due: Option<Millis>,
    /// When it should be looked at.
    pub follow_up: Option<Millis>,
    /// How urgent.
    pub priority: i64,
    /// The form's key.
    pub form_key: Option<String>,
    /// The deployed form that it means.
    pub form_ref: Option<FormRef>,
}

/// A deployed form that an element means.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct FormRef {
    /// Its key.
    pub key: String,
    /// `latest`, `deployment` or `version`.
    pub binding: String,
    /// Which one, by number.
    pub version: Option<i64>,
}

/// An external task.
#[derive(Clone, PartialEq, Debug)]
pub struct Work {
    /// Its id.
    pub id: String,
    /// Whose.
    pub execution: String,
    /// Its activity instance.
    pub activity: String,
    /// At which element.
    pub element: String,
    /// By what workers ask for it.
    pub topic: String,
    /// How urgent.
    pub priority: i64,
}

/// A call of another process.
#[derive(Clone, PartialEq, Debug)]
pub struct Called {
    /// Id of the instance to be made.
    pub instance: String,
    /// Who waits for it.
    pub execution: String,
    /// The key of its definition.
    pub key: String,
    /// Which version.
    pub version: Version,
    /// Whose definition.
    pub tenant: Option<String>,
    /// Its business key.
    pub business_key: Option<String>,
    /// Its variables.
    pub variables: Values,
}

/// Which version is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Version {
    /// The latest.
    Latest,
    /// That of the caller's deployment.
    Deployment,
    /// This one.
    Number(i32),
    /// The one with this tag.
    Tag(String),
}

/// How something ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As meant.
    Completed,
    /// By hand, or not as meant.
    Cancelled,
    /// By an event in the instance that called it.
    Interrupted,
}

/// A line of history.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    /// The instance began.
    Started {
        /// At which element.
        element: String,
    },
    /// The instance ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// At which element, if at one.
        element: Option<String>,
    },
    /// An activity began.
    Entered(ActivityRecord),
    /// An activity ended.
    Left {
        /// The activity instance.
        activity: String,
        /// How.
        outcome: Outcome,
    },
    /// A variable was set.
    Set {
        /// The variable.
        id: String,
        /// Whose.
        execution: String,
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
        /// The activity instance it belongs to.
        activity: String,
        /// The element that made it, unless it came from outside.
        by: Option<ElementIndex>,
    },
    /// A variable was removed by hand.
    Removed {
        /// The variable.
        id: String,
    },
}

/// An activity that began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActivityRecord {
    /// The activity instance.
    pub activity: String,
    /// The one around it.
    pub parent: String,
    /// The element.
    pub element: String,
    /// Its name.
    pub name: Option<String>,
    /// Its type.
    pub type_name: String,
    /// Whose.
    pub execution: String,
    /// The user task, if it is one.
    pub task: Option<String>,
    /// The called instance, if it is a call.
    pub called: Option<String>,
    /// Who does the task.
    pub assignee: Option<String>,
}
