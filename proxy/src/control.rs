//! The router's background work: registry and lease, shipping, feed, probers, open intents.
//!
//! Owns the loops; each is level-triggered and safe to restart. Must not carry requests.

pub mod armed;
pub mod deployments;
pub mod disputes;
pub mod incarnation;
pub mod intents;
pub mod probers;
pub mod reconcile;
pub mod registrar;
mod shared;
pub mod standbys;
pub mod tails;
