//! A cycle over three sites starts once a period, over its site's death and return, and after it moved. Judged by the engines' own
//! tables.

use super::{PATIENCE, armed};
use crate::operate::said;
use anyhow::{Context, Result};
use homing_harness::{
    clock::{Stopwatch, eventually},
    deploy,
    engine::{self, Engine, Kind},
    outcome::Promise,
    postgres::Cluster,
    router::{self, Router},
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "beat";
const PERIOD: Duration = Duration::from_secs(5);
/// When nothing may happen, it is looked for so long.
const NOTHING_FOR: Duration = Duration::from_secs(11);

struct Site {
    name: &'static str,
    engine: Arc<Engine>,
}

impl Site {
    async fn start(name: &'static str) -> Result<Site> {
        let database = Cluster::shared()?.fresh_database(&format!("beats{name}"))?;
        let engine = engine::Builder::new(&format!("beats-{name}"), Kind::Operaton, &database);
        let engine = Arc::new(engine.start().await?);
        Ok(Site { name, engine })
    }

    /// When the cycle went off here, in milliseconds, oldest first. The database answers whether or not the engine lives.
    async fn beats(&self) -> Result<Vec<i64>> {
        let select = format!(
            "SELECT (extract(epoch FROM start_time_) * 1000)::bigint::text FROM act_hi_procinst \
             WHERE proc_def_key_ = '{KEY}' ORDER BY start_time_"
        );
        let rows = self.engine.database().column(&select).await?;
        rows.iter().map(|at| Ok(at.parse()?)).collect()
    }

    /// Start timers that would go off here.
    async fn active(&self) -> Result<i64> {
        let select = format!(
            "SELECT count(*) FROM act_ru_job WHERE process_def_key_ = '{KEY}' AND suspension_state_ = 1"
        );
        self.engine.database().count(&select).await
    }
}

async fn more(site: &Site, what: &str, beats: usize) -> Result<()> {
    let before = site.beats().await?.len();
    eventually(what, PATIENCE, async || {
        Ok((site.beats().await?.len() >= before + beats).then_some(()))
    })
    .await
}

async fn observed(router: &Router, site: &str, state: &str) -> Result<()> {
    let path = format!("/v1/sites/{site}");
    eventually(&format!("{site} is {state}"), PATIENCE, async || {
        let told = router.admin().get(&path).await?.expect(200)?;
        Ok((told.member("observed")? == state).then_some(()))
    })
    .await
}

async fn row(router: &Router) -> Result<(Value, Value)> {
    let row = armed(router, KEY).await?.context("no row")?;
    Ok((row["site"].clone(), row["stage"].clone()))
}

/// No site but this one has ever started one, and no other one would.
async fn alone(sites: &[Site], at: &str, began: &[usize]) -> Result<()> {
    for (site, began) in sites.iter().zip(began) {
        if site.name != at {
            assert_eq!(site.beats().await?.len(), *began, "at {}", site.name);
            assert_eq!(site.active().await?, 0, "at {}", site.name);
        }
    }
    Ok(())
}

async fn counts(sites: &[Site]) -> Result<Vec<usize>> {
    let mut counts = Vec::new();
    for site in sites {
        counts.push(site.beats().await?.len());
    }
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_over_three_sites_starts_once_a_period_over_a_death_and_a_return() -> Promise {
    let (a, b, c) = tokio::try_join!(Site::start("a"), Site::start("b"), Site::start("c"))?;
    let sites = [a, b, c];
    let mut builder = router::Builder::new("beats")
        .tables("[timeouts]\ntransaction = \"1s\"")
        .start_timers_at_one_site();
    for site in &sites {
        builder = builder.site(site.name, &site.engine.endpoint());
    }
    let router = builder.start().await?;
    let text = include_str!("../../models/ticker.bpmn")
        .replace("id=\"ticker\"", &format!("id=\"{KEY}\""))
        .replace("R/PT3S", "R/PT5S");
    let client = router.client("/engine-rest");
    let deployed = deploy::deploy(&client, KEY, &[("beat.bpmn", &text)]).await?;
    deployed.expect(200)?;

    let named = row(&router).await?.0;
    let at = sites.iter().find(|site| named == site.name);
    let first = at.context("armed nowhere")?;
    more(first, "it goes off", 3).await?;
    alone(&sites, first.name, &[0, 0, 0]).await?;

    // It dies: what may still be running is not replaced.
    first.engine.kill()?;
    observed(&router, first.name, "down").await?;
    let dead = Stopwatch::start();
    eventually("two periods are over", PATIENCE, async || {
        alone(&sites, first.name, &[0, 0, 0]).await?;
        Ok(dead.is_past(NOTHING_FOR).then_some(()))
    })
    .await?;
    assert_eq!(row(&router).await?, (json!(first.name), json!("armed")));
    first.engine.start_again().await?;
    observed(&router, first.name, "healthy").await?;
    more(first, "it goes off after its return", 2).await?;
    alone(&sites, first.name, &[0, 0, 0]).await?;

    // It is drained, and dies then: another one goes on, one of the two.
    let why = ["--reason", "a test", "--yes"];
    let drain = [&["site", "drain", first.name], &why[..]].concat();
    said(&router, &drain, 0).await?;
    let moved = eventually("it moves", PATIENCE, async || {
        let (site, stage) = row(&router).await?;
        let moved = site != first.name && stage == "armed";
        Ok(moved.then(|| site.as_str().unwrap_or_default().to_owned()))
    })
    .await?;
    let second = sites.iter().find(|site| site.name == moved);
    let second = second.context("armed nowhere")?;
    let began = counts(&sites).await?;
    first.engine.kill()?;
    more(second, "it goes off there", 2).await?;
    // The return of the first one changes nothing, though it takes work again.
    first.engine.start_again().await?;
    let ready = [&["site", "ready", first.name], &why[..]].concat();
    said(&router, &ready, 0).await?;
    observed(&router, first.name, "healthy").await?;
    more(second, "it goes off there only", 3).await?;
    assert_eq!(row(&router).await?, (json!(second.name), json!("armed")));
    alone(&sites, second.name, &began).await?;

    // Once a period: when its site returned, and when it moved, one that was due meanwhile came late.
    let mut beats = Vec::new();
    for site in &sites {
        beats.extend(site.beats().await?);
    }
    beats.sort_unstable();
    let span = beats.last().context("none")? - beats.first().context("none")?;
    let periods = usize::try_from(span)? / usize::try_from(PERIOD.as_millis())? + 1;
    assert!(
        beats.len() <= periods + 2,
        "{} in {periods} periods: {beats:?}",
        beats.len()
    );
    Ok(())
}
