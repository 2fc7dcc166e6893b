//! Settings of `[lease]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge. Relies on the bounds checked before.

use crate::file::lease::LeaseFile;
use std::time::Duration;

/// Leases of sites with more than one installation.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// How long a router goes on with what it last knew.
    pub router: Duration,
    /// How long an installation goes on without renewal.
    pub site: Duration,
    /// Time between two renewals.
    pub renew_every: Duration,
    /// Largest error of a clock's rate.
    pub drift: f64,
    /// Added to each wait for a lease to end.
    pub margin: Duration,
}

impl From<&LeaseFile> for Lease {
    fn from(file: &LeaseFile) -> Self {
        Lease {
            router: file.router.get().0,
            site: file.site.get().0,
            renew_every: file.renew_every.get().0,
            drift: file.drift,
            margin: file.margin.0,
        }
    }
}

impl Default for Lease {
    fn default() -> Self {
        Lease::from(&LeaseFile::default())
    }
}
