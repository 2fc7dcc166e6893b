//! Sort keys of a row: read, and compared the way an engine's database compares them.
//!
//! Owns the comparator. Must not know where rows come from. Relies on timestamps that carry their offset.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cmp::Ordering;
use std::fmt;

/// One member that rows are ordered by.
#[derive(Clone, Debug, PartialEq)]
pub struct By {
    /// The member of a row; `a/b` is the member `b` of its member `a`, and `a|b` the one of the two that it has.
    pub member: Box<str>,
    /// How its text is read.
    pub reading: Reading,
    /// Which way.
    pub direction: Direction,
}

/// How a member is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As it is, byte by byte.
    Text,
    /// Without regard to case.
    Folded,
    /// As a number.
    Number,
    /// As an instant, whatever offset it is written with.
    Time,
}

/// Which way rows are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Least first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// Where a database puts rows without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Nulls {
    /// Above every value: last when ascending, first when descending (PostgreSQL, Oracle, DB2).
    #[default]
    High,
    /// Below every value (H2, SQLite, MySQL, SQL Server).
    Low,
}

/// Which letters a database puts into lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Casing {
    /// It depends on how the database was made, and nothing tells (PostgreSQL, Oracle, MySQL and others).
    #[default]
    Unknown,
    /// Those of ASCII (SQLite).
    Ascii,
    /// All that have a case (H2).
    All,
}

impl Casing {
    fn lower(self, text: &str) -> Value {
        let (all, ascii) = (text.to_lowercase(), text.to_ascii_lowercase());
        match self {
            Casing::All => Value::Text(all),
            Casing::Ascii => Value::Text(ascii),
            Casing::Unknown if all == ascii => Value::Text(all),
            Casing::Unknown => Value::Unclear,
        }
    }
}

/// What a database does in its own way when it sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Habits {
    /// With rows without a value.
    pub nulls: Nulls,
    /// Where case does not count.
    pub casing: Casing,
}

/// One member's value, comparable.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A text of which nobody knows what the database makes of it.
    Unclear,
    Number(f64),
    /// Nanoseconds since the Unix epoch.
    Time(i128),
}

impl Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Text(one), Value::Text(two)) => one.cmp(two),
            (Value::Number(one), Value::Number(two)) => one.total_cmp(two),
            (Value::Time(one), Value::Time(two)) => one.cmp(two),
            // A member whose type changes from row to row: any fixed order will do.
            (one, two) => one.rank().cmp(&two.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Number(_) => 0,
            Value::Time(_) => 1,
            Value::Text(_) => 2,
            Value::Unclear => 3,
        }
    }
}

/// Compares the keys of two rows.
pub(super) fn compare(
    order: &[By],
    nulls: Nulls,
    one: &[Option<Value>],
    two: &[Option<Value>],
) -> Ordering {
    for (by, (one, two)) in order.iter().zip(one.iter().zip(two)) {
        let ascending = match (one, two) {
            (Some(one), Some(two)) => one.cmp(two),
            (None, None) => Ordering::Equal,
            (None, Some(_)) => {
                if nulls == Nulls::High {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (Some(_), None) => {
                if nulls == Nulls::High {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        };
        let ordering = if by.direction == Direction::Ascending {
            ascending
        } else {
            ascending.reverse()
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

/// Reads the keys and the id of a row that is an object. `Err`: it is none, or a number that it is sorted by is a text.
pub(super) fn read(
    row: &str,
    order: &[By],
    casing: Casing,
) -> Result<(Vec<Option<Value>>, String), super::Malformed> {
    let mut parser = serde_json::Deserializer::from_str(row);
    Keys { order, casing }
        .deserialize(&mut parser)
        .map_err(|_| super::Malformed)
}

fn value(reading: Reading, casing: Casing, scalar: Scalar) -> Option<Value> {
    let text = match (reading, scalar) {
        (_, Scalar::None) => return None,
        (Reading::Text | Reading::Folded | Reading::Time, Scalar::Number(number)) => {
            return Some(Value::Number(number));
        }
        (Reading::Number, Scalar::Number(number)) => return Some(Value::Number(number)),
        (_, Scalar::Text(text)) => text,
    };
    Some(match reading {
        Reading::Text => Value::Text(text),
        Reading::Folded => casing.lower(&text),
        Reading::Number => text.parse().map_or(Value::Text(text), Value::Number),
        Reading::Time => instant(&text).map_or(Value::Text(text), Value::Time),
    })
}

fn instant(text: &str) -> Option<i128> {
    crate::dialect::time::read(text).map(jiff::Timestamp::as_nanosecond)
}

enum Scalar {
    None,
    Number(f64),
    Text(String),
}

struct Keys<'o> {
    order: &'o [By],
    casing: Casing,
}

impl Scalar {
    fn of(value: &serde_json::Value) -> Scalar {
        match value {
            serde_json::Value::String(text) => Scalar::Text(text.clone()),
            serde_json::Value::Number(number) => {
                number.as_f64().map_or(Scalar::None, Scalar::Number)
            }
            serde_json::Value::Bool(value) => Scalar::Number(f64::from(u8::from(*value))),
            serde_json::Value::Null
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => Scalar::None,
        }
    }
}

impl<'o> Keys<'o> {
    /// The keys that stand one level below a member, each with its name there.
    fn inner(&self, name: &str) -> impl Iterator<Item = (usize, &'o By, &'o str)> {
        let order = self.order.iter().enumerate();
        order.filter_map(move |(at, by)| {
            let (outer, inner) = by.member.split_once('/')?;
            (outer == name).then_some((at, by, inner))
        })
    }
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = (Vec<Option<Value>>, String);

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = (Vec<Option<Value>>, String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut keys: Vec<Option<Value>> = vec![None; self.order.len()];
        let mut id = String::new();
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            let wanted = || {
                self.order
                    .iter()
                    .enumerate()
                    .filter(|(_, by)| by.member.split('|').any(|member| *member == *name))
            };
            if self.inner(&name).next().is_some() {
                let object: serde_json::Value = members.next_value()?;
                for (at, by, member) in self.inner(&name) {
                    keys[at] = object
                        .get(member)
                        .and_then(|value| self::value(by.reading, self.casing, Scalar::of(value)));
                }
                continue;
            }
            if name != "id" && wanted().next().is_none() {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let scalar = members.next_value_seed(Any)?;
            if name == "id"
                && let Scalar::Text(text) = &scalar
            {
                id.clone_from(text);
            }
            for (at, by) in wanted() {
                keys[at] = match &scalar {
                    // What the row has is told by another member, maybe.
                    Scalar::None => continue,
                    Scalar::Number(number) => {
                        value(by.reading, self.casing, Scalar::Number(*number))
                    }
                    Scalar::Text(text) => {
                        value(by.reading, self.casing, Scalar::Text(text.clone()))
                    }
                };
                if by.reading == Reading::Number && matches!(keys[at], Some(Value::Text(_))) {
                    return Err(serde::de::Error::custom(
                        "a text where a number is promised",
                    ));
                }
            }
        }
        Ok((keys, id))
    }
}

/// A scalar of any type; what is compound has no order.
struct Any;

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Scalar;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Scalar, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Number(f64::from(u8::from(value))))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "only the order matters, and priorities are small"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "only the order matters, and priorities are small"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Scalar, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_compared_whatever_their_offset() {
        let utc = instant("2026-11-21T07:06:33.120+0000").unwrap();
        assert_eq!(instant("2026-11-21T08:06:33.120+0100"), Some(utc));
        assert_eq!(instant("2026-11-21T07:06:33.12Z"), Some(utc));
        assert_eq!(instant("2026-11-21T09:06:33.120+02:00"), Some(utc));
        assert_eq!(instant("yesterday"), None);
    }

    #[test]
    fn nulls_stand_where_the_database_puts_them() {
        let by = |direction| {
            vec![By {
                member: "due".into(),
                reading: Reading::Time,
                direction,
            }]
        };
        let (none, some) = ([None], [Some(Value::Time(5))]);
        assert_eq!(
            compare(&by(Direction::Ascending), Nulls::High, &none, &some),
            Ordering::Greater
        );
        assert_eq!(
            compare(&by(Direction::Descending), Nulls::High, &none, &some),
            Ordering::Less
        );
        assert_eq!(
            compare(&by(Direction::Ascending), Nulls::Low, &none, &some),
            Ordering::Less
        );
        assert_eq!(
            compare(&by(Direction::Descending), Nulls::Low, &none, &some),
            Ordering::Greater
        );
    }

    #[test]
    fn keys_are_read_by_their_kind_and_the_last_of_two_counts() {
        let by = |member: &str, reading| By {
            member: member.into(),
            reading,
            direction: Direction::Ascending,
        };
        let order = [
            by("name", Reading::Folded),
            by("priority", Reading::Number),
            by("gone", Reading::Text),
            by("list", Reading::Text),
            by("variable/name", Reading::Text),
            by("none/name", Reading::Text),
        ];
        let (keys, id) = read(
            r#"{"id":"t","name":"Ärger","priority":1,"x":{"priority":9},"priority":50,"list":[1],"variable":{"name":"v","value":{}},"none":null}"#,
            &order,
            Casing::All,
        )
        .unwrap();
        assert_eq!(
            keys,
            [
                Some(Value::Text("ärger".into())),
                Some(Value::Number(50.0)),
                None,
                None,
                Some(Value::Text("v".into())),
                None
            ]
        );
        assert_eq!(id, "t");
        assert!(read("[]", &order, Casing::All).is_err());
        // One column, which rows of two kinds show by two names.
        let either = [by("variableName|fieldId", Reading::Text)];
        for row in [
            r#"{"variableName":"v"}"#,
            r#"{"fieldId":"v","variableName":null}"#,
        ] {
            let (keys, _) = read(row, &either, Casing::All).unwrap();
            assert_eq!(keys, [Some(Value::Text("v".into()))], "{row}");
        }
    }

    #[test]
    fn a_text_is_folded_as_its_database_does_or_not_at_all() {
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(Casing::All.lower("ÄB"), text("äb"));
        assert_eq!(Casing::Ascii.lower("ÄB"), text("Äb"));
        assert_eq!(Casing::Unknown.lower("ÄB"), Value::Unclear);
        // What all databases make the same of.
        for (mixed, lower) in [("aB", "ab"), ("größe B", "größe b"), ("中B", "中b")] {
            for casing in [Casing::All, Casing::Ascii, Casing::Unknown] {
                assert_eq!(casing.lower(mixed), text(lower), "{casing:?}");
            }
        }
    }
}
