//! `make demo-failover`: load runs, one of a site's two places gets SIGKILL, and the other one takes over by itself. With words it is
//! another story: a cold standby, an agent that lives, a planned switchover.
//!
//! Owns the story and its order. Everything that runs is started by the test harness, which ties it to the life of this
//! process. Ends with failure when an answer was wrong or something acknowledged is missing.

mod load;
mod report;
mod story;
mod timeline;

use std::{
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use homing_harness::{
    clock::{Stopwatch, eventually},
    engine::Kind,
    paths,
    places::{Fleet, Manner},
};
use load::Load;
use report::{Report, say};
use sqlx::{Connection as _, PgConnection};
use story::{Loss, Story, USAGE};
use timeline::Timeline;

const PATIENCE: Duration = Duration::from_secs(180);
/// Rounds of the load before the kill, and after the site is served again.
const ROUNDS: usize = 150;

/// Built-in times: nothing is shortened, so that what is measured is what a user gets.
const MANNER: Manner<'static> = Manner {
    name: "demo",
    engine: Kind::Operaton,
    leases: "",
    safety: "",
    health: Some(""),
    // Until everything runs: two engines that start at once can keep a small machine from answering probes.
    automatic: "off",
    unplanned_drills: false,
    cold: false,
};

#[expect(clippy::print_stderr, reason = "a program of its own")]
fn main() -> ExitCode {
    let story = match Story::of(std::env::args().skip(1)) {
        Ok(story) => story,
        Err(error) => {
            eprintln!("{error:#}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(story) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(story: Story) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let told = runtime.block_on(async {
        tokio::select! {
            told = demonstrate(story) => told,
            pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        }
    });
    runtime.shutdown_background();
    let removed = paths::remove_run_folder();
    told?;
    removed
}

async fn demonstrate(story: Story) -> Result<()> {
    say(format_args!(
        "starting two places of site b (PostgreSQL, agent, Operaton each; the second is a replica, {}) and a router ...",
        story.standby()
    ));
    let fleet = Fleet::start(Manner {
        cold: story.cold,
        ..MANNER
    })
    .await?;
    replicate_synchronously(&fleet).await?;
    let load = Load::start(fleet.router.client("/engine-rest")).await?;
    if story.loss != Loss::Nothing {
        may_act_alone(&fleet).await?;
    }
    load.goes_on(ROUNDS, PATIENCE).await?;
    say(format_args!(
        "load runs through http://127.0.0.1:{}/engine-rest ({} answers so far, all from b-one)",
        fleet.router.port(),
        load.tally.answered()
    ));
    say(story.loss.words());
    let watch = Stopwatch::start();
    load.tally.killed(watch);
    match story.loss {
        Loss::Everything => fleet.lose_the_first_place()?,
        Loss::Host => fleet.lose_the_first_host()?,
        Loss::Nothing => order_a_switchover(&fleet)?,
    }
    let timeline = Timeline::of(&fleet.router, watch, PATIENCE).await?;
    load.goes_on(ROUNDS, PATIENCE).await?;
    let kept = load.stop().await?;
    let mut standby = PgConnection::connect(
        &fleet
            .places
            .database
            .url_through(fleet.places.standby.port()),
    )
    .await?;
    let lost = kept.lost(&mut standby).await?;
    let returned = comes_back(&fleet, story.loss).await?;
    let report = Report::new(story, &timeline, &kept, &lost, &returned)?;
    report.tell();
    report.write()?;
    ensure!(
        report.is_clean(),
        "wrong answers, or something acknowledged is lost"
    );
    Ok(())
}

/// What is acknowledged is at both places. The setting belongs to the first server alone, so the promoted one does not
/// wait for a replica of its own.
async fn replicate_synchronously(fleet: &Fleet) -> Result<()> {
    let primary = &fleet.places.primary;
    primary.admin("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
    primary.admin("SELECT pg_reload_conf()")?;
    eventually("the replica is synchronous", PATIENCE, async || {
        let state = primary.admin("SELECT sync_state FROM pg_stat_replication")?;
        Ok((state.trim() == "sync").then_some(()))
    })
    .await
}

/// The configuration is changed in the file and taken over while requests run.
async fn may_act_alone(fleet: &Fleet) -> Result<()> {
    let file = fleet.router.config();
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(
        &file,
        text.replace("automatic = \"off\"", "automatic = \"on\""),
    )?;
    fleet.router.hang_up()?;
    let admin = fleet.router.admin();
    eventually("the site is watched and healthy", PATIENCE, async || {
        let site = admin.get("/v1/sites/b").await?.expect(200)?.json()?;
        Ok((site["automatic"]["advice"] == "nothing").then_some(()))
    })
    .await
}

/// As an operator does it; the command does not wait for the end.
fn order_a_switchover(fleet: &Fleet) -> Result<()> {
    let status = Command::new(paths::homing_binary()?)
        .args(["switchover", "b", "--yes", "--no-wait", "--reason"])
        .arg("a demonstration")
        .env("HOMING_ADMIN", fleet.router.admin_url())
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "the switchover was not taken: {status}");
    Ok(())
}

/// The lost place boots again by itself, database first.
async fn comes_back(fleet: &Fleet, loss: Loss) -> Result<String> {
    let places = &fleet.places;
    if loss != Loss::Nothing {
        places.primary.start_server()?;
    }
    if loss == Loss::Everything {
        places.one.start_again().await?;
    }
    let status = eventually(
        "the returned place knows who serves",
        PATIENCE,
        async || {
            let status = places.one.is("fenced").await?;
            Ok((status["entitled"] == "b-two").then_some(status))
        },
    )
    .await?;
    let through = PgConnection::connect(&places.database.url_through(places.at_one)).await;
    ensure!(through.is_err(), "the returned place lets sessions in");
    let why = status["why"].as_str().context("no reason")?;
    Ok(format!(
        "fenced ({why}); a session through its relay is refused"
    ))
}
