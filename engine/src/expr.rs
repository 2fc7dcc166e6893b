//! JUEL, the expression language of the models: parse once per definition, evaluate against an [`Environment`].
//!
//! Owns the language. Must not do I/O, read the clock or draw random numbers: the environment hands in the time. Relies
//! on `value` for the types of variables. Every expression ends: there are no loops, and depth and sizes are limited.

mod coerce;
mod environment;
mod eval;
mod lexer;
mod methods;
mod operand;
mod operators;
mod parser;
mod spin;
mod spin_xml;
mod spot;
mod xml;

pub use coerce::{to_boolean, to_long, to_text};
pub use environment::{Environment, Member};
pub use operand::{Known, Operand};
pub use parser::{Node, Template};
pub use spot::Spot;
pub(crate) use spot::shortened;

/// Longest expression, in bytes. Real models stay below 1,000.
pub const MAX_LENGTH: usize = 16 * 1024;
/// Deepest nesting of an expression.
pub const MAX_DEPTH: usize = 64;
/// Longest text that an expression may build, in bytes.
pub const MAX_RESULT: usize = 4 * 1024 * 1024;

/// What can be wrong with an expression.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It is not in the language.
    #[error("Error parsing '{text}': {reason} at position {position}")]
    Syntax {
        /// The whole expression.
        text: String,
        /// What was expected.
        reason: String,
        /// Where.
        position: usize,
    },
    /// A name that nothing answers to.
    #[error(
        "Unknown property used in expression: {text}. Cause: Cannot resolve identifier '{name}'"
    )]
    UnknownName {
        /// The whole expression.
        text: String,
        /// The name.
        name: String,
    },
    /// A property that the value does not have.
    #[error(
        "Unknown property used in expression: {text}. Cause: Could not find property {name} in {on}"
    )]
    UnknownProperty {
        /// The whole expression.
        text: String,
        /// The property.
        name: String,
        /// The kind of value.
        on: &'static str,
    },
    /// A method that the value does not have.
    #[error(
        "Unknown method used in expression: {text}. Cause: Could not find method {name} in {on}"
    )]
    UnknownMethod {
        /// The whole expression.
        text: String,
        /// The method.
        name: String,
        /// The kind of value.
        on: &'static str,
    },
    /// Anything that fails while it is evaluated.
    #[error("Error while evaluating expression: {text}. Cause: {reason}")]
    Evaluation {
        /// The whole expression.
        text: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// Puts the whole expression into an error that was made below the place where it is known.
    pub(crate) fn within(self, whole: &str) -> Error {
        match self {
            Error::Syntax {
                reason, position, ..
            } => Error::Syntax {
                text: whole.to_owned(),
                reason,
                position,
            },
            Error::UnknownName { name, .. } => Error::UnknownName {
                text: whole.to_owned(),
                name,
            },
            Error::UnknownProperty { name, on, .. } => Error::UnknownProperty {
                text: whole.to_owned(),
                name,
                on,
            },
            Error::UnknownMethod { name, on, .. } => Error::UnknownMethod {
                text: whole.to_owned(),
                name,
                on,
            },
            Error::Evaluation { reason, .. } => Error::Evaluation {
                text: whole.to_owned(),
                reason,
            },
        }
    }

    pub(crate) fn failed(reason: impl Into<String>) -> Error {
        Error::Evaluation {
            text: String::new(),
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests;
