//! A broker's message as a message of a work queue: its key, its media type, and whether anybody can work on it.
//!
//! Pure. Must not know brokers or tables.

use serde_json::Value as Json;

/// Longest key, in bytes.
const KEY_MAX: usize = 512;
/// Longest body, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// Where the key of a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyAt {
    /// The property that RabbitMQ has for it.
    MessageId,
    /// The key of a record of Kafka.
    RecordKey,
    /// The place of a record of Kafka.
    Place,
    /// A header of this name.
    Header(String),
    /// JSON pointer into the body.
    Body(String),
}

/// What a broker delivered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Delivered {
    /// The property `message_id`.
    pub(super) message_id: Option<String>,
    /// The record's key.
    pub(super) record_key: Option<Vec<u8>>,
    /// Where the record lies, and since when: no other one was ever there.
    pub(super) place: Option<String>,
    /// The header that holds the key, where one does.
    pub(super) header: Option<String>,
    /// The property `content_type`.
    pub(super) content_type: Option<String>,
    /// The body.
    pub(super) body: Vec<u8>,
    /// Is it a record without a value, which takes back what its key said before?
    pub(super) tombstone: bool,
}

/// What becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Taken {
    /// Its key.
    pub(super) key: String,
    /// Its media type.
    pub(super) media: String,
    /// Why nobody can work on it.
    pub(super) poison: Option<String>,
}

impl KeyAt {
    fn of(&self, delivered: &Delivered) -> Result<String, String> {
        let key = match self {
            KeyAt::MessageId => delivered.message_id.clone().ok_or("it has no message_id")?,
            KeyAt::RecordKey => {
                let key = delivered.record_key.clone().ok_or("it has no key")?;
                String::from_utf8(key).map_err(|_| "its key is no text")?
            }
            KeyAt::Place => delivered.place.clone().ok_or("it has no place")?,
            KeyAt::Header(name) => {
                let missing = || format!("it has no header '{name}' that is a text or a number");
                delivered.header.clone().ok_or_else(missing)?
            }
            KeyAt::Body(at) => {
                let body = serde_json::from_slice::<Json>(&delivered.body);
                let body = body.map_err(|e| format!("its body is no JSON: {e}"))?;
                match body.pointer(at) {
                    Some(Json::String(text)) => text.clone(),
                    Some(Json::Number(number)) => number.to_string(),
                    _ => return Err(format!("its body has no text or number at {at}")),
                }
            }
        };
        if key.is_empty() || key.len() > KEY_MAX {
            return Err(format!(
                "its key has {} bytes; 1 to {KEY_MAX} are allowed",
                key.len()
            ));
        }
        Ok(key)
    }
}

/// What becomes of a delivered message. One without a key gets that of its content, so that the same one is set aside once.
pub(super) fn taken(at: &KeyAt, delivered: &Delivered) -> Taken {
    let media = match &delivered.content_type {
        Some(media) => media.clone(),
        None if serde_json::from_slice::<serde::de::IgnoredAny>(&delivered.body).is_ok() => {
            "application/json".to_owned()
        }
        None => "application/octet-stream".to_owned(),
    };
    let size = delivered.body.len();
    let (key, poison) = match at.of(delivered) {
        _ if delivered.tombstone => {
            // Its key stays free: what was said under it, or will be, is another message.
            let place = delivered.place.as_deref().unwrap_or_default();
            let why = "it has no value (a tombstone)".to_owned();
            (format!("poison-{place}"), Some(why))
        }
        Ok(key) if size > BODY_MAX => {
            let why = format!("its body has {size} bytes; at most {BODY_MAX} are worked on");
            (key, Some(why))
        }
        Ok(key) => (key, None),
        Err(why) => {
            let hash = blake3::hash(&delivered.body).to_hex();
            (format!("poison-{hash}"), Some(why))
        }
    };
    Taken { key, media, poison }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_body(body: &str) -> Delivered {
        Delivered {
            message_id: Some("m1".into()),
            body: body.into(),
            ..Delivered::default()
        }
    }

    #[test]
    fn the_key_is_where_the_configuration_says() {
        let mut delivered = with_body(r#"{"order":{"id":7}}"#);
        delivered.header = Some("h1".into());
        let key = |at: KeyAt| taken(&at, &delivered).key;
        assert_eq!(key(KeyAt::MessageId), "m1");
        assert_eq!(key(KeyAt::Header("x-order".into())), "h1");
        assert_eq!(key(KeyAt::Body("/order/id".into())), "7");
    }

    #[test]
    fn what_has_no_key_is_set_aside_once_with_the_reason() {
        let mut delivered = with_body("{}");
        delivered.message_id = None;
        let first = taken(&KeyAt::MessageId, &delivered);
        assert!(first.poison.as_ref().unwrap().contains("message_id"));
        assert_eq!(taken(&KeyAt::MessageId, &delivered).key, first.key);
        delivered.body = b"{ }".to_vec();
        assert_ne!(taken(&KeyAt::MessageId, &delivered).key, first.key);
        let header = taken(&KeyAt::Header("x".into()), &delivered);
        assert!(header.poison.unwrap().contains("'x'"));
        let body = taken(&KeyAt::Body("/a".into()), &delivered);
        assert!(body.poison.unwrap().contains("/a"));
    }

    #[test]
    fn a_record_has_a_key_of_its_own_or_the_one_of_its_place() {
        let mut record = with_body("{}");
        record.record_key = Some(b"o1".to_vec());
        record.place = Some("t-0-7-1000".into());
        assert_eq!(taken(&KeyAt::RecordKey, &record).key, "o1");
        assert_eq!(taken(&KeyAt::Place, &record).key, "t-0-7-1000");
        record.record_key = Some(vec![0xff]);
        let said = taken(&KeyAt::RecordKey, &record).poison;
        assert!(said.unwrap().contains("no text"));
        record.record_key = None;
        let said = taken(&KeyAt::RecordKey, &record).poison;
        assert!(said.unwrap().contains("no key"));
    }

    #[test]
    fn a_tombstone_is_set_aside_and_leaves_its_key_free() {
        let mut record = with_body("");
        record.record_key = Some(b"o1".to_vec());
        record.place = Some("t-0-7-1000".into());
        record.tombstone = true;
        let set_aside = taken(&KeyAt::RecordKey, &record);
        assert_eq!(set_aside.key, "poison-t-0-7-1000");
        assert!(set_aside.poison.unwrap().contains("tombstone"));
    }

    #[test]
    fn a_body_that_is_too_long_is_set_aside_under_its_own_key() {
        let long = taken(&KeyAt::MessageId, &with_body(&"x".repeat(BODY_MAX + 1)));
        assert_eq!(long.key, "m1");
        assert!(long.poison.unwrap().contains("1048577 bytes"));
    }

    #[test]
    fn a_body_without_a_type_is_json_if_it_can_be_read_so() {
        let media = |body| taken(&KeyAt::MessageId, &with_body(body)).media;
        assert_eq!(media(r#"{"a":1}"#), "application/json");
        assert_eq!(media("hello"), "application/octet-stream");
    }
}
