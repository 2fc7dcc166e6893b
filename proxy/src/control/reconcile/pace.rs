//! How fast sites are asked.
//!
//! Owns the wait between two questions.

use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// So many questions in a second, evenly.
pub struct Pace(Mutex<Interval>);

impl Pace {
    /// At least one in a second.
    pub(super) fn of(per_second: u32) -> Pace {
        let mut every = interval(Duration::from_secs(1) / per_second.max(1));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Pace(Mutex::new(every))
    }

    /// Returns when the next question may be asked.
    pub(super) async fn next(&self) {
        self.0.lock().await.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_is_asked_in_a_second_than_is_allowed() {
        let pace = Pace::of(4);
        let asked = async {
            let mut asked = 0;
            loop {
                pace.next().await;
                asked += 1;
                if asked == 1000 {
                    return asked;
                }
            }
        };
        // The first is asked at once.
        assert!(
            tokio::time::timeout(Duration::from_secs(249), asked)
                .await
                .is_err()
        );
    }
}
