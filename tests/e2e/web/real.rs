//! Real web applications: Operaton's Cockpit of two sites, behind one address.

use super::Browser;
use crate::operate::said;
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
        .tables("[placement]\nsticky_user = { from = \"header:x-user\" }")
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
    open_app(browser, site, below, "cockpit").await
}

async fn open_app(browser: &mut Browser, site: &str, below: &str, app: &str) -> Result<usize> {
    let base = format!("{below}/app/{app}/default/");
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
    log_in_to(browser, below, "cockpit").await
}

async fn log_in_to(browser: &mut Browser, below: &str, app: &str) -> Result<()> {
    let path = format!("{below}/api/admin/auth/user/default/login/{app}");
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
    works_in_tasklist(&router, &a, &b).await?;
    stays_at_one_address(&router, &a, &b).await
}

/// What is said about a visit to the one address.
async fn why(router: &Router, path: &str, headers: Value) -> Result<(String, String)> {
    let question = json!({ "method": "GET", "path": path, "headers": headers });
    let told = router.admin().post("/v1/explain", &question).await?;
    let told = told.expect(200)?.json()?;
    assert_eq!(told["class"], "web", "{told}");
    assert_eq!(
        told["alternatives"].as_array().map(Vec::len),
        Some(2),
        "{told}"
    );
    let text = |name: &str| Ok(told[name].as_str().context("no text")?.to_owned());
    text("site").and_then(|site| Ok((site, text("reason")?)))
}

/// A user whom each request names finds Tasklist where his own instances are, and no other browser's cookie changes that.
async fn works_in_tasklist(router: &Router, a: &Engine, b: &Engine) -> Promise {
    let mary = ("x-user", "mary");
    let client = router.client("/engine-rest").with_header(mary.0, mary.1);
    let path = "/process-definition/key/order/start";
    let started = client.post(path, &json!({})).await?.expect(200)?;
    let home = started.header("homing-site").context("no site")?.to_owned();
    let engine = if home == "a" { a } else { b };
    let mut browser = new_browser(router);
    browser.client = browser.client.with_header(mary.0, mary.1);
    let files = open_app(&mut browser, &home, OWN, "tasklist").await?;
    assert!(files > 0, "the page loads nothing");
    log_in_to(&mut browser, OWN, "tasklist").await?;
    let none = browser
        .cookies
        .keys()
        .all(|(_, name)| name != "homing-site");
    assert!(none, "a named user needs no cookie: {:?}", browser.cookies);

    // Tasklist shows the tasks of that site, and one of them is completed in it.
    let api = format!("{OWN}/api/engine/engine/default/task");
    let select = "SELECT count(*) FROM act_ru_task";
    let held = engine.database().count(select).await?;
    let count = format!("{api}/count");
    let shown = browser.ask(Method::GET, &count, None).await?.expect(200)?;
    assert_eq!(shown.json()?, json!({ "count": held }));
    let instance = started.member("id")?;
    let own = format!("SELECT id_ FROM act_ru_task WHERE proc_inst_id_ = '{instance}'");
    let task = engine.database().column(&own).await?;
    let task = task.first().context("no task")?;
    let token = browser.token(OWN).context("no token")?.clone();
    let body = ("{}".into(), Some("application/json"));
    let done = format!("{api}/{task}/complete");
    let done = browser.send_as(Method::POST, &done, Some(&token), body);
    done.await?.expect(204)?;
    assert_eq!(engine.database().column(&own).await?, [""; 0]);

    // Why a browser is where it is.
    let page = format!("{OWN}/app/tasklist/default/");
    let named = |name: &str| json!({ "x-user": name });
    let (site, reason) = why(router, &page, named("mary")).await?;
    assert_eq!(site, home);
    assert!(
        reason.contains("whom the request names is at home there"),
        "{reason}"
    );
    let (first, reason) = why(router, &page, named("nobody-yet")).await?;
    assert!(reason.contains("follows from the name"), "{reason}");
    assert_eq!(why(router, &page, named("nobody-yet")).await?.0, first);
    for site in ["a", "b"] {
        let cookie = json!({ "cookie": format!("homing-site={site}") });
        let (told, reason) = why(router, &page, cookie).await?;
        assert_eq!(told, site);
        assert!(reason.contains("cookie homing-site names it"), "{reason}");
    }
    let (_, reason) = why(router, &page, json!({})).await?;
    assert!(reason.contains("has no site yet"), "{reason}");
    let told = said(router, &["explain", "GET", &page, "-H", "x-user: mary"], 0).await?;
    assert!(
        told.contains(&home) && told.contains("at home there"),
        "{told}"
    );
    Ok(())
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
