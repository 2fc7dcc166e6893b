//! Batches of several sites as one: its id holds theirs, so that any router knows them without having made it.
//!
//! Owns that id and how the sites' batches, their statistics and their histories become one. Pure.

use super::merge::Malformed;
use bytes::Bytes;
use serde_json::{Map, Value};

/// What such an id begins with, if letters, digits and hyphens are all that is in those that it holds.
const MARK: &str = "homing.";
/// What it begins with otherwise: each other byte in them is written as `_` and two hexadecimal digits.
const ESCAPED: &str = "homing_";

/// The id of these batches, or of what belongs to them, together. `None`: there are none, or they cannot be told apart.
pub fn id_of<P: AsRef<str>>(parts: &[P]) -> Option<String> {
    let parts = parts.iter().map(AsRef::as_ref);
    let is_plain = |part: &str| part.bytes().all(stands_for_itself);
    let id = if parts.clone().all(is_plain) {
        format!("{MARK}{}", parts.clone().collect::<Vec<_>>().join("."))
    } else {
        format!(
            "{ESCAPED}{}",
            parts.clone().map(escaped).collect::<Vec<_>>().join(".")
        )
    };
    let read = parts_of(&id);
    (!read.is_empty() && parts.eq(read)).then_some(id)
}

/// The batches in an id; nothing if it is one engine's own, or none that stands for several.
pub fn parts_of(id: &str) -> Vec<String> {
    let parts: Option<Vec<String>> = if let Some(plain) = id.strip_prefix(MARK) {
        Some(plain.split('.').map(str::to_owned).collect())
    } else {
        let escaped = id.strip_prefix(ESCAPED);
        escaped.and_then(|escaped| escaped.split('.').map(unescaped).collect())
    };
    let mut parts = parts.unwrap_or_default();
    // Nobody has made an id that holds nothing, or the same twice.
    let is_sound = |at: usize| !parts[at].is_empty() && !parts[..at].contains(&parts[at]);
    if !(0..parts.len()).all(is_sound) {
        parts.clear();
    }
    parts
}

fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if stands_for_itself(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("_{byte:02X}"));
        }
    }
    text
}

fn unescaped(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'_' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The batch's own id in an answer.
pub fn id_in(body: &[u8]) -> Option<String> {
    let batch: Map<String, Value> = serde_json::from_slice(body).ok()?;
    batch.get("id")?.as_str().map(str::to_owned)
}

/// The batch in an answer that is one, or a list of one.
pub fn row_in(body: &[u8]) -> Option<Bytes> {
    match serde_json::from_slice(body).ok()? {
        Value::Array(rows) => rows.into_iter().next().map(|row| row.to_string().into()),
        row @ Value::Object(_) => Some(row.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What a batch that has ended, by its history, adds to those that run.
pub fn ended(history: &[u8]) -> Option<Bytes> {
    let history: Map<String, Value> = serde_json::from_slice(history).ok()?;
    let mut ended = history.clone();
    let jobs = history.get("totalJobs")?;
    for done in ["jobsCreated", "completedJobs"] {
        ended.insert(done.into(), jobs.clone());
    }
    // It is no reason that the whole does not count as suspended.
    ended.insert("suspended".into(), true.into());
    Some(Value::Object(ended).to_string().into())
}

/// One batch out of several. Numbers of jobs are summed; what differs between sites is the first one's. It is
/// suspended when all are, began when the first began, and ended when the last has ended.
pub fn together(id: &str, bodies: &[Bytes]) -> Result<Bytes, Malformed> {
    let batches: Vec<Map<String, Value>> = bodies
        .iter()
        .map(|body| serde_json::from_slice(body).map_err(|_| Malformed))
        .collect::<Result<_, _>>()?;
    let mut one = batches.first().cloned().ok_or(Malformed)?;
    for (name, value) in &mut one {
        let all: Vec<&Value> = batches
            .iter()
            .map(|batch| batch.get(name).unwrap_or(&Value::Null))
            .collect();
        let merged = match name.as_str() {
            "id" => id.into(),
            "seedJobDefinitionId"
            | "monitorJobDefinitionId"
            | "batchJobDefinitionId"
            | "jobConfiguration" => ids_of(&all),
            "totalJobs" | "jobsCreated" | "remainingJobs" | "completedJobs" | "failedJobs" => {
                let sum = all.iter().filter_map(|number| number.as_i64()).sum::<i64>();
                sum.into()
            }
            "suspended" => all.iter().all(|value| **value == Value::Bool(true)).into(),
            "startTime" | "executionStartTime" => least(&all),
            "endTime" | "removalTime" => greatest_of_all(&all),
            _ => continue,
        };
        *value = merged;
    }
    serde_json::to_vec(&one)
        .map(Bytes::from)
        .map_err(|_| Malformed)
}

/// The job definitions, or the batches, of the parts together. A part that has ended may have none any more.
fn ids_of(all: &[&Value]) -> Value {
    let mut ids: Vec<&str> = all.iter().filter_map(|value| value.as_str()).collect();
    ids.dedup();
    match ids.as_slice() {
        [] => Value::Null,
        [one] => (*one).into(),
        several => id_of(several).map_or(Value::Null, Value::from),
    }
}

fn least(all: &[&Value]) -> Value {
    let texts = all.iter().filter_map(|value| value.as_str());
    texts.min().map_or(Value::Null, Value::from)
}

/// Nothing while one has none.
fn greatest_of_all(all: &[&Value]) -> Value {
    let texts: Option<Vec<&str>> = all.iter().map(|value| value.as_str()).collect();
    let greatest = texts.and_then(|texts| texts.into_iter().max().map(Value::from));
    greatest.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bytes(value: &Value) -> Bytes {
        value.to_string().into()
    }

    #[test]
    fn the_id_of_several_batches_names_them() {
        let ids = ["a-1".to_owned(), "b-2".to_owned()];
        let id = id_of(&ids).unwrap();
        assert_eq!(parts_of(&id), ["a-1", "b-2"]);
        assert!(parts_of("a-1").is_empty());
        assert_eq!(id_of::<&str>(&[]), None);
        for nonsense in [["a", ""], ["a", "a"]] {
            assert_eq!(id_of(&nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn any_id_can_stand_in_the_id_of_several() {
        for ids in [
            ["a.12", "b.12"],
            ["com.acme.a-1f_x", "com.acme.a-1f.x"],
            ["%2F/ü ~", "_2E"],
            ["homing.a.b", "homing_a"],
        ] {
            let id = id_of(&ids).unwrap();
            assert_eq!(parts_of(&id), ids, "{id}");
            let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!(
                id.bytes().all(is_safe),
                "{id} would be written otherwise in a path"
            );
        }
        // As ids were written before any id could stand in them.
        assert_eq!(parts_of("homing.a_1.b:2"), ["a_1", "b:2"]);
    }

    #[test]
    fn an_id_that_nobody_has_made_stands_for_nothing() {
        for id in [
            "homing.",
            "homing.a.",
            "homing.a.a",
            "homing.a.b.a",
            "homing_a.b_2",
            "homing_a_FF",
            "homing_a_+1",
        ] {
            assert!(parts_of(id).is_empty(), "{id}");
        }
    }

    #[test]
    fn several_batches_are_one_with_all_their_jobs() {
        let one = json!({"id": "x", "type": "t", "totalJobs": 3, "suspended": true, "startTime": "2", "endTime": "4"});
        let two = json!({"id": "y", "type": "t", "totalJobs": 4, "suspended": false, "startTime": "1", "endTime": null});
        let merged = together("i", &[bytes(&one), bytes(&two)]).unwrap();
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        assert_eq!(
            merged,
            json!({"id": "i", "type": "t", "totalJobs": 7, "suspended": false, "startTime": "1", "endTime": null})
        );
        assert!(together("i", &[Bytes::from_static(b"[]")]).is_err());
    }

    #[test]
    fn the_job_definitions_of_several_batches_are_one() {
        let one = json!({"id": "x", "batchJobDefinitionId": "j-1", "seedJobDefinitionId": "s.1"});
        let two = json!({"id": "y", "batchJobDefinitionId": "j-2", "seedJobDefinitionId": null});
        let merged = together("i", &[bytes(&one), bytes(&two)]).unwrap();
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        assert_eq!(
            merged,
            json!({"id": "i", "batchJobDefinitionId": "homing.j-1.j-2", "seedJobDefinitionId": "s.1"})
        );
    }

    #[test]
    fn jobs_of_a_part_that_has_ended_are_completed() {
        let running = json!({"id": "x", "totalJobs": 3, "completedJobs": 1, "remainingJobs": 2, "suspended": true});
        let history = json!({"id": "y", "totalJobs": 4, "endTime": "9"});
        let ended = ended(history.to_string().as_bytes()).unwrap();
        let row = row_in(format!("[{running}]").as_bytes()).unwrap();
        let merged = together("i", &[row, ended]).unwrap();
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        assert_eq!(
            merged,
            json!({"id": "i", "totalJobs": 7, "completedJobs": 5, "remainingJobs": 2, "suspended": true})
        );
        assert!(row_in(b"[]").is_none());
    }
}
