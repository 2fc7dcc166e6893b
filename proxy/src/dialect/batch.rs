//! Batches of several sites as one: its id holds theirs, so that any router knows them without having made it.
//!
//! Owns that id and how the sites' batches, their statistics and their histories become one. Pure.

use super::merge::Malformed;
use bytes::Bytes;
use serde_json::{Map, Value};

/// What such an id begins with.
const MARK: &str = "homing.";

/// The id of these batches together. `None`: they cannot be told apart in it.
pub fn id_of(parts: &[String]) -> Option<String> {
    let fits = parts
        .iter()
        .all(|part| !part.is_empty() && !part.contains('.'));
    (fits && !parts.is_empty()).then(|| format!("{MARK}{}", parts.join(".")))
}

/// The batches in an id; nothing if it is one engine's own.
pub fn parts_of(id: &str) -> Vec<&str> {
    id.strip_prefix(MARK)
        .map(|parts| parts.split('.').filter(|part| !part.is_empty()).collect())
        .unwrap_or_default()
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
        assert_eq!(id_of(&["a.1".to_owned()]), None);
        assert_eq!(id_of(&[]), None);
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
