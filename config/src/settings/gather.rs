//! Settings of `[gather]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use crate::file::gather::{GatherFile, OnMissingFile, OnMissingWordFile};

/// Reads over all sites: what each class of them answers when a site could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// Of rows.
    pub lists: OnMissing,
    /// Of one number.
    pub counts: OnMissing,
    /// Of rows of numbers.
    pub statistics: OnMissing,
}

/// What a read over all sites answers when a site could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// What the others have, and who is missing.
    Partial,
    /// An error.
    Fail,
}

impl From<OnMissingWordFile> for OnMissing {
    fn from(word: OnMissingWordFile) -> Self {
        match word {
            OnMissingWordFile::Partial => OnMissing::Partial,
            OnMissingWordFile::Fail => OnMissing::Fail,
        }
    }
}

impl From<&GatherFile> for Gather {
    fn from(file: &GatherFile) -> Self {
        let (lists, counts, statistics) = match &file.on_missing {
            OnMissingFile::All(word) => (*word, *word, *word),
            OnMissingFile::Each(each) => (each.lists, each.counts, each.statistics),
        };
        Gather {
            lists: lists.into(),
            counts: counts.into(),
            statistics: statistics.into(),
        }
    }
}
