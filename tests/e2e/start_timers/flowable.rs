//! A cycle over three Flowable sites starts at one of them, over its death and return, a new version and the removal of that. Judged by
//! the engines' own tables.

use super::{PATIENCE, armed};
use crate::flowable::deploy_file;
use anyhow::{Context, Result};
use homing_harness::{
    clock::{Stopwatch, eventually},
    engine::{self, Engine, Kind},
    outcome::Promise,
    postgres::Cluster,
    router::{self, Router},
};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "a-beat-with-so-long-a-name";
const FILE: &str = "beat.bpmn20.xml";
const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="beat">
  <process id="KEY" name="NAME" isExecutable="true">
    <startEvent id="every"><timerEventDefinition><timeCycle>R/PT5S</timeCycle></timerEventDefinition></startEvent>
    <sequenceFlow id="on" sourceRef="every" targetRef="done"/>
    <endEvent id="done"/>
  </process>
</definitions>"#;
const PERIOD_MS: i64 = 5_000;
/// When nothing may happen, it is looked for so long.
const NOTHING_FOR: Duration = Duration::from_secs(11);

struct Site {
    name: &'static str,
    engine: Arc<Engine>,
}

impl Site {
    async fn start(name: &'static str) -> Result<Site> {
        let database = Cluster::shared()?.fresh_database(&format!("flowbeats{name}"))?;
        let engine = engine::Builder::new(&format!("flowbeats-{name}"), Kind::Flowable, &database);
        let engine = Arc::new(engine.start().await?);
        Ok(Site { name, engine })
    }

    /// When the cycle went off here, in milliseconds, oldest first. The database answers whether or not the engine lives.
    async fn beats(&self) -> Result<Vec<i64>> {
        let select = "SELECT (extract(epoch FROM start_time_) * 1000)::bigint::text FROM act_hi_procinst ORDER BY start_time_";
        let rows = self.engine.database().column(select).await?;
        rows.iter().map(|at| Ok(at.parse()?)).collect()
    }

    /// Start timers that would go off here.
    async fn active(&self) -> Result<i64> {
        let select =
            "SELECT count(*) FROM act_ru_timer_job WHERE handler_type_ = 'timer-start-event'";
        self.engine.database().count(select).await
    }
}

async fn more(site: &Site, what: &str, beats: usize) -> Result<()> {
    let before = site.beats().await?.len();
    eventually(what, PATIENCE, async || {
        Ok((site.beats().await?.len() >= before + beats).then_some(()))
    })
    .await
}

/// No other site has ever started one, and none would.
async fn alone(sites: &[Site], at: &str) -> Result<()> {
    for site in sites.iter().filter(|site| site.name != at) {
        assert_eq!(site.beats().await?.len(), 0, "at {}", site.name);
        assert_eq!(site.active().await?, 0, "at {}", site.name);
    }
    Ok(())
}

async fn observed(router: &Router, site: &str, state: &str) -> Result<()> {
    let path = format!("/v1/sites/{site}");
    eventually(&format!("{site} is {state}"), PATIENCE, async || {
        let told = router.admin().get(&path).await?.expect(200)?;
        Ok((told.member("observed")? == state).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_over_three_flowable_sites_starts_at_one_of_them() -> Promise {
    let (a, b, c) = tokio::try_join!(Site::start("a"), Site::start("b"), Site::start("c"))?;
    let sites = [a, b, c];
    let mut builder = router::Builder::new("flowbeats").start_timers_at_one_site();
    for site in &sites {
        let root = format!("http://127.0.0.1:{}", site.engine.port());
        builder = builder.site_with(site.name, "flowable", &[&root], "");
    }
    let router = builder.start().await?;
    let client = router.client("");
    for site in &sites {
        observed(&router, site.name, "healthy").await?;
    }
    let model = |name: &str| MODEL.replace("KEY", KEY).replace("NAME", name);
    deploy_file(&client, FILE, &model("first"))
        .await?
        .expect(201)?;
    let row = armed(&router, KEY).await?.context("no row")?;
    let at = sites.iter().find(|site| row["site"] == site.name);
    let at = at.context("armed nowhere")?;
    alone(&sites, at.name).await?;
    assert_eq!(at.active().await?, 1);
    more(at, "it goes off", 3).await?;
    alone(&sites, at.name).await?;

    // A new version, and its removal, which makes the timers of the one before it anew.
    let second = deploy_file(&client, FILE, &model("second"))
        .await?
        .expect(201)?;
    alone(&sites, at.name).await?;
    let path = format!(
        "/process-api/repository/deployments/{}?cascade=true",
        second.member("id")?
    );
    client.delete(&path).await?.expect(204)?;
    alone(&sites, at.name).await?;
    more(at, "it goes off again", 1).await?;

    // Its site dies: what may still be running is not replaced.
    at.engine.kill()?;
    observed(&router, at.name, "down").await?;
    let dead = Stopwatch::start();
    eventually("two periods are over", PATIENCE, async || {
        alone(&sites, at.name).await?;
        Ok(dead.is_past(NOTHING_FOR).then_some(()))
    })
    .await?;
    at.engine.start_again().await?;
    observed(&router, at.name, "healthy").await?;
    more(at, "it goes off after its return", 2).await?;
    alone(&sites, at.name).await?;

    // Once a period; each of the two versions, and the return, begins a period of its own.
    let beats = at.beats().await?;
    let span = beats.last().context("none")? - beats.first().context("none")?;
    let periods = usize::try_from(span / PERIOD_MS)? + 1;
    assert!(
        beats.len() <= periods + 3,
        "{} in {periods} periods: {beats:?}",
        beats.len()
    );
    Ok(())
}
