//! `/v1/instances/{id}`: one process or case instance, from all three grounds.
//!
//! Owns putting side by side what the store says, what each site says and where requests go. Must not change or keep
//! anything. Relies on the locator's questions, which are GETs.

use super::State;
use super::error::{Error, ProblemShape};
use super::explain::{self, ExplainShape};
use super::extract::Query;
use super::mappings::{self, MappingShape};
use crate::dialect::Presence;
use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use futures_util::future::join_all;
use homing_mapping_store::key::ID_LENGTH_MAX;
use homing_mapping_store::{Engine, Kind, RoutingKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// An instance.
#[derive(Serialize, ToSchema)]
pub struct InstanceShape {
    /// Its key.
    pub key: String,
    /// Its mapping in the store; null: none.
    pub mapping: Option<MappingShape>,
    /// What each site says when it is asked now.
    pub located: Vec<PresenceShape>,
    /// Where its requests go.
    pub route: ExplainShape,
}

/// What one site says.
#[derive(Serialize, ToSchema)]
pub struct PresenceShape {
    /// The site.
    pub site: String,
    /// present, absent, or unclear: it could not be asked or did not tell.
    pub presence: &'static str,
}

/// Which engine.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The named engine inside the sites; the default one if not said.
    engine: Option<String>,
}

/// One process or case instance.
#[utoipa::path(get, path = "/v1/instances/{id}", tag = "instances", params(("id" = String, Path), Which),
    responses((status = 200, body = InstanceShape), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<InstanceShape>, Error> {
    if id.len() > ID_LENGTH_MAX {
        let detail = format!("an id has at most {ID_LENGTH_MAX} bytes");
        return Err(Error::bad(detail));
    }
    let engine = which
        .engine
        .as_deref()
        .map_or(Engine::DEFAULT, Engine::named);
    let mut silent = false;
    for kind in [Kind::PROCESS_INSTANCE, Kind::CASE_INSTANCE] {
        let key = RoutingKey::of(engine.clone(), kind, &id);
        let mapping = mappings::stored(&state, &key).await?;
        let located = located(&state, &key).await;
        silent |= located.iter().any(|one| one.presence == UNCLEAR);
        if mapping.is_some() || located.iter().any(|one| one.presence == PRESENT) {
            return Ok(Json(InstanceShape {
                key: key.to_string(),
                mapping: mapping.map(|mapping| mappings::shape(&state, &mapping)),
                located,
                route: explain::shape(&state.pipeline.explain_key(&key).await),
            }));
        }
    }
    if silent {
        let detail = format!("{id} was not found, but not every site could be asked");
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        return Err(Error::new(busy, "locate-incomplete", detail));
    }
    let detail = format!("no site has a process or case instance {id}, and the store knows none");
    Err(Error::absent(detail))
}

const PRESENT: &str = "present";
const UNCLEAR: &str = "unclear";

async fn located(state: &State, key: &RoutingKey) -> Vec<PresenceShape> {
    let topology = state.pipeline.topology.load_full();
    // A dialect that has no question for this kind of key has no such things.
    let sites = topology
        .sites()
        .filter(|site| !site.dialect.locate(key).is_empty());
    let asked = sites.map(|site| async {
        let presence = state.pipeline.resolver.locator.ask(key, site).await;
        PresenceShape {
            site: site.id.name().to_owned(),
            presence: match presence {
                Presence::Present(_) => PRESENT,
                Presence::Absent => "absent",
                Presence::Unclear => UNCLEAR,
            },
        }
    });
    join_all(asked).await
}
