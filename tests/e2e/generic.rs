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

/// A router of the test's own in front of them.
async fn shop(name: &str) -> Result<Router> {
    static SITES: OnceLock<Result<[Engine; 2], String>> = OnceLock::new();
    let [a, b] = tokio::task::spawn_blocking(|| shared(&SITES, start_sites)).await??;
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
