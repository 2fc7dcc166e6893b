//! A site that gives no more than so many rows at a time (`queryMaxResultsLimit`).
//!
//! Owns reading that number out of the refusal, and cutting one request into several. Must not send.

use super::one::Told;
use crate::dialect::merge::{Rows, Shape};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

/// What the engines say before and after the number.
const BEFORE: &str = "Max results limit of ";
const AFTER: &str = " exceeded";
/// Pieces of one list at most (limit `gather_pieces`). A page further behind than this is refused by the site, as one
/// engine refuses a page that is too long.
const PIECES_MAX: usize = 200;

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    message: String,
}

/// Rows from the first one on, as one site is asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: usize,
    pub(super) max: usize,
}

impl From<(usize, usize)> for Piece {
    fn from((first, max): (usize, usize)) -> Piece {
        Piece { first, max }
    }
}

/// How many rows the site gives at a time, if it refused the first `rows` for that reason and the client's own page is
/// not too long for it: then only our way of asking was.
pub(super) fn limit(refused: &Told, plan: &Rows, rows: usize) -> Option<usize> {
    // A HAL object is no list that pieces could be put together to.
    if refused.status != StatusCode::BAD_REQUEST || plan.shape != Shape::List {
        return None;
    }
    let limit = named(&refused.body)?;
    if plan.page.max? > limit {
        return None;
    }
    if rows.div_ceil(limit) > PIECES_MAX {
        crate::telemetry::metrics::limit_hit("gather_pieces");
        return None;
    }
    Some(limit)
}

fn named(body: &Bytes) -> Option<usize> {
    let Error { message } = serde_json::from_slice(body).ok()?;
    let (_, rest) = message.split_once(BEFORE)?;
    let (number, _) = rest.split_once(AFTER)?;
    number.trim().parse().ok().filter(|limit| *limit > 0)
}

/// The first `rows` in pieces of at most `limit`.
pub(super) fn cut(rows: usize, limit: usize) -> impl Iterator<Item = Piece> {
    (0..rows).step_by(limit).map(move |first| Piece {
        first,
        max: limit.min(rows - first),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_read_out_of_the_engines_words() {
        let of = |body: &'static str| named(&Bytes::from_static(body.as_bytes()));
        let words = r#"{"type":"InvalidRequestException","message":"Max results limit of 250 exceeded!","code":null}"#;
        assert_eq!(of(words), Some(250));
        for other in [
            r#"{"message":"An unbound number of results is forbidden!"}"#,
            r#"{"message":"Max results limit of many exceeded!"}"#,
            r#"{"message":"Max results limit of 0 exceeded!"}"#,
            r#"{"message":7}"#,
            "<html>Max results limit of 250 exceeded!</html>",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn pieces_cover_the_rows_once() {
        let pieces: Vec<Piece> = cut(25, 10).collect();
        let of = |first, max| Piece { first, max };
        assert_eq!(pieces, [of(0, 10), of(10, 10), of(20, 5)]);
        assert_eq!(cut(10, 10).collect::<Vec<_>>(), [of(0, 10)]);
        assert_eq!(cut(0, 10).count(), 0);
    }
}
