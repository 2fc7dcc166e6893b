//! Any application that embeds an engine: a dialect in configuration keeps its users and orders at their sites.

use std::{sync::OnceLock, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use homing_harness::{
    client::Client,
    engine::{self, Engine, Kind},
    outcome::{Promise, shared},
    postgres::Cluster,
    router::{self, Router},
};
use hyper::Method;
use serde_json::json;

const DIALECT: &str = r#"
[placement]
sticky_user = { from = "basic" }

[[dialect]]
name = "shop"
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "order", learn = { body = "/id" } },
  { method = "POST", path = "/app/orders", class = "sticky", kind = "session", key = { cookie = "SID" }, learn = { body = "/id" } },
  { method = "GET", path = "/orders", class = "gather", merge = "concat" },
  { method = "GET", path = "/statistics", class = "gather", merge = "sum" },
  { method = "PUT", path = "/catalog/**", class = "broadcast" },
  { method = "GET", path = "/catalog/**", class = "any" },
  { path = "/orders/{id}/**", class = "keyed", kind = "order", key = { path = "id" } },
  { path = "/app/**", class = "sticky", kind = "session", key = { cookie = "SID" }, learn = { set_cookie = "SID" } },
]
"#;

/// The application at two sites, shared by the tests of this file.
fn start_sites() -> Result<[Engine; 2]> {
    let cluster = Cluster::shared()?;
    let start = |name| {
        let database = cluster.fresh_database(name)?;
        let cookie = "--server.servlet.session.cookie.name=SID";
        engine::Builder::new(name, Kind::Orders, &database)
            .flag(cookie)
            .start_blocking()
    };
    std::thread::scope(|scope| {
        let a = scope.spawn(|| start("shop_a"));
        let b = start("shop_b")?;
        Ok([a.join().ok().context("the start of shop a panicked")??, b])
    })
}

async fn sites() -> Result<&'static [Engine; 2]> {
    static SITES: OnceLock<Result<[Engine; 2], String>> = OnceLock::new();
    tokio::task::spawn_blocking(|| shared(&SITES, start_sites)).await?
}

/// A router of the test's own in front of them.
async fn shop(name: &str) -> Result<Router> {
    let [a, b] = sites().await?;
    let health = "health = { path = \"/health\" }";
    router::Builder::new(name)
        .site_with("a", "shop", &[&a.endpoint()], health)
        .site_with("b", "shop", &[&b.endpoint()], health)
        .tables(DIALECT)
        .start()
        .await
}

/// A user's session.
struct Session {
    client: Client,
    site: String,
}

/// Logs in; the password is the name.
async fn log_in(router: &Router, user: &str) -> Result<Session> {
    use base64::Engine as _;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{user}"));
    let client = router
        .client("")
        .with_header("authorization", &format!("Basic {credentials}"));
    let answer = client
        .send(Method::POST, "/app/login", Bytes::new(), None)
        .await?
        .expect(200)?;
    let cookie = answer.header("set-cookie").context("no session")?;
    let cookie = cookie
        .split(';')
        .next()
        .context("an empty cookie")?
        .to_owned();
    let site = answer
        .header("homing-site")
        .context("no Homing-Site")?
        .to_owned();
    Ok(Session {
        client: router.client("").with_header("cookie", &cookie),
        site,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_orders_of_an_embedding_application_stay_at_their_sites() -> Promise {
    const USERS: usize = 12;
    let router = shop("shop-users").await?;
    let users: Vec<String> = (0..USERS).map(|number| format!("user{number}")).collect();

    let mut today = Vec::new();
    for user in &users {
        let session = log_in(&router, user).await?;
        let order = session
            .client
            .post("/app/orders", &json!({ "item": "book" }))
            .await?
            .expect(200)?
            .member("id")?;
        today.push((session, order));
    }
    let at_a = today
        .iter()
        .filter(|(session, _)| session.site == "a")
        .count();
    assert!((1..USERS).contains(&at_a), "{at_a} of {USERS} users at a");

    router.kill()?;
    router.start_again().await?;

    for (user, (session, order)) in users.iter().zip(&today) {
        // The old session is known only to the process that made it.
        let me = session.client.get("/app/me").await?.expect(200)?.json()?;
        assert_eq!(me["user"], user.as_str());
        assert_eq!(me["orders"], json!([order]));
        // A new login of the same user is at the same site, where the orders are.
        let tomorrow = log_in(&router, user).await?;
        assert_eq!(tomorrow.site, session.site, "{user} moved");
        let me = tomorrow.client.get("/app/me").await?.expect(200)?.json()?;
        assert_eq!(me["orders"], json!([order]));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_the_router_saw_made_are_found_by_their_id_alone() -> Promise {
    let router = shop("shop-orders").await?;
    let client = router.client("");
    let mut orders = Vec::new();
    for number in 0..20 {
        let made = client
            .post("/orders", &json!({ "item": format!("book {number}") }))
            .await?
            .expect(200)?;
        let site = made
            .header("homing-site")
            .context("no Homing-Site")?
            .to_owned();
        orders.push((made.member("id")?, site, format!("book {number}")));
    }
    router.terminate(Duration::from_secs(40)).await?;
    router.start_again().await?;
    for (id, site, item) in &orders {
        let shown = client.get(&format!("/orders/{id}")).await?.expect(200)?;
        assert_eq!(shown.header("homing-site"), Some(site.as_str()));
        assert_eq!(&shown.member("item")?, item);
        client
            .send(
                Method::POST,
                &format!("/orders/{id}/done"),
                Bytes::new(),
                None,
            )
            .await?
            .expect(200)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_sites_have_is_read_as_one_and_what_all_need_is_written_to_each() -> Promise {
    let router = shop("shop-all").await?;
    let client = router.client("");
    let mut homes = std::collections::BTreeSet::new();
    let mut made = std::collections::BTreeSet::new();
    for number in 0..12 {
        let order = client
            .post("/orders", &json!({ "item": format!("all {number}") }))
            .await?
            .expect(200)?;
        homes.insert(order.header("homing-site").context("no site")?.to_owned());
        made.insert(order.member("id")?);
    }
    assert_eq!(homes.len(), 2, "all orders are at one site: {homes:?}");

    // Other tests make orders meanwhile, so each of ours must be there once, and the sum lies between two counts.
    let list = client.get("/orders").await?.expect(200)?;
    assert!(list.header("homing-missing-sites").is_none());
    let list = list.json()?;
    let listed: Vec<&str> = list
        .as_array()
        .context("no list")?
        .iter()
        .filter_map(|row| row["id"].as_str())
        .collect();
    for id in &made {
        assert_eq!(
            listed.iter().filter(|listed| *listed == id).count(),
            1,
            "{id}"
        );
    }
    let count = async || -> Result<i64> {
        let mut sum = 0;
        for site in sites().await? {
            let sql = "SELECT count(*) FROM act_ru_execution WHERE parent_id_ IS NULL";
            sum += site.database().count(sql).await?;
        }
        Ok(sum)
    };
    let before = count().await?;
    let sum = client.get("/statistics").await?.expect(200)?.json()?;
    let after = count().await?;
    let between = before.min(after)..=before.max(after);
    assert!(
        between.contains(&sum["orders"].as_i64().unwrap_or(-1)),
        "{sum} is not in {between:?}"
    );
    assert_eq!(sum["shops"], 2);

    client
        .put("/catalog/book", &json!({ "price": "12.50" }))
        .await?
        .expect(200)?;
    for site in sites().await? {
        let direct = Client::new(homing_harness::ports::loopback(site.port()), "");
        let entry = direct.get("/catalog/book").await?.expect(200)?;
        assert_eq!(entry.member("price")?, "12.50");
    }
    Ok(())
}
