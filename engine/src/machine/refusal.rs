//! Why a command was not carried out. Nothing of it happened.

use crate::expr;
use crate::expr::Spot;

/// Why a command was not carried out.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// What the command is about is not in this instance (any more).
    #[error("{what} {id} doesn't exist")]
    Missing {
        /// Its kind.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The instance is suspended.
    #[error("ENGINE-03017 Cannot execute operation on suspended process instance '{0}'")]
    Suspended(String),
    /// An expression failed.
    #[error("{0}")]
    Expression(#[from] expr::Error),
    /// A script failed.
    #[error(
        "Unable to evaluate script while executing activity '{element}' in the process definition with id '{definition}': {reason}"
    )]
    Script {
        /// Where.
        element: String,
        /// Of what.
        definition: String,
        /// Why.
        reason: String,
    },
    /// No way out of a gateway.
    #[error(
        "ENGINE-02004 No outgoing sequence flow for the element with id '{0}' could be selected for continuing the process."
    )]
    Stuck(String),
    /// No way out, because what the file names as the default is none of this element.
    #[error(
        "ENGINE-02005 Default sequence flow '{flow}' for element with id '{element}' could not be not found."
    )]
    NoDefault {
        /// What is named.
        flow: String,
        /// Where.
        element: String,
    },
    /// A value is not what the element needs.
    #[error("{element}: {reason}")]
    Value {
        /// Where.
        element: String,
        /// Why.
        reason: String,
    },
    /// A model that does not come to rest.
    #[error("limit operations_per_step reached: {0} operations without a wait state")]
    Endless(usize),
    /// Too many at once.
    #[error("limit {name} reached: '{element}' would make {count}, the limit is {limit}")]
    TooMany {
        /// The limit's name in the documents.
        name: &'static str,
        /// Where.
        element: String,
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A variable that is larger than this engine takes.
    #[error(
        "limit variable_bytes reached: the variable '{name}' has {bytes} bytes, the limit is {limit}"
    )]
    Large {
        /// The variable, or as much of its name as can be shown.
        name: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A number that cannot be kept.
    #[error("the variable '{name}' would be {number}, which is not a finite number")]
    NotFinite {
        /// The variable, or as much of its name as can be shown.
        name: String,
        /// What it would be.
        number: String,
    },
    /// The definition no longer knows an element that the instance stands at.
    #[error("the definition has no element '{0}'")]
    NoElement(String),
    /// Any of the above that the model is to blame for, and where in the model.
    #[error("{refusal}{spot}")]
    At {
        /// Why.
        refusal: Box<Refusal>,
        /// Where.
        spot: Spot,
    },
}

impl Refusal {
    /// The same with its place in the model. The first place that is told is the closest one; what a caller names that is
    /// not there, or may not be touched, is no fault of the model.
    pub(crate) fn at(self, spot: Option<Spot>) -> Refusal {
        match (self, spot) {
            (
                refusal @ (Refusal::Expression(_)
                | Refusal::Script { .. }
                | Refusal::Stuck(_)
                | Refusal::NoDefault { .. }
                | Refusal::Value { .. }
                | Refusal::Endless(_)
                | Refusal::TooMany { .. }
                | Refusal::Large { .. }
                | Refusal::NotFinite { .. }),
                Some(spot),
            ) => Refusal::At {
                refusal: Box::new(refusal),
                spot,
            },
            (other, _) => other,
        }
    }

    /// Why, without the place.
    pub(crate) fn cause(&self) -> &Refusal {
        match self {
            Refusal::At { refusal, .. } => refusal.cause(),
            other => other,
        }
    }

    /// Was it a limit of this engine?
    pub(crate) fn is_limit(&self) -> bool {
        match self.cause() {
            Refusal::Script { reason, .. } => reason.starts_with(crate::limits::TOLD),
            other => matches!(
                other,
                Refusal::Endless(_) | Refusal::TooMany { .. } | Refusal::Large { .. }
            ),
        }
    }
}
