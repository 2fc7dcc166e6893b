//! Which handler answers which path, and the OpenAPI document of all of them.
//!
//! Owns the list of routes. Must not handle anything but unknown paths.

use super::error::Error;
use super::{
    State, armed, assignments, audit, deployments, drift, drills, explain, fate, health, instances,
    mappings, operations, pins, plans, query, reload, routers, settings, shared, sites, tail,
};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(info(
    title = "Homing admin API",
    description = "Operations on sites, mappings and pins. ETag is the generation, If-Match makes a compare-and-set, \
                   Homing-Reason is kept in the audit trail, ?dry_run=true changes nothing.",
    license(name = "Apache-2.0")
))]
struct Document;

/// All routes, with the document at `/openapi.json`.
pub(super) fn router() -> axum::Router<Arc<State>> {
    let (router, document) = documented().split_for_parts();
    let known = Arc::new(query::known(&document));
    let router = router.route_layer(from_fn_with_state(known, query::check));
    let text: Arc<str> = document.to_json().unwrap_or_default().into();
    let serve = move || {
        let text = Arc::clone(&text);
        async move {
            let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
            (kind, text.to_string())
        }
    };
    router
        .route("/openapi.json", get(serve))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
}

fn documented() -> OpenApiRouter<Arc<State>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::text))
        .routes(routes!(sites::list))
        .routes(routes!(sites::one))
        .routes(routes!(sites::state::put))
        .routes(routes!(sites::quiesce::quiesce))
        .routes(routes!(sites::release::look))
        .routes(routes!(sites::release::release))
        .routes(routes!(sites::restored::restored))
        .routes(routes!(tail::of_site))
        .routes(routes!(fate::site))
        .routes(routes!(fate::list::list))
        .routes(routes!(fate::key))
        .routes(routes!(mappings::list))
        .routes(routes!(
            mappings::one,
            mappings::change::put,
            mappings::change::delete
        ))
        .routes(routes!(mappings::history))
        .routes(routes!(mappings::import::import))
        .routes(routes!(mappings::export::export))
        .routes(routes!(mappings::reconcile::reconcile))
        .routes(routes!(pins::list))
        .routes(routes!(pins::one, pins::put, pins::delete))
        .routes(routes!(assignments::list))
        .routes(routes!(deployments::list))
        .routes(routes!(deployments::drift))
        .routes(routes!(armed::list))
        .routes(routes!(shared::list))
        .routes(routes!(plans::list, plans::make))
        .routes(routes!(plans::one))
        .routes(routes!(plans::apply))
        .routes(routes!(operations::list))
        .routes(routes!(operations::one))
        .routes(routes!(operations::events))
        .routes(routes!(operations::resume))
        .routes(routes!(operations::abort))
        .routes(routes!(drift::list))
        .routes(routes!(drills::list, drills::begin))
        .routes(routes!(drills::one))
        .routes(routes!(drills::abort))
        .routes(routes!(explain::explain))
        .routes(routes!(instances::one))
        .routes(routes!(routers::list))
        .routes(routes!(routers::forget))
        .routes(routes!(settings::get))
        .routes(routes!(reload::reload))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
}

async fn unknown(uri: Uri) -> Error {
    Error::absent(format!(
        "there is nothing at {}; see /openapi.json",
        uri.path()
    ))
}

async fn not_allowed(method: Method, uri: Uri) -> Error {
    Error::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "bad-request",
        format!("{} takes no {method}; see /openapi.json", uri.path()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_is_in_the_document() {
        let (_, document) = documented().split_for_parts();
        let paths: Vec<&str> = document.paths.paths.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "/livez",
                "/metrics",
                "/readyz",
                "/v1/assignments",
                "/v1/audit",
                "/v1/audit/verify",
                "/v1/config",
                "/v1/config/reload",
                "/v1/deployments",
                "/v1/deployments/armed",
                "/v1/deployments/drift",
                "/v1/drift",
                "/v1/drills",
                "/v1/drills/{id}",
                "/v1/drills/{id}/abort",
                "/v1/explain",
                "/v1/fate/{key}",
                "/v1/instances/{id}",
                "/v1/mappings",
                "/v1/mappings/export",
                "/v1/mappings/import",
                "/v1/mappings/reconcile",
                "/v1/mappings/{key}",
                "/v1/mappings/{key}/history",
                "/v1/operations",
                "/v1/operations/{id}",
                "/v1/operations/{id}/abort",
                "/v1/operations/{id}/events",
                "/v1/operations/{id}/resume",
                "/v1/pins",
                "/v1/pins/{key}",
                "/v1/plans",
                "/v1/plans/{hash}",
                "/v1/plans/{hash}/apply",
                "/v1/routers",
                "/v1/routers/{router}",
                "/v1/shared",
                "/v1/sites",
                "/v1/sites/{site}",
                "/v1/sites/{site}/fate",
                "/v1/sites/{site}/fate/list",
                "/v1/sites/{site}/lost-tail",
                "/v1/sites/{site}/quarantine",
                "/v1/sites/{site}/quiesce",
                "/v1/sites/{site}/release",
                "/v1/sites/{site}/restored",
                "/v1/sites/{site}/state",
            ]
        );
    }
}
