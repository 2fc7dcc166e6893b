//! The product's own lease, fence, plan and execute code in simulated worlds: two routers, the agents of two places, one
//! site, a store that they reach over a network of its own time. Everything that happens is drawn from a seed: delays, cut
//! and one-way lines, messages that are held and come later, crashes, clocks, what operators ask for.
//!
//! Owns which seeds are run and how a failure is told. `HOMING_SEED=N` runs one again, `HOMING_SEEDS=N` so many.

mod clocks;
mod faults;
mod line;
mod place;
mod router;
mod truth;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use world::{Story, World};

/// Worlds in a run that nobody asks for more.
const SEEDS: u64 = 500;
/// Worlds whose engines go on after they were fenced, and for how long.
const SABOTAGED: u64 = 12;
const SABOTAGE: Duration = Duration::from_secs(3);
/// Worlds with clocks that are off by so much, although the leases allow for less.
const SABOTAGED_CLOCKS: u64 = 40;
const WORSE: f64 = 0.7;
/// The first of them; later ones follow it.
const FIRST: u64 = 1;

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration; its variables are told in docs/dr/proof.md"
)]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Log lines tell the simulation's time.
struct Simulated;

impl FormatTime for Simulated {
    fn format_time(&self, to: &mut Writer<'_>) -> std::fmt::Result {
        write!(to, "{:?}", truth::now())
    }
}

fn run(world: impl Fn() -> World) -> Result<Story, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| world().run()));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "what was simulated is part of the proof"
)]
fn no_two_places_serve_one_site_and_every_world_heals() {
    world::begin();
    if asked("HOMING_SEED").is_some() {
        tracing_subscriber::fmt()
            .with_timer(Simulated)
            .with_ansi(false)
            .init();
    }
    let (first, last) = match (asked("HOMING_SEED"), asked("HOMING_SEEDS")) {
        (Some(seed), _) => (seed, seed),
        (None, seeds) => (FIRST, FIRST + seeds.unwrap_or(SEEDS) - 1),
    };
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    let whole = Mutex::new(Story::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed > last {
                        return;
                    }
                    match run(|| World::of(seed)) {
                        Ok(story) => whole
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .add(&story),
                        Err(why) => failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(format!("HOMING_SEED={seed}: {why}")),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let whole = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} worlds: {whole}", last - first + 1);
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    if first < last {
        // Worlds in which nothing happens prove nothing.
        assert!(whole.switches > last - first, "too few switches: {whole}");
        assert!(
            whole.writes > 100 * (last - first),
            "too few writes: {whole}"
        );
        assert!(whole.faults > last - first, "too few faults: {whole}");
        assert!(whole.attested > last - first, "too few attest: {whole}");
    }
}

#[test]
fn an_engine_that_does_not_obey_its_fence_is_seen() {
    world::begin();
    let caught = |seed: &u64| {
        let story = run(|| World::of(*seed).sabotaged(SABOTAGE));
        story.is_err_and(|why| two_places(&why))
    };
    let caught = (FIRST..FIRST + SABOTAGED).find(caught);
    assert!(
        caught.is_some(),
        "none of {SABOTAGED} worlds was found to be wrong"
    );
}

#[test]
fn clocks_that_are_worse_than_they_may_be_are_seen() {
    world::begin();
    let caught = |seed: &u64| {
        let story = run(|| World::of(*seed).with_clocks_off_by(WORSE));
        story.is_err_and(|why| two_places(&why))
    };
    let caught = (FIRST..FIRST + SABOTAGED_CLOCKS).find(caught);
    assert!(
        caught.is_some(),
        "none of {SABOTAGED_CLOCKS} worlds was found to be wrong"
    );
}

fn two_places(why: &str) -> bool {
    why.contains("while the store says") || why.contains("was entitled")
}
