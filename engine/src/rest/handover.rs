//! `/homing/handovers`: moving a live instance to another site, step by step; and what is said of what has left.

use super::answer::{self, Answer, json};
use super::body::{Asked, Body};
use super::error::{Absent, Refused};
use crate::runtime::Handle;
use crate::store::{Bundle, HandOver, Stage};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value as Json, json};

/// Length of an id in text.
const ID: usize = 36;
/// What was not found, and came here so shortly before, may have been looked for a moment too early. In milliseconds; engines of
/// one site may read their clocks that much apart.
const JUST_CAME_MS: i64 = 2_000;
/// Lines of a list at most.
const LINES_MAX: i64 = 1_000;
/// Which instance is being handed over, in the refusal that says so.
static MOVING: HeaderName = HeaderName::from_static("homing-moving");
/// The site that has it, in the refusal that says so.
static MOVED: HeaderName = HeaderName::from_static("homing-moved");

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/homing/handovers", get(list).post(export))
        .route("/homing/instances", get(instances))
        .route("/homing/handovers/{id}", get(one).put(stage))
        .route("/homing/handovers/{id}/activate", post(activate))
        .route("/homing/handovers/{id}/entomb", post(entomb))
        .route("/homing/handovers/{id}/cancel", post(cancel))
}

/// The answer instead of a refusal whose path names something that was handed over; or something that was not there when it
/// was looked for, and has come here meanwhile.
pub(super) async fn instead(
    handle: &Handle,
    path: &str,
    absent: Option<Absent>,
) -> Option<Response> {
    for id in path.split('/').filter(|part| part.len() == ID) {
        let gone = match (handle.store().taken_away(id).await, absent) {
            (Ok(Some(gone)), _) => gone,
            (Ok(None), Some(Absent)) => {
                let since = handle.clock().now() - JUST_CAME_MS;
                match handle.store().just_came(id, since).await {
                    Ok(Some(came)) => return Some(moving(&came.root)),
                    Ok(None) | Err(_) => continue,
                }
            }
            (Ok(None) | Err(_), _) => continue,
        };
        return match gone.stage {
            Stage::Exported | Stage::Staged => Some(moving(&gone.root)),
            Stage::Moved => Some(moved(&gone)),
            Stage::Active => continue,
        };
    }
    None
}

/// It is between two sites: to be asked for again.
fn moving(root: &str) -> Response {
    let message = format!("instance {root} is being handed over to another site");
    let body = json!({
        "type": "MovedException", "message": message, "code": null, "reason": "moving",
        "instance": root, "site": null, "generation": null,
    });
    let mut response = answer::with_status(StatusCode::SERVICE_UNAVAILABLE, &body);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    if let Ok(root) = HeaderValue::try_from(root) {
        headers.insert(&MOVING, root);
    }
    response
}

/// It lives elsewhere.
fn moved(gone: &HandOver) -> Response {
    let site = gone.site.as_deref().unwrap_or_default();
    let message = format!(
        "instance {} lives at site '{site}' since generation {}",
        gone.root, gone.generation
    );
    let body = json!({
        "type": "MovedException", "message": message, "code": null, "reason": "moved",
        "instance": gone.root, "site": gone.site, "generation": gone.generation,
    });
    let mut response = answer::with_status(StatusCode::GONE, &body);
    if let Ok(site) = HeaderValue::try_from(site) {
        response.headers_mut().insert(&MOVED, site);
    }
    response
}

fn shown(held: &HandOver) -> Json {
    json!({
        "id": held.id, "instance": held.root, "stage": held.stage, "seal": held.seal, "bundle": held.bundle,
        "site": held.site, "generation": held.generation,
    })
}

fn needed(body: &Body, name: &str) -> Result<String, Refused> {
    let text = body.text(name).filter(|text| !text.is_empty());
    text.ok_or_else(|| Refused::invalid(format!("'{name}' is missing")))
}

fn generation(body: &Body) -> Result<i64, Refused> {
    let generation = body.int("generation")?.filter(|it| *it >= 0);
    generation.ok_or_else(|| Refused::invalid("'generation' is missing or negative"))
}

async fn export(State(handle): State<Handle>, body: Body) -> Answer {
    let (id, instance) = (needed(&body, "id")?, needed(&body, "instance")?);
    let generation = match body.get("generation") {
        Some(_) => Some(generation(&body)?),
        None => None,
    };
    let held = handle.export(&id, &instance, generation).await?;
    let mut told = shown(&held);
    told["ids"] = json!(held.bundle.as_ref().map(Bundle::ids_by_kind));
    told["about"] = json!(held.bundle.as_ref().map(Bundle::about));
    Ok(json(told))
}

/// Hand-overs whose ids begin alike, without their bundles.
async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let prefix = asked.get("prefix").unwrap_or_default();
    if !prefix
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    {
        return Err(Refused::invalid(
            "'prefix' has letters, digits, '-' and '.' only",
        ));
    }
    let store = handle.store();
    let (count, items) = store
        .handovers(prefix, asked.get("stage"), most(&asked)?)
        .await?;
    let items: Vec<Json> = items.iter().map(shown).collect();
    Ok(json(json!({ "count": count, "items": items })))
}

/// Live instances that nobody called, with those that they called: what can be handed over.
async fn instances(State(handle): State<Handle>, asked: Asked) -> Answer {
    let (after, only) = (asked.get("after").unwrap_or_default(), asked.get("id"));
    let roots = handle.store().roots(after, only, most(&asked)?).await?;
    let items = roots.iter().map(|root| {
        json!({
            "id": root.id, "definition": root.definition, "tenant": root.tenant,
            "business_key": root.business_key, "called": root.called,
        })
    });
    Ok(json(json!({ "items": items.collect::<Vec<Json>>() })))
}

/// How many lines are wanted.
fn most(asked: &Asked) -> Result<i64, Refused> {
    let most = asked.get("max").map_or(Ok(LINES_MAX), str::parse);
    match most {
        Ok(most) if (0..=LINES_MAX).contains(&most) => Ok(most),
        Ok(_) | Err(_) => Err(Refused::invalid(format!("'max' is 0 to {LINES_MAX}"))),
    }
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    Ok(json(shown(&handle.held(&id).await?)))
}

async fn stage(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let seal = needed(&body, "seal")?;
    let bundle = body.get("bundle").cloned().unwrap_or_default();
    let bundle: Bundle = serde_json::from_value(bundle)
        .map_err(|error| Refused::invalid(format!("'bundle' cannot be read: {error}")))?;
    if bundle.handover != id {
        return Err(Refused::invalid("the bundle is of another hand-over"));
    }
    let mut told = shown(&handle.stage(&seal, &bundle).await?);
    // Whoever sent it has it.
    told["bundle"] = Json::Null;
    Ok(json(told))
}

async fn activate(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let done = handle.activate(&id, generation(&body)?).await?;
    Ok(json(shown(&done)))
}

async fn entomb(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let (site, generation) = (needed(&body, "site")?, generation(&body)?);
    Ok(json(shown(&handle.entomb(&id, &site, generation).await?)))
}

async fn cancel(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let left = handle.call_off(&id).await?;
    Ok(json(left.map_or_else(
        || json!({ "id": id, "stage": null }),
        |held| shown(&held),
    )))
}
