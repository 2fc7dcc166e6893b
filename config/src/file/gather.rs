//! The `[gather]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Reads over all sites.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GatherFile {
    /// What a read over all sites answers when a site could not be asked: one word for all reads, or a table with a word
    /// for each class of them. `partial`: what the others have; the answer's `Homing-Missing-Sites` names who is
    /// missing. `fail`: 503 `site-unreachable`, for clients that would take a part for the whole. A query that selects
    /// what a write changes is never answered in part, whatever stands here. Built in:
    /// `partial`.
    pub(crate) on_missing: OnMissingFile,
}

/// What reads over all sites answer when a site could not be asked.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OnMissingFile {
    /// The same for all.
    All(OnMissingWordFile),
    /// By class.
    Each(OnMissingEachFile),
}

/// What a read over all sites answers when a site could not be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnMissingWordFile {
    #[default]
    Partial,
    Fail,
}

/// The same, for each class of reads.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OnMissingEachFile {
    /// Rows: tasks, instances, history, with pages or without (in a dialect of yours: `merge = "concat"`).
    pub(crate) lists: OnMissingWordFile,
    /// One number: `.../count`, the sum of a metric (in a dialect of yours: `merge = "sum"`).
    pub(crate) counts: OnMissingWordFile,
    /// Rows of numbers: statistics of definitions, activities and batches, reports, durations.
    pub(crate) statistics: OnMissingWordFile,
}

impl Default for OnMissingFile {
    fn default() -> Self {
        OnMissingFile::All(OnMissingWordFile::default())
    }
}

// By hand: serde's own untagged form would lose the places of the values.
impl<'de> Deserialize<'de> for OnMissingFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OnMissingFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"partial\", \"fail\" or a table")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<OnMissingFile, E> {
                OnMissingWordFile::deserialize(StrDeserializer::new(word)).map(OnMissingFile::All)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnMissingFile, A::Error> {
                OnMissingEachFile::deserialize(MapAccessDeserializer::new(map))
                    .map(OnMissingFile::Each)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
