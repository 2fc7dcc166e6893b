//! Deploying files of a deployment once more: a new deployment, recorded and brought to every site like any other.
//!
//! Owns which files are meant. The files are those that were recorded; whether the client may see them, a site says. Must
//! not send anything that changes a site: the new deployment does.

use super::unrecorded;
use crate::context::Context;
use crate::deployments::picture::{Entry, scope};
use crate::dialect::deploys::Part;
use crate::forward::body::Body;
use crate::forward::payload::Payload;
use crate::pipeline::every::Every;
use crate::pipeline::plainly::is_plain;
use crate::pipeline::{Asked, Pipeline};
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use bytes::Bytes;
use homing_mapping_store::{Generation, RoutingKey};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response};
use serde::Deserialize;
use std::sync::Arc;

/// What the client wants; nothing named: all files.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    resource_ids: Option<Vec<String>>,
    #[serde(default)]
    resource_names: Option<Vec<String>>,
    #[serde(default)]
    source: Option<String>,
}

impl Pipeline {
    pub(in crate::pipeline) async fn redeploy(
        self: &Arc<Self>,
        context: &mut Context,
        mut asked: Asked<'_>,
        key: &RoutingKey,
    ) -> Result<Response<Body>, Problem> {
        let engine = asked.found.engine.clone();
        let id = key.id.to_string();
        let picture = match self.resolver.deployments.refresh().await {
            Ok(picture) => picture,
            Err(error) if is_plain(&asked.group.sites, &error) => {
                return Box::pin(self.every(context, asked)).await;
            }
            Err(error) => return Err(unrecorded(&error)),
        };
        let part = Part::of(key.kind).unwrap_or_default();
        let entries = picture.known_as(&scope(asked.group, &engine), part, &id);
        let deploys = asked.group.dialect.deploys(part);
        let (Some(entry), Some(deploys)) = (entries.last(), deploys) else {
            return Box::pin(self.every(context, asked)).await;
        };
        let body = asked.outgoing.payload.bytes().unwrap_or_default();
        let wanted = wanted(&body)?;
        let (target, own) = reader(&asked, entry, &id)?;
        context.routed(&target);
        let unsent = || Problem::new(Reason::BadRequest, "the request cannot be read twice");
        let every = Every::new(
            self,
            &asked.found,
            asked.outgoing.copy().ok_or_else(unsent)?,
        );
        let (head, body) = every
            .send_as(&target, &deploys.resources(&engine, &own))
            .await?;
        let Some(files) = deploys.read_resources(head.status, &body) else {
            return Ok(Response::from_parts(head, Body::from(body)));
        };
        let names = wanted.names(&files, &id)?;
        let store = self.resolver.deployments.store();
        let content = store.deployment_content(entry.record.number).await;
        let content = content.map_err(|error| unrecorded(&error))?;
        let form = deploys.again(
            &entry.what.content_type,
            &content,
            &names,
            wanted.source.as_deref(),
        );
        let Some((content_type, form)) = form else {
            return Err(crate::pipeline::merge::not_built(asked.found.operation));
        };
        let path = format!("{}{}", asked.group.base_path, deploys.path(&engine));
        let outgoing = &mut asked.outgoing;
        outgoing.target = path.parse().map_err(|_| {
            Problem::new(
                Reason::BadRequest,
                "the engine's name cannot stand in a path",
            )
        })?;
        outgoing.headers.remove(CONTENT_LENGTH);
        if let Ok(content_type) = HeaderValue::try_from(content_type) {
            outgoing.headers.insert(CONTENT_TYPE, content_type);
        }
        outgoing.payload = Payload::from(Bytes::from(form));
        self.deploy(context, asked).await
    }
}

fn wanted(body: &[u8]) -> Result<Wanted, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(Wanted::default());
    }
    serde_json::from_slice::<Option<Wanted>>(body)
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            let detail = format!("the body is not what a redeployment reads: {error}");
            Problem::new(Reason::BadRequest, detail)
        })
}

impl Wanted {
    /// The names of the files that are meant. `files`: ids and names at the site whose id the request has.
    fn names(&self, files: &[(String, String)], id: &str) -> Result<Vec<String>, Problem> {
        let ids = self.resource_ids.as_deref().unwrap_or_default();
        let names = self.resource_names.as_deref().unwrap_or_default();
        let all = ids.is_empty() && names.is_empty();
        let unknown = |wanted: &&String| {
            !files
                .iter()
                .any(|(id, name)| *wanted == id || *wanted == name)
        };
        if let Some(unknown) = ids.iter().chain(names).find(unknown) {
            let detail = format!("deployment {id} has no resource {unknown}");
            return Err(Problem::new(Reason::BadRequest, detail));
        }
        let meant = files
            .iter()
            .filter(|(id, name)| all || ids.contains(id) || names.contains(name));
        Ok(meant.map(|(_, name)| name.clone()).collect())
    }
}

/// A site that tells its files, and its own id for the deployment: the one whose id was given, if it can be asked.
fn reader(asked: &Asked<'_>, entry: &Entry, id: &str) -> Result<(Target, String), Problem> {
    let mut last = Problem::new(Reason::NoSiteAvailable, "no site has this deployment");
    let mut sites: Vec<_> = asked
        .group
        .sites
        .iter()
        .filter_map(|site| Some((site, entry.record.at(site.id)?.id.clone()?)))
        .collect();
    sites.sort_by_key(|(_, own)| own != id);
    for (site, own) in sites {
        match Target::of(site, RouteSource::Default, Generation::default()) {
            Ok(target) => return Ok((target, own)),
            Err(problem) => last = problem,
        }
    }
    Err(last)
}
