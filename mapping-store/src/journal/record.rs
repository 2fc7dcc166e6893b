//! Records of the journal as bytes: JSON, framed.
//!
//! Owns the format. Must not open files.

use super::frame::{self, HEADER_BYTES};
use crate::mapping::{Source, State, Timestamp};
use crate::store::{NewMapping, OpenIntent};
use crate::{RoutingKey, SiteId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A start is about to be sent.
    Intent(OpenIntent),
    /// What a start has made.
    Outcome { intent: Uuid, rows: Vec<NewMapping> },
    /// A passing answer taught this.
    Learned(NewMapping),
    /// A start made nothing, or what it made is known by other means.
    Closed { intent: Uuid, why: String },
    /// Rows up to this number, counted from the beginning of the folder, are in the store.
    Shipped { upto: u64 },
    /// The first record of a segment: rows that stood in the segments before it.
    Base { rows: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "r", rename_all = "snake_case")]
enum Wire {
    Intent {
        id: String,
        router: String,
        site: String,
        what: String,
        at: i64,
    },
    Outcome {
        id: String,
        rows: Vec<Row>,
    },
    Learned {
        row: Row,
    },
    Closed {
        id: String,
        why: String,
    },
    Shipped {
        upto: u64,
    },
    Base {
        rows: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Row {
    key: String,
    home: String,
    state: String,
    source: String,
    at: i64,
}

impl From<&NewMapping> for Row {
    fn from(row: &NewMapping) -> Row {
        Row {
            key: row.key.to_string(),
            home: row.home.name().to_owned(),
            state: row.state.as_str().to_owned(),
            source: row.source.as_str().to_owned(),
            at: row.at.0,
        }
    }
}

impl Row {
    fn read(self) -> Option<NewMapping> {
        Some(NewMapping {
            key: key(&self.key)?,
            home: SiteId::named(&self.home),
            state: State::parse(&self.state)?,
            source: Source::parse(&self.source)?,
            at: Timestamp(self.at),
        })
    }
}

/// Kinds of a dialect that is no longer configured are still kinds of the journal.
fn key(text: &str) -> Option<RoutingKey> {
    if let Ok(key) = text.parse() {
        return Some(key);
    }
    let (head, _) = text.split_once(':')?;
    crate::Kind::declare(head.rsplit_once('/').map_or(head, |(_, kind)| kind))?;
    text.parse().ok()
}

impl Record {
    /// The record with its header.
    pub fn encode(&self) -> Vec<u8> {
        let wire = match self {
            Record::Intent(intent) => Wire::Intent {
                id: intent.id.to_string(),
                router: intent.router.clone(),
                site: intent.site.name().to_owned(),
                what: intent.what.clone(),
                at: intent.at.0,
            },
            Record::Outcome { intent, rows } => Wire::Outcome {
                id: intent.to_string(),
                rows: rows.iter().map(Row::from).collect(),
            },
            Record::Learned(row) => Wire::Learned { row: row.into() },
            Record::Closed { intent, why } => Wire::Closed {
                id: intent.to_string(),
                why: why.clone(),
            },
            Record::Shipped { upto } => Wire::Shipped { upto: *upto },
            Record::Base { rows } => Wire::Base { rows: *rows },
        };
        frame::wrap(&wire)
    }

    /// The record at the beginning of `bytes`, and its whole length. `None`: there is no sound record.
    pub fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
        let payload = frame::payload(bytes)?;
        let record = match serde_json::from_slice(payload).ok()? {
            Wire::Intent {
                id,
                router,
                site,
                what,
                at,
            } => Record::Intent(OpenIntent {
                id: id.parse().ok()?,
                router,
                site: SiteId::named(&site),
                what,
                at: Timestamp(at),
            }),
            Wire::Outcome { id, rows } => Record::Outcome {
                intent: id.parse().ok()?,
                rows: rows.into_iter().map(Row::read).collect::<Option<_>>()?,
            },
            Wire::Learned { row } => Record::Learned(row.read()?),
            Wire::Closed { id, why } => Record::Closed {
                intent: id.parse().ok()?,
                why,
            },
            Wire::Shipped { upto } => Record::Shipped { upto },
            Wire::Base { rows } => Record::Base { rows },
        };
        Some((record, HEADER_BYTES + payload.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use proptest::prelude::*;

    fn row() -> NewMapping {
        NewMapping {
            key: RoutingKey::new(
                Kind::PROCESS_INSTANCE,
                "0d0e5c8a-96c7-11f0-8de9-0242ac120002",
            ),
            home: SiteId::named("a"),
            state: State::Homed,
            source: Source::Started,
            at: Timestamp(7),
        }
    }

    fn records() -> Vec<Record> {
        let id = Uuid::from_u128(9);
        vec![
            Record::Intent(OpenIntent {
                id,
                router: "r1".into(),
                site: SiteId::named("a"),
                what: "{\"a\":1}".into(),
                at: Timestamp(1),
            }),
            Record::Outcome {
                intent: id,
                rows: vec![row(), row()],
            },
            Record::Learned(row()),
            Record::Closed {
                intent: id,
                why: "refused".into(),
            },
            Record::Shipped { upto: 3 },
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for record in records() {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes), Some((record, bytes.len())));
        }
    }

    #[test]
    fn a_kind_that_nobody_declares_any_more_is_still_read() {
        let text = "a-kind-of-yesterday:17";
        assert_eq!(key(text).unwrap().to_string(), text);
    }

    proptest! {
        #[test]
        fn a_cut_record_is_no_record(which in 0..5_usize, keep in 0.0..1.0_f64) {
            let bytes = records()[which].encode();
            let keep = (bytes.len() as f64 * keep) as usize;
            prop_assert_eq!(Record::decode(&bytes[..keep]), None);
        }

        #[test]
        fn a_changed_byte_is_found(which in 0..5_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = records()[which].encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Record::decode(&bytes), None);
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Record::decode(&bytes);
            let _ = frame::any_follows(&bytes);
        }
    }
}
