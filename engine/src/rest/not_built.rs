//! Operations of the real engine that are not built: each answers 501 with its name, so that nobody takes an empty
//! answer, or a 404 of something that is there, for the truth.

use super::error::Refused;
use super::operations::{Built, OPERATIONS, Operation};
use crate::runtime::Handle;
use axum::Router;
use axum::routing::{MethodFilter, on};
use http::Uri;

pub(super) fn routes() -> Router<Handle> {
    let missing = OPERATIONS.iter().filter(|it| it.built == Built::No);
    missing.fold(Router::new(), |all, operation| {
        let Some(method) = method(operation) else {
            return all;
        };
        let refuse = move |uri: Uri| async move {
            Refused::not_built(format!(
                "{} ({} {})",
                operation.name,
                operation.method,
                uri.path()
            ))
        };
        all.route(operation.path, on(method, refuse))
    })
}

fn method(operation: &Operation) -> Option<MethodFilter> {
    match operation.method {
        "GET" => Some(MethodFilter::GET),
        "POST" => Some(MethodFilter::POST),
        "PUT" => Some(MethodFilter::PUT),
        "DELETE" => Some(MethodFilter::DELETE),
        "OPTIONS" => Some(MethodFilter::OPTIONS),
        _ => None,
    }
}
