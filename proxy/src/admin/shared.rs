//! `/v1/shared`: how far each site is with what was written of users, groups, tenants, filters and authorizations.
//!
//! Owns reading the records. Must not change them, and shows no content: it may name people.

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use axum::Json;
use axum::extract::State as Held;
use homing_mapping_store::SiteId;
use homing_mapping_store::shared::SharedRecord;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Writes that are named for each site.
const NAMED_MAX: usize = 100;

/// One site and what is kept of its scope.
#[derive(Serialize, ToSchema)]
pub struct SharedAtShape {
    /// The site.
    pub site: String,
    /// Dialect, base path and engine of the sites that are to have the same.
    pub scope: String,
    /// Writes that this site is to have behind it.
    pub listed: u64,
    /// Of them, those that it has not behind it.
    pub open: u64,
    /// Of these, those that others have: the site answers no reads until it has them, too.
    pub behind: u64,
    /// Writes that it has refused, and users that it has without their password.
    pub flawed: u64,
    /// The first hundred of all these, in order; what was refused or is there in part comes last.
    pub writes: Vec<SharedWriteShape>,
}

/// One write at one site.
#[derive(Serialize, ToSchema)]
pub struct SharedWriteShape {
    /// Its place in the order.
    pub number: u64,
    /// `make`, `set`, `drop`, `join` or `leave`.
    pub verb: &'static str,
    /// What it is about.
    pub subject: String,
    /// Of a membership: who joins or leaves.
    pub other: Option<String>,
    /// `sending`, `unknown`, `missing`, `done` or `failed`.
    pub standing: &'static str,
    /// What the site calls it, where each has an id of its own.
    pub id: Option<String>,
    /// What the site has not got of it although it is done: `password`.
    pub lacks: Option<String>,
    /// Why it is not done; of `failed` the engine's own words.
    pub detail: Option<String>,
    /// Since when.
    pub since: String,
}

/// Each site, against what was written.
#[utoipa::path(get, path = "/v1/shared", tag = "deployments",
    responses((status = 200, body = Page<SharedAtShape>), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Held(state): Held<Arc<State>>,
) -> Result<Json<Page<SharedAtShape>>, Error> {
    let deployments = &state.pipeline.resolver.deployments;
    let picture = deployments.refresh_shared().await?;
    let mut items = Vec::new();
    for at in picture.all() {
        let open = deployments
            .store()
            .open_shared(&at.scope, at.site, NAMED_MAX);
        let open = open.await?;
        items.push(SharedAtShape {
            site: at.site.name().to_owned(),
            scope: at.scope.clone(),
            listed: at.listed,
            open: at.open,
            behind: at.behind,
            flawed: at.flawed,
            writes: open
                .iter()
                .filter_map(|record| shape(record, at.site))
                .collect(),
        });
    }
    Ok(Json(Page::whole(items)))
}

fn shape(record: &SharedRecord, site: SiteId) -> Option<SharedWriteShape> {
    let at = record.at(site)?;
    let told = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Some(SharedWriteShape {
        number: record.number,
        verb: record.verb.as_str(),
        subject: record.subject.clone(),
        other: record.other.clone(),
        standing: at.standing.as_str(),
        id: at.id.clone(),
        lacks: told(&at.holds),
        detail: told(&at.detail),
        since: text::time(at.updated_at),
    })
}
