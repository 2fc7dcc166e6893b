//! `/homing`: what is Homing's own, for agents, routers and operators: the site's generation, its executor, quarantine.
//!
//! Owns the shapes. Answers also while this engine may not serve; queues and everything below `/engine-rest` then
//! answer 503.

use super::answer::{self, Answer, json};
use super::body::Body;
use super::error::{Absent, Refused};
use crate::cluster::standing::Standing;
use crate::runtime::{Handle, View};
use crate::store::{Executor, Failure, SiteChange};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value as Json, json};

/// What is answered also by an engine that may not serve: who it is.
const ALWAYS: [&str; 3] = ["/version", "/engine", "/telemetry/data"];
/// Seconds after which a refused client may ask again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/homing/site", get(site).put(change))
        .route(
            "/homing/openapi.json",
            get(|| async { json(super::openapi::document()) }),
        )
        .route("/homing/engines", get(engines))
        .route("/homing/engines/{name}", put(switch))
}

/// Lets a request through only while this engine may serve.
pub(super) async fn gate(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = match path.strip_prefix(super::BASE) {
        Some(below) => ALWAYS.contains(&below),
        None => !path.starts_with(super::queue::PATH),
    };
    if open {
        return next.run(request).await;
    }
    match standing(&handle).await {
        Some(Standing::Serving) => {
            let path = request.uri().path().to_owned();
            let answer = next.run(request).await;
            let refused = answer.status().is_client_error() || answer.status().is_server_error();
            if refused {
                let absent = answer.extensions().get::<Absent>().copied();
                if let Some(instead) = super::handover::instead(&handle, &path, absent).await {
                    return instead;
                }
            }
            answer
        }
        Some(Standing::Fenced(why)) => untouched("fenced", &why),
        Some(Standing::Quarantined(why)) => untouched("quarantined", &why),
        None => untouched("starting", "this engine has not yet seen its site"),
    }
}

/// May this engine serve? The first request after a switch does not wait for the next look that is due.
async fn standing(handle: &Handle) -> Option<Standing> {
    let known = handle.view().map(|view| view.standing);
    if known == Some(Standing::Serving) {
        return known;
    }
    match handle.look_anew().await {
        Ok(view) => Some(view.standing),
        Err(failure) => {
            tracing::debug!(%failure, "the site could not be looked at");
            known
        }
    }
}

/// The refusal of a request that was not looked at.
fn untouched(reason: &str, why: &str) -> Response {
    refusal(&json!({
        "type": "NotServingException", "message": why, "code": null, "reason": reason, "executed": false,
    }))
}

/// 503 in the engine's error shape. Whoever asked may have changed something before.
pub(super) fn not_serving(why: &str) -> Response {
    refusal(
        &json!({ "type": "NotServingException", "message": why, "code": null, "reason": "fenced" }),
    )
}

fn refusal(body: &Json) -> Response {
    let mut response = answer::with_status(StatusCode::SERVICE_UNAVAILABLE, body);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

async fn site(State(handle): State<Handle>) -> Answer {
    let view = handle.look().await?;
    Ok(json(shown(&handle, &view).await?))
}

async fn shown(handle: &Handle, view: &View) -> Result<Json, Refused> {
    let store = handle.store();
    let (standing, reason) = match &view.standing {
        Standing::Serving => ("serving", None),
        Standing::Fenced(why) => ("fenced", Some(why)),
        Standing::Quarantined(why) => ("quarantined", Some(why)),
    };
    let identity = handle.identity();
    Ok(json!({
        "identity": store.installation().await?,
        "generation": view.site.generation,
        "holder": view.site.holder,
        "executor": view.site.executor,
        "quarantine": view.site.quarantine,
        "restored": view.site.restored,
        "jobs_held": store.jobs_held().await?,
        "engine": {
            "name": identity.name,
            "installation": identity.installation,
            "generation": view.member.as_ref().map(|m| m.generation),
            "executor": handle.executor(),
            "standing": standing,
            "reason": reason,
        }
    }))
}

async fn change(State(handle): State<Handle>, body: Body) -> Answer {
    let change = SiteChange {
        generation: body.int("generation")?,
        holder: body.text("holder"),
        executor: executor(&body)?,
        quarantine: quarantine(&body)?,
        ..SiteChange::default()
    };
    if change.generation.is_some_and(|generation| generation < 0) {
        return Err(Refused::invalid("'generation' is negative"));
    }
    if change.holder.is_some() && change.generation.is_none() {
        return Err(Refused::invalid(
            "a 'holder' needs the 'generation' that it holds",
        ));
    }
    if change == SiteChange::default() {
        return Err(Refused::invalid(
            "nothing to change: 'generation', 'holder', 'executor' and 'quarantine' are known",
        ));
    }
    let wanted = change.clone();
    match handle.change_site(change).await {
        Ok(view) => Ok(json(shown(&handle, &view).await?)),
        Err(Failure::Conflict) => Ok(behind(&handle, &wanted).await?),
        Err(failure) => Err(failure.into()),
    }
}

/// 409: the site is ahead of whoever asked.
async fn behind(handle: &Handle, wanted: &SiteChange) -> Result<Response, Refused> {
    let site = handle.look().await?.site;
    let body = json!({
        "type": "StaleGenerationException",
        "message": format!(
            "the site is at generation {} and held by {}; nothing was changed for generation {}",
            site.generation,
            site.holder.as_deref().unwrap_or("nobody by name"),
            wanted.generation.unwrap_or(site.generation),
        ),
        "code": null,
        "reason": "stale-generation",
        "generation": site.generation,
        "holder": site.holder,
    });
    Ok(answer::with_status(StatusCode::CONFLICT, &body))
}

fn executor(body: &Body) -> Result<Option<Executor>, Refused> {
    match body.text("executor").as_deref() {
        None => Ok(None),
        Some("enabled") => Ok(Some(Executor::Enabled)),
        Some("disabled") => Ok(Some(Executor::Disabled)),
        Some(other) => Err(Refused::invalid(format!(
            "'executor' is 'enabled' or 'disabled', not '{other}'"
        ))),
    }
}

fn quarantine(body: &Body) -> Result<Option<Option<String>>, Refused> {
    match body.text("quarantine").as_deref() {
        None => Ok(None),
        Some("released") => Ok(Some(None)),
        Some("imposed") => {
            let why = body.text("reason");
            let why = why.unwrap_or_else(|| "an operator said so".to_owned());
            Ok(Some(Some(why)))
        }
        Some(other) => Err(Refused::invalid(format!(
            "'quarantine' is 'released' or 'imposed', not '{other}'"
        ))),
    }
}

async fn engines(State(handle): State<Handle>) -> Answer {
    let store = handle.store();
    let living = store.peers().await?;
    let all = store.members().await?.into_iter().map(|(name, member)| {
        let here = living.iter().any(|peer| peer.name == name);
        json!({ "name": name, "generation": member.generation, "executor": member.executor, "member": here })
    });
    Ok(json(Json::Array(all.collect())))
}

async fn switch(State(handle): State<Handle>, Path(name): Path<String>, body: Body) -> Answer {
    let Some(executor) = executor(&body)? else {
        return Err(Refused::invalid("'executor' is missing"));
    };
    if handle.store().member(&name).await?.is_none() {
        return Err(Refused::missing(format!("No engine with name '{name}'")));
    }
    let change = SiteChange {
        engine: Some((name, executor)),
        ..SiteChange::default()
    };
    let view = handle.change_site(change).await?;
    Ok(shown(&handle, &view).await.map(json)?.into_response())
}
