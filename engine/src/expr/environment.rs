//! What an expression may ask of the place it is evaluated in.

use super::Operand;
use crate::clock::Millis;
use crate::value::Value;

/// A property of one of the known objects, such as `execution.businessKey`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Member<'a> {
    /// Of the execution.
    Execution(&'a str),
    /// Of the user task.
    Task(&'a str),
    /// Of the external task.
    ExternalTask(&'a str),
}

/// Where an expression is evaluated.
pub trait Environment {
    /// A variable that is visible here.
    fn variable(&self, name: &str) -> Option<Value>;
    /// A variable of the innermost scope only.
    fn local_variable(&self, name: &str) -> Option<Value>;
    /// All that are visible here, inner before outer.
    fn variables(&self) -> Vec<(String, Value)>;
    /// Sets a variable where it already is, else at the instance.
    fn set_variable(&mut self, name: &str, value: Value);
    /// Sets a variable of the innermost scope.
    fn set_local_variable(&mut self, name: &str, value: Value);
    /// Removes a variable where it is.
    fn remove_variable(&mut self, name: &str);
    /// A property of a known object; `None` if it has no such property.
    fn member(&self, member: Member<'_>) -> Option<Operand>;
    /// Is this known object there?
    fn knows(&self, known: super::Known) -> bool;
    /// The moment of the step.
    fn now(&self) -> Millis;
}
