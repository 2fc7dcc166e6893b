//! Lists in HAL (`application/hal+json`): rows and what they are about, in one object.
//!
//! Owns where the rows sit, and that a page tells of what its own rows name and of nothing else. Must not order rows.

use super::Malformed;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// An object whose members pass as they are.
type Members<'b> = BTreeMap<Cow<'b, str>, &'b RawValue>;

/// One site's answer.
#[derive(Deserialize)]
struct Answer<'b> {
    /// Nothing, or nothing in it: a saved query without rows. The member itself is always there.
    #[serde(rename = "_embedded", borrow, deserialize_with = "Option::deserialize")]
    embedded: Option<Members<'b>>,
    count: u64,
}

#[derive(Deserialize)]
struct Named<'b> {
    #[serde(borrow)]
    id: Cow<'b, str>,
}

/// The list of rows, a part of the answer.
pub(super) fn rows(body: &Bytes, member: &str) -> Result<Bytes, Malformed> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| Malformed)?;
    let embedded = answer.embedded.unwrap_or_default();
    let Some(rows) = embedded.get(member) else {
        return Ok(Bytes::from_static(b"[]"));
    };
    Ok(body.slice_ref(rows.get().as_bytes()))
}

/// The answer that one engine would give: these rows, what they name, and how many there are without paging.
pub fn hal(member: &str, answers: &[Bytes], page: &Bytes) -> Result<Bytes, Malformed> {
    let malformed = |_| Malformed;
    let page_rows: Vec<Members<'_>> = serde_json::from_slice(page).map_err(malformed)?;
    let mut count = 0u64;
    let mut about: BTreeMap<Cow<'_, str>, BTreeMap<Cow<'_, str>, &RawValue>> = BTreeMap::new();
    for answer in answers {
        let answer: Answer<'_> = serde_json::from_slice(answer).map_err(malformed)?;
        count = count.saturating_add(answer.count);
        for (relation, things) in answer.embedded.into_iter().flatten() {
            if relation == member {
                continue;
            }
            let wanted = named(&page_rows, &relation)?;
            let things: Vec<&RawValue> = serde_json::from_str(things.get()).map_err(malformed)?;
            for thing in things {
                let Named { id } = serde_json::from_str(thing.get()).map_err(malformed)?;
                if wanted.contains(&*id) {
                    let of_relation = about.entry(relation.clone()).or_default();
                    of_relation.entry(id).or_insert(thing);
                }
            }
        }
    }
    let lists: BTreeMap<Cow<'_, str>, Vec<&RawValue>> = about
        .into_iter()
        .map(|(relation, things)| (relation, things.into_values().collect()))
        .collect();
    let mut embedded: BTreeMap<Cow<'_, str>, Box<RawValue>> = BTreeMap::new();
    for (relation, things) in lists {
        let things = serde_json::value::to_raw_value(&things).map_err(malformed)?;
        embedded.insert(relation, things);
    }
    let rows: Box<RawValue> = serde_json::from_slice(page).map_err(malformed)?;
    embedded.insert(Cow::Borrowed(member), rows);
    let embedded = serde_json::value::to_raw_value(&embedded).map_err(malformed)?;
    let count = serde_json::value::to_raw_value(&count).map_err(malformed)?;
    let (mut whole, is_bare) = frame(member, answers, page_rows.is_empty())?;
    whole.insert(Cow::Borrowed("count"), &count);
    if is_bare && page_rows.is_empty() {
        return serde_json::to_vec(&whole)
            .map(Bytes::from)
            .map_err(malformed);
    }
    whole.insert(Cow::Borrowed("_embedded"), &embedded);
    // Some engines write it under both names.
    if whole.contains_key("embedded") {
        whole.insert(Cow::Borrowed("embedded"), &embedded);
    }
    serde_json::to_vec(&whole)
        .map(Bytes::from)
        .map_err(malformed)
}

/// What stands around the rows, and whether there it is said that there are none: one site's, of a site that has rows like
/// this page, or none like it, if there is one.
fn frame<'b>(
    member: &str,
    answers: &'b [Bytes],
    is_empty: bool,
) -> Result<(Members<'b>, bool), Malformed> {
    let mut frame = None;
    for body in answers {
        let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| Malformed)?;
        let embedded = answer.embedded.as_ref();
        let is_bare = embedded.is_none_or(|embedded| !embedded.contains_key(member));
        if frame.is_none() || is_bare == is_empty {
            frame = Some((body, is_bare));
        }
        if is_bare == is_empty {
            break;
        }
    }
    let (body, is_bare) = frame.ok_or(Malformed)?;
    let members = serde_json::from_slice(body).map_err(|_| Malformed)?;
    Ok((members, is_bare))
}

/// The ids that rows name in this relation: `assignee` in the member of this name, `processDefinition` in
/// `processDefinitionId`.
fn named(rows: &[Members<'_>], relation: &str) -> Result<BTreeSet<String>, Malformed> {
    let with_id = format!("{relation}Id");
    let mut ids = BTreeSet::new();
    for row in rows {
        for raw in [row.get(relation), row.get(&*with_id)]
            .into_iter()
            .flatten()
        {
            let id: Option<String> = serde_json::from_str(raw.get()).map_err(|_| Malformed)?;
            ids.extend(id);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bytes(value: &Value) -> Bytes {
        value.to_string().into()
    }

    fn site(tasks: Value, definitions: Value, count: u64) -> Value {
        json!({
            "_links": { "self": { "href": "/task" } },
            "_embedded": {
                "task": tasks, "processDefinition": definitions,
                "assignee": [{ "id": "demo", "email": count }],
            },
            "_more": count,
            "count": count,
        })
    }

    fn task(id: &str, definition: &str, assignee: Option<&str>) -> Value {
        json!({ "id": id, "processDefinitionId": definition, "assignee": assignee })
    }

    #[test]
    fn a_page_tells_of_what_its_rows_name_and_of_nothing_else() {
        let one = site(
            json!([task("1", "d-a", Some("demo")), task("3", "d-a", None)]),
            json!([{ "id": "d-a", "key": "order" }]),
            7,
        );
        let two = site(
            json!([task("2", "d-b", Some("demo"))]),
            json!([{ "id": "d-b", "key": "order" }, { "id": "d-c" }]),
            4,
        );
        let page = json!([
            task("1", "d-a", Some("demo")),
            task("2", "d-b", Some("demo"))
        ]);
        let merged = hal("task", &[bytes(&one), bytes(&two)], &bytes(&page)).unwrap();
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        assert_eq!(
            merged,
            json!({
                "_links": { "self": { "href": "/task" } },
                "_embedded": {
                    "task": page,
                    "processDefinition": [{ "id": "d-a", "key": "order" }, { "id": "d-b", "key": "order" }],
                    "assignee": [{ "id": "demo", "email": 7 }],
                },
                "_more": 7,
                "count": 11,
            })
        );
        let nobody = json!([task("3", "d-a", None)]);
        let merged = hal("task", &[bytes(&one), bytes(&two)], &bytes(&nobody)).unwrap();
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        assert_eq!(merged["_embedded"].get("assignee"), None);
    }

    #[test]
    fn a_site_whose_saved_query_finds_nothing_says_so_in_another_form() {
        let some = site(json!([task("1", "d-a", None)]), json!([{ "id": "d-a" }]), 1);
        let null = json!({ "_links": null, "_embedded": null, "count": 0 });
        assert_eq!(rows(&bytes(&null), "task").unwrap(), "[]");
        let none = json!({ "_links": {}, "_embedded": {}, "count": 0 });
        assert_eq!(rows(&bytes(&none), "task").unwrap(), "[]");
        let page = json!([task("1", "d-a", None)]);
        for answers in [[&some, &null], [&null, &some]] {
            let merged = hal("task", &answers.map(bytes), &bytes(&page)).unwrap();
            let merged: Value = serde_json::from_slice(&merged).unwrap();
            assert_eq!(merged["_embedded"]["task"], page);
            assert_eq!(merged["_links"], some["_links"]);
            assert_eq!(merged["count"], 1);
            // A page behind the last row.
            let behind = hal("task", &answers.map(bytes), &bytes(&json!([]))).unwrap();
            let behind: Value = serde_json::from_slice(&behind).unwrap();
            assert_eq!(
                behind,
                json!({ "_links": null, "_embedded": null, "count": 1 })
            );
        }
    }

    #[test]
    fn rows_are_found_and_what_is_no_such_list_is_malformed() {
        let one = bytes(&site(json!([{ "id": "1" }]), json!([]), 1));
        assert_eq!(rows(&one, "task").unwrap(), r#"[{"id":"1"}]"#);
        for other in [json!([]), json!({ "count": 1 })] {
            assert_eq!(rows(&bytes(&other), "task"), Err(Malformed), "{other}");
        }
        assert_eq!(hal("task", &[], &bytes(&json!([]))), Err(Malformed));
    }
}
