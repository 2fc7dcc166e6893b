//! `POST /v1/explain`: why would this request go there.
//!
//! Owns the shape of question and answer. Must not decide: the data path does, in its dry run.

use super::State;
use super::error::{Error, ProblemShape};
use super::extract::Json;
use super::sites;
use crate::forward::headers::Trust;
use crate::pipeline::explain::{Explanation, Outcome, Question};
use crate::problem::Problem;
use crate::resolve::{RouteSource, Target};
use crate::topology::Site;
use axum::extract::State as Shared;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// What is asked: a request, or only a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuestion {
    /// The request's method; `GET` if not said.
    method: Option<String>,
    /// The request's path and query, as a client writes it.
    path: Option<String>,
    /// The request's headers.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The request's body: text as it is, anything else as JSON.
    body: Option<Value>,
    /// Whether the request is supposed to come from a trusted proxy.
    #[serde(default)]
    trusted: bool,
    /// Instead of all that: a key.
    key: Option<String>,
}

/// Where it would go, and why.
#[derive(Serialize, ToSchema)]
pub struct ExplainShape {
    /// keyed, create, any, gather, split, broadcast, correlate, worker-fetch, shared, local, refuse.
    pub class: Option<&'static str>,
    /// The dialect that the request is of, known by its host and the beginning of its path.
    pub dialect: Option<String>,
    /// The operation of the dialect.
    pub operation: Option<String>,
    /// The key that the request is sticky on.
    pub key: Option<String>,
    /// The site that it would go to; of a refusal: the site that is the reason.
    pub site: Option<String>,
    /// The installation that serves that site.
    pub installation: Option<String>,
    /// addressed, pin, mapping, cache, store, hint, located, placed, default.
    pub source: Option<&'static str>,
    /// Generation of the mapping or pin that decided.
    pub generation: Option<u64>,
    /// The reason in words.
    pub reason: String,
    /// If it would be refused: how.
    pub refused: Option<RefusalShape>,
    /// All sites that were considered, with both axes.
    pub alternatives: Vec<AlternativeShape>,
}

/// How a request would be refused.
#[derive(Serialize, ToSchema)]
pub struct RefusalShape {
    /// The problem's reason.
    pub reason: &'static str,
    /// The status.
    pub status: u16,
    /// The sentence for the caller.
    pub detail: String,
}

/// A site that was considered.
#[derive(Serialize, ToSchema)]
pub struct AlternativeShape {
    /// The site.
    pub site: String,
    /// Whether it is the one.
    pub chosen: bool,
    /// What operators want of it.
    pub state: &'static str,
    /// What is seen of it.
    pub observed: &'static str,
    /// Whether new work may be placed there.
    pub available: bool,
    /// Whether work that lives there is sent there.
    pub servable: bool,
    /// Share of placements.
    pub weight: u32,
    /// Why it is not available.
    pub why: Option<String>,
}

/// Explains a request or a key. Nothing is sent, placed or kept; a key that nobody knows is searched by GET.
#[utoipa::path(post, path = "/v1/explain", tag = "explain", request_body = ExplainQuestion,
    responses((status = 200, body = ExplainShape), (status = 400, body = ProblemShape)))]
pub(super) async fn explain(
    Shared(state): Shared<Arc<State>>,
    Json(question): Json<ExplainQuestion>,
) -> Result<axum::Json<ExplainShape>, Error> {
    let explanation = match (&question.key, &question.path) {
        (Some(key), None) if question.method.is_none() && question.body.is_none() => {
            let key = key.parse();
            let key = key.map_err(|error: homing_mapping_store::key::ParseError| {
                Error::bad(error.to_string())
            })?;
            state.pipeline.explain_key(&key).await
        }
        (None, Some(path)) => {
            let asked = read(&question, path)?;
            state.pipeline.explain(asked).await
        }
        _ => {
            let detail = "ask about a request (method, path, headers, body) or about a key alone";
            return Err(Error::bad(detail));
        }
    };
    Ok(axum::Json(shape(&explanation)))
}

fn read(question: &ExplainQuestion, path: &str) -> Result<Question, Error> {
    let method = question.method.as_deref().unwrap_or("GET");
    let method = Method::try_from(method.to_ascii_uppercase().as_str());
    let uri = path.starts_with('/').then(|| Uri::try_from(path));
    let mut headers = HeaderMap::new();
    for (name, value) in &question.headers {
        let pair = HeaderName::try_from(name)
            .ok()
            .zip(HeaderValue::try_from(value).ok());
        let (name, value) =
            pair.ok_or_else(|| Error::bad(format!("\"{name}\" with its value is not a header")))?;
        headers.append(name, value);
    }
    let body = match &question.body {
        None => bytes::Bytes::new(),
        Some(Value::String(text)) => text.clone().into(),
        Some(json) => json.to_string().into(),
    };
    Ok(Question {
        method: method.map_err(|_| Error::bad("this is not a method"))?,
        uri: match uri {
            Some(Ok(uri)) => uri,
            Some(Err(_)) | None => {
                let detail =
                    "the path begins with / and is written as in a request, percent-encoded";
                return Err(Error::bad(detail));
            }
        },
        headers,
        body,
        trust: match question.trusted {
            true => Trust::Trusted,
            false => Trust::Untrusted,
        },
    })
}

/// The explanation as JSON.
pub(super) fn shape(explanation: &Explanation) -> ExplainShape {
    let mut shape = ExplainShape {
        class: explanation.class,
        dialect: explanation.dialect.clone(),
        operation: explanation.operation.clone(),
        key: explanation.key.as_ref().map(ToString::to_string),
        site: None,
        installation: None,
        source: None,
        generation: None,
        reason: String::new(),
        refused: None,
        alternatives: Vec::new(),
    };
    match &explanation.outcome {
        Outcome::To(target) => to(&mut shape, target),
        Outcome::Because(target, why) => {
            to(&mut shape, target);
            shape.reason.clone_from(why);
        }
        Outcome::Placed(target, why) => {
            to(&mut shape, target);
            shape.reason = format!("{}: {why}", shape.reason);
        }
        Outcome::Every => "it goes to every site, and is answered when all have answered"
            .clone_into(&mut shape.reason),
        Outcome::Over => {
            "it is answered over all sites: merged, or by the first that can where all hold the same"
                .clone_into(&mut shape.reason);
        }
        Outcome::Parts(sites) => {
            let names: Vec<&str> = sites.iter().map(|site| site.name()).collect();
            shape.reason = format!("each of several sites gets its part: {}", names.join(", "));
        }
        Outcome::Unplaced => {
            "nothing is mapped to this key yet; the next thing that is started for it gives it a home"
                .clone_into(&mut shape.reason);
        }
        Outcome::Refused(problem) => refused(&mut shape, problem),
    }
    let alternatives = explanation.sites.iter();
    shape.alternatives = alternatives
        .map(|site| {
            let mut told = alternative(site, shape.site.as_deref());
            if explanation.behind.contains(&site.id) {
                let behind = || "still to get what was deployed".to_owned();
                told.why = Some(
                    told.why
                        .map_or_else(behind, |why| format!("{why}; {}", behind())),
                );
            }
            told
        })
        .collect();
    shape
}

fn to(shape: &mut ExplainShape, target: &Target) {
    shape.site = Some(target.site.id.name().to_owned());
    shape.installation = Some(target.installation().name.clone());
    shape.source = Some(target.source.as_str());
    shape.generation = (target.generation.0 > 0).then_some(target.generation.0);
    shape.reason = words(target);
}

fn words(target: &Target) -> String {
    let site = target.site.id;
    match target.source {
        RouteSource::Addressed => format!("a trusted proxy addressed site {site} with Homing-Site"),
        RouteSource::Pin => format!("an operator pinned the key to site {site}"),
        RouteSource::Mapping => format!("the key is mapped to site {site}"),
        RouteSource::Cache => format!("a passing answer of site {site} named the key"),
        RouteSource::Store => format!("the store maps the key to site {site}"),
        RouteSource::Hint => format!("the id was made by an engine of site {site}, which has it"),
        RouteSource::Located => format!("all sites were asked, and site {site} has it"),
        RouteSource::Placed => format!("it is new; a choice made now would be site {site}"),
        RouteSource::Default => {
            format!("any site will do; site {site} is the first that can answer")
        }
    }
}

fn refused(shape: &mut ExplainShape, problem: &Problem) {
    shape.site = problem.site.map(|site| site.name().to_owned());
    shape.key = shape
        .key
        .take()
        .or_else(|| problem.key.as_ref().map(ToString::to_string));
    shape.reason = format!("it would be refused: {}", problem.detail);
    shape.refused = Some(RefusalShape {
        reason: problem.reason.as_str(),
        status: problem.status().as_u16(),
        detail: problem.detail.clone(),
    });
}

fn alternative(site: &Site, chosen: Option<&str>) -> AlternativeShape {
    let view = site.live.view();
    AlternativeShape {
        site: site.id.name().to_owned(),
        chosen: chosen == Some(site.id.name()),
        state: view.state.as_str(),
        observed: view.observed.as_str(),
        available: view.available(),
        servable: view.servable(),
        weight: site.weight,
        why: sites::why_not(&view),
    }
}
