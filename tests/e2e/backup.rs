//! `homing site backup`: the operator's commands run in order while the site stands still, and it takes work again whatever
//! became of them. Judged by what the commands wrote and by the engine.

use anyhow::{Context, Result};
use homing_harness::{
    clock::Stopwatch,
    deploy,
    outcome::Promise,
    own_engine::OwnEngine,
    paths,
    router::{self, Router},
};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

use crate::operate::homing;

const WHY: [&str; 4] = ["--yes", "--reason", "the nightly backup", "--json"];

struct World {
    a: OwnEngine,
    _b: OwnEngine,
    router: Router,
}

impl World {
    async fn start(name: &str) -> Result<World> {
        let a = OwnEngine::start(&format!("{name}-a")).await?;
        let b = OwnEngine::start(&format!("{name}-b")).await?;
        let builder = router::Builder::new(name).site("a", &a.endpoint());
        let router = builder.site("b", &b.endpoint()).start().await?;
        Ok(World { a, _b: b, router })
    }

    async fn backup(&self, args: &[&str], logs: &Path) -> Result<(Option<i32>, Value)> {
        let logs = logs.display().to_string();
        let all = [&["site", "backup", "a", "--logs", &logs], args, &WHY].concat();
        let output = homing(&self.router.admin_url(), &all).await?;
        let told = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        Ok((output.status.code(), told["data"].clone()))
    }

    /// The site's state by the router, and its executor by the engine.
    async fn site(&self) -> Result<(String, String)> {
        let site = self.router.admin().get("/v1/sites/a").await?.expect(200)?;
        let engine = self.a.site().get("/site").await?.expect(200)?;
        Ok((site.member("state")?, engine.member("executor")?))
    }
}

/// A line for `sh` that notes its name, what the router says of the site, and what the environment says.
fn notes(world: &World, file: &Path, name: &str) -> String {
    let admin = world.router.admin_url();
    format!(
        "echo {name} $(curl -s {admin}/v1/sites/a | grep -o '\"state\":\"[a-z]*\"' | head -1) $HOMING_SITE $HOMING_TAKEN_AT >> {}",
        file.display()
    )
}

fn steps(told: &Value) -> Vec<(String, bool)> {
    let steps = told["steps"].as_array().into_iter().flatten();
    let name = |step: &Value| step["step"].as_str().unwrap_or_default().to_owned();
    steps
        .map(|step| (name(step), step["done"] == true))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_copied_in_order_while_the_site_stands_still() -> Promise {
    let world = World::start("backed-up").await?;
    let logs = paths::new_folder("backed-up-logs")?;
    let file = logs.join("order");
    let lines =
        ["stop", "database", "index", "content", "start"].map(|it| notes(&world, &file, it));
    let [stop, database, index, content, start] = &lines;
    // Given in another order than they are done in.
    let parts = [
        "--content",
        content,
        "--index",
        index,
        "--database",
        database,
    ];
    let around = ["--start", start, "--stop", stop];
    let (code, told) = world.backup(&[&parts[..], &around].concat(), &logs).await?;
    assert_eq!((code, &told["whole"]), (Some(0), &json!(true)), "{told:#}");
    let taken_at = told["taken_at"].as_str().context("no time")?;
    let noted = std::fs::read_to_string(&file)?;
    let wanted: String = ["stop", "database", "index", "content", "start"]
        .map(|name| format!("{name} \"state\":\"maintenance\" a {taken_at}\n"))
        .concat();
    assert_eq!(noted, wanted);
    assert_eq!(world.site().await?, ("ready".into(), "enabled".into()));

    // Hot: nothing is stopped.
    std::fs::remove_file(&file)?;
    let (code, told) = world
        .backup(&["--hot", "--database", database], &logs)
        .await?;
    assert_eq!((code, &told["kind"]), (Some(0), &json!("hot")), "{told:#}");
    let noted = std::fs::read_to_string(&file)?;
    assert!(
        noted.starts_with("database \"state\":\"ready\" a "),
        "{noted}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_takes_work_again_whatever_became_of_the_copies() -> Promise {
    let world = World::start("not-backed-up").await?;
    let logs = paths::new_folder("not-backed-up-logs")?;
    let working = ("ready".to_owned(), "enabled".to_owned());
    // What fails ends it, and what would come after is not done.
    let args = [
        "--database",
        "true",
        "--index",
        "echo full >&2; exit 3",
        "--content",
        "true",
    ];
    let (code, told) = world.backup(&args, &logs).await?;
    assert_eq!((code, &told["whole"]), (Some(1), &json!(false)), "{told:#}");
    let done = [("database".to_owned(), true), ("index".to_owned(), false)];
    assert_eq!(steps(&told), done);
    assert!(told.to_string().contains("full"), "{told:#}");
    assert_eq!(world.site().await?, working);

    // What hangs is killed.
    let watch = Stopwatch::start();
    let (code, told) = world
        .backup(&["--database", "sleep 600", "--within", "1"], &logs)
        .await?;
    assert_eq!(code, Some(1), "{told:#}");
    assert!(
        watch.elapsed() < Duration::from_secs(60),
        "it was waited for"
    );
    assert_eq!(world.site().await?, working);

    // A worker still works on a task: the site does not become still, and nothing is copied.
    let engine = world.a.client();
    let one = include_str!("../models/parcel.bpmn");
    deploy::deploy(&engine, "parcel", &[("parcel.bpmn", one)])
        .await?
        .expect(200)?;
    engine
        .post("/process-definition/key/parcel/start", &json!({}))
        .await?
        .expect(200)?;
    let topics = json!([{ "topicName": "pack", "lockDuration": 600_000 }]);
    let fetch = json!({ "workerId": "w", "maxTasks": 1, "topics": topics });
    let fetched = engine
        .post("/external-task/fetchAndLock", &fetch)
        .await?
        .expect(200)?
        .json()?;
    let task = fetched[0]["id"]
        .as_str()
        .context("nothing was fetched")?
        .to_owned();
    let touched = logs.join("touched");
    let touch = format!("touch {}", touched.display());
    let (code, _) = world
        .backup(&["--database", &touch, "--wait", "1"], &logs)
        .await?;
    assert_eq!((code, touched.exists()), (Some(5), false));
    assert_eq!(world.site().await?, working);
    let body = json!({ "workerId": "w" });
    engine
        .post(&format!("/external-task/{task}/complete"), &body)
        .await?
        .expect(204)?;

    // An engine that does not come back gets no work.
    let args = ["--database", &touch, "--stop", "true", "--start", "false"];
    let (code, told) = world.backup(&args, &logs).await?;
    assert_eq!((code, touched.exists()), (Some(5), true), "{told:#}");
    assert_eq!(told["state"], "maintenance", "{told:#}");
    assert_eq!(world.site().await?.0, "maintenance");
    // And a site that is not ready is not touched.
    let (code, _) = world.backup(&["--database", "true"], &logs).await?;
    assert_eq!(code, Some(3));
    Ok(())
}
