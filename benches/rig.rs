//! The rig for measurements of whole processes: sites, load, contenders, and what they use.
//!
//! Owns everything that is started; it ends with the process that started it. Relies on Linux, taskset and wrk.

pub mod contender;
pub mod cores;
pub mod homing;
pub mod load;
pub mod report;
pub mod sites;
pub mod store;
pub mod usage;
