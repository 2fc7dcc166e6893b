//! How the process API deploys: what a form brings, and how to find out whether a site has the same.
//!
//! Owns the questions and the reading of their answers. Cases and decisions are deployed by APIs of their own, which are not recorded; nor
//! is an archive, whose files a site names by what is in it. Relies on the reader of keys in models that engine-rest has.

use super::Flowable;
use super::answers::get;
use crate::dialect::deploys::{Bundle, Definition, Deployed, Deploys, Resource, hash};
use crate::dialect::engine_rest::bundle;
use crate::dialect::{Ask, Operation, path};
use bytes::Bytes;
use futures_util::FutureExt as _;
use homing_mapping_store::{Engine, Kind};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

const DEPLOYMENTS: &str = "/repository/deployments";
const DEFINITIONS: &str = "/repository/process-definitions";
/// Versions of one definition that are looked through for one that is the same.
const CANDIDATES_MAX: usize = 100;
/// Definitions of one deployment that are read.
const DEFINITIONS_MAX: usize = 1_000;
/// Most parts of a form that are read.
const PARTS_MAX: usize = 100;

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
fn read(content_type: &str, query: Option<&str>, body: &[u8]) -> Option<Bundle> {
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
        let part = field.name().map(str::to_owned);
        let file = field.file_name().map(str::to_owned);
        let bytes = field.bytes().now_or_never()?.ok()?;
        match file {
            Some(file) if bundle.resources.is_empty() => take(&mut bundle, file, &bytes)?,
            Some(_) => {}
            None if part.as_deref() == Some("tenantId") => {
                let tenant = std::str::from_utf8(&bytes).ok()?.to_owned();
                bundle.tenant = Some(tenant).filter(|tenant| !tenant.is_empty());
            }
            None => {}
        }
    }
    bundle.tenant = in_query(query, "tenantId").or(bundle.tenant);
    bundle.name = in_query(query, "deploymentName").unwrap_or(bundle.name);
    (!bundle.keys.is_empty()).then_some(bundle)
}

fn take(bundle: &mut Bundle, file: String, bytes: &[u8]) -> Option<()> {
    // Of another name the engine makes what it likes, or refuses it.
    let mut ends = [".bpmn20.xml", ".bpmn"].into_iter();
    let end = ends.find(|end| file.ends_with(end))?;
    bundle.keys = bundle::keys(&file, bytes);
    bundle.name = file.strip_suffix(end)?.to_owned();
    bundle.resources.push(Resource {
        name: file,
        hash: hash(bytes),
    });
    Some(())
}

impl Flowable {
    fn ask(&self, operation: &str) -> Ask {
        get(self.layout.process(operation))
    }
}

impl Deploys for Flowable {
    fn is_recorded(&self, operation: &Operation) -> bool {
        &*operation.path == DEPLOYMENTS
    }

    fn read(&self, content_type: &str, query: Option<&str>, body: &[u8]) -> Option<Bundle> {
        read(content_type, query, body)
    }

    /// There is no redeployment here.
    fn again(&self, _: &str, _: &[u8], _: &[String], _: Option<&str>) -> Option<(String, Vec<u8>)> {
        None
    }

    fn path(&self, _: &Engine) -> String {
        self.layout.process(DEPLOYMENTS)
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
        let path = format!("{DEPLOYMENTS}/{}{query}", path::encode(id));
        Ask {
            method: Method::DELETE,
            ..self.ask(&path)
        }
    }

    fn running(&self, _: &Engine, id: &str) -> Ask {
        Ask {
            method: Method::POST,
            body: Some(json!({ "deploymentId": id, "size": 1 })),
            ..self.ask("/query/process-instances")
        }
    }

    fn read_count(&self, status: StatusCode, body: &[u8]) -> Option<u64> {
        super::holdings::total(status, body)
    }

    /// Of one without a tenant the list names those of all tenants.
    fn candidates(&self, _: &Engine, bundle: &Bundle) -> Ask {
        let key = bundle.keys.first();
        let key = key.map(|(_, key)| path::encode(key).to_string());
        let tenant = bundle.tenant.as_deref();
        let tenant = tenant.map(|tenant| format!("&tenantId={}", path::encode(tenant)));
        self.ask(&format!(
            "{DEFINITIONS}?key={}{}&sort=version&order=desc&size={CANDIDATES_MAX}",
            key.unwrap_or_default(),
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

    fn resources(&self, _: &Engine, deployment: &str) -> Ask {
        let id = path::encode(deployment);
        self.ask(&format!("{DEPLOYMENTS}/{id}/resources"))
    }

    /// A file's id is its name.
    fn read_resources(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>> {
        let rows: Vec<Row> = ok(status, body)?;
        let named = |row: Row| (row.id.clone(), row.id);
        Some(rows.into_iter().map(named).collect())
    }

    fn content(&self, _: &Engine, deployment: &str, resource: &str) -> Ask {
        let (id, resource) = (path::encode(deployment), path::encode(resource));
        self.ask(&format!("{DEPLOYMENTS}/{id}/resourcedata/{resource}"))
    }

    fn definitions(&self, _: &Engine, deployment: &str) -> Vec<(Kind, Ask)> {
        let id = path::encode(deployment);
        let ask = self.ask(&format!(
            "{DEFINITIONS}?deploymentId={id}&size={DEFINITIONS_MAX}"
        ));
        vec![(Kind::PROCESS_DEFINITION, ask)]
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
        self.ask(&format!(
            "{DEPLOYMENTS}?sort=deployTime&order=desc&size={max}"
        ))
    }

    fn read_newest(&self, status: StatusCode, body: &[u8]) -> Option<Vec<(String, String)>> {
        let named = |row: Row| (row.id, row.name.unwrap_or_default());
        Some(rows(status, body)?.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "an answer that cannot be read fails the test"
    )]
    use super::*;
    use crate::dialect::flowable::Layout;

    const MODEL: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"><process id="review"/></definitions>"#;
    const TYPE: &str = "multipart/form-data; boundary=b";

    fn part(name: &str, file: Option<&str>, text: &str) -> String {
        let file = file.map(|file| format!("; filename=\"{file}\""));
        let file = file.unwrap_or_default();
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
    }

    fn bundle(parts: &[String], query: Option<&str>) -> Option<Bundle> {
        let form = parts.concat() + "--b--\r\n";
        read(TYPE, query, form.as_bytes())
    }

    #[test]
    fn a_form_brings_its_first_file() {
        let parts = [
            part("tenantId", None, "t"),
            part("file", Some("review.bpmn20.xml"), MODEL),
            part("more", Some("more.bpmn"), MODEL),
        ];
        let read = bundle(&parts, None).unwrap();
        assert_eq!(
            (read.name.as_str(), read.tenant.as_deref()),
            ("review", Some("t"))
        );
        assert_eq!(read.keys, [(Kind::PROCESS_DEFINITION, "review".to_owned())]);
        assert_eq!(read.resources.len(), 1);
        let read = bundle(&parts, Some("deploymentName=a%20b&tenantId=u")).unwrap();
        assert_eq!(
            (read.name.as_str(), read.tenant.as_deref()),
            ("a b", Some("u"))
        );
    }

    #[test]
    fn archives_and_what_is_no_model_are_left_to_the_engines() {
        for (file, text) in [
            ("all.bar", MODEL),
            ("all.zip", MODEL),
            ("review.bpmn", "<not xml"),
            ("review.xml", MODEL),
        ] {
            assert_eq!(
                bundle(&[part("file", Some(file), text)], None),
                None,
                "{file}"
            );
        }
        assert_eq!(read("application/json", None, b"{}"), None);
    }

    #[test]
    fn candidates_are_of_the_same_tenant_oldest_first() {
        let flowable = Flowable::new(Layout::Boot).unwrap();
        let mut wanted = bundle(&[part("file", Some("review.bpmn"), MODEL)], None).unwrap();
        let ask = flowable.candidates(&Engine::DEFAULT, &wanted);
        assert_eq!(
            ask.path,
            "/process-api/repository/process-definitions?key=review&sort=version&order=desc&size=100"
        );
        let body =
            br#"{"data":[{"id":"review:2:y","key":"review","deploymentId":"d2","tenantId":""},
            {"id":"review:1:t","key":"review","deploymentId":"dt","tenantId":"t"},
            {"id":"review:1:x","key":"review","deploymentId":"d1","tenantId":""}],"total":3}"#;
        let read = |wanted: &Bundle| flowable.read_candidates(wanted, StatusCode::OK, body);
        assert_eq!(read(&wanted).unwrap(), ["d1", "d2"]);
        wanted.tenant = Some("t".into());
        assert_eq!(read(&wanted).unwrap(), ["dt"]);
        assert_eq!(
            flowable.read_candidates(&wanted, StatusCode::BAD_GATEWAY, body),
            None
        );
    }
}
