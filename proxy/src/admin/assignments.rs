//! `/v1/assignments`: which installation serves each site.
//!
//! Owns reading them from the store. Must not change them: that is what a failover is for.

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Which installation serves a site.
#[derive(Serialize, ToSchema)]
pub struct AssignmentShape {
    /// The site.
    pub site: String,
    /// The installation that serves it; while a switch is pending, the one that served before.
    pub installation: String,
    /// The installation that it is switching to; nobody serves meanwhile.
    pub pending: Option<String>,
    /// Why the installation that served before can change nothing any more, once that is proven.
    pub fenced: Option<String>,
    /// The operation that began the switch.
    pub operation: Option<String>,
    /// Grows with each change.
    pub generation: u64,
    /// Since when.
    pub since: String,
}

/// All assignments.
#[utoipa::path(get, path = "/v1/assignments", tag = "sites",
    responses((status = 200, body = Page<AssignmentShape>), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
) -> Result<Json<Page<AssignmentShape>>, Error> {
    let assignments = state.store.assignments().await?;
    let shapes = assignments.iter().map(|assignment| AssignmentShape {
        site: assignment.site.name().to_owned(),
        installation: assignment.installation.clone(),
        pending: assignment
            .pending
            .as_ref()
            .map(|pending| pending.installation.clone()),
        fenced: assignment
            .pending
            .as_ref()
            .and_then(|pending| pending.fenced.clone()),
        operation: assignment
            .pending
            .as_ref()
            .map(|pending| pending.operation.to_string()),
        generation: assignment.generation.0,
        since: text::time(assignment.since),
    });
    Ok(Json(Page::whole(shapes.collect())))
}
