//! A worker's request for work: what it asks for, what each site is asked instead, what comes back.
//!
//! Owns the shape of `fetchAndLock`, read liberally: clients send numbers as texts, and the engines take that. Pure.

use super::merge::{
    By, Casing, Direction, Malformed, Nulls, Page, Reading, Row, Rows, Shape, Ties,
};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest wait that the engines take.
const WAIT_MAX: Duration = Duration::from_secs(1800);
/// The last segment of the path that asks for work.
const VERB: &str = "fetchAndLock";
/// What cannot stand in a path segment as it is.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// One worker's request for work.
#[derive(Debug)]
pub struct Fetch {
    /// Tasks at most, over all sites.
    pub max: usize,
    /// How long the worker waits when there is no work.
    pub wait: Option<Duration>,
    /// The same for all requests that want the same work.
    pub filter: u64,
    members: BTreeMap<String, Box<RawValue>>,
    order: Rows,
    /// The member that says how many tasks at most.
    max_member: &'static str,
    /// Whether a task that nobody takes can be given back.
    returns: bool,
}

impl Fetch {
    /// Reads a request. `None`: not one that is understood; a site has to say what it thinks of it.
    pub fn read(path: &str, body: &[u8]) -> Option<Fetch> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
        let member = |name: &str| -> Value {
            let raw = members.get(name).map(|raw| raw.get());
            raw.and_then(|raw| serde_json::from_str(raw).ok())
                .unwrap_or_default()
        };
        let has_topics = member("topics")
            .as_array()
            .is_some_and(|topics| !topics.is_empty());
        if !has_topics || !member("workerId").is_string() {
            return None;
        }
        let max = number(&member("maxTasks"))
            .and_then(|max| usize::try_from(max).ok())
            .filter(|max| *max > 0)?;
        let wait = wait(&member("asyncResponseTimeout"))?;
        let order = order(&member("usePriority"), &member("sorting"));
        let topics = members
            .get("topics")
            .map(|raw| raw.get())
            .unwrap_or_default();
        let filter = xxhash_rust::xxh3::xxh3_64_with_seed(
            topics.as_bytes(),
            xxhash_rust::xxh3::xxh3_64(path.as_bytes()),
        );
        Some(Fetch {
            max,
            wait,
            filter,
            members,
            order,
            max_member: "maxTasks",
            returns: true,
        })
    }

    /// Reads a request to `acquire/jobs`: one topic, and no wait. `None`: a site has to say what it thinks of it.
    pub fn acquire(body: &[u8]) -> Option<Fetch> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
        let member = |name: &str| -> Value {
            let raw = members.get(name).map(|raw| raw.get());
            raw.and_then(|raw| serde_json::from_str(raw).ok())
                .unwrap_or_default()
        };
        let named = ["topic", "workerId", "lockDuration"];
        if named.iter().any(|name| !member(name).is_string()) {
            return None;
        }
        let max = member("numberOfTasks");
        let max = if max.is_null() {
            1
        } else {
            number(&max).and_then(|max| usize::try_from(max).ok())?
        };
        let filter = xxhash_rust::xxh3::xxh3_64(member("topic").to_string().as_bytes());
        Some(Fetch {
            max: Some(max).filter(|max| *max > 0)?,
            wait: None,
            filter,
            order: order(&Value::Null, &Value::Null),
            members,
            max_member: "numberOfTasks",
            returns: false,
        })
    }

    /// The body that asks one site for so many tasks; with a time, it may hold the request back that long.
    pub fn body(&self, max: usize, wait: Option<Duration>) -> Bytes {
        let mut members: BTreeMap<&str, &RawValue> = self
            .members
            .iter()
            .map(|(name, raw)| (name.as_str(), &**raw))
            .collect();
        let max = to_raw_value(&max).ok();
        let wait = wait.and_then(|wait| {
            to_raw_value(&u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)).ok()
        });
        if let Some(max) = &max {
            members.insert(self.max_member, max);
        }
        members.remove("asyncResponseTimeout");
        if let Some(wait) = &wait {
            members.insert("asyncResponseTimeout", wait);
        }
        serde_json::to_vec(&members).unwrap_or_default().into()
    }

    /// Whether a task that nobody takes can be given back.
    pub fn returns(&self) -> bool {
        self.returns
    }

    /// The tasks in one site's answer.
    pub fn tasks(&self, body: &Bytes) -> Result<Vec<Row>, Malformed> {
        // Work is not ordered by what has a case.
        self.order
            .read(body, Casing::default())
            .map_err(|_| Malformed)
    }

    /// All sites' tasks as the answer, in the order that the worker asked for.
    pub fn answer(&self, sites: Vec<Vec<Row>>) -> Bytes {
        self.order.merge(sites, Nulls::default())
    }
}

/// The path that gives a task back, made out of the path that fetched it.
pub fn unlock_path(path: &str, task: &str) -> Option<String> {
    let before = path.trim_end_matches('/').strip_suffix(VERB)?;
    let task = utf8_percent_encode(task, &ESCAPED);
    Some(format!("{before}{task}/unlock"))
}

/// `None`: a wait that the engines refuse.
fn wait(given: &Value) -> Option<Option<Duration>> {
    if given.is_null() {
        return Some(None);
    }
    let wait = Duration::from_millis(u64::try_from(number(given)?).unwrap_or_default());
    (wait <= WAIT_MAX).then(|| Some(wait).filter(|wait| !wait.is_zero()))
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the engines cut fractions off as well"
        )]
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|float| float as i64)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// By priority, then by what `sorting` names. What is not understood is left to the sites; their tasks then stand in
/// the order of the sites.
fn order(use_priority: &Value, sorting: &Value) -> Rows {
    let by = |member: &str, reading, direction| By {
        member: member.into(),
        reading,
        direction,
    };
    let mut order = Vec::new();
    if *use_priority == json!(true) || *use_priority == json!("true") {
        order.push(by("priority", Reading::Number, Direction::Descending));
    }
    for element in sorting.as_array().into_iter().flatten() {
        if element["sortBy"] == json!("createTime") {
            let ascending = element["sortOrder"] == json!("asc");
            let direction = if ascending {
                Direction::Ascending
            } else {
                Direction::Descending
            };
            order.push(by("createTime", Reading::Time, direction));
        }
    }
    Rows {
        order,
        ties: Ties::Free,
        page: Page::default(),
        body: None,
        shape: Shape::List,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/engine-rest/external-task/fetchAndLock";

    fn fetch(body: &str) -> Option<Fetch> {
        Fetch::read(PATH, body.as_bytes())
    }

    fn with(members: &str) -> Option<Fetch> {
        fetch(&format!(
            r#"{{"workerId":"w","topics":[{{"topicName":"t","lockDuration":10000}}]{members}}}"#
        ))
    }

    #[test]
    fn numbers_may_come_as_texts() {
        let fetch =
            with(r#","maxTasks":"10","asyncResponseTimeout":"5000","usePriority":"true""#).unwrap();
        assert_eq!((fetch.max, fetch.wait), (10, Some(Duration::from_secs(5))));
        assert_eq!(with(r#","maxTasks":3.0"#).unwrap().max, 3);
        assert_eq!(
            with(r#","maxTasks":1,"asyncResponseTimeout":null"#)
                .unwrap()
                .wait,
            None
        );
    }

    #[test]
    fn what_is_not_understood_is_left_to_a_site() {
        for body in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"workerId":"w","maxTasks":1,"topics":[]}"#,
            r#"{"maxTasks":1,"topics":[{}]}"#,
        ] {
            assert!(fetch(body).is_none(), "{body}");
        }
        for members in [
            r#","maxTasks":0"#,
            r#","maxTasks":"many""#,
            r#","maxTasks":1,"asyncResponseTimeout":1800001"#,
        ] {
            assert!(with(members).is_none(), "{members}");
        }
    }

    #[test]
    fn a_site_is_asked_for_the_rest_only_and_topics_pass_as_they_are() {
        let topics = r#"[{"topicName":"t","lockDuration":1e4,"processVariables":{"n":1.10}}]"#;
        let body = format!(
            r#"{{"workerId":"w","asyncResponseTimeout":30000,"maxTasks":10,"topics":{topics}}}"#
        );
        let fetch = fetch(&body).unwrap();
        let sync = String::from_utf8(fetch.body(4, None).to_vec()).unwrap();
        assert_eq!(
            sync,
            format!(r#"{{"maxTasks":4,"topics":{topics},"workerId":"w"}}"#)
        );
        let parked: Value =
            serde_json::from_slice(&fetch.body(1, Some(Duration::from_secs(2)))).unwrap();
        assert_eq!(
            (&parked["maxTasks"], &parked["asyncResponseTimeout"]),
            (&json!(1), &json!(2000))
        );
    }

    #[test]
    fn the_filter_is_the_topics_at_one_engine_whoever_asks() {
        let of = |worker: &str, topic: &str, path: &str| {
            let body = format!(
                r#"{{"workerId":"{worker}","maxTasks":1,"topics":[{{"topicName":"{topic}"}}]}}"#
            );
            Fetch::read(path, body.as_bytes()).unwrap().filter
        };
        assert_eq!(of("a", "t", PATH), of("b", "t", PATH));
        assert_ne!(of("a", "t", PATH), of("a", "u", PATH));
        assert_ne!(
            of("a", "t", PATH),
            of("a", "t", "/engine-rest/engine/x/external-task/fetchAndLock")
        );
    }

    #[test]
    fn tasks_of_several_sites_stand_in_the_order_of_their_priority() {
        let fetch = with(r#","maxTasks":9,"usePriority":true"#).unwrap();
        let one = fetch
            .tasks(&Bytes::from_static(
                br#"[{"id":"a","priority":5},{"id":"b","priority":1}]"#,
            ))
            .unwrap();
        let two = fetch
            .tasks(&Bytes::from_static(br#"[{"id":"c","priority":3}]"#))
            .unwrap();
        assert_eq!(two[0].id(), "c");
        let answer = fetch.answer(vec![one, two]);
        assert_eq!(
            answer,
            r#"[{"id":"a","priority":5},{"id":"c","priority":3},{"id":"b","priority":1}]"#
        );
    }

    #[test]
    fn a_task_is_given_back_at_the_engine_that_gave_it() {
        let named = "/engine-rest/engine/x/external-task/fetchAndLock/";
        assert_eq!(
            unlock_path(named, "a/b").unwrap(),
            "/engine-rest/engine/x/external-task/a%2Fb/unlock"
        );
        assert_eq!(unlock_path("/external-task", "a"), None);
    }
}
