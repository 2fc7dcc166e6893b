//! `POST /v1/mappings/reconcile`: the table against what the sites hold.
//!
//! Owns the call and its audit record. Must not compare: `control::reconcile` does.

use crate::admin::State;
use crate::admin::call::Call;
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::Query;
use crate::admin::text;
use crate::clock;
use crate::control::reconcile::comparison::{Adds, Comparison, Purpose, SiteResult};
use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Longest time that a caller may give each site, in milliseconds.
const WITHIN_MS_MAX: u64 = 60_000;

/// Which sites.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::admin) struct Which {
    /// Only this site; all if not said.
    site: Option<String>,
    /// Compare, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Stop at each site after so many milliseconds (60,000 at most), and say `unfinished`: the next call goes on there. Until
    /// the end if not said. What stopped in another way (a site that went away, a router) is gone on with as well, for a day.
    within_ms: Option<u64>,
}

/// What was found.
#[derive(Default, Serialize, ToSchema)]
pub struct ReconcileResult {
    /// Site by site.
    pub sites: Vec<SiteResult>,
}

/// Adds what is missing, and notes what has ended. Can be repeated; a site that cannot be asked is named, the others are done.
#[utoipa::path(post, path = "/v1/mappings/reconcile", tag = "mappings",
    params(Which, ("Homing-Reason" = String, Header)),
    responses((status = 200, body = ReconcileResult), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(in crate::admin) async fn reconcile(
    Shared(state): Shared<Arc<State>>,
    Query(which): Query<Which>,
    call: Call,
) -> Result<Json<ReconcileResult>, Error> {
    call.needs_reason()?;
    let sites = match &which.site {
        Some(name) => vec![text::site(&state, name)?],
        None => state
            .pipeline
            .topology
            .load_full()
            .sites()
            .cloned()
            .collect(),
    };
    let (adds, purpose) = match which.dry_run {
        true => (Adds::Nothing, Purpose::Rehearsal),
        false => (Adds::OnItsWord, Purpose::Operator),
    };
    if which.within_ms.is_some_and(|within| within > WITHIN_MS_MAX) {
        return Err(Error::bad(format!("within_ms is at most {WITHIN_MS_MAX}")));
    }
    let within = which.within_ms.map(Duration::from_millis);
    let mut result = ReconcileResult::default();
    for site in sites {
        let until = within.map(|within| clock::now() + within);
        let comparison = Comparison::new(&state.pipeline, &site, adds);
        let compared = comparison.resumable(purpose, until).run().await?;
        if !which.dry_run {
            let detail = json!({
                "seen": compared.seen, "added": compared.added, "ended": compared.ended, "conflicts": compared.conflicts,
                "ghosts": compared.ghosts, "complete": compared.complete, "unfinished": compared.unfinished,
            });
            let entry = call.audit("mapping.reconcile", site.id.name(), &detail);
            state.store.audit_append(&entry).await?;
        }
        result.sites.push(compared);
    }
    Ok(Json(result))
}
