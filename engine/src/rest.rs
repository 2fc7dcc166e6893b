//! The `engine-rest` face: HTTP over a [`Handle`].
//!
//! Owns paths, bodies, status codes and error shapes; one file per resource. Must not touch the store's tables: lists
//! go through `lists`, everything else through the handle. What is not built answers 501 with its name, never a guess.

mod answer;
mod body;
mod bridge;
mod cleanup;
mod deployment;
mod error;
mod execution;
mod external_task;
mod form;
mod guard;
mod handover;
mod history;
mod homing;
mod incident;
mod instance;
mod job;
mod job_definition;
mod links;
mod log;
mod message;
mod multipart;
mod not_built;
mod openapi;
pub mod operations;
mod options;
mod process_definition;
mod queue;
mod statistics;
mod system;
mod task;
mod tree;
mod values;
mod variables;

use crate::runtime::Handle;
use axum::Router;
use axum::extract::DefaultBodyLimit;

/// Largest bundle of an instance that is handed over, whatever the limit of other bodies is.
const BUNDLE_MAX: usize = 128 * 1024 * 1024;
/// The path that everything is below.
pub(crate) const BASE: &str = "/engine-rest";

/// What the face itself can be told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    /// May requests move the clock?
    pub(crate) test_clock: bool,
}

/// The REST face of an engine.
pub fn router(handle: Handle) -> Router {
    router_with(handle, Settings::default())
}

pub(crate) fn router_with(handle: Handle, settings: Settings) -> Router {
    let operations = operations();
    let below = Router::new()
        .merge(operations.clone())
        .nest("/engine/default", operations)
        .merge(system::engines());
    let bodies = DefaultBodyLimit::max(handle.inner.limits.body_bytes);
    let mut app = Router::new().nest(BASE, below);
    if settings.test_clock {
        app = app.merge(system::test_clock());
    }
    let app = app
        .merge(homing::routes())
        .merge(handover::routes().layer(DefaultBodyLimit::max(BUNDLE_MAX)))
        .merge(queue::routes())
        .merge(bridge::routes())
        .fallback(error::no_route)
        .layer(axum::middleware::from_fn_with_state(
            handle.clone(),
            homing::gate,
        ))
        .layer(axum::middleware::from_fn(guard::guard))
        .layer(axum::middleware::from_fn_with_state(
            handle.clone(),
            guard::count,
        ))
        .layer(bodies)
        .with_state(handle);
    // The path is changed before routes are looked up, so it is done around them.
    Router::new()
        .fallback_service(app)
        .layer(axum::middleware::map_request(guard::without_slash))
}

fn operations() -> Router<Handle> {
    Router::new()
        .merge(system::routes())
        .merge(deployment::routes())
        .merge(process_definition::routes())
        .merge(statistics::routes())
        .merge(instance::routes())
        .merge(execution::routes())
        .merge(task::routes())
        .merge(form::routes())
        .merge(external_task::routes())
        .merge(message::routes())
        .merge(job::routes())
        .merge(job_definition::routes())
        .merge(incident::routes())
        .merge(variables::routes())
        .merge(history::routes())
        .merge(log::routes())
        .merge(cleanup::routes())
        .merge(not_built::routes())
        .method_not_allowed_fallback(options::wrong_method)
}
