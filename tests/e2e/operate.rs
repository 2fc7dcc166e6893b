//! What an operator does with the command line: the same answers, reasons and exit codes for a person and a script.
//!
//! Judged by what the next request does and by the audit trail, with the real binary against a real router.

use std::{path::Path, process::Output, time::Duration};

use anyhow::{Context, Result};
use homing_harness::{
    clock::eventually, nursery, outcome::Promise, pair::Pair, paths, ports::free_port,
    router::Router,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::life::{Started, start_order};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `homing ARGS` against an admin listener.
pub(crate) async fn homing(admin: &str, args: &[&str]) -> Result<Output> {
    let run = tokio::process::Command::new(paths::homing_binary()?)
        .args(args)
        .env("HOMING_ADMIN", admin)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    Ok(tokio::time::timeout(PATIENCE, run).await??)
}

/// Runs it, demands this exit code, gives what it printed.
pub(crate) async fn said(router: &Router, args: &[&str], code: i32) -> Result<String> {
    let output = homing(&router.admin_url(), args).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}: {text}{complaint}"
    );
    Ok(format!("{text}{complaint}"))
}

pub(crate) async fn json(router: &Router, args: &[&str]) -> Result<Value> {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let answer: Value = serde_json::from_str(&said(router, &args, 0).await?)?;
    let schema = answer["schema"].as_str().context("no schema")?;
    assert!(
        schema.starts_with("homing/") && schema.ends_with("/v1"),
        "{schema}"
    );
    Ok(answer["data"].clone())
}

/// A start that landed at this site.
pub(crate) async fn one_at(router: &Router, site: &str, name: &str) -> Result<Started> {
    let client = router.client("/engine-rest");
    for number in 0..50 {
        let order = start_order(&client, &format!("{name}-{number}")).await?;
        if order.home == site {
            return Ok(order);
        }
    }
    anyhow::bail!("no start in fifty landed at {site}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn an_operator_sees_moves_and_pins_only_what_is_true() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("operated").start().await?;
    let order = one_at(&router, "a", "operated").await?;
    let key = format!("process-instance:{}", order.id);
    eventually("the mapping is in the store", PATIENCE, async || {
        Ok(homing(&router.admin_url(), &["map", "get", &key])
            .await?
            .status
            .success()
            .then_some(()))
    })
    .await?;

    let mapping = json(&router, &["map", "get", &key]).await?;
    assert_eq!(mapping["home"], "a");
    assert_eq!(mapping["source"], "started");
    let path = format!("/engine-rest/process-instance/{}", order.id);
    let explained = json(&router, &["explain", "GET", &path]).await?;
    assert_eq!(explained["site"], "a", "{explained}");

    // A held key is a fact about a database: no word of an operator moves it where the engine says "absent".
    let moved = ["map", "set", &key, "b", "--reason", "I wish it so", "--yes"];
    assert!(said(&router, &moved, 3).await?.contains("site b"));
    let pinned = ["pin", "set", &key, "b", "--reason", "I wish it so", "--yes"];
    said(&router, &pinned, 3).await?;
    // Where it really is, it may be pinned; and the request says so.
    let pinned = ["pin", "set", &key, "a", "--reason", "it is there", "--yes"];
    said(&router, &pinned, 0).await?;
    let explained = json(&router, &["explain", "GET", &path]).await?;
    assert_eq!(explained["source"], "pin", "{explained}");
    said(
        &router,
        &["pin", "unset", &key, "--reason", "seen enough", "--yes"],
        0,
    )
    .await?;

    // A placed key may be anywhere; a lost compare-and-set is told apart from a refusal.
    let user = "user:jonny";
    said(
        &router,
        &["map", "set", user, "b", "--reason", "close to him", "--yes"],
        0,
    )
    .await?;
    assert_eq!(json(&router, &["map", "get", user]).await?["home"], "b");
    let stale = [
        "map",
        "set",
        user,
        "a",
        "--generation",
        "1",
        "--reason",
        "again",
        "--yes",
    ];
    said(&router, &stale[..], 0).await?;
    said(&router, &stale[..], 4).await?;
    let past = json(&router, &["map", "history", user]).await?;
    assert_eq!(past["items"].as_array().map(Vec::len), Some(2), "{past}");

    // Nothing dangerous without a reason, nothing at all from a dry run.
    said(&router, &["map", "unset", user, "--yes"], 2).await?;
    let dry = [
        "map",
        "unset",
        user,
        "--reason",
        "only to see",
        "--yes",
        "--dry-run",
    ];
    said(&router, &dry, 0).await?;
    assert_eq!(json(&router, &["map", "get", user]).await?["home"], "a");

    // The way out, and back in.
    let lines = said(&router, &["map", "export"], 0).await?;
    assert!(lines.lines().any(|line| line.contains(&key)), "{lines}");
    let file = router.folder().join("table.ndjson").display().to_string();
    std::fs::write(&file, lines)?;
    let again = said(
        &router,
        &["map", "import", &file, "--reason", "as before", "--yes"],
        0,
    )
    .await?;
    assert!(again.contains("unchanged"), "{again}");

    let trail = json(&router, &["audit", "list"]).await?;
    let actions: Vec<&str> = trail["items"]
        .as_array()
        .context("no items")?
        .iter()
        .filter_map(|record| record["action"].as_str())
        .collect();
    for action in ["pin.set", "pin.unset", "mapping.set", "mapping.import.end"] {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    said(&router, &["audit", "verify"], 0).await?;
    assert!(
        said(&router, &["map", "get", "process-instance:none"], 1)
            .await?
            .contains("none")
    );
    router.kill()?;
    said(&router, &["site", "list"], 69).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_site_keeps_its_instances_and_takes_no_start_also_after_a_restart() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("drained").start().await?;
    let client = router.client("/engine-rest");
    let order = one_at(&router, "a", "drained").await?;
    said(&router, &["site", "drain", "a", "--yes"], 2).await?;
    said(
        &router,
        &["site", "drain", "a", "--reason", "patching", "--yes"],
        0,
    )
    .await?;
    let sticky = async || -> Result<()> {
        for number in 0..10 {
            let home = start_order(&client, &format!("drained-after-{number}"))
                .await?
                .home;
            assert_eq!(home, "b");
        }
        let path = format!("/process-instance/{}", order.id);
        let read = client.get(&path).await?.expect(200)?;
        assert_eq!(read.header("homing-site"), Some("a"));
        Ok(())
    };
    sticky().await?;
    router.kill()?;
    router.start_again().await?;
    sticky().await?;
    let site = json(&router, &["site", "show", "a"]).await?;
    assert_eq!(site["state"], "draining", "{site}");

    // In maintenance it serves nothing, and says why.
    said(
        &router,
        &["site", "maintenance", "a", "--reason", "disks", "--yes"],
        0,
    )
    .await?;
    let refused = client
        .get(&format!("/process-instance/{}", order.id))
        .await?
        .expect(503)?;
    assert!(refused.header("retry-after").is_some());
    said(&router, &["site", "ready", "a", "--yes"], 0).await?;
    eventually("the site takes starts again", PATIENCE, async || {
        Ok(one_at(&router, "a", "drained-ready").await.ok())
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_unix_socket_the_trail_names_the_user() -> Promise {
    let pair = Pair::shared().await?;
    let folder = paths::new_folder("unix-admin")?;
    let socket = format!("unix:{}/admin.sock", folder.display());
    let config = folder.join("homing.toml");
    std::fs::write(&config, unix_config(pair, &folder, &socket)?)?;
    let _router = nursery::start(nursery::Spec {
        name: "unix-admin".into(),
        program: paths::homing_binary()?.to_owned(),
        args: vec!["serve".into(), "-c".into(), config.into()],
        user: None,
        stop_signal: Signal::KILL,
        log: folder.join("router.log"),
    })?;
    eventually("the socket answers", PATIENCE, async || {
        Ok(homing(&socket, &["site", "list"])
            .await?
            .status
            .success()
            .then_some(()))
    })
    .await?;
    let drained = homing(
        &socket,
        &["site", "drain", "a", "--reason", "to see", "--yes"],
    )
    .await?;
    assert!(drained.status.success(), "{drained:?}");
    let trail = homing(&socket, &["audit", "list", "--json"]).await?;
    let trail: Value = serde_json::from_slice(&trail.stdout)?;
    let uid = rustix::process::getuid().as_raw();
    let records = trail["data"]["items"].as_array().context("no items")?;
    let drained = records
        .iter()
        .find(|record| record["action"] == "site.draining")
        .with_context(|| trail.to_string())?;
    assert_eq!(drained["actor"], format!("uid:{uid}"));
    assert_eq!(drained["reason"], "to see");
    Ok(())
}

fn unix_config(pair: &Pair, folder: &Path, admin: &str) -> Result<String> {
    let data = free_port()?;
    let folder = folder.display();
    let (a, b) = (pair.a.endpoint(), pair.b.endpoint());
    Ok(format!(
        "[[listen]]\nbind = \"127.0.0.1:{data}\"\n[admin]\nbind = {admin:?}\n\
         [store]\nurl = \"sqlite:{folder}/store.db\"\njournal = \"{folder}/journal\"\n\
         [[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [{a:?}]\n\
         [[site]]\nname = \"b\"\ndialect = \"engine-rest\"\nendpoints = [{b:?}]\n"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_somebody_has_ends_the_start_with_a_sentence() -> Promise {
    let folder = paths::new_folder("taken")?;
    let stranger = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = stranger.local_addr()?;
    let free = format!("127.0.0.1:{}", free_port()?);
    for (data, admin) in [(taken.to_string(), free.clone()), (free, taken.to_string())] {
        let config = folder.join("homing.toml");
        let at = folder.display();
        let text = format!(
            "[[listen]]\nbind = \"{data}\"\n[admin]\nbind = \"{admin}\"\n\
             [store]\nurl = \"sqlite:{at}/store.db\"\njournal = \"{at}/journal\"\n\
             [[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:9/engine-rest\"]\n"
        );
        std::fs::write(&config, text)?;
        let mut serve = tokio::process::Command::new(paths::homing_binary()?);
        serve.arg("serve").arg("-c").arg(&config).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, serve.output()).await??;
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{told}");
        assert!(
            told.contains(&format!("cannot listen on {taken}")),
            "{told}"
        );
        assert!(
            !told.contains("\"ready\"") && !told.contains("panicked"),
            "{told}"
        );
    }
    Ok(())
}
