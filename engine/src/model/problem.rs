//! What is wrong with a model, and where.

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Id of the element, if it has one.
    pub element: Option<String>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl Problem {
    /// Was it a limit of this engine?
    pub(crate) fn is_limit(&self) -> bool {
        self.message.starts_with(crate::limits::TOLD)
    }
}

/// Why a resource is no process definition.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It is not XML, or XML of a kind that is not read (document types, entities, too large, too deep).
    #[error("{message}")]
    Xml {
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
        /// What is wrong.
        message: String,
    },
    /// It is XML, but not a model that can run here.
    #[error("{} problem(s)", .0.len())]
    Model(Vec<Problem>),
}
