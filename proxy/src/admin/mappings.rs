//! `/v1/mappings`: where keys live, as the store has it.
//!
//! Owns the shape of a mapping and reading. Changes, import and export have their own files.

pub mod change;
pub mod export;
pub mod import;
pub mod reconcile;

use super::State;
use super::barrier::BarrierShape;
use super::error::{Error, ProblemShape};
use super::extract::{Key, Query};
use super::paging::{self, Page};
use super::text;
use axum::Json;
use axum::extract::State as Shared;
use axum::response::IntoResponse;
use homing_mapping_store::store::{HistoryRow, MappingFilter};
use homing_mapping_store::{Kind, Mapping, RoutingKey, State as MappingState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// A mapping.
#[derive(Serialize, ToSchema)]
pub struct MappingShape {
    /// `KIND:ID`, or `ENGINE/KIND:ID`.
    pub key: String,
    /// The site where it lives.
    pub home: String,
    /// The installation that serves that site.
    pub serving: Option<String>,
    /// Grows with each change; the ETag.
    pub generation: u64,
    /// placed, homed, moving, ended.
    pub state: &'static str,
    /// started, learned, located, imported, operator, reconciled.
    pub source: &'static str,
    /// When it was first written.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Only in the answer to a change that was to wait: who acts on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barrier: Option<BarrierShape>,
}

/// One version of a mapping.
#[derive(Serialize, ToSchema)]
pub struct VersionShape {
    /// Its place in the store's change sequence.
    pub sequence: u64,
    /// The site; null: it was removed.
    pub home: Option<String>,
    /// Its generation.
    pub generation: u64,
    /// placed, homed, moving, ended.
    pub state: &'static str,
    /// Who said so.
    pub source: &'static str,
    /// When.
    pub at: String,
    /// The operator, where one did it.
    pub actor: Option<String>,
    /// The operator's reason.
    pub reason: Option<String>,
}

/// Which mappings.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only keys of this kind.
    kind: Option<String>,
    /// Only keys that live at this site.
    home: Option<String>,
    /// Only this state: placed, homed, moving, ended.
    state: Option<String>,
    /// Only ids that begin with this text.
    prefix: Option<String>,
    /// Where the page before this one ended (its `next`).
    cursor: Option<String>,
    /// Items on the page, 1 to 1000; 100 if not said.
    limit: Option<usize>,
}

impl Filter {
    pub(super) fn read(&self, state: &State) -> Result<MappingFilter, Error> {
        let kind = self.kind.as_deref().map(|name| {
            Kind::known(name).ok_or_else(|| Error::bad(format!("\"{name}\" is not a kind of key")))
        });
        let home = self.home.as_deref().map(|name| text::site(state, name));
        let mapping_state = self.state.as_deref().map(|name| {
            let words = "placed, homed, moving, ended";
            let unknown = || Error::bad(format!("\"{name}\" is not a state; states are {words}"));
            MappingState::parse(name).ok_or_else(unknown)
        });
        Ok(MappingFilter {
            kind: kind.transpose()?,
            home: home.transpose()?.map(|site| site.id),
            state: mapping_state.transpose()?,
            id_prefix: self.prefix.clone(),
            created_after: None,
        })
    }
}

/// Mappings, page by page.
#[utoipa::path(get, path = "/v1/mappings", tag = "mappings", params(Filter),
    responses((status = 200, body = Page<MappingShape>), (status = 400, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<MappingShape>>, Error> {
    let limit = paging::limit(filter.limit)?;
    let wanted = filter.read(&state)?;
    let page = state
        .store
        .scan(&wanted, filter.cursor.as_ref(), limit)
        .await
        .map_err(paging::wrong_cursor)?;
    Ok(Json(Page {
        items: page.items.iter().map(|row| shape(&state, row)).collect(),
        next: page.next,
    }))
}

/// One mapping, as the store has it.
#[utoipa::path(get, path = "/v1/mappings/{key}", tag = "mappings", params(("key" = String, Path, description = "percent-encoded")),
    responses((status = 200, body = MappingShape), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
) -> Result<impl IntoResponse, Error> {
    let mapping = stored(&state, &key)
        .await?
        .ok_or_else(|| Error::absent(format!("the store has no mapping of {key}")))?;
    Ok((
        text::etag(mapping.generation),
        Json(shape(&state, &mapping)),
    ))
}

/// Every version of one mapping, oldest first.
#[utoipa::path(get, path = "/v1/mappings/{key}/history", tag = "mappings", params(("key" = String, Path)),
    responses((status = 200, body = Page<VersionShape>), (status = 404, body = ProblemShape)))]
pub(super) async fn history(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
) -> Result<Json<Page<VersionShape>>, Error> {
    shipped(&state).await;
    let rows = state.store.history(&key).await?;
    if rows.is_empty() {
        let detail = format!("the store has never had a mapping of {key}");
        return Err(Error::absent(detail));
    }
    Ok(Json(Page::whole(rows.iter().map(version).collect())))
}

/// Longest wait for what this router's journal still holds.
const SHIPPED_WITHIN: Duration = Duration::from_secs(2);

/// The store's row. What this router has promised but not yet shipped is waited for.
pub(super) async fn stored(state: &State, key: &RoutingKey) -> Result<Option<Mapping>, Error> {
    let row = state.store.get(key).await?;
    if row.is_some() || state.journal.waiting() == 0 {
        return Ok(row);
    }
    shipped(state).await;
    Ok(state.store.get(key).await?)
}

/// Waits until the store has what this router knew when it was asked, within reason.
pub(super) async fn shipped(state: &State) {
    // If it takes longer, the answer is what the store has; it is the store that is asked.
    let _ = tokio::time::timeout(SHIPPED_WITHIN, state.journal.drained()).await;
}

pub(super) fn shape(state: &State, mapping: &Mapping) -> MappingShape {
    MappingShape {
        key: mapping.key.to_string(),
        home: mapping.home.name().to_owned(),
        serving: text::serving(state, mapping.home),
        generation: mapping.generation.0,
        state: mapping.state.as_str(),
        source: mapping.source.as_str(),
        created_at: text::time(mapping.created_at),
        updated_at: text::time(mapping.updated_at),
        barrier: None,
    }
}

fn version(row: &HistoryRow) -> VersionShape {
    VersionShape {
        sequence: row.seq.0,
        home: row.home.map(|home| home.name().to_owned()),
        generation: row.generation.0,
        state: row.state.as_str(),
        source: row.source.as_str(),
        at: text::time(row.at),
        actor: row.actor.clone(),
        reason: row.reason.clone(),
    }
}
