//! The own engine of a site, as a hand-over needs it: one function for each of its calls.
//!
//! Owns paths and shapes. Must not choose. Every call may be made twice.

use super::Trouble;
use crate::decide::world::HandsOver;
use crate::dialect::path;
use crate::forward::ask::{self, Told};
use crate::forward::send::Times;
use crate::problem::Problem;
use crate::rehome::execute::Executor;
use crate::resolve::{RouteSource, Target};
use bytes::Bytes;
use homing_mapping_store::{Generation, SiteId};
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The engine of one site.
pub(super) struct Engine {
    pub(super) site: SiteId,
    target: Target,
    via: HeaderValue,
    times: Times,
}

/// A live instance that nobody called.
#[derive(Debug, Deserialize)]
pub(super) struct Root {
    pub(super) id: String,
}

/// A definition on which something lives.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: String,
    pub(super) instances: u64,
    about: Definition,
}

impl Running {
    /// In a sentence.
    pub(super) fn name(&self) -> String {
        let about = &self.about;
        let tenant = about.tenant.as_deref();
        let tenant = tenant.map_or_else(String::new, |tenant| format!(" of tenant {tenant}"));
        format!("{} version {}{tenant}", about.key, about.version)
    }
}

#[derive(Debug, Deserialize)]
struct Definition {
    id: String,
    key: String,
    version: u64,
    #[serde(rename = "tenantId")]
    tenant: Option<String>,
}

#[derive(Deserialize)]
struct Statistics {
    instances: u64,
    definition: Definition,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "bpmn20Xml")]
    xml: String,
}

#[derive(Deserialize)]
struct Roots {
    items: Vec<Root>,
}

/// A hand-over, as its old site keeps it.
#[derive(Debug, Deserialize)]
pub(super) struct Held {
    pub(super) id: String,
    pub(super) instance: String,
    pub(super) generation: u64,
}

#[derive(Deserialize)]
struct Helds {
    count: u64,
    items: Vec<Held>,
}

/// An instance that has been taken out.
#[derive(Debug, Deserialize)]
pub(super) struct Exported {
    pub(super) seal: String,
    pub(super) bundle: Value,
    /// Ids that clients may hold, by kind.
    pub(super) ids: BTreeMap<String, Vec<String>>,
    pub(super) about: About,
}

/// What placement asks of an instance.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct About {
    pub(super) definition: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) business_key: Option<String>,
}

/// What an engine says to a step.
pub(super) enum Said<T> {
    Done(T),
    /// It is not possible now, for this reason.
    Refused(String),
    /// There is no such thing.
    Absent,
}

impl<T> Said<T> {
    /// Done, or a trouble that is told.
    pub(super) fn done(self, step: &str) -> Result<T, Trouble> {
        match self {
            Said::Done(it) => Ok(it),
            Said::Refused(why) => Err(Trouble::Site(format!("{step} is refused: {why}"))),
            Said::Absent => Err(Trouble::Site(format!("{step}: there is no such hand-over"))),
        }
    }
}

impl Engine {
    pub(super) fn at(executor: &Executor, site: SiteId) -> Result<Engine, Problem> {
        let topology = executor.topology.load_full();
        let found = topology.site(site).ok_or_else(|| {
            let detail = format!("this router does not know site {site}");
            Problem::new(crate::problem::Reason::SiteUnreachable, detail)
        })?;
        Ok(Engine {
            site,
            target: Target::of(found, RouteSource::Addressed, Generation::default())?,
            via: executor.via.clone(),
            times: executor.pipeline.settings.load().times,
        })
    }

    async fn ask(
        &self,
        call: (Method, &str),
        body: Option<Bytes>,
    ) -> Result<(StatusCode, Bytes), Problem> {
        ask::own(&self.target, call, body, &self.via, self.times).await
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, Trouble> {
        let (status, body) = self.ask((Method::GET, path), None).await?;
        match self.read(status, &body)? {
            Said::Done(it) => Ok(it),
            Said::Refused(why) => Err(Trouble::Site(why)),
            Said::Absent => Err(self.odd(status)),
        }
    }

    /// What clients ask, too.
    async fn get_rest<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, Trouble> {
        match ask::told(&self.target, path, &self.via, self.times).await? {
            Told::Whole(StatusCode::OK, body) => {
                serde_json::from_slice(&body).map_err(|_| self.odd(StatusCode::OK))
            }
            Told::Whole(status, _) => Err(self.odd(status)),
            Told::TooLong => Err(Trouble::Site(format!(
                "site {} answers too much to {path}",
                self.site
            ))),
        }
    }

    async fn step<T: for<'de> Deserialize<'de>>(
        &self,
        call: (Method, &str),
        body: &Value,
    ) -> Result<Said<T>, Trouble> {
        let body = Bytes::from(body.to_string());
        let (status, body) = self.ask(call, Some(body)).await?;
        self.read(status, &body)
    }

    fn read<T: for<'de> Deserialize<'de>>(
        &self,
        status: StatusCode,
        body: &[u8],
    ) -> Result<Said<T>, Trouble> {
        if status == StatusCode::OK {
            let read = serde_json::from_slice(body);
            return read.map(Said::Done).map_err(|_| self.odd(status));
        }
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let why = told["message"].as_str().unwrap_or_default().to_owned();
        match status {
            StatusCode::NOT_FOUND => Ok(Said::Absent),
            StatusCode::CONFLICT | StatusCode::BAD_REQUEST => Ok(Said::Refused(why)),
            StatusCode::PAYLOAD_TOO_LARGE => Ok(Said::Refused("it is too large".to_owned())),
            _ => Err(self.odd(status)),
        }
    }

    fn odd(&self, status: StatusCode) -> Trouble {
        Trouble::Site(format!(
            "site {} answers {status} to a question of an evacuation",
            self.site
        ))
    }

    pub(super) async fn hands_over(&self) -> HandsOver {
        let asked = self.ask((Method::GET, "/handovers?prefix=none&max=0"), None);
        match asked.await {
            Ok((StatusCode::OK, body)) => match serde_json::from_slice::<Helds>(&body) {
                Ok(_) => HandsOver::Yes,
                Err(_) => HandsOver::No,
            },
            Ok((status, _)) if status.is_client_error() => HandsOver::No,
            Ok(_) | Err(_) => HandsOver::Unknown,
        }
    }

    pub(super) async fn roots(
        &self,
        after: &str,
        only: Option<&str>,
        most: usize,
    ) -> Result<Vec<Root>, Trouble> {
        let only = only.map_or_else(String::new, |id| format!("&id={}", path::encode(id)));
        let path = format!("/instances?max={most}&after={}{only}", path::encode(after));
        Ok(self.get::<Roots>(&path).await?.items)
    }

    /// Definitions on which something lives.
    pub(super) async fn running(&self) -> Result<Vec<Running>, Trouble> {
        let all: Vec<Statistics> = self.get_rest("/process-definition/statistics").await?;
        let live = all.into_iter().filter(|one| one.instances > 0);
        let running = live.map(|one| Running {
            id: one.definition.id.clone(),
            instances: one.instances,
            about: one.definition,
        });
        Ok(running.collect())
    }

    /// The versions of another site's definition here, the newest first.
    pub(super) async fn versions(&self, of: &Running) -> Result<Vec<String>, Trouble> {
        let tenant = match &of.about.tenant {
            Some(tenant) => format!("tenantIdIn={}", path::encode(tenant)),
            None => "withoutTenantId=true".to_owned(),
        };
        let key = path::encode(&of.about.key);
        let path = format!("/process-definition?key={key}&{tenant}&sortBy=version&sortOrder=desc");
        let all: Vec<Definition> = self.get_rest(&path).await?;
        Ok(all.into_iter().map(|one| one.id).collect())
    }

    /// What was deployed of a definition.
    pub(super) async fn content(&self, id: &str) -> Result<String, Trouble> {
        let path = format!("/process-definition/{}/xml", path::encode(id));
        Ok(self.get_rest::<Content>(&path).await?.xml)
    }

    /// Hand-overs that have begun and are not finished.
    pub(super) async fn exported(&self, prefix: &str, most: usize) -> Result<Vec<Held>, Trouble> {
        let path = format!("/handovers?prefix={prefix}&stage=exported&max={most}");
        Ok(self.get::<Helds>(&path).await?.items)
    }

    pub(super) async fn count(&self, prefix: &str, stage: &str) -> Result<u64, Trouble> {
        let path = format!("/handovers?prefix={prefix}&stage={stage}&max=0");
        Ok(self.get::<Helds>(&path).await?.count)
    }

    pub(super) async fn export(
        &self,
        id: &str,
        instance: &str,
        generation: Generation,
    ) -> Result<Said<Exported>, Trouble> {
        let body = json!({ "id": id, "instance": instance, "generation": generation.0 });
        self.step((Method::POST, "/handovers"), &body).await
    }

    pub(super) async fn stage(&self, id: &str, taken: &Exported) -> Result<Said<Value>, Trouble> {
        let body = json!({ "seal": taken.seal, "bundle": taken.bundle });
        let path = format!("/handovers/{}", path::encode(id));
        self.step((Method::PUT, &path), &body).await
    }

    pub(super) async fn activate(&self, id: &str, at: Generation) -> Result<(), Trouble> {
        let path = format!("/handovers/{}/activate", path::encode(id));
        let body = json!({ "generation": at.0 });
        let said = self.step::<Value>((Method::POST, &path), &body).await?;
        said.done("to activate it").map(|_| ())
    }

    pub(super) async fn entomb(
        &self,
        id: &str,
        site: SiteId,
        at: Generation,
    ) -> Result<(), Trouble> {
        let path = format!("/handovers/{}/entomb", path::encode(id));
        let body = json!({ "site": site.name(), "generation": at.0 });
        let said = self.step::<Value>((Method::POST, &path), &body).await?;
        said.done("to entomb it").map(|_| ())
    }

    pub(super) async fn cancel(&self, id: &str) -> Result<(), Trouble> {
        let path = format!("/handovers/{}/cancel", path::encode(id));
        let body = json!({});
        let said = self.step::<Value>((Method::POST, &path), &body).await?;
        said.done("to take it back").map(|_| ())
    }
}
