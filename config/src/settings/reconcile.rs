//! Settings of `[reconcile]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge. Relies on the bounds checked before.

use crate::file::reconcile::ReconcileFile;
use std::time::Duration;

/// The table compared with the sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconcile {
    /// From the end of one comparison of a site to its next.
    pub every: Duration,
    /// Between two questions for what has begun; zero: none.
    pub begun_every: Duration,
    /// Between two questions for what has ended; zero: none.
    pub ended_every: Duration,
    /// Questions in a second; 0: none.
    pub questions_per_second: u32,
    /// Things of one kind that are read.
    pub things_max: usize,
}

impl From<&ReconcileFile> for Reconcile {
    fn from(file: &ReconcileFile) -> Self {
        Reconcile {
            every: file.every.0,
            begun_every: file.begun_every.0,
            ended_every: file.ended_every.0,
            questions_per_second: file.questions_per_second,
            things_max: file.things_max,
        }
    }
}
