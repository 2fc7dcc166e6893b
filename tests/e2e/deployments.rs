//! A deployment goes to every site, or says where it did not.

use anyhow::Result;
use homing_harness::{
    client::Client,
    deploy::{self, ORDER},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
};
use serde_json::Value;

/// How many deployments of this name an engine itself counts.
async fn deployed_at(pair: &Pair, site: &str, name: &str) -> Result<i64> {
    let select = format!("SELECT count(*) FROM act_re_deployment WHERE name_ = '{name}'");
    pair.site(site)?.database().count(&select).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_reaches_every_site() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("deploys").start().await?;
    let model = ORDER.1.replace("id=\"order\"", "id=\"everywhere\"");
    let answer = deploy::deploy(
        &router.client("/engine-rest"),
        "everywhere",
        &[("everywhere.bpmn", &model)],
    )
    .await?;
    answer.expect(200)?;
    for site in ["a", "b"] {
        assert_eq!(deployed_at(pair, site, "everywhere").await?, 1, "at {site}");
        let engine = Client::new(loopback(pair.site(site)?.port()), "/engine-rest");
        engine
            .get("/process-definition/key/everywhere")
            .await?
            .expect(200)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_no_site_takes_is_refused_with_the_engines_own_words() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("refused").start().await?;
    let broken = ORDER
        .1
        .replace("targetRef=\"check\"", "targetRef=\"nowhere\"");
    let answer = deploy::deploy(
        &router.client("/engine-rest"),
        "broken",
        &[("broken.bpmn", &broken)],
    )
    .await?;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.member("message")?.contains("nowhere"),
        "{}",
        answer.text()
    );
    for site in ["a", "b"] {
        assert_eq!(deployed_at(pair, site, "broken").await?, 0, "at {site}");
    }
    Ok(())
}

/// The model's history attribute is written in a namespace that Operaton reads and Camunda does not: for Camunda it has
/// none, and it refuses such models.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_one_site_refuses_stays_nowhere_or_is_named() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("half").start().await?;
    let model = ORDER
        .1
        .replace(
            "http://camunda.org/schema/1.0/bpmn",
            "http://operaton.org/schema/1.0/bpmn",
        )
        .replace("id=\"order\"", "id=\"half\"");
    let at_b = Client::new(loopback(pair.b.port()), "/engine-rest");
    deploy::deploy(&at_b, "half-direct", &[("half.bpmn", &model)])
        .await?
        .expect(400)?;

    let answer = deploy::deploy(
        &router.client("/engine-rest"),
        "half",
        &[("half.bpmn", &model)],
    )
    .await?;
    assert!(
        answer.status.is_client_error(),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert_eq!(deployed_at(pair, "b", "half").await?, 0);
    let left = deployed_at(pair, "a", "half").await?;
    let named = answer
        .json()?
        .pointer("/sites")
        .map(Value::to_string)
        .unwrap_or_default();
    assert!(
        left == 0 || named.contains('a'),
        "left at a, and not said: {}",
        answer.text()
    );
    Ok(())
}
