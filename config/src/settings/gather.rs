//! Settings of `[gather]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use crate::file::gather::{GatherFile, OnMissingFile};

/// Reads over all sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// What is answered when a site could not be asked.
    pub on_missing: OnMissing,
}

/// What a read over all sites answers when a site could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// What the others have, and who is missing.
    Partial,
    /// An error.
    Fail,
}

impl From<&GatherFile> for Gather {
    fn from(file: &GatherFile) -> Self {
        Gather {
            on_missing: match file.on_missing {
                OnMissingFile::Partial => OnMissing::Partial,
                OnMissingFile::Fail => OnMissing::Fail,
            },
        }
    }
}
