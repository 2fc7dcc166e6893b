//! The `[[dialect]]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A dialect of your own.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DialectFile {
    /// Name, for `site.dialect`.
    #[schemars(extend("format" = "name"))]
    pub(crate) name: At<String>,
    /// Host names under which it is published, without a port: a request for one of them is meant for this dialect if its
    /// path fits. Default: every host that no other dialect has named. With it two applications can be at the same base
    /// path of one listener.
    #[serde(default)]
    pub(crate) hosts: Vec<At<String>>,
    /// Rules, tried in this order; the first whose method and path fit decides. A request that fits none is refused.
    pub(crate) rules: Vec<At<RuleFile>>,
}

/// A rule: which requests, and what they are.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    /// Method of the requests meant. Default: every method.
    pub(crate) method: Option<At<String>>,
    /// Path below the endpoint's base path: `{id}` is one segment, `**` at the end is any rest, also none.
    pub(crate) path: At<String>,
    /// What such a request is. `keyed`: goes to the home of its key; an unknown key is answered with 503, because rules do not say how a site is
    /// asked for one. `create`:
    /// makes something new, whose key is then learned. `sticky`: a known key goes to its site, no key or an
    /// unknown one is placed, then learned. `any`: one site that is available, or with
    /// `placement.sticky_user` the user's home alone. `gather`: all sites, answers merged.
    /// `broadcast`: a write to all sites. `refuse`: not let through.
    pub(crate) class: At<ClassFile>,
    /// Kind of the key, a name of your choice. Needed by `keyed`, `create` and `sticky`.
    #[schemars(extend("format" = "name"))]
    pub(crate) kind: Option<At<String>>,
    /// Where the key is in the request. In a `create` rule, where it may be left out, it is a business key: the new thing
    /// is placed where others with that key are, as `placement.business_key` says.
    pub(crate) key: Option<At<KeySourceFile>>,
    /// Where a new key is in the answer.
    pub(crate) learn: Option<At<LearnFile>>,
    /// How `gather` merges the answers: `concat` joins JSON arrays, `sum` adds numbers.
    pub(crate) merge: Option<At<MergeFile>>,
}

/// A class of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClassFile {
    Keyed,
    Create,
    Sticky,
    Any,
    Gather,
    Broadcast,
    Refuse,
}

/// A way to merge answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MergeFile {
    Concat,
    Sum,
}

/// Where a key is in a request: exactly one of these.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeySourceFile {
    /// Name of a `{...}` segment of the rule's path.
    pub(crate) path: Option<At<String>>,
    /// Name of a query parameter.
    pub(crate) query: Option<At<String>>,
    /// Name of a header.
    pub(crate) header: Option<At<String>>,
    /// Name of a cookie.
    pub(crate) cookie: Option<At<String>>,
    /// JSON pointer into the body: `"/order/id"`.
    pub(crate) body: Option<At<String>>,
    /// Claim of the JSON web token in `Authorization: Bearer`.
    pub(crate) bearer: Option<At<String>>,
}

/// Where a new key is in an answer: exactly one of these.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LearnFile {
    /// JSON pointer into the body: `"/id"`.
    pub(crate) body: Option<At<String>>,
    /// Name of a header.
    pub(crate) header: Option<At<String>>,
    /// Name of a cookie that the answer sets.
    pub(crate) set_cookie: Option<At<String>>,
}
