//! What the machine asks of a script host.

use crate::value::Value;

/// A change that a script made.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// Set where it is, else at the instance.
    Set(String, Value),
    /// Set in the innermost scope.
    SetLocal(String, Value),
    /// Removed.
    Remove(String),
}

/// Runs scripts within limits. What it does may depend on nothing but what it is given.
pub trait Scripts: Send + Sync {
    /// Runs a script over variables; gives its result and the changes it made.
    fn run(
        &self,
        source: &str,
        variables: &[(String, Value)],
        execution: &[(&'static str, String)],
    ) -> Result<(Value, Vec<Change>), String>;
}
