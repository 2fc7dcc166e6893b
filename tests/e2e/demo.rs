//! `homing demo` as a new user meets it: every line that it prints is run, and does what is said beside it.

use anyhow::{Context as _, Result, ensure};
use homing_harness::{
    clock::eventually,
    nursery::{self, Process},
    outcome::Promise,
    paths,
    ports::free_port,
};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Two engines start on a machine that may do much else.
const PATIENCE: Duration = Duration::from_secs(120);
const TOLD: &str = "Ctrl-C ends it and leaves nothing.";

/// What one printed line printed.
fn run(line: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", line]).output()?;
    ensure!(output.status.success(), "{line}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn json(line: &str) -> Result<Value> {
    let text = run(line)?;
    serde_json::from_str(&text).with_context(|| format!("{line}: {text}"))
}

fn start() -> Result<Process> {
    start_with(&[])
}

fn start_with(more: &[&str]) -> Result<Process> {
    let log = paths::new_folder("demo")?.join("demo.log");
    let (data, admin) = (free_port()?.to_string(), free_port()?.to_string());
    let args = ["demo", "--port", &data, "--admin-port", &admin];
    nursery::start(nursery::Spec {
        name: "demo".to_owned(),
        program: paths::homing_binary()?.to_owned(),
        args: args.iter().chain(more).map(Into::into).collect(),
        user: None,
        stop_signal: Signal::INT,
        log,
    })
}

struct Demo {
    process: Process,
    said: String,
}

impl Demo {
    async fn start() -> Result<Demo> {
        let process = start()?;
        let said = said(&process, TOLD).await?;
        Ok(Demo { process, said })
    }

    /// The printed line that has this in it.
    fn line(&self, with: &str) -> Result<&str> {
        let commands = ["curl ", "kill "];
        let mut lines = self.said.lines().map(str::trim);
        let found = lines.find(|line| {
            commands.iter().any(|begin| line.starts_with(begin)) && line.contains(with)
        });
        found.with_context(|| format!("no line with '{with}': {}", self.said))
    }

    fn engines(&self) -> Result<Vec<Pid>> {
        let words = self.said.split("engine process ").skip(1);
        let numbers = words.filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        let pids: Vec<Pid> = numbers.filter_map(Pid::from_raw).collect();
        ensure!(pids.len() == 2, "two engines: {}", self.said);
        Ok(pids)
    }

    fn folder(&self) -> Result<PathBuf> {
        let database = self.said.split("database ").nth(1);
        let path = database.and_then(|rest| rest.split_whitespace().next());
        let path = PathBuf::from(path.context("no database")?);
        Ok(path.parent().context("no folder")?.to_owned())
    }
}

/// All that it said, once it has said this.
async fn said(process: &Process, words: &str) -> Result<String> {
    eventually(&format!("it says '{words}'"), PATIENCE, async || {
        ensure!(
            process.ended()?.is_none(),
            "it ended: {}",
            process.log_tail()?
        );
        let said = std::fs::read_to_string(process.log())?;
        Ok(said.contains(words).then_some(said))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_that_the_demo_prints_does_what_it_says() -> Promise {
    let demo = Demo::start().await?;
    let engines = demo.engines()?;
    let folder = demo.folder()?;
    let (first, last) = (engines[0], engines[1]);
    assert!(folder.join("site-a.db").exists() && test_kill_process(first).is_ok());

    assert!(run(demo.line("-si http")?)?.contains("homing-site: "));
    let tasks = json(demo.line("/task?")?)?;
    let sites = json(demo.line("/v1/sites")?)?;
    assert!(tasks.as_array().is_some_and(|tasks| tasks.len() >= 4));
    assert_eq!(sites["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(json(demo.line("/v1/mappings/")?)?["state"], "homed");
    assert!(run(demo.line("/metrics")?)?.contains("class=\"create\""));

    assert!(run(demo.line("/task/")?)?.contains("204"));
    said(&demo.process, "worker: packed order-1").await?;
    assert!(run(demo.line("/message")?)?.contains("204"));
    let history = demo.line("/history/activity-instance")?;
    eventually("the timer sends the order", PATIENCE, async || {
        let steps = json(history)?;
        let ids = steps.as_array().into_iter().flatten();
        let ids: Vec<&str> = ids.filter_map(|step| step["activityId"].as_str()).collect();
        let wanted = [
            "placed", "large", "check", "pack", "waiting", "paid", "van", "sent",
        ];
        Ok((ids == wanted).then_some(()))
    })
    .await?;

    run(demo.line("kill -9")?)?;
    let there = demo.said.lines().rev().find(|line| line.contains("curl"));
    let there = there.context("no last line")?;
    eventually("its orders are refused", PATIENCE, async || {
        Ok(run(there)?.contains("site-unreachable").then_some(()))
    })
    .await?;
    said(&demo.process, "runs again as process").await?;
    assert!(run(there)?.starts_with("HTTP/1.1 200"));

    let said = std::fs::read_to_string(demo.process.log())?;
    let again = said.split("runs again as process ").nth(1);
    let again = again.and_then(|rest| rest.split(':').next()?.parse().ok());
    let again = again.and_then(Pid::from_raw).context("no process")?;
    assert_ne!(again, last);
    demo.process.signal(Signal::INT)?;
    assert!(demo.process.wait(PATIENCE)?.success());
    for engine in [first, last, again] {
        assert!(test_kill_process(engine).is_err(), "{engine:?} lives");
    }
    assert!(!folder.exists());
    Ok(())
}

/// Ended at each of the moments that its start passes: nothing is there, the first file of an engine, of the router.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_ended_while_it_starts_leaves_nothing() -> Promise {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        for moment in ["", "site-a.db", "homing.toml", "homing.db"] {
            let process = start()?;
            let name = format!("homing-demo-{}", process.pid());
            let folder = std::env::temp_dir().join(name);
            eventually("its start is so far", PATIENCE, async || {
                Ok(folder.join(moment).exists().then_some(()))
            })
            .await?;
            process.signal(signal)?;
            let ended = process.wait(PATIENCE)?;
            assert!(ended.success(), "{signal:?} at '{moment}': {ended}");
            assert!(
                !folder.exists(),
                "{signal:?} at '{moment}': {folder:?} is left"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_demo_in_the_folder_of_one_that_runs_is_refused_and_changes_nothing_there()
-> Promise {
    let folder = paths::new_folder("demo-kept")?;
    let folder = folder.to_str().context("a folder's name")?;
    let first = start_with(&["--dir", folder])?;
    said(&first, "stays, for the next one there").await?;
    let files = ["homing.toml", "engine-a.toml"].map(|name| PathBuf::from(folder).join(name));
    let before = files.each_ref().map(std::fs::read_to_string);
    let second = start_with(&["--dir", folder])?;
    assert!(!second.wait(PATIENCE)?.success());
    let told = std::fs::read_to_string(second.log())?;
    assert!(told.contains("a demonstration runs in"), "{told}");
    for (file, before) in files.iter().zip(before) {
        assert_eq!(std::fs::read_to_string(file)?, before?);
    }
    first.signal(Signal::INT)?;
    assert!(first.wait(PATIENCE)?.success());
    let again = start_with(&["--dir", folder])?;
    said(&again, "stays, for the next one there").await?;
    again.signal(Signal::INT)?;
    assert!(again.wait(PATIENCE)?.success());
    Ok(())
}
