//! Everything that can be asked of an instance.

use super::effect::Outcome;
use crate::value::Value;

/// Names and values.
pub type Values = Vec<(String, Value)>;

/// What is asked of an instance.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Begin.
    Start {
        /// The start event; `None`: the none start event.
        at: Option<String>,
        /// Variables of the instance.
        variables: Values,
        /// Begin at these elements instead.
        instructions: Vec<Instruction>,
    },
    /// Do what a job is for.
    RunJob {
        /// The job.
        job: String,
    },
    /// A user task is done.
    CompleteTask {
        /// The task.
        task: String,
        /// Its results.
        variables: Values,
    },
    /// An external task is done.
    CompleteWork {
        /// The external task.
        work: String,
        /// Its results.
        variables: Values,
        /// Its results, for the activity alone.
        local: Values,
    },
    /// A BPMN error or escalation came from outside.
    Raise {
        /// Where.
        place: Place,
        /// What.
        raised: Raised,
        /// With what.
        variables: Values,
    },
    /// An event arrived.
    Deliver {
        /// The subscription.
        subscription: String,
        /// With what.
        variables: Values,
        /// With what, for the execution alone.
        local: Values,
    },
    /// A signal came by for everyone: who does not listen any more, or is suspended, does not hear it.
    Hear {
        /// The subscription.
        subscription: String,
        /// With what.
        variables: Values,
    },
    /// A signal to an execution that waits in a receive task.
    Signal {
        /// The execution.
        execution: String,
        /// With what.
        variables: Values,
    },
    /// A called instance ended.
    Returned {
        /// The execution that called it.
        execution: String,
        /// The called instance.
        instance: String,
        /// Its variables.
        variables: Values,
    },
    /// A called instance raised an error or escalation that it does not catch itself.
    RaisedBelow {
        /// The execution that called it.
        execution: String,
        /// What.
        raised: Raised,
        /// Its variables.
        variables: Values,
        /// Where it was raised: instance and execution.
        origin: (String, String),
    },
    /// Nobody above catches the error that this execution raised: its path ends.
    Uncaught {
        /// The execution.
        execution: String,
    },
    /// Change variables.
    SetVariables {
        /// The execution; variables go where they are, else to the instance.
        execution: String,
        /// Set these.
        set: Values,
        /// Remove these.
        remove: Vec<String>,
        /// Only in this execution.
        local: bool,
    },
    /// End the instance before its own end.
    Delete(Outcome),
    /// Suspend or resume.
    Suspend(bool),
    /// Move executions by hand.
    Modify(Vec<Instruction>),
}

/// One step of a modification.
#[derive(Clone, PartialEq, Debug)]
pub enum Instruction {
    /// Begin before an element.
    Before {
        /// The element.
        element: String,
        /// Variables of the instance.
        variables: Values,
    },
    /// Begin after an element.
    After {
        /// The element.
        element: String,
        /// Variables of the instance.
        variables: Values,
    },
    /// End what stands at an element.
    CancelAll(String),
    /// End one activity instance.
    Cancel(String),
}

/// Where something is raised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// At a user task.
    Task(String),
    /// At an external task.
    Work(String),
}

/// What is raised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Raised {
    /// A BPMN error.
    Error {
        /// Its code.
        code: String,
        /// Its message.
        message: Option<String>,
    },
    /// An escalation.
    Escalation {
        /// Its code.
        code: String,
    },
}
