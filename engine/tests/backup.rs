//! A backup taken beside running engines is whole, and what is restored from it waits until it is released.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::backup::{self, Error, Kind, Moved};
use http::Method;
use serde_json::{Value as Json, json};
use sqlx::{Connection, Executor};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::postgres::Server;
use support::{Answer, Engine, eventually, flows, model};

/// A task with a condition, an external task, a timer and a called process with a message wait side by side; a job makes each beginning.
fn many_waits() -> String {
    let inner = format!(
        r#"<startEvent id="s" camunda:asyncAfter="true"/><parallelGateway id="f"/><userTask id="u" camunda:candidateGroups="g"/>
        <serviceTask id="w" camunda:type="external" camunda:topic="pack"/>
        <intermediateCatchEvent id="t"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></intermediateCatchEvent>
        <boundaryEvent id="b" attachedToRef="u" cancelActivity="false"><conditionalEventDefinition>
        <condition>${{n == 99}}</condition></conditionalEventDefinition></boundaryEvent><endEvent id="x"/>
        <callActivity id="c" calledElement="below" camunda:calledElementBinding="latest"/>
        <parallelGateway id="j"/><endEvent id="e"/>{}"#,
        flows("s>f f>u f>w f>t f>c u>j w>j t>j c>j j>e b>x")
    );
    let below = format!(
        r#"<process id="below" isExecutable="true" camunda:historyTimeToLive="P1D"><startEvent id="s2"/>
        <receiveTask id="r" messageRef="paid"/><endEvent id="e2"/>{}</process></definitions>"#,
        flows("s2>r r>e2")
    );
    model(&inner).replace("</definitions>", &below)
}

async fn site(url: &str) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.failover_window = Duration::from_millis(600);
    })
    .await
}

/// Starts, works and comments until it is told to stop.
async fn load(engine: Arc<Engine>, stop: Arc<AtomicBool>, begun: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let id = engine.begin("p", json!({ "n": { "value": 1 } })).await;
        begun.fetch_add(1, Ordering::Relaxed);
        for work in engine.fetch("pack").await.iter().take(1) {
            engine.complete_work(&work["id"], json!({})).await;
        }
        for task in engine.tasks(&id).await {
            let path = format!(
                "/engine-rest/task/{}/comment/create",
                task["id"].as_str().unwrap()
            );
            engine.post(&path, json!({ "message": "seen" })).await;
        }
    }
}

/// A backup while others work; gives what it says of itself.
async fn under_load(engine: Engine, url: &str, folder: &Path) -> backup::Manifest {
    engine.deploy(&many_waits()).await;
    let (engine, stop) = (Arc::new(engine), Arc::new(AtomicBool::new(false)));
    let begun = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(load(engine.clone(), stop.clone(), begun.clone())))
        .collect();
    let enough = |count| {
        let begun = begun.clone();
        eventually("instances are begun", async move || {
            begun.load(Ordering::Relaxed) >= count
        })
    };
    enough(20).await;
    let taken = backup::take(url, folder, Kind::Hot).await.unwrap();
    let at = begun.load(Ordering::Relaxed);
    enough(at + 5).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let Ok(engine) = Arc::try_unwrap(engine) else {
        panic!("the workers have ended");
    };
    let later = engine.get("/engine-rest/process-instance/count").await["count"].clone();
    assert!(later.as_i64().unwrap() > taken.counts["inst"], "{later}");
    engine.node.shutdown().await;
    taken
}

async fn refused(engine: &Engine) -> Answer {
    engine
        .call(Method::GET, "/engine-rest/process-instance", None)
        .await
}

/// Everything that waits is done; the instances end.
async fn go_on(engine: &Engine, instances: usize) {
    let count = async |path: &str| {
        let count = engine.get(&format!("/engine-rest/{path}")).await;
        usize::try_from(count["count"].as_i64().unwrap()).unwrap()
    };
    // The job at each beginning runs by itself, where the copy had not done it.
    let stand = "history/activity-instance/count?activityId=u";
    eventually("all stand at their tasks", async || {
        count(stand).await == instances
    })
    .await;
    engine
        .post(
            "/engine-rest/message",
            json!({ "messageName": "paid", "all": true }),
        )
        .await;
    let done = async |rows: Json, verb: &str, body: Json| {
        for row in rows.as_array().unwrap() {
            let path = format!(
                "/engine-rest/{}",
                verb.replace("ID", row["id"].as_str().unwrap())
            );
            engine.post(&path, body.clone()).await;
        }
    };
    done(
        engine.get("/engine-rest/task").await,
        "task/ID/complete",
        json!({}),
    )
    .await;
    let work = engine.get("/engine-rest/external-task").await;
    for row in work.as_array().unwrap() {
        let path = format!(
            "/engine-rest/external-task/{}/unlock",
            row["id"].as_str().unwrap()
        );
        engine.post(&path, json!({})).await;
    }
    while let work = engine.fetch("pack").await
        && !work.is_empty()
    {
        for row in &work {
            engine.complete_work(&row["id"], json!({})).await;
        }
    }
    done(
        engine.get("/engine-rest/job").await,
        "job/ID/execute",
        json!({}),
    )
    .await;
    eventually("all have ended", async || {
        count("process-instance/count").await == 0
    })
    .await;
}

/// Restored elsewhere, the site waits; released, its instances go on, and one that has moved since is away.
async fn comes_back(url: &str, folder: &Path, taken: &backup::Manifest, moved: Vec<Moved>) {
    let restored = backup::restore(url, folder, &moved).await.unwrap();
    assert_eq!(restored.broken, []);
    assert_eq!(restored.buried, moved.len() as u64);
    assert!(restored.restored > taken.site.restored);
    let again = backup::restore(url, folder, &[]).await;
    assert!(matches!(again, Err(Error::Occupied(_))), "{again:?}");

    let engine = site(url).await;
    assert_eq!(
        engine.node.handle().store().installation().await.unwrap(),
        taken.installation
    );
    assert_eq!(refused(&engine).await.json()["reason"], "quarantined");
    let seen = engine.get("/homing/site").await;
    assert_eq!(seen["restored"], restored.restored);
    assert_eq!(seen["executor"], "disabled");
    let release = json!({ "quarantine": "released" });
    engine.put("/homing/site", release).await;
    let live = engine
        .get("/engine-rest/process-instance/count?processDefinitionKey=p")
        .await;
    let live = live["count"].as_u64().unwrap();
    let below = engine
        .get("/engine-rest/process-instance/count?processDefinitionKey=below")
        .await;
    let all = live + below["count"].as_u64().unwrap();
    let gone = 2 * moved.len() as i64;
    assert_eq!(i64::try_from(all).unwrap() + gone, taken.counts["inst"]);
    for moved in &moved {
        let path = format!("/engine-rest/process-instance/{}", moved.instance);
        let answer = engine.call(Method::GET, &path, None).await;
        assert_eq!(
            (answer.status, &answer.json()["site"]),
            (410, &json!(moved.site))
        );
    }
    engine
        .put("/homing/site", json!({ "executor": "enabled" }))
        .await;
    go_on(&engine, usize::try_from(live).unwrap()).await;
    engine.node.shutdown().await;
}

/// An instance of the copy that was there when it was taken, and stood at its task.
async fn one_of(url: &str, folder: &Path, scratch: &str) -> Moved {
    backup::restore(scratch, folder, &[]).await.unwrap();
    let engine = site(scratch).await;
    engine
        .put("/homing/site", json!({ "quarantine": "released" }))
        .await;
    let tasks = engine.get("/engine-rest/task").await;
    engine.node.shutdown().await;
    let instance = tasks[0]["processInstanceId"].as_str().unwrap().to_owned();
    assert!(!url.is_empty());
    Moved {
        instance,
        site: "b".to_owned(),
        generation: 2,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_backed_up_under_load_is_whole_and_goes_on_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let (live, copy) = (url("live"), folder.path().join("backup"));
    let taken = under_load(site(&live).await, &live, &copy).await;
    let moved = one_of(&live, &copy, &url("scratch")).await;
    comes_back(&url("elsewhere"), &copy, &taken, vec![moved]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_backed_up_under_load_is_whole_and_goes_on_elsewhere() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let (live, copy) = (server.database("live"), folder.path().join("backup"));
    let taken = under_load(site(&live).await, &live, &copy).await;
    let moved = one_of(&live, &copy, &server.database("scratch")).await;
    comes_back(&server.database("elsewhere"), &copy, &taken, vec![moved]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_backup_is_refused_while_an_engine_is_there_and_a_changed_one_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let url = format!("sqlite:{}", path("live").display());
    let engine = site(&url).await;
    engine.deploy(&many_waits()).await;
    let early = backup::take(&url, &path("early"), Kind::Cold).await;
    assert!(matches!(early, Err(Error::NotCold(_))), "{early:?}");
    engine.node.shutdown().await;
    let taken = backup::take(&url, &path("cold"), Kind::Cold).await.unwrap();
    assert_eq!((taken.kind, taken.counts["definition"]), (Kind::Cold, 2));
    let again = backup::take(&url, &path("cold"), Kind::Cold).await;
    assert!(matches!(again, Err(Error::Folder(_))), "{again:?}");

    let copy = path("cold").join(&taken.files[0].name);
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, &bytes).unwrap();
    let target = format!("sqlite:{}", path("target").display());
    let changed = backup::restore(&target, &path("cold"), &[]).await;
    assert!(matches!(changed, Err(Error::NoBackup(..))), "{changed:?}");
    assert!(!path("target").exists());
    std::fs::remove_file(path("cold").join("manifest.json")).unwrap();
    let nothing = backup::restore(&target, &path("cold"), &[]).await;
    assert!(matches!(nothing, Err(Error::NoBackup(..))), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_the_server_does_not_have_is_named() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let url = server.database("there").replace("/there?", "/elsewhere?");
    let taken = backup::take(&url, &folder.path().join("copy"), Kind::Hot).await;
    let told = taken.unwrap_err().to_string();
    assert!(told.contains("has no database 'elsewhere'"), "{told}");
    assert!(told.contains("[engine] store"), "{told}");
    let place = url.split_once("host=").unwrap().1;
    assert!(told.contains(place), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_of_the_life_before_can_commit_nothing_to_a_restored_server() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("backup");
    let url = server.database("a");
    let engine = site(&url).await;
    engine.deploy(&many_waits()).await;
    let id = engine.begin("p", json!({})).await;
    eventually("its task is there", async || {
        !engine.tasks(&id).await.is_empty()
    })
    .await;
    backup::take(&url, &copy, Kind::Hot).await.unwrap();
    let store = engine.node.handle().store().clone();

    // The database goes from under the engine, and the copy comes to the same place; the engine was told to serve this
    // generation, and believes it still does.
    server.execute("postgres", "DROP DATABASE a WITH (FORCE)");
    server.database("a");
    let restored = backup::restore(&url, &copy, &[]).await.unwrap();
    assert_eq!(restored.broken, []);
    let rows = "SELECT (SELECT count(*) FROM comment) + (SELECT count(*) FROM engine)";
    let before = server.ask("a", rows);
    let comment = homing_engine::store::Comment {
        id: "late".to_owned(),
        instance: Some(id.clone()),
        root: None,
        removal: None,
        user: None,
        at: 0,
        message: "late".to_owned(),
    };
    let task = server.ask("a", "SELECT id FROM task");
    eventually("the engine is refused", async || {
        let said = store.add_comment(&task, &comment).await;
        matches!(said, Err(homing_engine::store::Failure::Fenced { .. }))
    })
    .await;
    assert_eq!(server.ask("a", rows), before);
    eventually("the engine sees the quarantine", async || {
        refused(&engine).await.json()["reason"] == "quarantined"
    })
    .await;
    engine.node.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_hold_together_says_what_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (copy, url) = (path("backup"), format!("sqlite:{}", path("a").display()));
    let engine = site(&url).await;
    engine.deploy(&many_waits()).await;
    let id = engine.begin("p", json!({})).await;
    eventually("its task is there", async || {
        !engine.tasks(&id).await.is_empty()
    })
    .await;
    let store = engine.node.handle().store().clone();
    engine.node.shutdown().await;
    store.close().await;
    let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for broken in [
        "DELETE FROM task",
        "DELETE FROM sub",
        "UPDATE work SET def = 'gone'",
        "UPDATE var SET inst = 'gone'",
        "UPDATE inst SET doc = 'no document' WHERE super_inst IS NOT NULL",
    ] {
        file.execute(broken).await.unwrap();
    }
    file.close().await.unwrap();
    backup::take(&url, &copy, Kind::Cold).await.unwrap();
    let restored = backup::restore(&format!("sqlite:{}", path("b").display()), &copy, &[])
        .await
        .unwrap();
    let told: Vec<&str> = restored.broken.iter().map(|it| it.what.as_str()).collect();
    for wanted in [
        "external tasks without their definition",
        "waits for task",
        "cannot be read",
    ] {
        assert!(
            told.iter().any(|it| it.contains(wanted)),
            "{wanted}: {told:?}"
        );
    }
}
