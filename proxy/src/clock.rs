//! The only reader of time in this crate, so that tests can move it.
//!
//! Owns wall clock and monotonic readings. Must not decide anything. All of it is the runtime's time, which a simulation
//! holds and moves; elsewhere that is the system's own.

use homing_mapping_store::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clocks of a simulated machine: what they show when its runtime's time has gone on by so much since the start.
#[derive(Clone, Copy, Debug)]
pub struct Simulated {
    /// The one that nobody sets; its rate may be wrong.
    pub monotonic: fn(Duration) -> Duration,
    /// Since the Unix epoch, as somebody has set it.
    pub wall: fn(Duration) -> Duration,
}

/// The system's other clocks are left alone where the runtime's time is simulated.
static SIMULATED: OnceLock<Simulated> = OnceLock::new();

/// From now on every clock of this process is its runtime's, as these show it. The first ones stay.
pub fn simulate(clocks: Simulated) {
    started();
    SIMULATED.get_or_init(|| clocks);
}

/// A monotonic instant, for durations and deadlines.
pub fn now() -> Instant {
    match SIMULATED.get() {
        None => runtime(),
        Some(clocks) => started() + (clocks.monotonic)(passed()),
    }
}

fn runtime() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn started() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(runtime)
}

/// Of the runtime's time since the start.
fn passed() -> Duration {
    runtime().duration_since(started())
}

/// Wall clock in milliseconds since the Unix epoch, for records and logs only.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn wall() -> Timestamp {
    if let Some(clocks) = SIMULATED.get() {
        let shown = (clocks.wall)(passed()).as_millis();
        return Timestamp(i64::try_from(shown).unwrap_or(i64::MAX));
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds on the monotonic clock since the process first asked; fits an atomic.
pub fn monotonic_ms() -> u64 {
    u64::try_from(now().duration_since(started()).as_millis()).unwrap_or(u64::MAX)
}

/// A reading of the clock since the machine was started. It counts time in which the machine was suspended, where the
/// system has such a clock: a lease runs out while its holder sleeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Microseconds later.
    #[must_use]
    pub fn plus(self, time: Duration) -> Moment {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(micros))
    }

    /// How long it is from `earlier` to here; nothing when it is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// The moment of now.
pub fn moment() -> Moment {
    if SIMULATED.get().is_some() {
        return Moment::default().plus(now().duration_since(started()));
    }
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let read = clock_gettime(CLOCK);
    let seconds = u64::try_from(read.tv_sec).unwrap_or_default();
    let micros = u64::try_from(read.tv_nsec).unwrap_or_default() / 1_000;
    Moment(seconds.saturating_mul(1_000_000).saturating_add(micros))
}
