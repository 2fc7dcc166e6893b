//! Sites of Homing's own engine: what a timer starts is started at one of them. Judged by what the engines themselves hold.

use super::PATIENCE;
use anyhow::Result;
use homing_harness::{clock::eventually, deploy, outcome::Promise, own_engine::OwnEngine, router};

async fn count(engine: &OwnEngine, path: &str) -> Result<i64> {
    let answer = engine.client().get(path).await?.expect(200)?.json()?;
    Ok(answer["count"].as_i64().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_of_own_engines_starts_at_one_site() -> Promise {
    let engines = [
        OwnEngine::start("timers-a").await?,
        OwnEngine::start("timers-b").await?,
    ];
    let router = router::Builder::new("own-timers")
        .site("a", &engines[0].endpoint())
        .site("b", &engines[1].endpoint())
        .start_timers_at_one_site()
        .start()
        .await?;
    let ticker = include_str!("../../models/ticker.bpmn");
    deploy::deploy(
        &router.client("/engine-rest"),
        "ticker",
        &[("ticker.bpmn", ticker)],
    )
    .await?
    .expect(200)?;
    let held = "/job-definition/count?processDefinitionKey=ticker&suspended=true";
    let all = "/job-definition/count?processDefinitionKey=ticker";
    eventually(
        "both have it, and one holds it back",
        PATIENCE,
        async || {
            let mut seen = (0, 0);
            for engine in &engines {
                seen.0 += count(engine, all).await?;
                seen.1 += count(engine, held).await?;
            }
            Ok((seen == (2, 1)).then_some(()))
        },
    )
    .await?;
    let started = "/history/process-instance/count?processDefinitionKey=ticker";
    let first = [
        count(&engines[0], started).await?,
        count(&engines[1], started).await?,
    ];
    let at = usize::from(count(&engines[0], held).await? == 1);
    eventually("it fires there", PATIENCE, async || {
        Ok((count(&engines[at], started).await? >= first[at] + 2).then_some(()))
    })
    .await?;
    // Nothing more at the other one, which may have begun one before it was held back.
    let other = 1 - at;
    assert_eq!(count(&engines[other], started).await?, first[other]);
    Ok(())
}
