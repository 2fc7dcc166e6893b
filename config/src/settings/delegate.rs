//! Settings of `[[engine.delegate]]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

/// What a Java name in models stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegate {
    /// The name as it stands in the model.
    pub name: String,
    /// What is done instead.
    pub does: Does,
}

/// What is done instead of the Java.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// An external task of this topic.
    Topic(String),
    /// A script.
    Script(String),
    /// Nothing.
    Nothing,
}
