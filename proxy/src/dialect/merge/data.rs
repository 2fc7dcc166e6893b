//! Lists in a paging object (`{data, total, start, sort, order, size}`).
//!
//! Owns where the rows sit, and what the object around all sites' rows says. Must not order rows.

use super::Malformed;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One site's answer.
#[derive(Deserialize)]
struct Answer<'b> {
    #[serde(borrow)]
    data: &'b RawValue,
    #[serde(default)]
    total: u64,
    #[serde(borrow, default)]
    sort: Option<&'b RawValue>,
    #[serde(borrow, default)]
    order: Option<&'b RawValue>,
}

/// The answer that one engine would give.
#[derive(Serialize)]
struct Whole<'b> {
    data: &'b RawValue,
    total: u64,
    start: usize,
    sort: Option<&'b RawValue>,
    order: Option<&'b RawValue>,
    size: usize,
}

/// The list of rows, a part of the answer.
pub(super) fn rows(body: &Bytes) -> Result<Bytes, Malformed> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| Malformed)?;
    Ok(body.slice_ref(answer.data.get().as_bytes()))
}

/// The object around a page of all sites' rows: their totals summed. `start`: the first row of the page.
pub fn data(answers: &[Bytes], page: &Bytes, start: usize) -> Result<Bytes, Malformed> {
    let malformed = |_| Malformed;
    let answers: Vec<Answer<'_>> = answers
        .iter()
        .map(|answer| serde_json::from_slice(answer).map_err(malformed))
        .collect::<Result<_, _>>()?;
    let rows: Vec<&RawValue> = serde_json::from_slice(page).map_err(malformed)?;
    let first = answers.first().ok_or(Malformed)?;
    let whole = Whole {
        size: rows.len(),
        data: serde_json::from_slice(page).map_err(malformed)?,
        total: answers
            .iter()
            .fold(0, |sum, answer| sum.saturating_add(answer.total)),
        start,
        sort: first.sort,
        order: first.order,
    };
    serde_json::to_vec(&whole)
        .map(Bytes::from)
        .map_err(malformed)
}

/// All rows of all answers in one object, in the order of the sites.
pub fn joined(answers: &[Bytes]) -> Result<Bytes, Malformed> {
    let lists: Vec<Bytes> = answers.iter().map(rows).collect::<Result<_, _>>()?;
    data(answers, &super::concat(&lists)?, 0)
}

/// Whether this is such an object without a row.
pub fn is_empty(body: &[u8]) -> bool {
    serde_json::from_slice::<Answer<'_>>(body).is_ok_and(|answer| {
        serde_json::from_str::<Vec<&RawValue>>(answer.data.get()).is_ok_and(|rows| rows.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_summed_and_the_size_is_the_pages() {
        let of = |total: u64| {
            Bytes::from(format!(
                r#"{{"data":[{{"id":"a"}}],"total":{total},"start":0,"sort":"id","order":"desc","size":1}}"#
            ))
        };
        let page = Bytes::from_static(br#"[{"id":"b"},{"id":"a"}]"#);
        let whole = data(&[of(3), of(4)], &page, 2).unwrap();
        assert_eq!(
            whole,
            r#"{"data":[{"id":"b"},{"id":"a"}],"total":7,"start":2,"sort":"id","order":"desc","size":2}"#
        );
        assert_eq!(rows(&of(1)).unwrap(), r#"[{"id":"a"}]"#);
    }

    #[test]
    fn what_is_no_paging_object_is_not_mixed_in() {
        for body in ["[]", "{}", "<html>", r#"{"total":1}"#] {
            assert!(rows(&Bytes::from(body)).is_err(), "{body}");
            assert!(!is_empty(body.as_bytes()), "{body}");
        }
        assert!(is_empty(br#"{"data":[],"total":0}"#));
        assert!(!is_empty(br#"{"data":[{}],"total":1}"#));
    }
}
