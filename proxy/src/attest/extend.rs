//! This router goes on with what it knows of assignments while the store is away, by the word of all the others.
//!
//! Owns the rounds of asking. Must not extend what another has refused; how long is what the store would have given,
//! counted from before the first one was asked.

use super::{Witness, ask};
use crate::clock;
use crate::control::registrar::Registrar;
use crate::decide::attest::Reach;
use crate::telemetry::metrics::metrics;
use homing_mapping_store::SiteId;
use std::sync::Arc;

/// What was said last, so that only news is told.
#[derive(Default)]
struct Told(Option<Result<(), String>>);

impl Told {
    fn tell(&mut self, news: Result<(), String>) {
        if self.0.as_ref() == Some(&news) {
            return;
        }
        match &news {
            Ok(()) => tracing::info!(
                "the store is away; all registered routers attest that nothing is newer, and this one goes on"
            ),
            Err(why) => tracing::warn!(
                "the store is away, and not every router attests; sites with several installations stop: {why}"
            ),
        }
        self.0 = Some(news);
    }
}

/// Asks whenever the store is away, until the task is dropped.
pub async fn run(registrar: Arc<Registrar>, witness: Arc<Witness>) {
    let mut told = Told::default();
    loop {
        let lease = registrar.lease();
        tokio::time::sleep(lease.renew_every / 2).await;
        if witness.reach(clock::moment(), lease.renew_every) == Reach::Answers {
            told = Told::default();
            continue;
        }
        let sites = registrar.several();
        if sites.is_empty() {
            continue;
        }
        // First the time, then whose word is needed: whoever is told to the store later sees a later time.
        let asked = clock::monotonic_ms();
        let until =
            asked.saturating_add(u64::try_from(lease.router.as_millis()).unwrap_or(u64::MAX));
        let Some(mut others) = registrar.needed() else {
            // Where this router attests nowhere either, that is what was wanted.
            if witness.door().is_some() {
                told.tell(Err("attesting is not configured on every router".into()));
            }
            continue;
        };
        // This process's own word is what it asks with.
        others.remove(witness.process());
        let questions = witness.questions(sites.into_iter());
        let named: Vec<SiteId> = questions
            .iter()
            .map(|one| SiteId::named(&one.site))
            .collect();
        let mut own = questions.clone().into_iter();
        let answers = ask::ask(&others, questions, lease.renew_every).await;
        let mut all = Ok(());
        for (site, answer) in named.into_iter().zip(answers) {
            let mine = own
                .next()
                .and_then(|question| witness.attests(&question, Reach::Away).err());
            let answer = match mine {
                Some(refusal) => Err(format!("{}: {refusal}", witness.name())),
                None => answer,
            };
            let result = if answer.is_ok() {
                "attested"
            } else {
                "refused"
            };
            metrics().attestations.with_label_values(&[result]).inc();
            if answer.is_ok() {
                registrar.believe(site, until);
            }
            all = all.and(answer);
        }
        told.tell(all);
    }
}
