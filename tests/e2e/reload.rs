//! A changed configuration is taken over as a whole, or refused as a whole.

use std::time::Duration;

use homing_harness::{
    clock::eventually,
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    router::{Builder, Router},
};
use serde_json::json;

const DIALECT: &str = r#"
[[dialect]]
name = "things"
rules = [
  { path = "/things/{id}", class = "sticky", kind = "thing", key = { path = "id" } },
  { path = "/**", class = "any" },
]
"#;

async fn named(name: &'static str) -> anyhow::Result<FakeSite> {
    FakeSite::start(move |_| Reply::json(200, &json!({"site": name}))).await
}

fn edit(router: &Router, change: impl FnOnce(String) -> String) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(router.config())?;
    std::fs::write(router.config(), change(text))?;
    router.hang_up()?;
    Ok(())
}

async fn logged(router: &Router, text: &str) -> anyhow::Result<()> {
    eventually(
        &format!("the log says {text:?}"),
        Duration::from_secs(20),
        async || Ok(router.log()?.contains(text).then_some(())),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_joins_and_one_that_is_a_home_cannot_leave() -> Promise {
    let (a, b) = (named("a").await?, named("b").await?);
    let router = Builder::new("reloaded")
        .site_with("a", "things", &[&a.endpoint("")], "")
        .tables(DIALECT)
        .start()
        .await?;
    let client = router.client("");
    client.get("/things/1").await?.expect(200)?;

    let joined = format!(
        "\n[[site]]\nname = \"b\"\ndialect = \"things\"\nendpoints = [\"{}\"]\nweight = 1000\n",
        b.endpoint("")
    );
    edit(&router, |text| text + &joined)?;
    eventually(
        "new things are placed at b",
        Duration::from_secs(20),
        async || {
            let name = uuid::Uuid::new_v4();
            let answer = client.get(&format!("/things/{name}")).await?.expect(200)?;
            Ok((answer.header("homing-site") == Some("b")).then_some(()))
        },
    )
    .await?;

    edit(&router, |text| text.replace(&joined, ""))?;
    logged(&router, "site b cannot be removed").await?;
    assert_eq!(
        router.metric("homing_config_reload_success").await?,
        Some(0.0)
    );
    let again = client.get("/things/1").await?.expect(200)?;
    assert_eq!(again.header("homing-site"), Some("a"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_changes_nothing_and_says_why() -> Promise {
    let a = named("a").await?;
    let router = Builder::new("not-reloaded")
        .site_with("a", "things", &[&a.endpoint("")], "")
        .tables(DIALECT)
        .start()
        .await?;
    edit(&router, |text| {
        text + "\n[placment]\npolicy = \"weighted\"\n"
    })?;
    logged(&router, "the old one stays").await?;
    logged(&router, "placement").await?;
    router.client("").get("/things/1").await?.expect(200)?;
    assert_eq!(
        router.metric("homing_config_reload_success").await?,
        Some(0.0)
    );
    edit(&router, |text| text.replace("[placment]", "[placement]"))?;
    eventually(
        "the mended file is taken",
        Duration::from_secs(20),
        async || {
            Ok((router.metric("homing_config_reload_success").await? == Some(1.0)).then_some(()))
        },
    )
    .await?;
    Ok(())
}
