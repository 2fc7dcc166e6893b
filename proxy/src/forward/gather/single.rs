//! The only row of all sites' lists.
//!
//! Owns that two sites with one row each are too many, as two rows of one engine are. Must not read rows.

use super::{Found, Gathered, Heard, Read, gathered, hear, nothing};
use crate::forward::body::Body;
use crate::problem::Problem;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;

/// Asks every site for its only row. `several`: what is answered when more than one site has one.
pub async fn single(read: &Read<'_>, several: &Bytes) -> Result<Gathered, Problem> {
    let Heard {
        answers,
        refused,
        missing,
    } = hear(read).await?;
    // Who has too many rows, or refuses the question, speaks for all.
    if answers.is_empty() || !refused.is_empty() {
        return nothing(refused, &missing);
    }
    let told: Vec<_> = answers.into_iter().map(|asked| asked.told).collect();
    let rows: Vec<Bytes> = told
        .iter()
        .filter(|told| told.status != StatusCode::NO_CONTENT)
        .map(|told| told.body.clone())
        .collect();
    let (status, body) = match rows.as_slice() {
        [] => (StatusCode::NO_CONTENT, Bytes::new()),
        [row] => (StatusCode::OK, row.clone()),
        _ => (StatusCode::BAD_REQUEST, several.clone()),
    };
    let mut found = gathered(read, body, Found { told, missing })?;
    *found.answer.status_mut() = status;
    if status == StatusCode::NO_CONTENT {
        *found.answer.body_mut() = Body::Empty;
        found.answer.headers_mut().remove(CONTENT_TYPE);
    }
    Ok(found)
}
