//! Keys as the databases keep them: two small numbers and the id's bytes.
//!
//! Owns the bytes of an id. Must not touch the databases.

use crate::Id;
use crate::store::Error;

/// A key with its kind and engine as numbers of the `names` table.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct StoredKey {
    pub(crate) kind: i64,
    pub(crate) engine: i64,
    pub(crate) id: Vec<u8>,
}

const UUID_LENGTH: usize = 16;
/// Never a byte of UTF-8, so it marks the end of text.
const TEXT_END: u8 = 0xff;

/// A UUID is its 16 bytes. Text is its bytes and one `TEXT_END`, or two where one would make it 16 bytes long.
pub(crate) fn id_to_bytes(id: &Id) -> Vec<u8> {
    match id {
        Id::Uuid(bytes) => bytes.to_vec(),
        Id::Text(text) => {
            let mut bytes = Vec::with_capacity(text.len() + 2);
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(TEXT_END);
            if bytes.len() == UUID_LENGTH {
                bytes.push(TEXT_END);
            }
            bytes
        }
    }
}

pub(crate) fn id_from_bytes(bytes: &[u8]) -> Result<Id, Error> {
    if let Ok(uuid) = <[u8; UUID_LENGTH]>::try_from(bytes) {
        return Ok(Id::Uuid(uuid));
    }
    let text = bytes
        .strip_suffix(&[TEXT_END])
        .map(|text| text.strip_suffix(&[TEXT_END]).unwrap_or(text));
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    match text {
        Some(text) => Ok(Id::Text(text.into())),
        None => Err(Error::Corrupt(format!(
            "an id is neither a UUID nor text: {bytes:02x?}"
        ))),
    }
}

/// Bounds, both included, of the stored ids whose text starts with a prefix: of UUIDs, and of other text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Prefix {
    pub(crate) uuid: (Vec<u8>, Vec<u8>),
    pub(crate) text: (Vec<u8>, Vec<u8>),
}

impl Prefix {
    pub(crate) fn new(prefix: &str) -> Prefix {
        // No UUID lies between 1 and 0.
        let uuid =
            uuid_bounds(prefix).unwrap_or_else(|| (vec![1; UUID_LENGTH], vec![0; UUID_LENGTH]));
        let mut to = prefix.as_bytes().to_vec();
        to.extend_from_slice(&[TEXT_END, TEXT_END]);
        Prefix {
            uuid,
            text: (prefix.as_bytes().to_vec(), to),
        }
    }
}

fn uuid_bounds(prefix: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    const LOWEST: &str = "00000000-0000-0000-0000-000000000000";
    const HIGHEST: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    let bound = |fill: &str| match Id::new(&format!("{prefix}{}", fill.get(prefix.len()..)?)) {
        Id::Uuid(bytes) => Some(bytes.to_vec()),
        Id::Text(_) => None,
    };
    Some((bound(LOWEST)?, bound(HIGHEST)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_comes_back_from_its_bytes(text in "[\\x20-\\u{10ffff}]{1,40}|[a-z]{14,17}") {
            let id = Id::new(&text);
            prop_assert_eq!(id_from_bytes(&id_to_bytes(&id)).unwrap(), id);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(id) = id_from_bytes(&bytes) {
                prop_assert!(bytes.len() == UUID_LENGTH || id_to_bytes(&id).len() <= bytes.len() + 1);
            }
        }

        #[test]
        fn a_prefix_bounds_exactly_what_starts_with_it(
            texts in proptest::collection::vec("[0-2a-c-]{1,18}|[0-1]{8}-0000-1111-2222-00000000000[0-3]", 1..20),
            prefix in "[0-2a-c]{0,3}|[0-1]{8}-0{0,4}",
        ) {
            let bounds = Prefix::new(&prefix);
            for text in texts {
                let id = Id::new(&text);
                let bytes = id_to_bytes(&id);
                let (from, to) = if bytes.len() == UUID_LENGTH { &bounds.uuid } else { &bounds.text };
                prop_assert_eq!(bytes >= *from && bytes <= *to, text.starts_with(&prefix), "{} {}", text, prefix);
            }
        }
    }
}
