//! Routing keys: what a request is sticky on.
//!
//! Owns the in-memory and the text form of a key. Must not know what a workflow is beyond the names of the kinds.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock, RwLock};

/// A kind of routing key. Built-in kinds are constants; a dialect in configuration declares its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(u16);

macro_rules! kinds {
    ($($name:ident = $index:literal, $text:literal;)*) => {
        impl Kind {
            $(#[doc = concat!("The kind `", $text, "`.")] pub const $name: Kind = Kind($index);)*
        }
        const BUILT_IN: &[&str] = &[$($text),*];
    };
}

kinds! {
    PROCESS_INSTANCE = 0, "process-instance";
    CASE_INSTANCE = 1, "case-instance";
    TASK = 2, "task";
    EXECUTION = 3, "execution";
    JOB = 4, "job";
    EXTERNAL_TASK = 5, "external-task";
    INCIDENT = 6, "incident";
    VARIABLE = 7, "variable";
    BATCH = 8, "batch";
    BUSINESS_KEY = 9, "business-key";
    USER = 10, "user";
    TENANT = 11, "tenant";
    CASE_EXECUTION = 12, "case-execution";
    ACTIVITY_INSTANCE = 13, "activity-instance";
    JOB_DEFINITION = 14, "job-definition";
    PROCESS_DEFINITION = 15, "process-definition";
    CASE_DEFINITION = 16, "case-definition";
    DECISION_DEFINITION = 17, "decision-definition";
    DECISION_REQUIREMENTS_DEFINITION = 18, "decision-requirements-definition";
    DEPLOYMENT = 19, "deployment";
    DECISION_INSTANCE = 20, "decision-instance";
    EVENT_SUBSCRIPTION = 21, "event-subscription";
    DETAIL = 22, "detail";
    LOG_ENTRY = 23, "log-entry";
    USER_OPERATION = 24, "user-operation";
    CASE_DEPLOYMENT = 25, "case-deployment";
    DECISION_DEPLOYMENT = 26, "decision-deployment";
}

/// Most kinds that one process can know; declared kinds come from configuration and from the store, never from traffic.
pub const KINDS_MAX: usize = 1024;

fn declared() -> &'static RwLock<Vec<&'static str>> {
    static DECLARED: OnceLock<RwLock<Vec<&'static str>>> = OnceLock::new();
    DECLARED.get_or_init(|| RwLock::new(Vec::new()))
}

impl Kind {
    /// The kind with this name, if it is built in or declared.
    pub fn known(name: &str) -> Option<Kind> {
        if let Some(at) = BUILT_IN.iter().position(|built_in| *built_in == name) {
            return Some(Kind(at as u16));
        }
        let declared = declared()
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = declared.iter().position(|known| *known == name)?;
        Some(Kind((BUILT_IN.len() + at) as u16))
    }

    /// Declares a kind (from configuration or the store), or finds it. `None`: `KINDS_MAX` is reached.
    pub fn declare(name: &str) -> Option<Kind> {
        if let Some(kind) = Kind::known(name) {
            return Some(kind);
        }
        let mut declared = declared()
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(at) = declared.iter().position(|known| *known == name) {
            return Some(Kind((BUILT_IN.len() + at) as u16));
        }
        if BUILT_IN.len() + declared.len() >= KINDS_MAX {
            return None;
        }
        declared.push(Box::leak(name.to_owned().into_boxed_str()));
        Some(Kind((BUILT_IN.len() + declared.len() - 1) as u16))
    }

    /// The kind's name in text, metrics and the API.
    pub fn name(self) -> &'static str {
        let index = usize::from(self.0);
        match BUILT_IN.get(index) {
            Some(name) => name,
            None => declared()
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner)[index - BUILT_IN.len()],
        }
    }

    /// A small dense number, stable within this process only.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The kind with this number, if there is one.
    pub fn at(index: usize) -> Option<Kind> {
        let declared = declared()
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .len();
        (index < BUILT_IN.len() + declared).then_some(Kind(index as u16))
    }

    /// Placed keys may be re-homed at will; held keys are facts about a database.
    pub fn is_placed(self) -> bool {
        matches!(self, Kind::BUSINESS_KEY | Kind::USER | Kind::TENANT)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The engine inside a site that a key belongs to. `/engine/default/...` and the short paths are the same engine.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Engine(Option<Arc<str>>);

impl Engine {
    /// The default engine.
    pub const DEFAULT: Engine = Engine(None);

    /// The engine with this name; `default` and the empty name are the default engine.
    pub fn named(name: &str) -> Engine {
        if name.is_empty() || name == "default" {
            Engine(None)
        } else {
            Engine(Some(Arc::from(name)))
        }
    }

    /// The name, or `None` for the default engine.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// The id part of a key: 16 bytes for a canonical UUID, else the text as it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// Canonical lower-case hyphenated UUID text, kept as its bytes.
    Uuid([u8; 16]),
    /// Anything else.
    Text(Box<str>),
}

impl Id {
    /// Upper-case or unhyphenated UUID text is another id to an engine, so only the canonical form is kept as bytes.
    pub fn new(text: &str) -> Id {
        match canonical_uuid(text.as_bytes()) {
            Some(bytes) => Id::Uuid(bytes),
            None => Id::Text(text.into()),
        }
    }
}

fn canonical_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut bytes = [0_u8; 16];
    let mut at = 0;
    for (index, byte) in bytes.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = (lower_hex(text[at])? << 4) | lower_hex(text[at + 1])?;
        at += 2;
    }
    Some(bytes)
}

fn lower_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).as_hyphenated().fmt(f),
            Id::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a request is sticky on. In text: `KIND:ID`, or `ENGINE/KIND:ID` for a named engine.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingKey {
    /// The engine inside the site.
    pub engine: Engine,
    /// The kind of thing.
    pub kind: Kind,
    /// Its id.
    pub id: Id,
}

impl RoutingKey {
    /// A key of the default engine.
    pub fn new(kind: Kind, id: &str) -> RoutingKey {
        RoutingKey {
            engine: Engine::DEFAULT,
            kind,
            id: Id::new(id),
        }
    }

    /// A key of the given engine.
    pub fn of(engine: Engine, kind: Kind, id: &str) -> RoutingKey {
        RoutingKey {
            engine,
            kind,
            id: Id::new(id),
        }
    }
}

impl fmt::Display for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(engine) = self.engine.name() {
            write!(f, "{engine}/")?;
        }
        write!(f, "{}:{}", self.kind, self.id)
    }
}

impl fmt::Debug for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a routing key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No `:` between kind and id.
    #[error(
        "a key is written KIND:ID or ENGINE/KIND:ID, for example process-instance:0d0e...; \"{0}\" has no \":\""
    )]
    NoKind(String),
    /// The kind is neither built in nor declared by a dialect.
    #[error("\"{0}\" is not a kind of key; known are {known}", known = BUILT_IN.join(", "))]
    UnknownKind(String),
    /// Nothing after the `:`.
    #[error("the key \"{0}\" has no id after the \":\"")]
    NoId(String),
    /// Longer than `ID_LENGTH_MAX`.
    #[error("the id is {0} bytes long; at most {max} are kept", max = ID_LENGTH_MAX)]
    TooLong(usize),
}

/// Longest id, in bytes, that is kept as a key.
pub const ID_LENGTH_MAX: usize = 1024;

impl FromStr for RoutingKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (head, id) = text
            .split_once(':')
            .ok_or_else(|| ParseError::NoKind(text.into()))?;
        let (engine, kind) = match head.rsplit_once('/') {
            Some((engine, kind)) => (Engine::named(engine), kind),
            None => (Engine::DEFAULT, head),
        };
        let kind = Kind::known(kind).ok_or_else(|| ParseError::UnknownKind(kind.into()))?;
        if id.is_empty() {
            return Err(ParseError::NoId(text.into()));
        }
        if id.len() > ID_LENGTH_MAX {
            return Err(ParseError::TooLong(id.len()));
        }
        Ok(RoutingKey {
            engine,
            kind,
            id: Id::new(id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_key_are_the_same_thing() {
        for text in [
            "process-instance:0d0e5c8a-96c7-11f0-8de9-0242ac120002",
            "user:mary@example.org",
            "blue/task:17",
            "business-key:a:b/c",
        ] {
            let key: RoutingKey = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn only_canonical_uuids_are_kept_as_bytes() {
        assert!(matches!(
            Id::new("0d0e5c8a-96c7-11f0-8de9-0242ac120002"),
            Id::Uuid(_)
        ));
        for text in [
            "0D0E5C8A-96C7-11F0-8DE9-0242AC120002",
            "0d0e5c8a96c711f08de90242ac120002",
            "a",
        ] {
            assert_eq!(Id::new(text).to_string(), text);
            assert!(matches!(Id::new(text), Id::Text(_)));
        }
    }

    #[test]
    fn the_default_engine_has_one_form() {
        assert_eq!(
            "default/task:1".parse::<RoutingKey>().unwrap(),
            "task:1".parse().unwrap()
        );
    }

    #[test]
    fn bad_text_says_what_is_wrong() {
        assert!(matches!(
            "x".parse::<RoutingKey>(),
            Err(ParseError::NoKind(_))
        ));
        assert!(matches!(
            "cow:1".parse::<RoutingKey>(),
            Err(ParseError::UnknownKind(_))
        ));
        assert!(matches!(
            "task:".parse::<RoutingKey>(),
            Err(ParseError::NoId(_))
        ));
    }
}
