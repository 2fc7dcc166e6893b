//! The change sequence: its positions, and pages along it.
//!
//! Owns what a tailer reads. Must not touch a store.

use crate::{Generation, Mapping, RoutingKey, SiteId};

/// Position in the change sequence: ordered by commit, without holes within an incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The position before the first one of an incarnation: above all positions of the incarnations before it.
    pub fn before(incarnation: u16) -> Seq {
        Seq(Generation::first(incarnation).0 - 1)
    }

    /// The incarnation that it belongs to.
    pub fn incarnation(self) -> u16 {
        Generation(self.0).incarnation()
    }
}

/// What the tailer of a router sees. `Changed::Mapping` without a mapping: the row was removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    Mapping {
        key: RoutingKey,
        mapping: Option<Mapping>,
    },
    Pin {
        key: RoutingKey,
    },
    Site {
        site: SiteId,
    },
    Assignment {
        site: SiteId,
    },
    Suffix {
        suffix: String,
    },
    /// A key's thing is gone, by this operation; without one: it is there again.
    Loss {
        key: RoutingKey,
        operation: Option<uuid::Uuid>,
    },
}

/// A page of changes. `last` is the position to continue from; `head` the newest position in the store.
#[derive(Clone, Debug)]
pub struct Changes {
    pub items: Vec<(Seq, Changed)>,
    pub last: Seq,
    pub head: Seq,
}

/// A page of mappings in the order in which they were made. `last` is the position to continue from.
#[derive(Clone, Debug)]
pub struct Made {
    pub items: Vec<Mapping>,
    pub last: Seq,
}
