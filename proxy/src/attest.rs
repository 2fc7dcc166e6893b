//! Attestation: how those who serve go on while the store is away, by the word of all registered routers.
//!
//! Owns who is asked, how, and what a router remembers for its answers. Must not decide what may be said or what an answer
//! is worth: `decide::attest` and `agent::fence` do.

pub mod ask;
pub mod extend;
pub mod serve;
pub mod wire;
pub mod witness;

pub use witness::Witness;
