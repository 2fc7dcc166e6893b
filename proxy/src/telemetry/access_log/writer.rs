//! The thread that writes lines.
//!
//! Owns the lines that wait, and how many may. Must not know what a line says. Requests add to one buffer and the thread
//! takes it whole: a wake-up for each line would cost more than writing it.

use crate::telemetry::metrics::limit_hit;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines that wait for the writer at most.
pub const LINES_MAX: usize = 65_536;
/// Lines of this time are written together.
const TOGETHER: Duration = Duration::from_millis(50);

/// The way to the thread; it ends when this is dropped.
pub(super) struct Writer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    lines: usize,
    closed: bool,
}

impl Writer {
    pub(super) fn start(to: impl Write + Send + 'static) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || theirs.write(to))?;
        Ok(Writer(shared))
    }

    /// Adds a line, or drops it when too many wait.
    pub(super) fn take(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        if waiting.lines >= LINES_MAX {
            drop(waiting);
            return limit_hit("access_log_lines");
        }
        let first = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        waiting.lines += 1;
        drop(waiting);
        if first {
            self.0.news.notify_one();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.news.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut to: impl Write) {
        let mut text = Vec::new();
        loop {
            let mut waiting = self
                .news
                .wait_while(self.lock(), |waiting| {
                    waiting.text.is_empty() && !waiting.closed
                })
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut waiting.text, &mut text);
            waiting.lines = 0;
            let closed = waiting.closed;
            drop(waiting);
            // A log that cannot be written must not stop traffic.
            let _ = to.write_all(&text).and_then(|()| to.flush());
            if closed {
                return;
            }
            text.clear();
            std::thread::sleep(TOGETHER);
        }
    }
}
