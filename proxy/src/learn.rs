//! Answers -> facts -> journal, table, cache.
//!
//! Owns what becomes durable and when: a new id is synced in this router's journal before the client sees it. Must not
//! fail a finished answer for a passing fact, never removes a row, and does no network of its own except the store for
//! claims of placed keys.

pub mod intent;
pub mod write;

pub use write::Learner;
