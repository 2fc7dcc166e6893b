//! `GET /v1/mappings/export`: the whole table as NDJSON, streamed.
//!
//! Owns the way out. Must not hold more than one page in memory. A store that fails on the way breaks the answer off, so
//! that a part is never taken for the whole.

use super::{Filter, shape, shipped};
use crate::admin::State;
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::Query;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use homing_mapping_store::Mapping;
use homing_mapping_store::store::{self, Cursor, MappingFilter, Page};
use std::sync::Arc;

/// Mappings read at once.
const PAGE: usize = 1000;
/// About the length of a line.
const LINE_BYTES: usize = 256;

/// Where the stream stands.
enum At {
    Page(Page<Mapping>),
    Next(Option<Cursor>),
    End,
}

/// Every mapping, one JSON object a line. `limit` and `cursor` have no meaning here.
#[utoipa::path(get, path = "/v1/mappings/export", tag = "mappings", params(Filter),
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 503, body = ProblemShape)))]
pub(in crate::admin) async fn export(
    Shared(state): Shared<Arc<State>>,
    Query(filter): Query<Filter>,
) -> Result<Response, Error> {
    if filter.limit.is_some() || filter.cursor.is_some() {
        return Err(Error::bad("an export has neither limit nor cursor"));
    }
    let wanted = filter.read(&state)?;
    shipped(&state).await;
    // The first page decides about the status: a store that is away is not an empty table.
    let first = state.store.scan(&wanted, None, PAGE).await?;
    let stream = stream::try_unfold(At::Page(first), move |at| {
        let (state, wanted) = (Arc::clone(&state), wanted.clone());
        async move { step(&state, &wanted, at).await }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

async fn step(
    state: &State,
    wanted: &MappingFilter,
    at: At,
) -> Result<Option<(Bytes, At)>, store::Error> {
    let page = match at {
        At::Page(page) => page,
        At::Next(cursor) => state.store.scan(wanted, cursor.as_ref(), PAGE).await?,
        At::End => return Ok(None),
    };
    let mut lines = Vec::with_capacity(page.items.len() * LINE_BYTES);
    for mapping in &page.items {
        serde_json::to_writer(&mut lines, &shape(state, mapping))
            .map_err(|error| store::Error::Corrupt(error.to_string()))?;
        lines.push(b'\n');
    }
    let next = match page.next {
        Some(cursor) => At::Next(Some(cursor)),
        None => At::End,
    };
    Ok(Some((lines.into(), next)))
}
