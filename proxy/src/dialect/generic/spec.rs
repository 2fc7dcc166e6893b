//! Rules as configuration writes them, and what can be wrong with them.
//!
//! Owns plain data. Must not know the file format.

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSpec {
    /// The method; any when absent.
    pub method: Option<String>,
    /// The path pattern: `{name}` is one segment, a last `**` the rest, also an empty one.
    pub path: String,
    /// What such a request is.
    pub class: ClassName,
    /// The kind of its key.
    pub kind: Option<String>,
    /// Where the key sits.
    pub key: Option<KeySpec>,
    /// Where an answer names the key.
    pub learn: Option<LearnSpec>,
    /// How answers become one.
    pub merge: Option<MergeName>,
}

/// The classes that rules can give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassName {
    /// To the key's home.
    Keyed,
    /// Makes something; a home is chosen, the answer names it.
    Create,
    /// Any site.
    #[default]
    Any,
    /// With a key: to its home, which is chosen if it has none. Without: placed, then learned.
    Sticky,
    /// Refused.
    Refuse,
    /// Read from all sites.
    Gather,
    /// Written to all sites.
    Broadcast,
}

/// Where a request's key sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// A `{name}` of the pattern.
    Path(String),
    /// A query parameter.
    Query(String),
    /// A header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A JSON pointer into the body.
    Body(String),
    /// A claim of the bearer token, not verified.
    Bearer(String),
}

/// Where an answer names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LearnSpec {
    /// A JSON pointer into the body; `*` is each element.
    Body(String),
    /// A header.
    Header(String),
    /// A cookie that the answer sets.
    SetCookie(String),
}

/// How answers of several sites become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeName {
    /// Lists one after the other.
    Concat,
    /// Numbers added.
    Sum,
}

/// What is wrong with one rule; `rule` counts from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not an HTTP method.
    #[error("\"{method}\" is not a method")]
    Method {
        /// The rule.
        rule: usize,
        /// The text.
        method: String,
    },
    /// Not a pattern.
    #[error("the path \"{path}\" {wrong}")]
    Path {
        /// The rule.
        rule: usize,
        /// The text.
        path: String,
        /// What is wrong.
        wrong: &'static str,
    },
    /// Something that the class needs is absent.
    #[error("class \"{class}\" needs \"{needs}\"")]
    Missing {
        /// The rule.
        rule: usize,
        /// The class.
        class: &'static str,
        /// The member.
        needs: &'static str,
    },
    /// Something that means nothing with this class.
    #[error("\"{member}\" means nothing with class \"{class}\"")]
    Superfluous {
        /// The rule.
        rule: usize,
        /// The class.
        class: &'static str,
        /// The member.
        member: &'static str,
    },
    /// A place that cannot be.
    #[error("\"{text}\" {wrong}")]
    Place {
        /// The rule.
        rule: usize,
        /// The text.
        text: String,
        /// What is wrong.
        wrong: &'static str,
    },
    /// Too many kinds in all configuration.
    #[error("the kind \"{kind}\" is one too many; at most {max} kinds are known", max = homing_mapping_store::key::KINDS_MAX)]
    TooManyKinds {
        /// The rule.
        rule: usize,
        /// The kind.
        kind: String,
    },
    /// A kind whose name has other characters than the text form of keys can carry.
    #[error("\"{kind}\" is not a name for a kind; use a-z, 0-9 and -")]
    KindName {
        /// The rule.
        rule: usize,
        /// The kind.
        kind: String,
    },
}

impl RuleError {
    /// The rule that is wrong, from 0.
    pub fn rule(&self) -> usize {
        match self {
            RuleError::Method { rule, .. }
            | RuleError::Path { rule, .. }
            | RuleError::Missing { rule, .. }
            | RuleError::Superfluous { rule, .. }
            | RuleError::Place { rule, .. }
            | RuleError::TooManyKinds { rule, .. }
            | RuleError::KindName { rule, .. } => *rule,
        }
    }
}

impl ClassName {
    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            ClassName::Keyed => "keyed",
            ClassName::Create => "create",
            ClassName::Any => "any",
            ClassName::Sticky => "sticky",
            ClassName::Refuse => "refuse",
            ClassName::Gather => "gather",
            ClassName::Broadcast => "broadcast",
        }
    }
}
