//! The clock of each host: its rate is wrong, and somebody sets it by an hour.
//!
//! Owns what the product's clocks show. Must not move the simulation's own time, by which everything is judged.

use fastrand::Rng;
use homing_proxy::clock::{Simulated, simulate};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::runtime::{Handle, Id};

/// By so much somebody sets a clock.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// What wall clocks show when the simulation begins: late enough to be set back.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// One host's clock.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Of its seconds to a true one.
    pub(crate) rate: f64,
    /// Hours by which its wall clock was set.
    hours: Arc<AtomicI64>,
}

thread_local! {
    /// Each process of a host has a runtime of its own, and all of a world are on one thread.
    static CLOCKS: RefCell<HashMap<Id, Clock>> = RefCell::default();
}

/// Once for a process.
pub(crate) fn begin() {
    simulate(Simulated { monotonic, wall });
}

/// No world has begun on this thread.
pub(crate) fn forget() {
    CLOCKS.with_borrow_mut(HashMap::clear);
}

fn mine<T>(read: impl FnOnce(&Clock) -> T) -> Option<T> {
    let id = Handle::try_current().ok()?.id();
    CLOCKS.with_borrow(|clocks| clocks.get(&id).map(read))
}

fn monotonic(passed: Duration) -> Duration {
    mine(|clock| passed.mul_f64(clock.rate)).unwrap_or(passed)
}

fn wall(_: Duration) -> Duration {
    let hours = mine(|clock| clock.hours.load(Ordering::SeqCst)).unwrap_or_default();
    let set = HOUR * u32::try_from(hours.unsigned_abs()).unwrap_or_default();
    let shown = EPOCH + monotonic(super::truth::now());
    match hours < 0 {
        true => shown - set,
        false => shown + set,
    }
}

impl Clock {
    /// A clock whose rate is off by at most so much.
    pub(crate) fn within(rng: &mut Rng, drift: f64) -> Clock {
        let off = match rng.u8(0..4) {
            0 => drift,
            1 => -drift,
            2 => 0.0,
            _ => drift * (2.0 * rng.f64() - 1.0),
        };
        Clock::at(1.0 + off)
    }

    /// A clock of this rate.
    pub(crate) fn at(rate: f64) -> Clock {
        Clock {
            rate,
            hours: Arc::default(),
        }
    }

    /// The process that runs here now lives by this clock.
    pub(crate) fn rules(&self) {
        CLOCKS.with_borrow_mut(|clocks| clocks.insert(Handle::current().id(), self.clone()));
    }

    /// Somebody sets the wall clock.
    pub(crate) fn set(&self, hours: i64) {
        self.hours.fetch_add(hours, Ordering::SeqCst);
    }
}
