//! Carrying out plans: one leader among the routers, steps that are safe to repeat, a kill at any instruction resumable.
//!
//! Owns the order of steps and nothing else: what to do was decided in the plan. Relies on the store for every step's
//! compare-and-set, so that a leader that was frozen and wakes up can do no harm.

pub mod apply;
pub mod audit;
pub mod automatic;
pub mod evacuate;
pub mod execute;
pub mod gather;
pub mod step;
pub mod work;

pub use execute::Executor;
