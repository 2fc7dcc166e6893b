//! `homing site backup`: the operator's own commands in the order that a site's parts must be copied in, beside a site that
//! works (`--hot`) or stands still.
//!
//! Owns the order, and that a site that was stopped for it takes work again. Must not copy anything: the commands do, on the
//! machine where this one runs. Relies on the admin API to stop the site and to prove that it is still.

use super::Exit;
use super::change::Change;
use super::client::{Call, Remote, segment};
use super::output;
use crate::agent::hooks::{Error, Hooks};
use crate::clock;
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The site, and what copies its parts.
#[derive(clap::Args)]
pub(super) struct Which {
    site: String,
    /// The database copies itself while it works (a snapshot): nothing is stopped.
    #[arg(long, conflicts_with_all = ["stop", "start"])]
    hot: bool,
    /// Copies the database: the first part, because what it names has to be in the others. A line for `sh`.
    #[arg(long, value_name = "COMMAND")]
    database: String,
    /// Copies the search index.
    #[arg(long, value_name = "COMMAND")]
    index: Option<String>,
    /// Copies the content store.
    #[arg(long, value_name = "COMMAND")]
    content: Option<String>,
    /// Stops the engine, once nothing comes through Homing any more.
    #[arg(long, value_name = "COMMAND", requires = "start")]
    stop: Option<String>,
    /// Starts it again, whatever became of the copies.
    #[arg(long, value_name = "COMMAND", requires = "stop")]
    start: Option<String>,
    /// Seconds that one command may take; then it is killed, with all that it started.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..))]
    within: u64,
    /// Wait so many seconds at most until nothing runs there.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=60))]
    wait: u64,
    /// Where the output of each command is kept.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    logs: PathBuf,
    /// A safety rule that is not to be obeyed this time (last-available); kept in the audit trail.
    #[arg(long = "override", value_name = "RULE")]
    overrides: Vec<String>,
    #[command(flatten)]
    change: Change,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    steps: Vec<Value>,
    failed: bool,
}

pub(super) fn backup(remote: &Remote, which: &Which) -> Result<Exit, Exit> {
    let (site, change) = (&which.site, &which.change);
    let how = if which.hot { "while it works" } else { "cold" };
    change.confirm(&format!("back up site {site}, {how}"))?;
    if !which.hot && !still(remote, which)? {
        return Ok(Exit::Partly);
    }
    let taken_at = jiff::Timestamp::from_millisecond(clock::wall().0)
        .map_or_else(|_| String::new(), |at| format!("{at:.3}"));
    if change.is_dry() {
        tell(remote, which, &taken_at, &Done::default(), "ready");
        return Ok(Exit::Ok);
    }
    let mut done = Done::default();
    let copies = [
        ("stop", which.stop.as_ref()),
        ("database", Some(&which.database)),
        ("index", which.index.as_ref()),
        ("content", which.content.as_ref()),
    ];
    for (name, command) in copies {
        if let (false, Some(command)) = (done.failed, command) {
            step(which, &mut done, name, command, &taken_at)?;
        }
    }
    let failed = done.failed;
    let stopped = done.steps.iter().any(|one| one["step"] == "stop");
    if let (true, Some(command)) = (stopped, &which.start) {
        done.failed = false;
        step(which, &mut done, "start", command, &taken_at)?;
    }
    let down = stopped && done.failed;
    done.failed |= failed;
    let state = match (which.hot, down) {
        // Nobody is sent to an engine that did not come back.
        (false, true) => "maintenance",
        (false, false) => {
            ready(remote, which)?;
            "ready"
        }
        (true, _) => "as it was",
    };
    tell(remote, which, &taken_at, &done, state);
    Ok(match (down, done.failed) {
        (true, _) => Exit::Partly,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Ok,
    })
}

/// Stops the site; one that does not become still takes work again. Refused unless it is ready: nothing else could be put back.
fn still(remote: &Remote, which: &Which) -> Result<bool, Exit> {
    let (site, change) = (&which.site, &which.change);
    let path = format!("/v1/sites/{}", segment(site));
    let before = remote.call(Call::get(path))?.json;
    if before["state"] != "ready" {
        let is = before["state"].as_str().unwrap_or_default();
        let why = format!(
            "site {site} is not ready ({is}), and a backup leaves it ready; end that first, or take the steps by hand (homing site quiesce)"
        );
        return Err(output::complain(Exit::Refused, &why));
    }
    let path = format!("/v1/sites/{}/quiesce{}", segment(site), change.query());
    let body = json!({ "wait_ms": which.wait * 1000, "overrides": which.overrides });
    let call = change.apply(Call::with(Method::POST, path, &body))?;
    let told = remote.patient(which.wait).call(call)?.json;
    if told["still"] == true || change.is_dry() {
        return Ok(true);
    }
    ready(remote, which)?;
    for why in told["why"].as_array().into_iter().flatten() {
        let why = why.as_str().unwrap_or_default();
        output::remark(&format!("not still: {why}"));
    }
    output::remark(&format!(
        "nothing was copied, and site {site} takes work again"
    ));
    Ok(false)
}

fn ready(remote: &Remote, which: &Which) -> Result<(), Exit> {
    let path = format!("/v1/sites/{}/state", segment(&which.site));
    let call = Call::with(Method::PUT, path, &json!({ "state": "ready" }));
    remote.call(which.change.apply(call)?).map(drop)
}

fn step(
    which: &Which,
    done: &mut Done,
    name: &'static str,
    command: &str,
    taken_at: &str,
) -> Result<(), Exit> {
    let hooks = Hooks {
        start: None,
        stop: None,
        verify_start: None,
        verify_stop: None,
        limit: Duration::from_secs(which.within),
        folder: which.logs.clone(),
        at_it: Default::default(),
    };
    let (site, taken_at) = (&which.site, taken_at);
    let told = [
        format!("HOMING_SITE={site}"),
        format!("HOMING_TAKEN_AT={taken_at}"),
    ];
    let words = ["env".to_owned()].into_iter().chain(told);
    let words: Vec<String> = words
        .chain(["sh", "-c", command].map(str::to_owned))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| output::complain(Exit::Failed, &error.to_string()))?;
    let began = clock::now();
    let ran: Result<String, Error> = runtime.block_on(hooks.run_within(name, &words));
    let seconds = clock::now().duration_since(began).as_secs_f64();
    let said = match &ran {
        Ok(said) => said.clone(),
        Err(error) => crate::telemetry::chain(error),
    };
    done.failed = ran.is_err();
    done.steps.push(json!({
        "step": name, "done": ran.is_ok(), "seconds": (seconds * 1e3).round() / 1e3, "said": said,
    }));
    Ok(())
}

fn tell(remote: &Remote, which: &Which, taken_at: &str, done: &Done, state: &str) {
    let body = json!({
        "site": which.site, "kind": if which.hot { "hot" } else { "cold" }, "taken_at": taken_at,
        "steps": done.steps, "whole": !done.failed && !done.steps.is_empty(), "state": state,
        "dry_run": which.change.is_dry(),
    });
    if remote.json {
        output::machine("site-backup", &body);
        return;
    }
    output::rows(&["step", "done", "seconds", "said"], &done.steps);
    let site = &which.site;
    output::say(&match (done.failed, which.change.is_dry()) {
        (_, true) => format!("site {site} could be backed up{}", which.change.suffix()),
        (true, _) => format!("the backup of site {site} is not whole; the site: {state}"),
        (false, _) => format!(
            "site {site} is backed up; the site: {state}; to restore: homing site restored {site} --taken-at {taken_at}"
        ),
    });
}
