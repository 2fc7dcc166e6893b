//! The `[[engine.delegate]]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::{At, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a Java name in a model stands for: of a class (`camunda:class`), a bean (`camunda:delegateExpression`), or an expression
/// (`camunda:expression`) of a service, send or business rule task or a message event. Exactly one of `topic`, `script`,
/// `http` and `nothing`. All engines of a site need the same; an instance of a model whose name is not mapped any more stands
/// still with an error until it is.
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
    /// Becomes this call over HTTP, which the engines make themselves: `http = { url = "https://billing/charge" }`.
    #[serde(default)]
    pub(crate) http: Option<HttpCallFile>,
    /// `true`: nothing is done there.
    #[serde(default)]
    pub(crate) nothing: bool,
}

/// A call over HTTP in place of Java: an external task of the topic `homing-http:NAME` that the site's engines work on
/// themselves. It is made at least once; each try carries the task's id as `Idempotency-Key`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpCallFile {
    /// `http://` or `https://`, host, port; path and query may hold expressions (`/orders/${orderId}?all=${all}`), whose values
    /// are encoded. No redirect is followed.
    pub(crate) url: At<String>,
    /// How. `GET` and `DELETE` send no body.
    #[serde(default)]
    pub(crate) method: HttpMethodFile,
    /// Headers that go with it, each as `"NAME: VALUE"`.
    #[serde(default)]
    pub(crate) headers: Vec<At<String>>,
    /// File with the value of the `Authorization` header: `Bearer …` or `Basic …`. Read when the engine starts.
    #[serde(default)]
    pub(crate) authorization_file: Option<At<String>>,
    /// File with the certificates (PEM) of the authority that is trusted there, in place of the system's.
    #[serde(default)]
    pub(crate) ca: Option<At<String>>,
    /// How long a call may take, with the whole answer.
    #[serde(default = "timeout")]
    #[schemars(extend("x-min" = "10ms", "x-max" = "10m"))]
    pub(crate) timeout: Period,
    /// Variables that are sent, as members of a JSON object. Default: all that the element sees.
    #[serde(default)]
    pub(crate) send: Option<Vec<At<String>>>,
    /// The variable for the whole body of the answer. Default: each member of a JSON object becomes a variable, and any other
    /// body is dropped.
    #[serde(default)]
    pub(crate) result: Option<At<String>>,
    /// Tries and the pauses between them, where the model has no `camunda:failedJobRetryTimeCycle`: `R3/PT10S` or
    /// `PT1S,PT10S,PT1M`. After the last one there is an incident.
    #[serde(default = "retry")]
    pub(crate) retry: At<String>,
    /// Statuses of answers that are BPMN errors, each as `"STATUS CODE"`: `["404 NOT_FOUND"]`. So is any answer with the header
    /// `Homing-Bpmn-Error: CODE`.
    #[serde(default)]
    pub(crate) errors: Vec<At<String>>,
}

fn timeout() -> Period {
    Period::seconds(10)
}

fn retry() -> At<String> {
    "R3/PT10S".into()
}

/// The methods of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum HttpMethodFile {
    Get,
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}
