//! Why an operation of the engine was not done, in the terms that a caller can branch on.

use crate::expr::Spot;
use crate::machine::Refusal;
use crate::model::Problem;
use crate::store::Failure;

/// Why an operation was not done. Nothing of it happened.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The thing addressed is not there.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// The request makes sense, but not for this caller or now.
    #[error("{0}")]
    Rejected(String),
    /// No one waits for the message, or too many do.
    #[error("{0}")]
    Mismatch(String),
    /// The engine cannot do it in the state things are in.
    #[error("{0}")]
    Engine(String),
    /// What the caller names is not there, or something that is needed is missing.
    #[error("{0}")]
    Null(String),
    /// A value is outside of what the engine takes.
    #[error("{0}")]
    Wrong(String),
    /// More than this engine does at once.
    #[error("limit {name} reached: {why}")]
    Limit {
        /// The limit's name in the documents.
        name: &'static str,
        /// What was too much.
        why: String,
    },
    /// It cannot be done right now, or not in the state that things are in.
    #[error("{0}")]
    Busy(String),
    /// Someone has claimed the task already.
    #[error("{0}")]
    Claimed(String),
    /// The model or the data made the step fail.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A resource is no model that can run here.
    #[error("ENGINE-09005 Could not parse BPMN process. Errors: {}", told(.resource, .problems))]
    Parse {
        /// The resource.
        resource: String,
        /// What is wrong.
        problems: Vec<Problem>,
    },
    /// The database could not.
    #[error(transparent)]
    Store(#[from] Failure),
    /// Any of the above that a model is to blame for, and where in the model.
    #[error("{}", spot.add_to(error.to_string()))]
    At {
        /// Why.
        error: Box<Error>,
        /// Where.
        spot: Spot,
    },
    /// It waits until its instance is activated again.
    #[error("ENGINE-03043 {0} is suspended.")]
    Suspended(String),
    /// The operation is not built.
    #[error("{0} is not built")]
    NotBuilt(String),
}

impl Error {
    /// The same with its place in a model. What the database did is no fault of the model.
    pub(crate) fn at(self, spot: Option<Spot>) -> Error {
        match (self, spot) {
            (error @ (Error::Store(_) | Error::At { .. }), _) | (error, None) => error,
            (error, Some(spot)) => Error::At {
                error: Box::new(error),
                spot,
            },
        }
    }

    /// Why, without the place.
    pub(crate) fn into_cause(self) -> Error {
        match self {
            Error::At { error, .. } => error.into_cause(),
            other => other,
        }
    }

    /// Was it a limit of this engine?
    pub(crate) fn is_limit(&self) -> bool {
        match self {
            Error::Refused(refusal) => refusal.is_limit(),
            Error::At { error, .. } => error.is_limit(),
            Error::Parse { problems, .. } => problems.iter().any(Problem::is_limit),
            other => matches!(other, Error::Limit { .. }),
        }
    }
}

fn told(resource: &str, problems: &[Problem]) -> String {
    let line = |p: &Problem| {
        format!(
            "\n* {} | resource {resource} | line {} | column {}",
            p.message, p.line, p.column
        )
    };
    problems.iter().map(line).collect()
}
