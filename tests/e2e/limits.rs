//! A limit that is reached is told to whom it concerns, counted, and felt by nobody else.

use std::time::Duration;

use homing_harness::{
    clock::eventually,
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    router::Builder,
};
use serde_json::json;

const DIALECT: &str = r#"
[[dialect]]
name = "anything"
rules = [{ path = "/app/**", class = "any" }]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_limits_one_client_and_not_the_others() -> Promise {
    let site = FakeSite::start(|_| Reply::json(200, &json!({}))).await?;
    let router = Builder::new("limited")
        .site_with("a", "anything", &[&site.endpoint("")], "")
        .listener("trusted_proxies = [\"127.0.0.1\"]")
        .tables(DIALECT)
        .start()
        .await?;
    let eager = router
        .client("")
        .with_header("x-forwarded-for", "192.0.2.1");
    for _ in 0..50 {
        eager.get("/app/a").await?.expect(200)?;
    }
    let long = format!("/app/{}", "a".repeat(2_000));
    eager.get(&long).await?.expect(200)?;

    let text = std::fs::read_to_string(router.config())?;
    let limits = "\n[limits]\nrequests_per_second_per_client = 2\ntarget_bytes = 1024\n";
    std::fs::write(router.config(), text + limits)?;
    router.hang_up()?;
    let refused = eventually("the limit holds", Duration::from_secs(20), async || {
        let answer = eager.get("/app/a").await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?
    .expect(429)?;
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.member("reason")?, "limit-exceeded");
    assert!(
        refused
            .member("detail")?
            .contains("requests_per_second_per_client")
    );
    let other = router
        .client("")
        .with_header("x-forwarded-for", "192.0.2.2");
    other.get("/app/a").await?.expect(200)?;
    other.get(&long).await?.expect(414)?;
    for limit in ["requests_per_second_per_client", "target_bytes"] {
        let hits = router
            .metric(&format!("homing_limit_hits_total{{limit=\"{limit}\"}}"))
            .await?;
        assert!(hits.is_some_and(|hits| hits >= 1.0), "{limit}: {hits:?}");
    }
    Ok(())
}
