//! What the benches share.

pub mod keys;
pub mod rig;
pub mod wired;
