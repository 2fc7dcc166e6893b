//! A rehearsal there and back: what it measures, and what ends it early.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{clock::eventually, outcome::Promise, paths, router::Router};
use serde_json::Value;

use super::world::World;
use super::{FENCED, LONG};
use crate::operate::homing;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a drill of site `b` that reads these orders, or without any what the site holds; gives what it printed and its exit code.
pub(super) async fn drill(
    router: &Router,
    orders: &[String],
    within: &str,
) -> Result<(Value, i32)> {
    let folder = reports(router.port())?;
    let data = format!("http://127.0.0.1:{}", router.port());
    let paths: Vec<String> = orders.iter().map(|id| format!("/orders/{id}")).collect();
    let mut args = vec![
        "drill",
        "run",
        "b",
        "--json",
        "--yes",
        "--reason",
        "a rehearsal",
    ];
    args.extend(["--stay", "1", "--within", within, "--data", &data]);
    args.extend(["--reports", &folder, "--fenced-by", FENCED]);
    for path in &paths {
        args.extend(["--probe", path]);
    }
    let output = homing(&router.admin_url(), &args).await?;
    let code = output.status.code().context("no exit code")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = serde_json::from_str::<Value>(&printed)
        .with_context(|| format!("{printed}{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((told["data"].clone(), code))
}

fn reports(port: u16) -> Result<String> {
    let folder = paths::run_folder()?.join(format!("drills-{port}"));
    folder.to_str().map(str::to_owned).context("odd path")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_goes_there_and_back_and_nobody_notices() -> Promise {
    let world = World::start("drill", LONG).await?;
    let orders = world.orders_at_b(4).await?;
    let (told, code) = drill(&world.routers[0], &orders, "50").await?;
    assert_eq!((code, &told["verdict"]), (0, &"clean".into()), "{told:#}");
    assert_eq!(told["returned"], true);
    assert_eq!(told["reads"]["failed"], 0, "{told:#}");
    assert_eq!(told["reads"]["wrong_site"], 0);
    assert!(told["reads"]["good"].as_u64() > Some(0));
    assert!(told["keys_lost"].as_array().is_some_and(Vec::is_empty));
    assert!(told["rto_seconds"].is_number(), "{told:#}");
    let ways = ["there", "back"].iter().zip(["b-2", "b-1"]);
    for (at, (way, to)) in ways.enumerate() {
        let leg = &told["legs"][at];
        assert_eq!((&leg["way"], &leg["to"]), (&(*way).into(), &to.into()));
        assert_eq!(leg["state"], "done");
        assert_eq!(leg["phases"].as_array().map(Vec::len), Some(5), "{leg:#}");
        let phases = leg["phases"].to_string();
        assert!(
            !phases.contains("promote"),
            "nothing was promoted: {phases}"
        );
        let evidence = leg["evidence"].to_string();
        assert!(evidence.contains("stated:"), "{evidence}");
    }
    assert!(world.b2.count() > 0, "nothing arrived at the other place");
    let router = &world.routers[0];
    let folder = reports(router.port())?;
    let name = told["drill"].as_str().context("no name")?;
    let page = std::fs::read_to_string(Path::new(&folder).join(format!("{name}.html")))?;
    assert!(page.contains("Drill of site b: clean"), "{page}");
    let shown = ["drill", "report", name, "--json", "--reports", &folder];
    let shown = homing(&router.admin_url(), &shown).await?;
    let shown: Value = serde_json::from_slice(&shown.stdout)?;
    assert_eq!(
        shown["data"], told,
        "the report that is kept is the one that was told"
    );
    let site = router
        .admin()
        .get("/v1/sites/b")
        .await?
        .expect(200)?
        .json()?;
    assert_eq!(site["serving"], "b-1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_that_cannot_go_on_is_taken_back() -> Promise {
    let world = World::start("drill-abort", LONG).await?;
    let orders = world.orders_at_b(2).await?;
    // The other place never becomes healthy, so the switch waits, and nobody serves meanwhile.
    world.b2.sick(true);
    let (told, code) = drill(&world.routers[0], &orders, "4").await?;
    assert_eq!(
        (code, &told["verdict"]),
        (1, &"not clean".into()),
        "{told:#}"
    );
    assert_eq!(told["legs"][0]["state"], "aborted", "{told:#}");
    assert!(told["legs"][0]["broken_rule"].is_string(), "{told:#}");
    assert!(
        told["legs"][1].is_null(),
        "there is no way back from where nobody went"
    );
    assert_eq!(told["returned"], true, "{told:#}");
    assert_eq!(world.b2.count(), 0, "a request arrived at the sick place");
    let client = world.routers[0].client("");
    for order in &orders {
        eventually("the site serves again", PATIENCE, async || {
            let answer = client.get(&format!("/orders/{order}")).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
    }
    Ok(())
}
