//! What is known of timers that start instances, in an API that can hold them back: how they are listed, held, let go.
//!
//! Owns the face for it. Pure, as every dialect is: it says what to ask and reads what was answered.

use crate::dialect::{Ask, Operation};
use homing_mapping_store::Engine;
use http::StatusCode;

/// A timer that starts instances of one version of a definition, as one site has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartTimer {
    /// The site's own id of it.
    pub id: String,
    /// Of the definition.
    pub key: String,
    /// Of the definition.
    pub tenant: Option<String>,
    /// Which start event of the definition, or which version where that is not told.
    pub event: String,
    /// Whether it goes off again and again.
    pub repeats: bool,
    /// Whether it would go off.
    pub standing: Standing,
}

/// Whether a timer would go off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It would.
    Active,
    /// It is held back.
    Held,
}

/// Which timers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'w> {
    /// Those that would go off.
    Active,
    /// All of definitions with this key, in all tenants.
    OfKey(&'w str),
}

/// When a timer goes off next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What the site calls it.
    pub id: String,
    /// In the site's own words.
    pub at: Option<String>,
}

/// How an API tells of timers and holds them back.
pub trait Timers: Send + Sync {
    /// Whether what is held back can be let go again.
    fn comes_back(&self) -> bool {
        true
    }

    /// Asks for the key of a timer's definition. `None`: the timer tells it.
    fn naming(&self, timer: &StartTimer) -> Option<Ask> {
        let _ = timer;
        None
    }

    /// Reads it; `None`: the answer proves nothing.
    fn read_name(&self, status: StatusCode, body: &[u8]) -> Option<String> {
        let _ = (status, body);
        None
    }

    /// Whether an operation may let timers go that are held back.
    fn wakes(&self, operation: &Operation) -> bool;

    /// A page of timers, in an order that stays.
    fn list(&self, engine: &Engine, wanted: Wanted<'_>, first: usize, max: usize) -> Ask;

    /// Reads it. An engine that knows nothing of them has none; `None`: the answer proves nothing.
    fn read(&self, status: StatusCode, body: &[u8]) -> Option<Vec<StartTimer>>;

    /// Holds a timer back, or lets it go.
    fn turn(&self, engine: &Engine, timer: &str, to: Standing) -> Ask;

    /// When a timer goes off.
    fn due(&self, engine: &Engine, timer: &str) -> Ask;

    /// Reads it; none: it never goes off again.
    fn read_due(&self, status: StatusCode, body: &[u8]) -> Option<Vec<Due>>;

    /// Lets a timer go off at this time.
    fn set_due(&self, engine: &Engine, due: &str, at: &str) -> Ask;
}
