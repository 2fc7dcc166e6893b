//! The real web application of two sites behind one address: who logs in stays, and logs in elsewhere when his site dies.

use super::Browser;
use super::real::{FORM, site};
use anyhow::{Context as _, Result, ensure};
use homing_harness::{
    clock::eventually,
    engine::Engine,
    outcome::Promise,
    router::{Builder, Router},
};
use http::Method;
use std::collections::BTreeMap;
use std::time::Duration;

const DIALECT: &str = r#"
[[dialect]]
name = "tasklist"
rules = [
  { path = "/operaton/**", class = "sticky", kind = "session", key = { cookie = "JSESSIONID" }, learn = { set_cookie = "JSESSIONID" } },
]
"#;
const PAGE: &str = "/operaton/app/tasklist/default/";
const PATIENCE: Duration = Duration::from_secs(60);

async fn router(a: &Engine, b: &Engine) -> Result<Router> {
    let root = |engine: &Engine| format!("http://127.0.0.1:{}", engine.port());
    Builder::new("sticky-web")
        .site_with("a", "tasklist", &[&root(a)], "health = \"tcp\"")
        .site_with("b", "tasklist", &[&root(b)], "health = \"tcp\"")
        .tables(DIALECT)
        .start()
        .await
}

fn fresh(router: &Router) -> Browser {
    Browser {
        client: router.client(""),
        cookies: BTreeMap::new(),
    }
}

/// Opens the page and logs in; answers the site.
async fn log_in(browser: &mut Browser) -> Result<String> {
    let page = browser.ask(Method::GET, PAGE, None).await?.expect(200)?;
    let site = page.header("homing-site").context("no site")?.to_owned();
    let mut cookies = browser.cookies.iter();
    let token = cookies.find(|((_, name), _)| name == "XSRF-TOKEN");
    let token = token.context("no token")?.1.clone();
    let path = "/operaton/api/admin/auth/user/default/login/tasklist";
    let me = browser.send(Method::POST, path, Some(&token), Some(FORM));
    let me = me.await?.expect(200)?;
    ensure!(
        me.header("homing-site") == Some(&*site),
        "logged in at another site"
    );
    ensure!(me.member("userId")? == "demo", "{}", me.text());
    Ok(site)
}

/// What Tasklist asks for: status and site.
async fn count(browser: &mut Browser) -> Result<(u16, String)> {
    let path = "/operaton/api/engine/engine/default/task/count";
    let answer = browser.ask(Method::GET, path, None).await?;
    let site = answer.header("homing-site").unwrap_or_default().to_owned();
    Ok((answer.status.as_u16(), site))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_in_stays_at_a_site_and_logs_in_at_another_when_it_dies() -> Promise {
    let (a, b) = tokio::try_join!(site("stickya"), site("stickyb"))?;
    let router = router(&a, &b).await?;
    let mut homes: BTreeMap<String, Browser> = BTreeMap::new();
    for _ in 0..40 {
        let mut browser = fresh(&router);
        let home = log_in(&mut browser).await?;
        for _ in 0..3 {
            assert_eq!(count(&mut browser).await?, (200, home.clone()));
        }
        homes.insert(home, browser);
        if homes.len() == 2 {
            break;
        }
    }
    let [mut at_a, mut at_b] = ["a", "b"].map(|site| homes.remove(site));
    let at_a = at_a.as_mut().context("nobody was placed at a")?;
    let at_b = at_b.as_mut().context("nobody was placed at b")?;

    a.kill()?;
    // His session went with the site: the other one does not know him, and asks.
    let waiting = tokio::sync::Mutex::new(&mut *at_a);
    eventually("another site asks", PATIENCE, async || {
        let mut browser = waiting.lock().await;
        let asked = count(&mut browser).await?;
        ensure!(
            asked.0 == 503 || asked == (401, "b".to_owned()),
            "{asked:?}"
        );
        Ok((asked.0 == 401).then_some(()))
    })
    .await?;
    assert_eq!(count(at_b).await?, (200, "b".to_owned()));
    assert_eq!(log_in(at_a).await?, "b");
    assert_eq!(count(at_a).await?, (200, "b".to_owned()));
    assert_eq!(count(at_b).await?, (200, "b".to_owned()));
    Ok(())
}
