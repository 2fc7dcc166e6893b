//! Resources of the real engine that are not built: each answers 501 with its name, so that nobody takes an empty
//! answer for the truth.

use super::error::Refused;
use crate::runtime::Handle;
use axum::Router;
use axum::routing::any;
use http::{Method, Uri};

/// First segments of paths that the real engine serves and this one does not.
const RESOURCES: [&str; 21] = [
    "authorization",
    "batch",
    "case-definition",
    "case-execution",
    "case-instance",
    "condition",
    "decision-definition",
    "decision-requirements-definition",
    "filter",
    "group",
    "identity",
    "job-definition",
    "migration",
    "modification",
    "optimize",
    "tenant",
    "user",
    "history/batch",
    "history/cleanup",
    "history/decision-instance",
    "history/user-operation",
];

/// The same for single operations below resources that are built.
const OPERATIONS: [&str; 12] = [
    "history/detail",
    "history/job-log",
    "history/external-task-log",
    "history/identity-link-log",
    "history/process-definition",
    "history/case-instance",
    "history/case-activity-instance",
    "history/decision-definition",
    "external-task/retries-async",
    "process-instance/delete",
    "process-instance/delete-historic-query-based",
    "process-instance/message-async",
];

pub(super) fn routes() -> Router<Handle> {
    let mut all = Router::new().route(
        "/metrics",
        any(|| async { Refused::not_built("GET /metrics") }),
    );
    for path in RESOURCES.iter().chain(&OPERATIONS) {
        let handler = any(|method: Method, uri: Uri| async move {
            Refused::not_built(format!("{method} {}", uri.path()))
        });
        all = all
            .route(&format!("/{path}"), handler.clone())
            .route(&format!("/{path}/{{*rest}}"), handler);
    }
    all
}
