//! The `[[engine.delegate]]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a Java name in a model stands for: of a class (`camunda:class`), a bean (`camunda:delegateExpression`), or an expression
/// (`camunda:expression`) of a service, send or business rule task or a message event. Exactly one of `topic`, `script` and
/// `nothing`. All engines of a site need the same; an instance of a model whose name is not mapped any more stands still with
/// an error until it is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DelegateFile {
    /// The name: `"com.example.Charge"` for a class, `"charge"` or `"${charge}"` for a bean, `"${charge.go(execution)}"` for
    /// an expression as it stands in the model.
    pub(crate) name: At<String>,
    /// Becomes an external task of this topic, which a worker does.
    #[serde(default)]
    pub(crate) topic: Option<At<String>>,
    /// Becomes this script, in JavaScript, with `execution` as in a script task.
    #[serde(default)]
    pub(crate) script: Option<At<String>>,
    /// `true`: nothing is done there.
    #[serde(default)]
    pub(crate) nothing: bool,
}
