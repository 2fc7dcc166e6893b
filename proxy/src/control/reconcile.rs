//! The mapping table against what the sites hold.
//!
//! Owns the comparison, for whoever asks for one, and its going on all the time. Must not remove a row, nor give one another home:
//! all that is changed is that a thing has ended, or goes on, by its own site's word.

pub mod comparison;
pub mod continuous;
mod fence;
pub mod follow;
mod pace;
mod states;
