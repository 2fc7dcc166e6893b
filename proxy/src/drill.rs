//! Drills: rehearsed switches there and back, and rehearsed absences, with rules that end them early, and a report.
//!
//! Owns the course of a drill, which is durable: any router goes on where another was killed. Must not switch anything
//! itself: each way is an ordinary plan and operation (`rehome`), with the same fence and the same safety rules. Relies on
//! the leader's lease for one router that acts, and on the store's compare-and-set should two believe to be it.

pub mod begin;
pub mod course;
mod evidence;
mod instances;
pub mod load;
mod outage;
pub mod page;
pub mod report;
pub mod rules;
pub mod run;
mod step;
pub mod tally;

pub use run::Driller;
