//! `POST /v1/config/reload`: the files are read again, and taken over as a whole or refused as a whole.
//!
//! Owns the answer. Must not take anything over itself (`app::reload`): this is the same way as SIGHUP and a changed file.

use super::State;
use super::call::Call;
use super::error::{Error, ProblemShape};
use super::extract::{DryRun, Query};
use crate::app::reload::Refused;
use crate::telemetry::chain;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use homing_config::When;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// What a reload has done.
#[derive(Serialize, ToSchema)]
pub struct ReloadedShape {
    /// `loaded`; a refusal is a problem with `outcome: refused` and `problems`.
    pub outcome: &'static str,
    /// Whether nothing was taken over: the files were only checked.
    pub dry_run: bool,
    /// What it changed; empty: the files say what was in force.
    pub changes: Vec<ChangedShape>,
}

/// A value that another one takes the place of.
#[derive(Serialize, ToSchema)]
pub struct ChangedShape {
    /// `limits.headers`, `site.a.weight`.
    pub path: String,
    /// `live`: in force; `restart`: the old value stays in force until the next start.
    pub change: &'static str,
}

/// Reads this router's configuration files again. A valid configuration is taken over without dropping a connection; an
/// invalid one changes nothing and is answered with every problem. A dry run only checks.
#[utoipa::path(post, path = "/v1/config/reload", tag = "router", params(DryRun, ("Homing-Reason" = Option<String>, Header)),
    responses((status = 200, body = ReloadedShape), (status = 409, body = ProblemShape), (status = 422, body = ProblemShape),
        (status = 503, body = ProblemShape)))]
pub(super) async fn reload(
    Shared(state): Shared<Arc<State>>,
    Query(dry): Query<DryRun>,
    call: Call,
) -> Result<Json<ReloadedShape>, Error> {
    let taken = match dry.dry_run {
        true => state.reloader.check().await,
        false => state.reloader.reload().await,
    };
    if !dry.dry_run {
        note(&state, &call, taken.as_ref().err()).await;
    }
    let changes = taken.map_err(refused)?;
    Ok(Json(ReloadedShape {
        outcome: "loaded",
        dry_run: dry.dry_run,
        changes: changes
            .into_iter()
            .map(|one| ChangedShape {
                path: one.path,
                change: match one.when {
                    When::Live => "live",
                    When::Restart => "restart",
                },
            })
            .collect(),
    }))
}

/// Who asked for it. The store may be away: the reload has happened in any case.
async fn note(state: &State, call: &Call, refused: Option<&Refused>) {
    let outcome = if refused.is_some() {
        "refused"
    } else {
        "loaded"
    };
    let router = state.reloader.current().config.router.name;
    let entry = call.audit("config.reload", router, &json!({ "outcome": outcome }));
    if let Err(error) = state.store.audit_append(&entry).await {
        tracing::warn!("a reload is not in the audit trail: {}", chain(&error));
    }
}

fn refused(why: Refused) -> Error {
    let detail = chain(&why);
    let problems = match &why {
        Refused::Config(text) => text
            .split("\n\n")
            .map(str::trim)
            .map(str::to_owned)
            .collect(),
        Refused::StillHome { .. } | Refused::Fleet(_) | Refused::Tls(_) | Refused::Store(_) => {
            vec![detail.clone()]
        }
    };
    let problems: Vec<String> = problems.into_iter().filter(|one| !one.is_empty()).collect();
    let error = match why {
        Refused::Config(_) | Refused::Fleet(_) | Refused::Tls(_) => {
            Error::new(StatusCode::UNPROCESSABLE_ENTITY, "config-refused", detail)
        }
        Refused::StillHome { .. } => Error::unsafe_now("in-use", detail),
        Refused::Store(error) => Error {
            detail,
            ..Error::from(error)
        },
    };
    error.with("outcome", "refused").with("problems", problems)
}
