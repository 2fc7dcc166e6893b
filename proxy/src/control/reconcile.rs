//! The mapping table against what the sites hold.
//!
//! Owns the comparison, for whoever asks for one, and its going on all the time. Must not change or remove a row.

pub mod comparison;
pub mod continuous;
mod fence;
mod pace;
