//! The admin API as promises, on a real store in a folder of its own; sites that nobody serves are down.

mod barrier;
mod drills;
mod fate;
mod lists;
mod quiesce;
mod rehoming;
mod reload;
mod restored;

use super::service;
use crate::app::Router;
use crate::app::handover::Beginning;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use homing_config::{Inputs, Purpose, load};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Admin {
    routes: TowerToHyperService<axum::Router>,
    _router: Router,
    _folder: TempDir,
}

struct Answer {
    status: StatusCode,
    etag: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn reason(&self) -> String {
        self.json()["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

const WHY: (&str, &str) = ("homing-reason", "a test");
const NEW: (&str, &str) = ("if-none-match", "*");

async fn admin() -> Admin {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let text = format!(
        "[router]\nname = \"r1\"\n[store]\nurl = \"sqlite:{at}/store.db\"\njournal = \"{at}/journal\"\n\
         [[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:9/engine-rest\"]\n\
         [[site]]\nname = \"b\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.2:9/engine-rest\"]\n\
         [[dialect]]\nname = \"orders\"\nrules = [{{ path = \"/orders/{{id}}\", class = \"keyed\", kind = \"order\", key = {{ path = \"id\" }} }}]\n\
         [[site]]\nname = \"c\"\ndialect = \"orders\"\nendpoints = [\"http://127.0.0.3:9\"]\n"
    );
    serving(folder, Inputs::text("homing.toml", text)).await
}

async fn serving(folder: TempDir, inputs: Inputs) -> Admin {
    let loaded = load(&inputs, Purpose::Serve).unwrap_or_else(|report| panic!("{report}"));
    let router = Router::open(inputs, loaded, Beginning::Alone)
        .await
        .unwrap();
    Admin {
        routes: TowerToHyperService::new(service(&router.admin)),
        _router: router,
        _folder: folder,
    }
}

impl Admin {
    async fn call(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let (head, body) = self.routes.call(request).await.unwrap().into_parts();
        let etag = head.headers.get("etag");
        Answer {
            status: head.status,
            etag: etag.map(|tag| tag.to_str().unwrap().to_owned()),
            text: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(&format!("GET {path}"), &[], Body::empty()).await
    }

    async fn audit(&self, action: &str) -> Vec<Value> {
        let all = self.get("/v1/audit?limit=1000").await.json();
        let items = all["items"].as_array().unwrap().iter();
        items
            .filter(|item| item["action"] == action)
            .cloned()
            .collect()
    }
}

#[tokio::test]
async fn a_mapping_is_only_changed_by_compare_and_set() {
    let admin = admin().await;
    let set = "PUT /v1/mappings/user:mary";
    let a = json!({ "home": "a" }).to_string();
    let blind = admin.call(set, &[WHY], a.clone()).await;
    assert_eq!(blind.status, StatusCode::PRECONDITION_REQUIRED);
    let made = admin.call(set, &[WHY, NEW], a.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.json()["state"], "placed");
    assert_eq!(made.json()["source"], "operator");
    assert_eq!(made.json()["serving"], "a");
    let again = admin.call(set, &[WHY, NEW], a).await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);
    let tag = made.etag.unwrap();
    let b = json!({ "home": "b" }).to_string();
    let moved = admin.call(set, &[WHY, ("if-match", &tag)], b.clone()).await;
    assert_eq!(
        (moved.status, &moved.json()["home"]),
        (StatusCode::OK, &json!("b"))
    );
    let lost = admin.call(set, &[WHY, ("if-match", &tag)], b).await;
    assert_eq!(lost.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(lost.json()["found"], moved.json()["generation"]);
}

#[tokio::test]
async fn a_change_stands_in_the_audit_trail_with_its_reason() {
    let admin = admin().await;
    let body = json!({ "home": "a" }).to_string();
    let silent = admin
        .call("PUT /v1/mappings/user:mary", &[NEW], body.clone())
        .await;
    assert_eq!(
        (silent.status, silent.reason().as_str()),
        (StatusCode::BAD_REQUEST, "reason-required")
    );
    assert!(admin.audit("mapping.set").await.is_empty());
    let headers = [WHY, NEW, ("x-request-id", "call-1")];
    admin
        .call("PUT /v1/mappings/user:mary", &headers, body)
        .await;
    let records = admin.audit("mapping.set").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["reason"], "a test");
    assert_eq!(records[0]["subject"], "user:mary");
    assert_eq!(records[0]["request_id"], "call-1");
    assert_eq!(records[0]["detail"]["proof"], "placed");
    let chain = admin.get("/v1/audit/verify").await.json();
    assert_eq!(chain["whole"], true);
}

#[tokio::test]
async fn a_held_key_is_not_set_where_no_probe_finds_it() {
    let admin = admin().await;
    let body = json!({ "home": "a" }).to_string();
    for path in ["mappings", "pins"] {
        let line = format!("PUT /v1/{path}/process-instance:0d0e5c8a-96c7-11f0-8de9-0242ac120002");
        let refused = admin.call(&line, &[WHY, NEW], body.clone()).await;
        assert_eq!(
            (refused.status, refused.reason().as_str()),
            (StatusCode::CONFLICT, "unproven")
        );
    }
    assert!(admin.audit("mapping.set").await.is_empty());
}

#[tokio::test]
async fn a_key_of_an_application_without_probes_is_set_on_the_operators_word() {
    let admin = admin().await;
    let body = json!({ "home": "c" }).to_string();
    let set = admin
        .call("PUT /v1/mappings/order:17", &[WHY, NEW], body)
        .await;
    assert_eq!(set.status, StatusCode::CREATED, "{}", set.text);
    assert_eq!(
        admin.audit("mapping.set").await[0]["detail"]["proof"],
        "operator"
    );
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let admin = admin().await;
    let body = json!({ "home": "a" }).to_string();
    let plan = admin
        .call("PUT /v1/mappings/user:mary?dry_run=true", &[WHY, NEW], body)
        .await;
    assert_eq!(
        (plan.status, &plan.json()["dry_run"]),
        (StatusCode::OK, &json!(true))
    );
    assert_eq!(
        admin.get("/v1/mappings/user:mary").await.status,
        StatusCode::NOT_FOUND
    );
    let lines = "{\"key\":\"user:mary\",\"home\":\"a\"}\n";
    let plan = admin
        .call("POST /v1/mappings/import?dry_run=true", &[WHY], lines)
        .await;
    assert_eq!(plan.json()["imported"], 1);
    let body = json!({ "state": "draining" }).to_string();
    admin
        .call("PUT /v1/sites/a/state?dry_run=true", &[WHY], body)
        .await;
    assert_eq!(admin.get("/v1/sites/a").await.json()["state"], "ready");
    assert_eq!(admin.get("/v1/mappings").await.json()["items"], json!([]));
    assert!(admin.audit("mapping.import.begin").await.is_empty());
}

#[tokio::test]
async fn a_dry_run_is_refused_where_the_change_would_be() {
    let admin = admin().await;
    admin._router.admin.registrar.register().await.unwrap();
    let drain = |overrides: &[&str]| json!({ "state": "draining", "overrides": overrides });
    let put = |site: &str, dry: bool| format!("PUT /v1/sites/{site}/state?dry_run={dry}");
    let state = async |site: &str, dry, overrides: &[&str]| {
        let body = drain(overrides).to_string();
        admin.call(&put(site, dry), &[WHY], body).await
    };
    assert_eq!(state("a", true, &[]).await.status, StatusCode::OK);
    for other in ["b", "c"] {
        assert_eq!(state(other, false, &[]).await.status, StatusCode::OK);
    }
    // Only one is left now: what is rehearsed is what would happen.
    for dry in [true, false] {
        let refused = state("a", dry, &[]).await;
        assert_eq!(refused.reason(), "safety-rule", "{}", refused.text);
        assert_eq!(refused.json()["rule"], "last-available");
    }
    let still = json!({ "wait_ms": 0 }).to_string();
    let quiesce = "POST /v1/sites/a/quiesce?dry_run=true";
    let refused = admin.call(quiesce, &[WHY], still).await;
    assert_eq!(refused.json()["rule"], "last-available", "{}", refused.text);
    for dry in [true, false] {
        let done = state("a", dry, &["last-available"]).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    }
}

#[tokio::test]
async fn a_query_parameter_that_nobody_reads_is_refused() {
    let admin = admin().await;
    for (path, known) in [
        ("/v1/mappings?sites=a", "it takes"),
        ("/v1/routers?limit=1", "it takes none"),
        ("/v1/operations?state=open", "it takes cursor, limit"),
        ("/v1/sites/a?verbose=true", "it takes none"),
    ] {
        let refused = admin.get(path).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(refused.text.contains(known), "{}", refused.text);
    }
    assert_eq!(admin.get("/metrics?name=x").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_was_unset_is_gone_but_its_past_stays() {
    let admin = admin().await;
    let path = "/v1/mappings/user:a%2Fb%20c";
    let body = json!({ "home": "a" }).to_string();
    let made = admin.call(&format!("PUT {path}"), &[WHY, NEW], body).await;
    assert_eq!(made.json()["key"], "user:a/b c");
    let tag = made.etag.unwrap();
    let unset = format!("DELETE {path}");
    let blind = admin.call(&unset, &[WHY], Body::empty()).await;
    assert_eq!(blind.status, StatusCode::PRECONDITION_REQUIRED);
    let gone = admin
        .call(&unset, &[WHY, ("if-match", &tag)], Body::empty())
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    assert_eq!(admin.get(path).await.status, StatusCode::NOT_FOUND);
    let past = admin.get(&format!("{path}/history")).await.json();
    let homes: Vec<&Value> = past["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["home"])
        .collect();
    assert_eq!(homes, [&json!("a"), &Value::Null]);
    assert_eq!(past["items"][1]["reason"], "a test");
}

#[tokio::test]
async fn an_import_never_overwrites_and_can_be_repeated() {
    let admin = admin().await;
    // More than one batch, so that the counts run over several transactions.
    let lines: String = (0..2500)
        .map(|n| format!("{{\"key\":\"user:u{n}\",\"home\":\"a\"}}\n"))
        .collect();
    let first = admin
        .call("POST /v1/mappings/import", &[WHY], lines.clone())
        .await;
    assert_eq!(
        first.json(),
        json!({ "imported": 2500, "unchanged": 0, "conflicts": 0, "conflicting": [] })
    );
    let again = admin.call("POST /v1/mappings/import", &[WHY], lines).await;
    assert_eq!(again.json()["unchanged"], 2500);
    let other = "{\"key\":\"user:u7\",\"home\":\"b\"}";
    let conflict = admin.call("POST /v1/mappings/import", &[WHY], other).await;
    assert_eq!(conflict.json()["conflicts"], 1);
    assert_eq!(
        conflict.json()["conflicting"][0],
        json!({ "key": "user:u7", "home": "a", "line_home": "b" })
    );
    assert_eq!(admin.get("/v1/mappings/user:u7").await.json()["home"], "a");
    assert_eq!(admin.audit("mapping.import.end").await.len(), 3);
}

#[tokio::test]
async fn a_bad_line_is_named_and_what_stood_before_it_is_counted() {
    let admin = admin().await;
    for bad in [
        "{\"key\":\"user:x\"}",
        "{\"key\":\"cow:1\",\"home\":\"a\"}",
        "{\"key\":\"user:x\",\"home\":\"nowhere\"}",
        "{\"key\":\"user:x\",\"home\":\"a\",\"colour\":1}",
        "{\"key\":\"job:1\",\"home\":\"a\"}",
        "not json",
    ] {
        let lines = format!("{{\"key\":\"user:good\",\"home\":\"a\"}}\n\n{bad}\n");
        let refused = admin.call("POST /v1/mappings/import", &[WHY], lines).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
        let body = refused.json();
        assert_eq!(body["line"], 3, "as the file counts: {bad}");
        assert_eq!(
            body["imported"].as_u64().unwrap() + body["unchanged"].as_u64().unwrap(),
            1
        );
    }
    let long = "x".repeat(100_000);
    let refused = admin.call("POST /v1/mappings/import", &[WHY], long).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_was_exported_can_be_imported_elsewhere() {
    let (here, there) = (admin().await, admin().await);
    let lines: String = (0..1500)
        .map(|n| format!("{{\"key\":\"business-key:k{n}\",\"home\":\"b\"}}\n"))
        .collect();
    here.call("POST /v1/mappings/import", &[WHY], lines).await;
    let export = here.get("/v1/mappings/export").await;
    assert_eq!(export.text.lines().count(), 1500);
    let one: Value = serde_json::from_str(export.text.lines().next().unwrap()).unwrap();
    assert_eq!(one["source"], "imported");
    let result = there
        .call("POST /v1/mappings/import", &[WHY], export.text)
        .await;
    assert_eq!(result.json()["imported"], 1500, "{}", result.text);
}

#[tokio::test]
async fn pages_show_everything_once() {
    let admin = admin().await;
    let lines: String = (0..25)
        .map(|n| format!("{{\"key\":\"user:u{n:02}\",\"home\":\"a\"}}\n"))
        .collect();
    admin.call("POST /v1/mappings/import", &[WHY], lines).await;
    let mut seen = Vec::new();
    let mut path = "/v1/mappings?kind=user&home=a&limit=10".to_owned();
    loop {
        let page = admin.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|item| item["key"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/mappings?kind=user&home=a&limit=10&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(
        seen,
        (0..25).map(|n| format!("user:u{n:02}")).collect::<Vec<_>>()
    );
    let none = admin.get("/v1/mappings?kind=user&home=b").await.json();
    assert_eq!(none, json!({ "items": [], "next": null }));
    let prefix = admin.get("/v1/mappings?prefix=u1").await.json();
    assert_eq!(prefix["items"].as_array().unwrap().len(), 10);
    for wrong in [
        "cursor=x",
        "limit=0",
        "limit=5000",
        "kind=cow",
        "state=gone",
        "colour=red",
    ] {
        let refused = admin.get(&format!("/v1/mappings?{wrong}")).await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{wrong}: {}",
            refused.text
        );
    }
}

#[tokio::test]
async fn a_pin_is_obeyed_at_once_and_gives_way_when_it_is_unset() {
    let admin = admin().await;
    let body = json!({ "home": "a" }).to_string();
    admin
        .call("PUT /v1/mappings/user:mary", &[WHY, NEW], body)
        .await;
    let body = json!({ "home": "b" }).to_string();
    let pin = admin
        .call("PUT /v1/pins/user:mary", &[WHY], body.clone())
        .await;
    assert_eq!(pin.status, StatusCode::CREATED, "{}", pin.text);
    let again = admin.call("PUT /v1/pins/user:mary", &[WHY], body).await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);
    let question = json!({ "key": "user:mary" }).to_string();
    let pinned = admin
        .call("POST /v1/explain", &[], question.clone())
        .await
        .json();
    assert_eq!(
        (&pinned["site"], &pinned["source"]),
        (&json!("b"), &json!("pin"))
    );
    admin
        .call("DELETE /v1/pins/user:mary", &[WHY], Body::empty())
        .await;
    let free = admin.call("POST /v1/explain", &[], question).await.json();
    assert_eq!(
        (&free["site"], &free["source"]),
        (&json!("a"), &json!("mapping"))
    );
}

#[tokio::test]
async fn an_explanation_places_nothing_and_remembers_nothing() {
    let admin = admin().await;
    let question = json!({ "key": "user:mary" }).to_string();
    let unplaced = admin.call("POST /v1/explain", &[], question).await.json();
    assert_eq!(unplaced["site"], Value::Null);
    assert_eq!(unplaced["alternatives"].as_array().unwrap().len(), 3);
    let question = json!({ "method": "GET", "path": "/engine-rest/task/t-1" }).to_string();
    let keyed = admin.call("POST /v1/explain", &[], question).await.json();
    assert_eq!(keyed["class"], "keyed");
    assert_eq!(keyed["key"], "task:t-1");
    let question = json!({ "path": "/elsewhere" }).to_string();
    let lost = admin.call("POST /v1/explain", &[], question).await.json();
    assert_eq!(lost["refused"]["status"], 404);
    assert_eq!(admin.get("/v1/mappings").await.json()["items"], json!([]));
    for wrong in [
        json!({}),
        json!({ "key": "user:a", "path": "/x" }),
        json!({ "path": "x" }),
        json!({ "key": "cow:1" }),
    ] {
        let refused = admin.call("POST /v1/explain", &[], wrong.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn the_state_of_a_site_is_durable_and_reasoned() {
    let admin = admin().await;
    let drain = json!({ "state": "draining" }).to_string();
    let silent = admin
        .call("PUT /v1/sites/a/state", &[], drain.clone())
        .await;
    assert_eq!(silent.reason(), "reason-required");
    let before = admin.get("/v1/sites/a").await;
    let tag = before.etag.unwrap();
    let drained = admin
        .call(
            "PUT /v1/sites/a/state",
            &[WHY, ("if-match", &tag)],
            drain.clone(),
        )
        .await;
    assert_eq!(drained.status, StatusCode::OK, "{}", drained.text);
    assert_eq!(drained.json()["state"], "draining");
    assert_eq!(drained.json()["reason"], "a test");
    let lost = admin
        .call("PUT /v1/sites/a/state", &[WHY, ("if-match", &tag)], drain)
        .await;
    assert_eq!(lost.status, StatusCode::PRECONDITION_FAILED);
    let site = admin.get("/v1/sites/a").await.json();
    assert_eq!(
        (&site["state"], &site["available"], &site["why"]),
        (&json!("draining"), &json!(false), &json!("draining"))
    );
    let lost = json!({ "state": "lost" }).to_string();
    let refused = admin.call("PUT /v1/sites/a/state", &[WHY], lost).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(admin.audit("site.draining").await.len(), 1);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_in_words() {
    let admin = admin().await;
    let put = "PUT /v1/mappings/user:mary";
    let unknown = admin
        .call(put, &[WHY, NEW], "{\"home\":\"a\",\"hame\":1}")
        .await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(
        unknown.text.contains("unknown field `hame`"),
        "{}",
        unknown.text
    );
    let long = format!(
        "{{\"home\":\"{}\"}}",
        "a".repeat(super::extract::BODY_BYTES_MAX)
    );
    assert_eq!(
        admin.call(put, &[WHY, NEW], long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let nowhere = admin.call(put, &[WHY, NEW], "{\"home\":\"z\"}").await;
    assert!(
        nowhere.text.contains("there are: a, b, c"),
        "{}",
        nowhere.text
    );
    assert_eq!(
        admin.get("/v1/mappings/nonsense").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(admin.get("/v1/nothing").await.reason(), "not-found");
    assert_eq!(
        admin.call("POST /v1/sites", &[], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn everything_else_can_be_read() {
    let admin = admin().await;
    let routers = admin.get("/v1/routers").await.json();
    assert_eq!(
        (&routers["items"][0]["router"], &routers["items"][0]["this"]),
        (&json!("r1"), &json!(true))
    );
    let sites = admin.get("/v1/sites").await.json();
    assert_eq!(
        sites["items"][0]["installations"][0]["endpoints"][0]["url"],
        "http://127.0.0.1:9/engine-rest"
    );
    let assignments = admin.get("/v1/assignments").await.json();
    assert_eq!(assignments["items"].as_array().unwrap().len(), 3);
    let config = admin.get("/v1/config").await.json();
    let values = config["items"].as_array().unwrap();
    assert!(
        values
            .iter()
            .any(|value| value["path"] == "router.name" && value["value"] == "r1")
    );
    let ready = admin.get("/readyz?verbose").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        ready.text.starts_with("starting\n[+] the store answers\n"),
        "{}",
        ready.text
    );
    assert_eq!(admin.get("/livez").await.text, "ok\n");
    assert!(
        admin.get("/openapi.json").await.json()["paths"]["/v1/mappings/{key}"]["put"].is_object()
    );
}
