//! What the agent tells this host about itself: `/livez`, `/readyz`, `/status`, `/metrics`.
//!
//! Owns that small listener. Must not change anything: nothing can be asked of the agent here.

use super::enforcer::Standing;
use super::fence::{Decision, Evidence};
use super::metrics::metrics;
use super::replica::Replica;
use crate::clock;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use homing_config::settings::Bind;
use serde_json::{Value, json};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

/// What is told.
#[derive(Clone)]
pub struct Telling {
    pub site: String,
    pub installation: String,
    pub mode: &'static str,
    pub evidence: watch::Receiver<Evidence>,
    pub standing: watch::Receiver<Standing>,
    pub replica: watch::Receiver<Replica>,
}

/// A listener that is bound and not served yet.
pub enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Binds; a socket file that a former life left is taken away, and only its owner may connect to the new one.
pub async fn bind(to: &Bind) -> io::Result<Bound> {
    match to {
        Bind::Tcp(address) => Ok(Bound::Tcp(TcpListener::bind(address).await?)),
        Bind::Unix(path) => {
            remove_socket(path)?;
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(Bound::Unix(listener))
        }
    }
}

fn remove_socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Answers until the task is dropped.
pub async fn serve(bound: Bound, telling: Telling) {
    let routes = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/metrics", get(text))
        .with_state(telling);
    let ended = match bound {
        Bound::Tcp(listener) => axum::serve(listener, routes).await,
        Bound::Unix(listener) => axum::serve(listener, routes).await,
    };
    if let Err(error) = ended {
        tracing::error!("the agent's own listener broke: {error}");
    }
}

/// Ready is an agent that has carried out and proven what was decided, open or fenced.
async fn readyz(State(telling): State<Telling>) -> impl IntoResponse {
    match &telling.standing.borrow().outcome {
        Ok(_) => (StatusCode::OK, "ready\n".to_owned()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
    }
}

async fn status(State(telling): State<Telling>) -> Json<Value> {
    let standing = telling.standing.borrow().clone();
    let evidence = telling.evidence.borrow().clone();
    let now = clock::moment();
    let (decision, why, remaining) = match standing.decision {
        Decision::Open { until, .. } => ("open", None, Some(until.since(now).as_millis() as u64)),
        Decision::Fenced(why) => ("fenced", Some(why.as_str()), None),
    };
    let (proven, outcome) = match standing.outcome {
        Ok(proof) => (true, proof),
        Err(missing) => (false, missing),
    };
    Json(json!({
        "schema": "homing.agent.status/1",
        "site": telling.site,
        "installation": telling.installation,
        "mode": telling.mode,
        "decision": decision,
        "why": why,
        "proven": proven,
        "outcome": outcome,
        "remaining_ms": remaining,
        "generation": evidence.highest.0,
        "entitled": evidence.seen.and_then(|seen| seen.entitled),
        "replica": telling.replica.borrow().facts(now, None, None),
    }))
}

async fn text() -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics().text())
}
