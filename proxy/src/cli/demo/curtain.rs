//! The end of the demonstration by a signal, from its first moment on.
//!
//! Owns what SIGINT, SIGTERM and SIGHUP mean to it: its end. Once the router runs it is asked to end in order; before
//! that, and if it does not, the stage is struck here. Must not be used by `homing serve`, for which SIGHUP is a reload.

use super::stage::Crew;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How often the router is asked: it may not listen to signals yet.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// So often; then it is not waited for any more.
const ASKED_MAX: u32 = 40;

/// Says when the router has begun.
pub(super) struct Curtain {
    router: Arc<AtomicBool>,
    /// Has a signal come?
    falls: Arc<AtomicBool>,
}

impl Curtain {
    /// Listens from now on.
    pub(super) fn hang(crew: Crew) -> Result<Curtain, String> {
        let router = Arc::new(AtomicBool::new(false));
        let runs = Arc::clone(&router);
        let falls = Arc::new(AtomicBool::new(false));
        let fell = Arc::clone(&falls);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| format!("cannot listen to signals: {error}"))?;
        let listen =
            |kind| signal(kind).map_err(|error| format!("cannot listen to signals: {error}"));
        let (mut interrupt, mut terminate, mut hangup) = {
            let _within = runtime.enter();
            (
                listen(SignalKind::interrupt())?,
                listen(SignalKind::terminate())?,
                listen(SignalKind::hangup())?,
            )
        };
        let fall = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            fell.store(true, Ordering::Release);
            for _ in 0..ASKED_MAX {
                if !runs.load(Ordering::Acquire) {
                    break;
                }
                // It is this process: it is there.
                let _ = kill_process(getpid(), Signal::TERM);
                tokio::time::sleep(ASK_EVERY).await;
            }
            crew.strike();
            // The main thread is on its way up and is not waited for.
            std::process::exit(0);
        };
        let thread = std::thread::Builder::new().name("curtain".into());
        thread
            .spawn(move || runtime.block_on(fall))
            .map_err(|error| format!("cannot listen to signals: {error}"))?;
        Ok(Curtain { router, falls })
    }

    /// Whoever could not go on because the stage is being struck leaves the end of the process to that.
    pub(super) fn leave(&self) {
        while self.falls.load(Ordering::Acquire) && !self.router.load(Ordering::Acquire) {
            std::thread::park();
        }
    }

    /// From now on the router ends in order.
    pub(super) fn router_runs(&self) {
        self.router.store(true, Ordering::Release);
    }
}
