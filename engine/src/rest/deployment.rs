//! `/deployment`

use super::answer::{Answer, bytes, json, no_content};
use super::body::Asked;
use super::error::Refused;
use crate::lists::{DEFINITIONS, DEPLOYMENTS};
use crate::runtime::{Deployed, Handle, Upload};
use axum::Router;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, State};
use axum::routing::{get, post};
use http::HeaderMap;
use serde_json::{Map, Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/deployment", get(list))
        .route("/deployment/count", get(count))
        .route("/deployment/create", post(create))
        .route("/deployment/{id}", get(one).delete(remove))
        .route("/deployment/{id}/resources", get(resources))
        .route("/deployment/{id}/resources/{resource}", get(resource))
        .route("/deployment/{id}/resources/{resource}/data", get(data))
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    Ok(json(
        handle.list(&DEPLOYMENTS, &asked.parameters(), page).await?,
    ))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&DEPLOYMENTS, &asked.parameters()).await? }),
    ))
}

async fn create(
    State(handle): State<Handle>,
    headers: HeaderMap,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer {
    let mut upload = Upload::default();
    for part in super::multipart::parts(multipart).await? {
        let text = || String::from_utf8_lossy(&part.bytes).trim().to_owned();
        match part.name.as_str() {
            "deployment-name" => upload.name = Some(text()),
            "deployment-source" => upload.source = Some(text()),
            "tenant-id" => upload.tenant = Some(text()).filter(|t| !t.is_empty()),
            "enable-duplicate-filtering" => upload.filter_duplicates = text() == "true",
            "deploy-changed-only" => upload.changed_only = text() == "true",
            "deployment-activation-time" => {
                return Err(Refused::not_built("deployment-activation-time"));
            }
            name => {
                let filename = part.filename.clone().ok_or_else(|| {
                    Refused::invalid(format!("No file name found in the deployment resource described by form parameter '{name}'."))
                })?;
                upload.resources.retain(|(known, _)| *known != filename);
                upload.resources.push((filename, part.bytes));
            }
        }
    }
    if upload.resources.is_empty() {
        return Err(Refused::invalid(
            "No deployment resources contained in the form upload.",
        ));
    }
    let deployed = handle.deploy(upload).await;
    let deployed = deployed.inspect_err(|error| handle.count_limit(error))?;
    Ok(json(deployed_json(&deployed, &headers)))
}

fn deployed_json(deployed: &Deployed, headers: &HeaderMap) -> Json {
    let deployment = &deployed.deployment;
    let definitions = deployed
        .definitions
        .as_ref()
        .filter(|all| !all.is_empty())
        .map(|all| {
            all.iter()
                .map(|row| (row.id.clone(), definition_json(row)))
                .collect::<Map<_, _>>()
        });
    json!({
        "links": super::links::to_self(headers, &format!("/deployment/{}", deployment.id)),
        "id": deployment.id,
        "name": deployment.name,
        "source": deployment.source,
        "tenantId": deployment.tenant,
        "deploymentTime": crate::time::rest_text(deployment.at),
        "deployedProcessDefinitions": definitions,
        "deployedCaseDefinitions": null,
        "deployedDecisionDefinitions": null,
        "deployedDecisionRequirementsDefinitions": null,
    })
}

fn definition_json(row: &crate::store::DefinitionRow) -> Json {
    let mut out = Map::new();
    for (name, value) in [
        ("id", Json::from(row.id.as_str())),
        ("key", row.key.as_str().into()),
        ("name", row.name.clone().into()),
        ("version", row.version.into()),
        ("resource", row.resource.as_str().into()),
        ("deploymentId", row.deployment.as_str().into()),
        ("suspended", row.suspended.into()),
        ("tenantId", row.tenant.clone().into()),
        ("versionTag", row.tag.clone().into()),
        ("historyTimeToLive", row.ttl.into()),
        ("startableInTasklist", row.startable.into()),
        ("category", Json::Null),
        ("description", Json::Null),
        ("diagram", Json::Null),
    ] {
        out.insert(name.to_owned(), value);
    }
    debug_assert_eq!(
        out.len(),
        DEFINITIONS.fields.len() + DEFINITIONS.constants.len(),
        "one shape in lists and here"
    );
    Json::Object(out)
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&DEPLOYMENTS, "p.id", &id).await?;
    found
        .map(json)
        .ok_or_else(|| Refused::missing(format!("Deployment with id '{id}' does not exist")))
}

async fn remove(State(handle): State<Handle>, Path(id): Path<String>, asked: Asked) -> Answer {
    if handle.store().deployment(&id).await?.is_none() {
        return Err(Refused::missing(format!(
            "Deployment with id '{id}' do not exist"
        )));
    }
    handle.undeploy(&id, asked.flag("cascade")).await?;
    Ok(no_content())
}

async fn resources(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let all = handle.store().resources(&id).await?;
    if all.is_empty() {
        return Err(Refused::missing(format!(
            "Deployment resources for deployment id '{id}' do not exist."
        )));
    }
    Ok(json(
        all.iter()
            .map(|r| json!({ "id": r.id, "name": r.name, "deploymentId": id }))
            .collect::<Vec<_>>(),
    ))
}

async fn resource(
    State(handle): State<Handle>,
    Path((id, wanted)): Path<(String, String)>,
) -> Answer {
    let all = handle.store().resources(&id).await?;
    let found = all.into_iter().find(|r| r.id == wanted);
    let found = found.ok_or_else(|| {
        Refused::missing(format!("Deployment resource with resource id '{wanted}' for deployment id '{id}' does not exist."))
    })?;
    Ok(json(
        json!({ "id": found.id, "name": found.name, "deploymentId": id }),
    ))
}

async fn data(State(handle): State<Handle>, Path((id, wanted)): Path<(String, String)>) -> Answer {
    let all = handle.store().resources(&id).await?;
    let found = all.into_iter().find(|r| r.id == wanted);
    let found = found.ok_or_else(|| {
        Refused::invalid(format!(
            "Deployment resource '{wanted}' for deployment id '{id}' does not exist."
        ))
    })?;
    let content = handle
        .store()
        .content(&found.sha)
        .await?
        .unwrap_or_default();
    Ok(bytes(
        "application/octet-stream",
        Some(&found.name),
        content,
    ))
}
