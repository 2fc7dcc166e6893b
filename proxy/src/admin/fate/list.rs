//! `GET /v1/sites/{site}/fate/list`: the fate of every row of a site as NDJSON, streamed.
//!
//! Owns the way out. Must not hold more than one page in memory. A store that fails on the way breaks the answer off, so
//! that a part is never taken for the whole.

use super::{Supposed, of_row, outlook};
use crate::admin::State;
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::Query;
use crate::admin::{mappings, text};
use crate::decide::fate::{Event, Outlook};
use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use homing_mapping_store::Mapping;
use homing_mapping_store::store::{self, Cursor, MappingFilter, Page};
use std::sync::Arc;

/// Rows read at once.
const PAGE: usize = 1000;

/// Where the stream stands.
enum At {
    Page(Page<Mapping>),
    Next(Option<Cursor>),
    End,
}

/// Every row of the site with its fate, one JSON object a line. Nothing is changed.
#[utoipa::path(get, path = "/v1/sites/{site}/fate/list", tag = "re-homing",
    params(("site" = String, Path), Supposed),
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(in crate::admin) async fn list(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    Query(supposed): Query<Supposed>,
) -> Result<Response, Error> {
    let event = supposed.event()?;
    let site = text::site(&state, &name)?;
    mappings::shipped(&state).await;
    let outlook = Arc::new(outlook(&state, site.id, event).await?.0);
    let wanted = MappingFilter {
        home: Some(site.id),
        ..MappingFilter::default()
    };
    // The first page decides about the status: a store that is away is not an empty site.
    let first = state.store.scan(&wanted, None, PAGE).await?;
    let stream = stream::try_unfold(At::Page(first), move |at| {
        let (state, wanted) = (Arc::clone(&state), wanted.clone());
        let outlook = Arc::clone(&outlook);
        async move { step(&state, &wanted, (event, &outlook), at).await }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

async fn step(
    state: &State,
    wanted: &MappingFilter,
    (event, outlook): (Event, &Outlook),
    at: At,
) -> Result<Option<(Bytes, At)>, store::Error> {
    let page = match at {
        At::Page(page) => page,
        At::Next(cursor) => state.store.scan(wanted, cursor.as_ref(), PAGE).await?,
        At::End => return Ok(None),
    };
    let mut lines = String::new();
    for row in &page.items {
        let line = serde_json::to_string(&of_row(state, row, event, outlook));
        lines.push_str(&line.map_err(|error| store::Error::Corrupt(error.to_string()))?);
        lines.push('\n');
    }
    let next = match page.next {
        Some(cursor) => At::Next(Some(cursor)),
        None => At::End,
    };
    Ok(Some((lines.into(), next)))
}
