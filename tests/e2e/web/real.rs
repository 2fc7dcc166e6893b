//! Real web applications: Operaton's Cockpit of two sites, behind one address.

use super::Browser;
use anyhow::{Context as _, Result};
use homing_harness::{
    clock::eventually,
    deploy::{self, ORDER},
    engine::{self, Engine, Kind},
    outcome::Promise,
    postgres::Cluster,
    router::{Builder, Router},
};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const FORM: &str = "username=demo&password=demo";
/// Where the web applications are at their own nodes.
const OWN: &str = "/operaton";
const PATIENCE: Duration = Duration::from_secs(90);
const LIVE: &str = "SELECT count(*) FROM act_ru_execution WHERE parent_id_ IS NULL";

async fn site(name: &str) -> Result<Engine> {
    let database = Cluster::shared()?.fresh_database(name)?;
    engine::Builder::new(name, Kind::OperatonWeb, &database)
        .start()
        .await
}

async fn router(a: &Engine, b: &Engine) -> Result<Router> {
    let web = "web = { path = \"/operaton\" }";
    Builder::new("real-web")
        .site_with("a", "engine-rest", &[&a.endpoint()], web)
        .site_with("b", "engine-rest", &[&b.endpoint()], web)
        .start()
        .await
}

/// What a page loads, by its addresses in quotation marks.
fn loads(page: &str) -> Vec<String> {
    let attributes = page.split(['=', ' ', '\n']).filter_map(|part| {
        let quoted = part.strip_prefix('"')?;
        Some(quoted.split('"').next()?.to_owned())
    });
    let files = attributes.filter(|it| it.contains(".js") || it.contains(".css"));
    files.collect()
}

/// Where an address on a page leads, the page's base being this.
fn resolved(base: &str, address: &str) -> Option<String> {
    if address.contains("://") || address.contains("$") {
        return None;
    }
    if address.starts_with('/') {
        return Some(address.to_owned());
    }
    let mut parts: Vec<&str> = base.trim_end_matches('/').split('/').collect();
    for part in address.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Opens Cockpit of this site below this path; answers how many files the page loads.
async fn open(browser: &mut Browser, site: &str, below: &str) -> Result<usize> {
    let base = format!("{below}/app/cockpit/default/");
    let page = browser.ask(Method::GET, &base, None).await?.expect(200)?;
    assert_eq!(page.header("homing-site"), Some(site));
    let text = page.text();
    let is_its_own = below == OWN;
    assert!(
        is_its_own || !text.contains("\"/operaton/"),
        "its own address: {text}"
    );
    let files: Vec<String> = loads(&text)
        .iter()
        .filter_map(|address| resolved(&base, address))
        .collect();
    for file in &files {
        let loaded = browser.ask(Method::GET, file, None).await?;
        assert_eq!(loaded.status, 200, "{file}");
        assert_eq!(loaded.header("homing-site"), Some(site), "{file}");
        assert!(file.starts_with(&format!("{below}/")), "{file}");
    }
    Ok(files.len())
}

async fn log_in(browser: &mut Browser, below: &str) -> Result<()> {
    let path = format!("{below}/api/admin/auth/user/default/login/cockpit");
    // A wrong password of the same user would lock him out for seconds.
    let wrong = "username=nobody&password=wrong";
    for (form, status) in [(wrong, 401), (FORM, 200)] {
        // As the page's script reads it: each answer may bring another one.
        let token = browser.token(below).context("no token")?.clone();
        let me = browser.send(Method::POST, &path, Some(&token), Some(form));
        let me = me.await?.expect(status)?;
        if status == 200 {
            assert_eq!(me.member("userId")?, "demo");
        }
    }
    Ok(())
}

/// What Cockpit shows: a question to the engine behind the web application's own door.
async fn shown(browser: &mut Browser, below: &str) -> Result<(u16, Value)> {
    let path = format!("{below}/api/engine/engine/default/process-instance/count");
    let answer = browser.ask(Method::GET, &path, None).await?;
    let status = answer.status.as_u16();
    Ok((status, answer.json().unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_logs_in_at_the_real_cockpit_of_each_site_and_stays_in() -> Promise {
    let (a, b) = tokio::try_join!(site("weba"), site("webb"))?;
    let router = router(&a, &b).await?;
    start_some(&router).await?;
    let mut browser = new_browser(&router);
    for (site, below) in [("a", "/sites/a"), ("b", "/sites/b")] {
        let files = open(&mut browser, site, below).await?;
        assert!(files > 0, "the page loads nothing");
        assert_eq!(shown(&mut browser, below).await?.0, 401, "at {site}");
    }
    log_in(&mut browser, "/sites/a").await?;
    // Logged in at one is not logged in at the other.
    assert_eq!(shown(&mut browser, "/sites/b").await?.0, 401);
    log_in(&mut browser, "/sites/b").await?;
    for (below, engine) in [("/sites/a", &a), ("/sites/b", &b), ("/sites/a", &a)] {
        let held = engine.database().count(LIVE).await?;
        assert!(held > 0, "nothing was started for {below}");
        let expected = (200, json!({ "count": held }));
        assert_eq!(shown(&mut browser, below).await?, expected, "{below}");
    }
    stays_at_one_address(&router, &a, &b).await
}

/// The same browsers at one address: each has a site of its own, until that is down.
async fn stays_at_one_address(router: &Router, a: &Engine, b: &Engine) -> Promise {
    let mut browsers: BTreeMap<String, Browser> = BTreeMap::new();
    for _ in 0..60 {
        let mut browser = new_browser(router);
        let page = browser.ask(Method::GET, OWN, None).await?.expect(308)?;
        let home = page.header("homing-site").context("no site")?.to_owned();
        browsers.insert(home, browser);
        if browsers.len() == 2 {
            break;
        }
    }
    assert_eq!(browsers.len(), 2, "all browsers at one site");
    for (site, engine) in [("a", a), ("b", b)] {
        let browser = browsers.get_mut(site).context("a browser")?;
        let files = open(browser, site, OWN).await?;
        assert!(files > 0, "the page loads nothing");
        assert_eq!(shown(browser, OWN).await?.0, 401);
        log_in(browser, OWN).await?;
        let held = engine.database().count(LIVE).await?;
        for _ in 0..5 {
            assert_eq!(shown(browser, OWN).await?, (200, json!({ "count": held })));
        }
    }
    a.kill()?;
    eventually("the site is down", PATIENCE, async || {
        let metric = router.metric("homing_site_available{site=\"a\"}").await?;
        Ok((metric == Some(0.0)).then_some(()))
    })
    .await?;
    let browser = browsers.get_mut("a").context("a browser")?;
    assert_eq!(
        shown(browser, OWN).await?.0,
        401,
        "another site knows no login"
    );
    open(browser, "b", OWN).await?;
    log_in(browser, OWN).await?;
    let held = b.database().count(LIVE).await?;
    assert_eq!(shown(browser, OWN).await?, (200, json!({ "count": held })));
    Ok(())
}

fn new_browser(router: &Router) -> Browser {
    Browser {
        client: router.client(""),
        cookies: BTreeMap::new(),
    }
}

async fn start_some(router: &Router) -> Promise {
    let client = router.client("/engine-rest");
    let deployed = deploy::deploy(&client, "order", &[ORDER]).await?;
    deployed.expect(200)?;
    for _ in 0..16 {
        let path = "/process-definition/key/order/start";
        client.post(path, &json!({})).await?.expect(200)?;
    }
    Ok(())
}
