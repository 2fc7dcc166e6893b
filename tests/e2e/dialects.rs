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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_an_application_without_rules_stay_at_one_site() -> Promise {
    let (a, b) = (origin("a").await?, origin("b").await?);
    let further = "identity = \"off\"\nhealth = \"tcp\"";
    let router = Builder::new("users")
        .tables("[placement]\nsticky_user = { from = \"header:User\" }")
        .site_with("a", "generic", &[&a.endpoint("")], further)
        .site_with("b", "generic", &[&b.endpoint("")], further)
        .start()
        .await?;
    let mut world = World {
        router,
        _origins: vec![a, b],
    };
    let names: Vec<String> = (0..12).map(|number| format!("user{number}")).collect();
    let mut homes = Vec::new();
    for name in &names {
        let home = world.ask(&[("user", name)], "POST", "/x").await?;
        assert_eq!(world.ask(&[("user", name)], "GET", "/y/z").await?, home);
        homes.push(home);
    }
    let at_a = homes.iter().filter(|home| *home == "a").count();
    assert!((1..names.len()).contains(&at_a), "{homes:?}");
    assert_eq!(world.home("user:user0").await?, homes[0]);
    let told = world.explained(json!({ "user": "user0" }), "/x").await?;
    assert_eq!(told["key"], "user:user0");
    assert_eq!(told["site"], homes[0].as_str());

    // While his site is away nobody else answers a user. What it has of kept connections ends a little later.
    world._origins.pop();
    let kept = homes.iter().position(|home| home == "a").context("at a")?;
    let away = homes.iter().position(|home| home == "b").context("at b")?;
    let client = world.router.client("");
    let client = client.with_header("user", &names[away]);
    eventually("a refusal", PATIENCE, async || {
        let answer = client.get("/x").await?;
        let by = answer.header("homing-site");
        ensure!(by.is_none_or(|by| by == "b"), "{by:?} answered");
        Ok(answer.status.is_server_error().then_some(()))
    })
    .await?;
    let user = ("user", names[kept].as_str());
    assert_eq!(world.ask(&[user], "GET", "/x").await?, "a");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn which_ids_are_unknown_is_told_to_those_only_whom_a_site_lets_in() -> Promise {
    let guarded = || {
        FakeSite::start(|seen| match seen.header("authorization") {
            Some(_) => Reply::json(200, &json!({ "version": "7" })),
            None => Reply::text(401, "text/plain", "who are you?"),
        })
    };
    let (a, b) = (guarded().await?, guarded().await?);
    let further = "identity = \"off\"\nhealth = \"tcp\"";
    let router = Builder::new("strangers")
        .site_with("a", "engine-rest", &[&a.endpoint("/engine-rest")], further)
        .site_with("b", "engine-rest", &[&b.endpoint("/engine-rest")], further)
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let stranger = client.get("/process-instance/nope").await?;
    assert_eq!(stranger.status, 401);
    // The sites do not answer the router's own search here, so it cannot be said that nobody knows the id.
    let known = client.with_header("authorization", "Basic YTph");
    assert_eq!(known.get("/process-instance/nope").await?.status, 503);
    Ok(())
}
