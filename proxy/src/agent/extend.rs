//! Goes on with the site's lease while the store is away, by the word of all registered routers.
//!
//! Owns the rounds of asking. Must not open what is closed: it only continues a leave that still runs, and only if each
//! router that the store may believe is asked has attested that nothing is newer. Whether that counts, `fence` says.

use super::fence::{self, Decision, Evidence, Lease, Seen};
use super::keeper::Identity;
use super::metrics::metrics;
use crate::attest::ask;
use crate::clock::{self, Moment};
use crate::decide::attest::{Doors, Question};
use tokio::sync::watch;

/// The rounds.
pub struct Extender {
    pub identity: Identity,
    pub evidence: watch::Sender<Evidence>,
    /// Whose word is needed, as the keeper last told the store.
    pub needed: watch::Receiver<Option<Doors>>,
}

impl Extender {
    /// Asks whenever the lease was not renewed in time, until the task is dropped.
    pub async fn run(self) {
        let mut told = None;
        let mut alone = false;
        loop {
            tokio::time::sleep(self.identity.renew_every / 2).await;
            let Some(seen) = self.due() else {
                told = None;
                continue;
            };
            // First the time, then whose word is needed: whoever the store hears of later sees a later time.
            let asked = clock::moment();
            let doors = self.needed.borrow().clone();
            let Some(doors) = doors else {
                // Where nobody wants to attest, that is no news each time that the store is slow.
                if !alone {
                    tracing::warn!(
                        "the store is away, and nobody is asked: attesting is not configured on every router, or the store has not heard yet whom this agent asks"
                    );
                }
                alone = true;
                metrics().extended("refused");
                continue;
            };
            alone = false;
            let result = self.ask(&seen, asked, &doors).await;
            metrics().extended(if result.is_ok() {
                "attested"
            } else {
                "refused"
            });
            if told.as_ref() != Some(&result) {
                tell(&result);
            }
            told = Some(result);
        }
    }

    /// What is to be attested, if the lease still runs and the store has not renewed it for half a time too long.
    fn due(&self) -> Option<Seen> {
        let evidence = self.evidence.borrow();
        let now = clock::moment();
        let Lease::Granted(asked) = evidence.lease else {
            return None;
        };
        let late = now.since(asked) >= self.identity.renew_every.saturating_mul(3) / 2;
        match fence::decide(&evidence, now) {
            Decision::Open { .. } if late => evidence.seen.clone(),
            Decision::Open { .. } | Decision::Fenced(_) => None,
        }
    }

    async fn ask(&self, seen: &Seen, asked: Moment, doors: &Doors) -> Result<(), String> {
        let question = Question {
            site: self.identity.site.name().to_owned(),
            generation: seen.generation.0,
            entitled: self.identity.installation.clone(),
        };
        let answers = ask::ask(doors, vec![question], self.identity.renew_every).await;
        answers.into_iter().collect::<Result<(), String>>()?;
        let mut went_on = false;
        self.evidence.send_if_modified(|evidence| {
            let lease = fence::attested(evidence, seen.generation, asked, clock::moment());
            went_on = lease.is_some();
            lease.is_some_and(|lease| std::mem::replace(&mut evidence.lease, lease) != lease)
        });
        match went_on {
            true => Ok(()),
            false => Err("the lease was over before the last one had attested".to_owned()),
        }
    }
}

fn tell(result: &Result<(), String>) {
    match result {
        Ok(()) => tracing::info!(
            "the store is away; all registered routers attest that nothing is newer, and the installation goes on"
        ),
        Err(why) => tracing::warn!(
            "the store is away, and not every router attests; the lease runs out: {why}"
        ),
    }
}
