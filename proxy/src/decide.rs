//! What is to be done: operators' will and what is known of the world in, a plan and a report out.
//!
//! Owns deciding, purely: no clock, no network, no store. What it decides is carried out by `rehome`, which chooses
//! nothing. Relies on the caller for a picture of the world that was read in one go.

pub mod attest;
pub mod automatic;
pub mod fate;
pub mod fence;
pub mod plan;
pub mod release;
pub mod replica;
pub mod report;
pub mod world;

pub use plan::{Plan, Question, Verb, plan};
pub use report::Report;
pub use world::World;

#[cfg(test)]
mod tests;
