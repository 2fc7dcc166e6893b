//! The kinds of elements and what each needs to run.

use super::graph::{ElementIndex, FlowIndex};
use crate::expr::{Spot, Template};

/// A flow node.
#[derive(Clone, Debug)]
pub struct Element {
    /// The id of the file.
    pub id: String,
    /// Name for people.
    pub name: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Its type's name in history and activity trees.
    pub type_name: String,
    /// The sub-process it is in.
    pub scope: Option<ElementIndex>,
    /// Flows that end here.
    pub incoming: Vec<FlowIndex>,
    /// Flows that begin here, in the order of the file.
    pub outgoing: Vec<FlowIndex>,
    /// The flow that is taken when no condition holds.
    pub default: Option<FlowIndex>,
    /// What the file names as the default and is no flow that begins here.
    pub default_elsewhere: Option<String>,
    /// Is there a transaction break before it?
    pub async_before: bool,
    /// Is there a transaction break after it?
    pub async_after: bool,
    /// Must its jobs be alone among the instance's jobs?
    pub exclusive: bool,
    /// Priority of its jobs.
    pub job_priority: Option<Template>,
    /// When its jobs are tried again.
    pub retry_cycle: Option<Template>,
    /// Variables made when it is entered.
    pub inputs: Vec<Mapping>,
    /// Variables made when it is left.
    pub outputs: Vec<Mapping>,
    /// Many at once, or one after the other.
    pub multi: Option<Multi>,
    /// Properties of the extension elements, handed to workers that ask for them.
    pub properties: Vec<(String, String)>,
    /// What people are asked for, at a user task or start event.
    pub form: Vec<super::form::Field>,
    /// Where its form is, of a user task or start event.
    pub page: Option<super::form::Page>,
    /// Line in the file.
    pub line: u32,
    /// Column in the line.
    pub column: u32,
}

impl Element {
    /// Where it stands.
    pub fn spot(&self) -> Spot {
        Spot {
            element: self.id.clone(),
            line: self.line,
            column: self.column,
        }
    }
}

/// A sequence flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The id of the file.
    pub id: String,
    /// Where it begins.
    pub source: ElementIndex,
    /// Where it ends.
    pub target: ElementIndex,
    /// When it is taken.
    pub condition: Option<Condition>,
    /// Line in the file.
    pub line: u32,
    /// Column in the line.
    pub column: u32,
}

impl Flow {
    /// Where it stands.
    pub fn spot(&self) -> Spot {
        Spot {
            element: self.id.clone(),
            line: self.line,
            column: self.column,
        }
    }
}

pub use super::flow::Condition;

/// What an element is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A start event.
    Start {
        /// What starts it.
        trigger: Trigger,
        /// In an event sub-process: does it end the rest of its scope?
        interrupting: bool,
        /// Who starts it, as a variable.
        initiator: Option<String>,
    },
    /// An end event.
    End(End),
    /// An event that waits.
    Catch(Catch),
    /// An event that does something and goes on.
    Throw(Throw),
    /// An event at the border of an activity.
    Boundary {
        /// The activity.
        host: ElementIndex,
        /// Does it end the activity?
        interrupting: bool,
        /// What it waits for.
        trigger: Trigger,
    },
    /// Work for a person.
    UserTask(Box<UserTask>),
    /// Work for a machine: service task, send task, business rule task of type external.
    Service(Work),
    /// Work in a script.
    Script {
        /// The script's text.
        source: Source,
        /// Variable for the result.
        result: Option<String>,
    },
    /// A task without work: undefined and manual tasks.
    PassThrough,
    /// Waits for a message, or for a signal to the execution.
    Receive(Option<Template>),
    /// One way out.
    Exclusive,
    /// All ways out; waits for all ways in.
    Parallel,
    /// Some ways out; waits for those that can still come.
    Inclusive,
    /// The first event decides.
    EventBased,
    /// A sub-process.
    SubProcess(SubProcess),
    /// Calls another process.
    Call(Box<CallActivity>),
}

/// The text of a script task.
#[derive(Clone, Debug)]
pub enum Source {
    /// In JavaScript.
    JavaScript(String),
    /// Of no language: an expression.
    Expression(Template),
}

/// A sub-process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubProcess {
    /// Is it an event sub-process?
    pub triggered_by_event: bool,
}

/// What an event waits for.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// Nothing.
    None,
    /// A message of this name.
    Message(Template),
    /// A signal of this name.
    Signal(Template),
    /// A date.
    Date(Template),
    /// A while.
    Duration(Template),
    /// Again and again.
    Cycle(Template),
    /// An error; without a code, any.
    Error(ErrorCatch),
    /// An escalation; without a code, any.
    Escalation {
        /// The code.
        code: Option<String>,
        /// Variable for the code.
        variable: Option<String>,
    },
    /// A condition over variables.
    Condition(Condition),
}

/// How an error is caught.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorCatch {
    /// The code; without one, any.
    pub code: Option<String>,
    /// Variable for the code.
    pub code_variable: Option<String>,
    /// Variable for the message.
    pub message_variable: Option<String>,
}

/// An event that waits.
#[derive(Clone, Debug)]
pub struct Catch {
    /// What for.
    pub trigger: Trigger,
}

/// What an end event does.
#[derive(Clone, Debug)]
pub enum End {
    /// Ends its path.
    None,
    /// Ends its scope.
    Terminate,
    /// Raises an error.
    Error {
        /// Its code.
        code: Template,
        /// Its message.
        message: Option<Template>,
    },
    /// Does what a throw event does, then ends its path.
    Throw(Throw),
}

/// What a throw event does.
#[derive(Clone, Debug)]
pub enum Throw {
    /// Nothing.
    None,
    /// Work, as a service task does; without any nothing happens, as in the real engine.
    Message(Option<Work>),
    /// Raises a signal.
    Signal {
        /// Its name.
        name: Template,
        /// What goes with it.
        variables: Vec<InOut>,
    },
    /// Raises an escalation.
    Escalation {
        /// Its code.
        code: String,
    },
}

/// Work for a machine.
#[derive(Clone, Debug)]
pub enum Work {
    /// Workers fetch it.
    External {
        /// By this topic.
        topic: Template,
        /// By this priority.
        priority: Option<Template>,
    },
    /// An expression is evaluated.
    Expression {
        /// The expression.
        expression: Template,
        /// Variable for the result.
        result: Option<String>,
    },
    /// A script runs: a mapped delegate says so.
    Script(String),
    /// Nothing is done: a mapped delegate says so.
    Nothing,
}

/// Work for a person.
#[derive(Clone, Debug, Default)]
pub struct UserTask {
    /// Who does it.
    pub assignee: Option<Template>,
    /// Who may do it.
    pub candidate_users: Vec<Template>,
    /// Groups that may do it.
    pub candidate_groups: Vec<Template>,
    /// When it should be done.
    pub due: Option<Template>,
    /// When it should be looked at.
    pub follow_up: Option<Template>,
    /// How urgent it is.
    pub priority: Option<Template>,
    /// Text for people.
    pub description: Option<String>,
}

/// Calls another process.
#[derive(Clone, Debug)]
pub struct CallActivity {
    /// Its key.
    pub called: Template,
    /// Which version.
    pub binding: Binding,
    /// Whose.
    pub tenant: Option<Template>,
    /// The business key it gets.
    pub business_key: Option<Template>,
    /// What goes in.
    pub inputs: Vec<InOut>,
    /// What comes out.
    pub outputs: Vec<InOut>,
}

/// Which version of a definition is meant.
#[derive(Clone, Debug)]
pub enum Binding {
    /// The latest one.
    Latest,
    /// The one of the same deployment.
    Deployment,
    /// A number.
    Version(Template),
    /// A tag.
    VersionTag(Template),
}

/// One mapping across the border of a call.
#[derive(Clone, Debug)]
pub struct InOut {
    /// What.
    pub variables: Variables,
    /// Only those of the innermost scope?
    pub local: bool,
}

/// What crosses a border.
#[derive(Clone, Debug)]
pub enum Variables {
    /// All.
    All,
    /// One, by name.
    One {
        /// Its name here.
        source: String,
        /// Its name there.
        target: String,
    },
    /// The value of an expression.
    Expression {
        /// The expression.
        source: Template,
        /// Its name there.
        target: String,
    },
}

/// One input or output of an activity.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The variable made.
    pub name: String,
    /// Of what.
    pub value: Parameter,
}

/// What an input or output is made of.
#[derive(Clone, Debug)]
pub enum Parameter {
    /// Nothing.
    Null,
    /// A text or expression.
    Text(Template),
    /// A list.
    List(Vec<Parameter>),
    /// A map.
    Map(Vec<(String, Parameter)>),
    /// A script's result.
    Script(String),
}

/// Many at once, or one after the other.
#[derive(Clone, Debug)]
pub struct Multi {
    /// One after the other?
    pub sequential: bool,
    /// How many.
    pub cardinality: Option<Template>,
    /// Over what.
    pub collection: Option<Template>,
    /// Variable for the item.
    pub element: Option<String>,
    /// Enough?
    pub completion: Option<Template>,
    /// Break before each.
    pub async_before: bool,
    /// Break after each.
    pub async_after: bool,
    /// Must the inner jobs be alone?
    pub exclusive: bool,
}
