//! The driver: changes kept inputs at random, for as long as it is told, and keeps what breaks the target.
//!
//! It mutates a corpus and is not guided by coverage, so that it runs on the pinned stable toolchain; the same targets
//! can be put behind a guided fuzzer. `HOMING_FUZZ_SECONDS` says how long each target runs. Must not know a target.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use homing_harness::{campaign::measured, clock::Stopwatch, paths::checkout};

/// An input that takes longer hangs.
const HANGS_AFTER: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const BYTES_MAX: usize = 16 * 1024;
/// Most changes to one input.
const CHANGES_MAX: usize = 6;
/// What a test run without further words affords.
const SECONDS_LEAN: u64 = 1;
/// Inputs between two looks at the clock.
const BATCH: usize = 64;

fn folder(target: &str) -> PathBuf {
    checkout().join("tests/fuzz/corpus").join(target)
}

/// The kept inputs of a target, one a file; those that broke it once among them.
pub(crate) fn kept(target: &str) -> Result<Vec<Vec<u8>>> {
    let folder = folder(target);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    paths.iter().map(|path| Ok(fs::read(path)?)).collect()
}

fn lasting() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have no configuration file"
    )]
    let seconds = std::env::var("HOMING_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS_LEAN))
}

/// The input that runs, for the watch.
type Running = Arc<Mutex<Option<(Stopwatch, Vec<u8>)>>>;

/// Runs the corpus as it is, then changed, until the time is over.
pub(crate) fn run(
    target: &str,
    corpus: &[Vec<u8>],
    words: &[&str],
    mut tried: impl FnMut(&[u8]),
) -> Result<()> {
    let running = Running::default();
    let over = Arc::new(AtomicBool::new(false));
    let watch = watched(target.to_owned(), Arc::clone(&running), Arc::clone(&over));
    let mut once = |input: &[u8]| -> Result<()> {
        let now = Some((Stopwatch::start(), input.to_vec()));
        *running.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let ended = catch_unwind(AssertUnwindSafe(|| tried(input)));
        *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if ended.is_err() {
            bail!(
                "{target} panicked; the input is kept as {}",
                broke(target, input)?.display()
            );
        }
        Ok(())
    };
    if corpus.is_empty() {
        bail!("{target} has no corpus");
    }
    corpus.iter().try_for_each(|input| once(input))?;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (clock, mut batches) = (Stopwatch::start(), 0);
    while !clock.is_past(lasting()) {
        for _ in 0..BATCH {
            once(&changed(&mut random, corpus, words))?;
        }
        batches += 1;
    }
    over.store(true, Ordering::Relaxed);
    if watch.join().is_err() {
        bail!("the watch over {target} ended");
    }
    measured(&format!(
        "fuzz {target}: {} inputs, seed {seed}, no crash, no hang",
        batches * BATCH
    ))
}

/// Ends the whole process when an input does not come back.
fn watched(target: String, running: Running, over: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK_EVERY);
            let running = running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((since, input)) = &*running
                && since.is_past(HANGS_AFTER)
            {
                // Kept or not, this run must not look good.
                let _ = broke(&target, input);
                std::process::abort();
            }
        }
    })
}

/// Keeps an input that broke its target where the next run begins with it.
fn broke(target: &str, input: &[u8]) -> Result<PathBuf> {
    let name = format!("broke-{:08x}", crc32fast::hash(input));
    let path = folder(target).join(name);
    fs::create_dir_all(folder(target))?;
    fs::write(&path, input)?;
    Ok(path)
}

/// One kept input with some changes.
fn changed(random: &mut fastrand::Rng, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = random.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..random.usize(1..=CHANGES_MAX) {
        change(random, &mut input, corpus, words);
        input.truncate(BYTES_MAX);
    }
    input
}

fn change(random: &mut fastrand::Rng, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let at = random.usize(0..=input.len());
    let to = (at + random.usize(0..=16)).min(input.len());
    match random.u8(0..9) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(0..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => input.insert(at, random.u8(..)),
        3 => drop(input.drain(at..to)),
        4 => {
            let again = input[at..to].repeat(random.usize(1..64));
            input.splice(at..at, again);
        }
        5 => input.truncate(at),
        6 => {
            let other = random.choice(corpus).cloned().unwrap_or_default();
            let from = random.usize(0..=other.len());
            input.splice(at.., other[from..].iter().copied());
        }
        _ => {
            let word = random.choice(words).copied().unwrap_or_default();
            input.splice(at..to, word.bytes());
        }
    }
}
