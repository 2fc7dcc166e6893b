//! Web applications of a site below `/sites/SITE/`: a browser logs in and stays in, at each site by itself.
//!
//! The origin answers what Operaton's web applications (1.0.3, on Spring Boot) were recorded to answer: redirects with the
//! host of the request, cookies with their own path and with the root's, a page that names its own address, scripts that
//! are told it, and a login that wants session and token to agree.

mod real;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use homing_harness::client::{Answer, Client};
use homing_harness::fake_site::{FakeSite, Reply, Seen};
use homing_harness::outcome::Promise;
use homing_harness::router::{Builder, Router};
use http::Method;
use serde_json::json;
use std::collections::BTreeMap;

const PAGE: &str = r#"<!DOCTYPE html><html><head>
<base href="/operaton/app/cockpit/default/" engine-api="/operaton/api/engine/" app-root="/operaton" app-name="cockpit" />
<script defer src="/operaton/lib/deps.js?bust=1.0.3" nonce="EAzq"></script></head>
<body><script>window.PLUGIN_PACKAGES = [{ location: '/operaton/api/cockpit/plugin/x/static/app' }];</script>
<a href="https://docs.operaton.org/operaton/">manual</a></body></html>"#;
const SCRIPT: &str = r#"var url="/operaton/api/engine/engine/default/variable-instance/",welcome="/operaton-welcome";"#;
const LOGIN: &str = "/operaton/api/admin/auth/user/default/login/cockpit";

/// One site with its web applications; its session and its token bear its name.
async fn origin(name: &'static str) -> Result<FakeSite> {
    FakeSite::start(move |seen| answer(name, seen)).await
}

fn answer(name: &str, seen: &Seen) -> Reply {
    let empty = |status| Reply::text(status, "text/plain", "");
    let host = seen.header("host").unwrap_or_default();
    let session = format!("JSESSIONID={name}-session");
    let token = format!("{name}-token");
    let cookies = seen.header("cookie").unwrap_or_default();
    match seen.target.as_str() {
        "/operaton/" => {
            empty(302).with_header("location", &format!("http://{host}/operaton/app/tasklist/"))
        }
        "/operaton/app/cockpit/default/" => Reply::text(200, "text/html;charset=ISO-8859-1", PAGE)
            .with_header(
                "set-cookie",
                &format!("{session}; Path=/; HttpOnly;SameSite=Lax"),
            )
            .with_header("x-xsrf-token", &token)
            .with_header(
                "set-cookie",
                &format!("XSRF-TOKEN={token};Path=/operaton;SameSite=Lax"),
            ),
        "/operaton/lib/deps.js?bust=1.0.3" => Reply::text(200, "application/javascript", SCRIPT),
        LOGIN => {
            let agrees = cookies.contains(&session)
                && cookies.contains(&format!("XSRF-TOKEN={token}"))
                && seen.header("x-xsrf-token") == Some(&*token);
            if agrees {
                Reply::json(
                    200,
                    &json!({ "userId": name, "authorizedApps": ["cockpit"] }),
                )
            } else {
                empty(403).with_header("x-xsrf-token", "Required")
            }
        }
        "/operaton/api/sso" => {
            empty(302).with_header("location", "https://login.example/?to=/operaton/")
        }
        _ => empty(404),
    }
}

/// What a browser does with cookies and paths.
struct Browser {
    client: Client,
    /// By path and name.
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    async fn ask(&mut self, method: Method, path: &str, token: Option<&str>) -> Result<Answer> {
        self.send(method, path, token, None).await
    }

    /// The same with a form.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        form: Option<&'static str>,
    ) -> Result<Answer> {
        let kind = form.map(|_| "application/x-www-form-urlencoded");
        let body = Bytes::from_static(form.unwrap_or_default().as_bytes());
        self.send_as(method, path, token, (body, kind)).await
    }

    async fn send_as(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        (body, kind): (Bytes, Option<&str>),
    ) -> Result<Answer> {
        let fits = |at: &str| path == at || path.starts_with(&format!("{at}/")) || at == "/";
        let sent = self.cookies.iter().filter(|((at, _), _)| fits(at));
        let sent: Vec<String> = sent
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let mut client = self.client.clone();
        if !sent.is_empty() {
            client = client.with_header("cookie", &sent.join("; "));
        }
        if let Some(token) = token {
            client = client.with_header("x-xsrf-token", token);
        }
        let answer = client.send(method, path, body, kind).await?;
        for line in answer.headers.get_all("set-cookie") {
            let mut parts = line.to_str()?.split(';').map(str::trim);
            let (name, value) = parts
                .next()
                .and_then(|it| it.split_once('='))
                .context("a cookie")?;
            let at = parts.find_map(|part| part.strip_prefix("Path="));
            let key = (at.context("no path")?.to_owned(), name.to_owned());
            self.cookies.insert(key, value.to_owned());
        }
        Ok(answer)
    }

    /// The token as the page's script reads it: of the cookies that the page sees.
    fn token(&self, base: &str) -> Option<&String> {
        self.cookies
            .get(&(base.to_owned(), "XSRF-TOKEN".to_owned()))
    }
}

async fn router(a: &FakeSite, b: &FakeSite, c: &FakeSite) -> Result<Router> {
    let further = "identity = \"off\"\nhealth = \"tcp\"";
    let web = format!("{further}\nweb = {{ path = \"/operaton\" }}");
    Builder::new("web")
        .site_with("a", "engine-rest", &[&a.endpoint("/engine-rest")], &web)
        .site_with("b", "engine-rest", &[&b.endpoint("/engine-rest")], &web)
        .site_with("c", "engine-rest", &[&c.endpoint("/engine-rest")], further)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_works_with_the_web_applications_of_each_site() -> Promise {
    let (a, b, c) = (origin("a").await?, origin("b").await?, origin("c").await?);
    let router = router(&a, &b, &c).await?;
    let mut browser = Browser {
        client: router.client(""),
        cookies: BTreeMap::new(),
    };
    for site in ["a", "b"] {
        let base = format!("/sites/{site}");
        let bare = browser.ask(Method::GET, &base, None).await?.expect(308)?;
        assert_eq!(bare.header("location"), Some(&*format!("{base}/")));
        let there = browser
            .ask(Method::GET, &format!("{base}/"), None)
            .await?
            .expect(302)?;
        assert_eq!(
            there.header("location"),
            Some(&*format!("{base}/app/tasklist/"))
        );

        let page = format!("{base}/app/cockpit/default/");
        let page = browser.ask(Method::GET, &page, None).await?.expect(200)?;
        assert_eq!(page.header("homing-site"), Some(site));
        let expected = PAGE.replace("\"/operaton", &format!("\"{base}"));
        let expected = expected.replace("'/operaton", &format!("'{base}"));
        assert_eq!(page.text(), expected);
        let script = format!("{base}/lib/deps.js?bust=1.0.3");
        let script = browser.ask(Method::GET, &script, None).await?.expect(200)?;
        let expected = SCRIPT.replace("\"/operaton/", &format!("\"{base}/"));
        assert_eq!(script.text(), expected);
        let leads_away = browser
            .ask(Method::GET, &format!("{base}/api/sso"), None)
            .await?;
        let location = leads_away.header("location");
        assert_eq!(location, Some("https://login.example/?to=/operaton/"));
    }
    // Logged in at both at once: neither site's cookies are sent to the other.
    for site in ["a", "b", "a"] {
        let below = format!("/sites/{site}");
        let login = format!("{below}/api/admin/auth/user/default/login/cockpit");
        browser.ask(Method::POST, &login, None).await?.expect(403)?;
        let token = browser.token(&below).context("no token")?.clone();
        let me = browser
            .ask(Method::POST, &login, Some(&token))
            .await?
            .expect(200)?;
        assert_eq!(me.member("userId")?, site);
    }
    for (_, seen) in [("a", a.seen()), ("b", b.seen())] {
        let cookies = seen.iter().filter_map(|seen| seen.header("cookie"));
        assert!(
            cookies
                .into_iter()
                .all(|cookies| cookies.matches("JSESSIONID").count() == 1)
        );
    }
    who_has_no_web_application_shows_none(&router, &c).await
}

async fn who_has_no_web_application_shows_none(router: &Router, c: &FakeSite) -> Promise {
    let client = router.client("");
    for path in ["/sites/c/", "/sites/nobody/", "/sites/", "/sites"] {
        client.get(path).await?.expect(404)?;
    }
    for path in ["/sites/a/..;/engine-rest/version", "/sites/a/x/%2e%2e/y"] {
        client.get(path).await?.expect(400)?;
    }
    assert!(
        c.seen()
            .iter()
            .all(|seen| !seen.target.contains("operaton"))
    );
    let question = json!({ "method": "GET", "path": "/sites/b/app/" });
    let told = router.admin().post("/v1/explain", &question).await?;
    let told = told.expect(200)?.json()?;
    assert_eq!(
        (&told["class"], &told["site"]),
        (&json!("web"), &json!("b"))
    );
    Ok(())
}
