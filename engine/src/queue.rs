//! Work queues that the engine itself works on: each message starts an instance or is correlated, once.
//!
//! Owns what a message means to the engine and the loop that delivers. Must not touch tables: the store leases, and the
//! effect is committed together with the end of the message. Relies on leases: whoever lost one commits nothing.

pub(crate) mod deliver;
pub(crate) mod run;

pub(crate) use deliver::{Deliver, Effect, is_json};
