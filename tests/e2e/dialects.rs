//! Several dialects on one listener, told apart by path and host, and several engines in one site, told apart by name.

use anyhow::{Context as _, Result, ensure};
use homing_harness::clock::eventually;
use homing_harness::fake_site::{FakeSite, Reply};
use homing_harness::outcome::Promise;
use homing_harness::router::{Builder, Router};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// The same in every engine: what tells instances apart is the engine's name.
const INSTANCE: &str = "7d1c3f5e-0d3b-11ef-9d6c-0242ac120002";

const DIALECTS: &str = r#"
[placement]
sticky_user = { from = "header:User" }

[[dialect]]
name = "shop"
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "order", learn = { body = "/id" } },
  { path = "/orders/{id}", class = "keyed", kind = "order", key = { path = "id" } },
]

[[dialect]]
name = "kiosk"
hosts = ["kiosk.example"]
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "kiosk-order", learn = { body = "/id" } },
  { path = "/orders/{id}", class = "keyed", kind = "kiosk-order", key = { path = "id" } },
]
"#;

/// An application or an engine: what it makes has the id that it was told, and it says who it is.
async fn origin(name: &'static str) -> Result<FakeSite> {
    FakeSite::start(move |seen| {
        let made = match seen.target.rsplit('/').next() {
            Some("start") => INSTANCE,
            _ => "7",
        };
        Reply::json(200, &json!({ "id": made, "by": name, "links": [] }))
    })
    .await
}

struct World {
    router: Router,
    _origins: Vec<FakeSite>,
}

async fn world() -> Result<World> {
    let mut builder = Builder::new("dialects")
        .listener("trusted_proxies = [\"127.0.0.0/8\"]")
        .tables(DIALECTS);
    let mut origins = Vec::new();
    for (name, dialect, base) in [
        ("shop-a", "shop", ""),
        ("shop-b", "shop", ""),
        ("kiosk-a", "kiosk", ""),
        ("kiosk-b", "kiosk", ""),
        ("engine-a", "engine-rest", "/engine-rest"),
        ("engine-b", "engine-rest", "/engine-rest"),
    ] {
        let site = origin(name).await?;
        let further = "identity = \"off\"\nhealth = \"tcp\"";
        builder = builder.site_with(name, dialect, &[&site.endpoint(base)], further);
        origins.push(site);
    }
    Ok(World {
        router: builder.start().await?,
        _origins: origins,
    })
}

impl World {
    /// Which site answered.
    async fn ask(&self, headers: &[(&str, &str)], method: &str, path: &str) -> Result<String> {
        let mut client = self.router.client("");
        for (name, value) in headers {
            client = client.with_header(name, value);
        }
        let answer = match method {
            "POST" => client.post(path, &json!({})).await?,
            _ => client.get(path).await?,
        };
        let answer = answer.expect(200)?;
        let by = answer.member("by")?;
        ensure!(answer.header("homing-site") == Some(&*by), "{by}");
        Ok(by)
    }

    async fn explained(&self, headers: Value, path: &str) -> Result<Value> {
        let question = json!({ "method": "GET", "path": path, "headers": headers });
        let told = self.router.admin().post("/v1/explain", &question).await?;
        told.expect(200)?.json()
    }

    /// The site that the table says.
    async fn home(&self, key: &str) -> Result<String> {
        let path = format!("/v1/mappings/{}", key.replace('/', "%2F"));
        eventually(key, PATIENCE, async || {
            let told = self.router.admin().get(&path).await?;
            Ok((told.status == 200).then_some(told))
        })
        .await?
        .member("home")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialects_on_one_listener_are_told_apart_by_path_and_host() -> Promise {
    let world = world().await?;
    let kiosk = ("host", "kiosk.example:8080");
    // One order 7 in each application, by the same user: two keys, two homes, and a home of his own in each.
    let user = ("user", "anna");
    let shop = world.ask(&[user], "POST", "/orders").await?;
    assert!(shop.starts_with("shop-"), "{shop}");
    let other = world.ask(&[kiosk, user], "POST", "/orders").await?;
    assert!(other.starts_with("kiosk-"), "{other}");
    assert_eq!(world.home("order:7").await?, shop);
    assert_eq!(world.home("kiosk-order:7").await?, other);
    assert_eq!(world.home("user:anna").await?, shop);
    assert_eq!(world.home("kiosk/user:anna").await?, other);
    for _ in 0..6 {
        assert_eq!(world.ask(&[user], "POST", "/orders").await?, shop);
        assert_eq!(world.ask(&[kiosk, user], "POST", "/orders").await?, other);
        assert_eq!(world.ask(&[], "GET", "/orders/7").await?, shop);
        assert_eq!(world.ask(&[kiosk], "GET", "/orders/7").await?, other);
    }

    let told = world.explained(json!({}), "/orders/7").await?;
    assert_eq!(
        (&told["dialect"], &told["site"]),
        (&json!("shop"), &json!(shop))
    );
    let told = world
        .explained(json!({ "host": "kiosk.example" }), "/orders/7")
        .await?;
    assert_eq!(
        (&told["dialect"], &told["site"]),
        (&json!("kiosk"), &json!(other))
    );
    let told = world.explained(json!({}), "/engine-rest/task/7").await?;
    assert_eq!(told["dialect"], "engine-rest");

    engines_of_one_site_are_told_apart_by_their_names(&world).await?;
    Ok(())
}

async fn engines_of_one_site_are_told_apart_by_their_names(world: &World) -> Result<()> {
    for (engine, site) in [("blue", "engine-a"), ("red", "engine-b")] {
        let path = format!("/engine-rest/engine/{engine}/process-definition/key/order/start");
        let by = world.ask(&[("homing-site", site)], "POST", &path).await?;
        assert_eq!(by, site);
        let key = format!("{engine}/process-instance:{INSTANCE}");
        assert_eq!(world.home(&key).await?, site);
    }
    for _ in 0..3 {
        for (engine, site) in [("blue", "engine-a"), ("red", "engine-b")] {
            let path = format!("/engine-rest/engine/{engine}/process-instance/{INSTANCE}");
            assert_eq!(world.ask(&[], "GET", &path).await?, site);
        }
    }
    // The engine without a name is another one.
    let admin = world.router.admin();
    let unnamed = admin
        .get(&format!("/v1/mappings/process-instance:{INSTANCE}"))
        .await?;
    assert_eq!(unnamed.status, 404);
    // An id of the engines is none of the shop's: the shop's sites cannot have it.
    let client = world.router.client("");
    let shown = client.get("/orders/unknown").await?;
    shown.expect(503).context("nobody can vouch for a 404")?;
    Ok(())
}
