//! `GET /v1/mappings/export`: the whole table as NDJSON, streamed.
//!
//! Owns the way out. Must not hold more than a few pages in memory. A store that fails on the way breaks the answer off, so
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
use homing_mapping_store::store::{self, Cursor, MappingFilter, Seq};
use homing_mapping_store::{Handle, Mapping};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Mappings read at once.
const PAGE: usize = 4000;
/// Pages that are read before they are asked for.
const PAGES_AHEAD: usize = 1;
/// About the length of a line.
const LINE_BYTES: usize = 256;

/// What is still to be read.
enum Rest {
    /// In the order in which rows were made, which is their order on the disk.
    Made { after: Seq, to: Seq },
    /// What the filter lets through, by key.
    Matching(MappingFilter, Option<Cursor>),
}

type Page = Result<Vec<Mapping>, store::Error>;

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
    let all = if wanted == MappingFilter::default() {
        let to = state.store.head().await?;
        let after = Seq(0);
        Rest::Made { after, to }
    } else {
        Rest::Matching(wanted, None)
    };
    // The first page decides about the status: a store that is away is not an empty table.
    let (first, rest) = all.page(&state.store).await?;
    let (pages, read) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(read_on(state.store.clone(), rest, pages));
    let stream = stream::try_unfold(
        (state, Some(first), read),
        |(state, page, mut read)| async {
            let page = match page {
                Some(page) => page,
                None => match read.recv().await {
                    Some(page) => page?,
                    None => return Ok::<_, store::Error>(None),
                },
            };
            Ok(Some((lines(&state, &page)?, (state, None, read))))
        },
    );
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

/// Until all is read, or nobody takes it any more.
async fn read_on(store: Handle, mut rest: Option<Rest>, pages: mpsc::Sender<Page>) {
    while let Some(begun) = rest.take() {
        let page = match begun.page(&store).await {
            Ok((page, next)) => {
                rest = next;
                Ok(page)
            }
            Err(error) => Err(error),
        };
        if pages.send(page).await.is_err() {
            return;
        }
    }
}

impl Rest {
    /// The next page, and what is to be read after it.
    async fn page(self, store: &Handle) -> Result<(Vec<Mapping>, Option<Rest>), store::Error> {
        match self {
            Rest::Made { after, to } => {
                let page = store.made(after, to, PAGE).await?;
                let after = page.last;
                Ok((page.items, (after < to).then_some(Rest::Made { after, to })))
            }
            Rest::Matching(wanted, cursor) => {
                let page = store.scan(&wanted, cursor.as_ref(), PAGE).await?;
                let next = page.next.map(|next| Rest::Matching(wanted, Some(next)));
                Ok((page.items, next))
            }
        }
    }
}

fn lines(state: &State, page: &[Mapping]) -> Result<Bytes, store::Error> {
    let mut lines = Vec::with_capacity(page.len() * LINE_BYTES);
    for mapping in page {
        serde_json::to_writer(&mut lines, &shape(state, mapping))
            .map_err(|error| store::Error::Corrupt(error.to_string()))?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}
