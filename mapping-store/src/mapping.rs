//! A mapping: the durable record that says where a key lives.
//!
//! Owns the record and its legal transitions. Must not touch disk, network or clock.

use crate::{RoutingKey, SiteId};
use std::fmt;

/// A fence number that only grows. The high 16 bits are the store's incarnation, so that a restored or promoted store
/// never repeats one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Generation(pub u64);

impl Generation {
    /// The first generation of an incarnation.
    pub fn first(incarnation: u16) -> Generation {
        Generation((u64::from(incarnation) << 48) | 1)
    }

    /// The generation after this one, in an incarnation that is at least `incarnation`.
    #[must_use]
    pub fn next(self, incarnation: u16) -> Generation {
        Generation((self.0 + 1).max(Generation::first(incarnation).0))
    }

    /// The incarnation of the store that gave this generation.
    pub fn incarnation(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the Unix epoch.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Debug,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// State of a mapping: `Placed -> Homed -> Moving -> Homed | Ended`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// A home was chosen for a placed key (user, tenant, business key).
    Placed,
    /// The thing lives at the home.
    Homed,
    /// A move to another home is under way.
    Moving,
    /// The thing has ended; its history is still at the home.
    Ended,
}

/// Who said so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// The answer to a start that this fleet placed.
    Started,
    /// Any other passing answer.
    Learned,
    /// A probe found it.
    Located,
    /// Bulk import.
    Imported,
    /// An operator's compare-and-set.
    Operator,
    /// Reconciliation with the site.
    Reconciled,
}

macro_rules! texts {
    ($type:ty: $($variant:ident = $text:literal),*) => {
        impl $type {
            /// The text in records, API and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
            /// The value with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}
pub(crate) use texts;

texts!(State: Placed = "placed", Homed = "homed", Moving = "moving", Ended = "ended");
texts!(Source: Started = "started", Learned = "learned", Located = "located", Imported = "imported", Operator = "operator", Reconciled = "reconciled");

/// The durable record of where a key lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The key.
    pub key: RoutingKey,
    /// Its home.
    pub home: SiteId,
    /// Grows with each change of home.
    pub generation: Generation,
    /// See [`State`].
    pub state: State,
    /// Who said so last.
    pub source: Source,
    /// When the row was first written.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
