//! `make demo-failover`: load runs, one of a site's two places gets SIGKILL, and the other one takes over by itself.
//!
//! Owns the story and its order. Everything that runs is started by the test harness, which ties it to the life of this
//! process. Ends with failure when an answer was wrong or something acknowledged is missing.

mod load;
mod report;
mod timeline;

use std::{process::ExitCode, time::Duration};

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
};

#[expect(clippy::print_stderr, reason = "a program of its own")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-failover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let told = runtime.block_on(async {
        tokio::select! {
            told = demonstrate() => told,
            pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        }
    });
    runtime.shutdown_background();
    let removed = paths::remove_run_folder();
    told?;
    removed
}

async fn demonstrate() -> Result<()> {
    say(
        "starting two places of site b (PostgreSQL, agent, Operaton each; the second is a replica) and a router ...",
    );
    let fleet = Fleet::start(MANNER).await?;
    replicate_synchronously(&fleet).await?;
    let load = Load::start(fleet.router.client("/engine-rest")).await?;
    may_act_alone(&fleet).await?;
    load.goes_on(ROUNDS, PATIENCE).await?;
    say(format_args!(
        "load runs through http://127.0.0.1:{}/engine-rest ({} answers so far, all from b-one)",
        fleet.router.port(),
        load.tally.answered()
    ));
    say(
        "kill -9: the first place's agent, engine and database, all at once; nobody gives an order",
    );
    let watch = Stopwatch::start();
    load.tally.killed(watch);
    fleet.lose_the_first_place()?;
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
    let returned = comes_back(&fleet).await?;
    let report = Report::new(&timeline, &kept, &lost, &returned)?;
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

/// The lost place boots again by itself, database first.
async fn comes_back(fleet: &Fleet) -> Result<String> {
    let places = &fleet.places;
    places.primary.start_server()?;
    places.one.start_again().await?;
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
