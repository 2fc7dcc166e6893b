//! How the APIs of processes, cases and decisions deploy: what a form brings, and how to find out whether a site has the same.
//!
//! Owns the questions and the reading of their answers. An application has one engine for each, with ids of its own; an archive that
//! is deployed by one may hold models of the others. Relies on the reader of keys in models that engine-rest has.

use super::answers::get;
use super::archive;
use super::layout::Layout;
use crate::dialect::deploys::{Bundle, Definition, Deployed, Deploys, Part, Resource, hash};
use crate::dialect::engine_rest::bundle;
use crate::dialect::{Ask, path};
use bytes::Bytes;
use futures_util::FutureExt as _;
use homing_mapping_store::{Engine, Kind};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Versions of one definition that are looked through for one that is the same.
const CANDIDATES_MAX: usize = 100;
/// Definitions of one deployment that are read.
const DEFINITIONS_MAX: usize = 1_000;
/// Most parts of a form that are read.
const PARTS_MAX: usize = 100;

/// One API that deploys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Api {
    pub(super) part: Part,
    layout: Layout,
}

/// What the three call things.
struct Words {
    deployments: &'static str,
    definitions: &'static str,
    kind: Kind,
    /// How files end that hold models.
    ends: &'static [&'static str],
    /// Whether an archive is taken.
    archives: bool,
}

const PROCESSES: Words = Words {
    deployments: "/repository/deployments",
    definitions: "/repository/process-definitions",
    kind: Kind::PROCESS_DEFINITION,
    ends: &[".bpmn20.xml", ".bpmn"],
    archives: true,
};
const CASES: Words = Words {
    deployments: "/cmmn-repository/deployments",
    definitions: "/cmmn-repository/case-definitions",
    kind: Kind::CASE_DEFINITION,
    ends: &[".cmmn.xml", ".cmmn"],
    archives: true,
};
const DECISIONS: Words = Words {
    deployments: "/dmn-repository/deployments",
    definitions: "/dmn-repository/decisions",
    kind: Kind::DECISION_DEFINITION,
    ends: &[".dmn"],
    archives: false,
};

fn words(part: Part) -> &'static Words {
    match part {
        Part::Processes => &PROCESSES,
        Part::Cases => &CASES,
        Part::Decisions => &DECISIONS,
    }
}

/// The part that an operation's path below its API belongs to.
pub(super) fn part(path: &str) -> Part {
    let is_of = |part: &Part| path.starts_with(words(*part).deployments);
    Part::ALL.into_iter().find(is_of).unwrap_or_default()
}

#[derive(Deserialize)]
struct Page<R> {
    data: Vec<R>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    resource_name: Option<String>,
    #[serde(default)]
    deployment_id: Option<String>,
    #[serde(default)]
    tenant_id: Option<String>,
}

fn ok<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Option<T> {
    let read = || serde_json::from_slice(body).ok();
    status.is_success().then(read).flatten()
}

fn rows(status: StatusCode, body: &[u8]) -> Option<Vec<Row>> {
    ok::<Page<Row>>(status, body).map(|page| page.data)
}

/// A value of the query, which counts before a part of the form.
fn in_query(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    let value = value.replace('+', " ");
    let value = path::decode(&value)?.into_owned();
    Some(value).filter(|value| !value.is_empty())
}

/// The engine deploys the first file of a form and no other.
fn read(part: Part, content_type: &str, query: Option<&str>, body: &[u8]) -> Option<Bundle> {
    let words = words(part);
    let boundary = multer::parse_boundary(content_type).ok()?;
    let body = Bytes::copy_from_slice(body);
    let whole = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
    let mut form = multer::Multipart::new(whole, boundary);
    let mut bundle = Bundle::default();
    // Everything is there already: reading never waits.
    for _ in 0..PARTS_MAX {
        let Some(field) = form.next_field().now_or_never()?.ok()? else {
            break;
        };
        let name = field.name().map(str::to_owned);
        let file = field.file_name().map(str::to_owned);
        let bytes = field.bytes().now_or_never()?.ok()?;
        match file {
            Some(file) if bundle.resources.is_empty() => take(words, &mut bundle, file, &bytes)?,
            Some(_) => {}
            None if name.as_deref() == Some("tenantId") => {
                let tenant = std::str::from_utf8(&bytes).ok()?.to_owned();
                bundle.tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
            }
            None => {}
        }
    }
    bundle.tenant = in_query(query, "tenantId").or(bundle.tenant);
    bundle.name = in_query(query, "deploymentName").unwrap_or(bundle.name);
    // A site is asked for what it has by the first of them.
    bundle.keys.sort_by_key(|(kind, _)| *kind != words.kind);
    let own = bundle.keys.first().map(|(kind, _)| *kind);
    (own == Some(words.kind)).then_some(bundle)
}

fn take(words: &Words, bundle: &mut Bundle, file: String, bytes: &[u8]) -> Option<()> {
    bundle.name = file.split('.').next().unwrap_or_default().to_owned();
    if words.ends.iter().any(|end| file.ends_with(end)) {
        add(bundle, file, bytes);
        return Some(());
    }
    let is_archive = [".bar", ".zip"]
        .iter()
        .any(|end| file.to_lowercase().ends_with(end));
    // Of another name the engine makes what it likes, or refuses it.
    (words.archives && is_archive).then_some(())?;
    for file in archive::files(bytes)? {
        add(bundle, file.name, &file.bytes);
    }
    Some(())
}

/// What an archive holds for the other engines is deployed there with it.
fn add(bundle: &mut Bundle, file: String, bytes: &[u8]) {
    for words in [&PROCESSES, &CASES, &DECISIONS] {
        if words.ends.iter().any(|end| file.ends_with(end)) {
            bundle.keys.extend(bundle::keys_of(words.kind, bytes));
        }
    }
    bundle.resources.push(Resource {
        name: file,
        hash: hash(bytes),
    });
}

impl Api {
    /// Those that stand where this layout has them.
    pub(super) fn all(layout: Layout) -> Vec<Api> {
        let is_there = |part: &Part| layout.path(words(*part).deployments).is_some();
        let api = |part| Api { part, layout };
        Part::ALL.into_iter().filter(is_there).map(api).collect()
    }

    fn ask(&self, operation: &str) -> Ask {
        get(self.path_of(operation))
    }

    /// `all` has seen to it that the layout has it.
    fn path_of(&self, operation: &str) -> String {
        self.layout.path(operation).unwrap_or_default()
    }

    fn words(&self) -> &'static Words {
        words(self.part)
    }
}

impl Deploys for Api {
    fn read(&self, content_type: &str, query: Option<&str>, body: &[u8]) -> Option<Bundle> {
        read(self.part, content_type, query, body)
    }

    /// There is no redeployment here.
    fn again(&self, _: &str, _: &[u8], _: &[String], _: Option<&str>) -> Option<(String, Vec<u8>)> {
        None
    }

    fn path(&self, _: &Engine) -> String {
        self.path_of(self.words().deployments)
    }

    fn read_deployed(&self, body: &[u8]) -> Option<Deployed> {
        let made: Row = serde_json::from_slice(body).ok()?;
        Some(Deployed {
            id: made.id,
            definitions: Vec::new(),
        })
    }

    fn tells_definitions(&self) -> bool {
        false
    }

    fn remove(&self, _: &Engine, id: &str, query: Option<&str>) -> Ask {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let deployments = self.words().deployments;
        let path = format!("{deployments}/{}{query}", path::encode(id));
        Ask {
            method: Method::DELETE,
            ..self.ask(&path)
        }
    }

    /// Cases cannot be counted by deployment, and nothing runs on a decision: there a site that refuses is found out by its refusal.
    fn running(&self, _: &Engine, id: &str) -> Ask {
        let ask = match self.part {
            Part::Processes => Ask {
                method: Method::POST,
                ..self.ask("/query/process-instances")
            },
            Part::Cases | Part::Decisions => {
                let id = path::encode(id);
                return self.ask(&format!("{}/{id}", self.words().deployments));
            }
        };
        Ask {
            body: Some(json!({ "deploymentId": id, "size": 1 })),
            ..ask
        }
    }

    fn read_count(&self, status: StatusCode, body: &[u8]) -> Option<u64> {
        super::holdings::total(status, body)
    }

    /// Of one without a tenant the list names those of all tenants. Which decisions of a file become definitions is the engine's choice.
    fn candidates(&self, _: &Engine, bundle: &Bundle) -> Ask {
        let first = match self.part {
            Part::Decisions => {
                let file = bundle.resources.first();
                file.map(|file| format!("resourceName={}", path::encode(&file.name)))
            }
            Part::Processes | Part::Cases => {
                let key = bundle.keys.first();
                key.map(|(_, key)| format!("key={}", path::encode(key)))
            }
        };
        let tenant = bundle.tenant.as_deref();
        let tenant = tenant.map(|tenant| format!("&tenantId={}", path::encode(tenant)));
        self.ask(&format!(
            "{}?{}{}&sort=version&order=desc&size={CANDIDATES_MAX}",
            self.words().definitions,
            first.unwrap_or_default(),
            tenant.unwrap_or_default()
        ))
    }

    fn read_candidates(
        &self,
        bundle: &Bundle,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<String>> {
        let rows = rows(status, body)?.into_iter().rev();
        let tenant = |row: &Row| row.tenant_id.clone().filter(|tenant| !tenant.is_empty());
        let same = rows.filter(|row| tenant(row) == bundle.tenant);
        Some(same.filter_map(|row| row.deployment_id).collect())
    }

    fn there(&self, _: &Engine, deployment: &str) -> Ask {
        let id = path::encode(deployment);
        self.ask(&format!("{}/{id}", self.words().deployments))
    }

    /// Decisions have no list of their files; each names its own.
    fn resources(&self, _: &Engine, deployment: &str) -> Ask {
        let id = path::encode(deployment);
        let words = self.words();
        self.ask(&match self.part {
            Part::Decisions => format!(
                "{}?deploymentId={id}&size={DEFINITIONS_MAX}",
                words.definitions
            ),
            Part::Processes | Part::Cases => format!("{}/{id}/resources", words.deployments),
        })
    }

    /// A file's id is its name.
    fn read_resources(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>> {
        let named = |name: String| (name.clone(), name);
        if self.part == Part::Decisions {
            let rows = rows(status, body)?.into_iter();
            return Some(
                rows.filter_map(|row| row.resource_name)
                    .map(named)
                    .collect(),
            );
        }
        let rows: Vec<Row> = ok(status, body)?;
        Some(rows.into_iter().map(|row| named(row.id)).collect())
    }

    fn content(&self, _: &Engine, deployment: &str, resource: &str) -> Ask {
        let (id, resource) = (path::encode(deployment), path::encode(resource));
        let deployments = self.words().deployments;
        self.ask(&format!("{deployments}/{id}/resourcedata/{resource}"))
    }

    fn definitions(&self, _: &Engine, deployment: &str) -> Vec<(Kind, Ask)> {
        let id = path::encode(deployment);
        let words = self.words();
        let ask = self.ask(&format!(
            "{}?deploymentId={id}&size={DEFINITIONS_MAX}",
            words.definitions
        ));
        vec![(words.kind, ask)]
    }

    fn read_definitions(
        &self,
        kind: Kind,
        status: StatusCode,
        body: &[u8],
    ) -> Option<Vec<Definition>> {
        let definition = |row: Row| Definition {
            kind,
            key: row.key,
            id: row.id,
        };
        Some(rows(status, body)?.into_iter().map(definition).collect())
    }

    fn newest(&self, _: &Engine, max: usize) -> Ask {
        let deployments = self.words().deployments;
        self.ask(&format!(
            "{deployments}?sort=deployTime&order=desc&size={max}"
        ))
    }

    fn read_newest(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>> {
        let named = |row: Row| (row.id, row.name.unwrap_or_default());
        Some(rows(status, body)?.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests;
