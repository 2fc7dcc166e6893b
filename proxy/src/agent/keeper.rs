//! Talks to the store: renews the site's lease, reads the assignment, remembers the generation, reports, hands orders on.
//!
//! Owns the rounds and the evidence that the fence's decision is made from. Must not decide or fence. The lease is asked
//! for before the assignment is read, and counts from before it was asked for.

use super::ahead::Course;
use super::enforcer::Standing;
use super::fence::{self, Decision, Evidence, Lease, Seen};
use super::grace::{self, Grace};
use super::haste::Haste;
use super::highest::Highest;
use super::metrics::metrics;
use super::orders::Inbox;
use super::others::Others;
use super::place::Place;
use super::replica::{Replica, Role};
use crate::clock::{self, Moment};
use crate::decide::attest::{self, Asks, Doors, Roster};
use crate::telemetry::chain;
use homing_config::settings::StoreUrl;
use homing_mapping_store::agent::{AgentReport, AgentRole, OrderState, Reporting};
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::store::{Error, Handle, RouterRecord};
use homing_mapping_store::{Generation, SiteId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Rounds are not closer together than this part of the time between renewals, however busy the store is.
const ROUNDS_PER_RENEWAL: u32 = 5;

/// How much of an outcome is reported; commands may have written a lot.
const OUTCOME_CHARS_MAX: usize = 2_000;

/// Who the agent is, and how often it renews.
#[derive(Clone, Debug)]
pub struct Identity {
    pub site: SiteId,
    pub installation: String,
    /// Name of this agent.
    pub holder: String,
    pub term: Duration,
    pub renew_every: Duration,
}

/// The rounds.
pub struct Keeper {
    pub identity: Identity,
    pub url: StoreUrl,
    pub store: Option<Handle>,
    pub highest: Highest,
    pub evidence: watch::Sender<Evidence>,
    pub standing: watch::Receiver<Standing>,
    /// The database here.
    pub replica: watch::Receiver<Replica>,
    /// How the installation is fenced, for whoever decides by it.
    pub mode: &'static str,
    pub others: Others,
    pub inbox: watch::Sender<Inbox>,
    /// Time for requests that run while a planned switch begins.
    pub grace: Grace,
    /// Less time between rounds while the site is being switched.
    pub haste: Haste,
    /// Where the assignment leads, for whoever starts an engine ahead.
    pub course: watch::Sender<Course>,
    /// The database here is asked at once what it is.
    pub ask_again: Arc<Notify>,
    /// Whether the registry knows this installation.
    pub place: Place,
    /// Whose word is needed to go on without the store.
    pub roster: Roster,
    /// At which generation it is fenced, and when it was so for certain.
    pub fenced: Option<(Generation, Moment)>,
    /// The counter of the last report, if it is known.
    pub counter: Option<u64>,
    /// The same for who asks them.
    pub needed: watch::Sender<Option<Doors>>,
    /// Somebody wants a round now.
    pub bell: Arc<Notify>,
    /// Whether the store answered last time.
    pub answered: bool,
}

impl Keeper {
    /// Rounds until `left` is done; then one last word to the store.
    pub async fn run(mut self, left: impl Future<Output = ()>) {
        let mut left = std::pin::pin!(left);
        loop {
            let result = self.round().await;
            self.note(result);
            tokio::select! {
                () = left.as_mut() => break,
                () = self.pause() => {}
            }
        }
        if let Err(error) = self.farewell().await {
            tracing::warn!(
                "the store could not be told that the agent left: {}",
                chain(&error)
            );
        }
    }

    fn note(&mut self, result: Result<(), Error>) {
        let answered = result.is_ok();
        metrics().store_up.set(i64::from(answered));
        match &result {
            Err(Error::Unknown { what }) if self.answered => tracing::warn!(
                "the store answers, and there is no {what}: closed until a router whose configuration names the site has registered it"
            ),
            Err(error) if self.answered => tracing::warn!(
                "the store does not answer; the lease runs out: {}",
                chain(error)
            ),
            Err(_) | Ok(()) => {}
        }
        if answered && !self.answered {
            tracing::info!("the store answers");
        }
        self.answered = answered;
    }

    /// Until the next renewal is due, or something may have changed; never a busy loop.
    async fn pause(&mut self) {
        let every = self.identity.renew_every;
        if self.grace.is_given() {
            return tokio::time::sleep(grace::LOOK.min(every)).await;
        }
        let apart = self.haste.apart(every / ROUNDS_PER_RENEWAL);
        tokio::select! {
            () = tokio::time::sleep(apart) => {}
            // What was just achieved is reported at once; it is rare.
            _ = self.standing.changed() => return,
            () = self.bell.notified() => return,
        }
        let changed = async {
            match (&self.store, self.answered) {
                (Some(store), true) => store.changed().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(every.saturating_sub(apart)) => {}
            () = changed => {}
            // How far the database here has come is what the next step of a switch waits for.
            Ok(()) = self.replica.changed(), if self.haste.lasts() => {}
            // The end of the enforcer ends this loop elsewhere.
            _ = self.standing.changed() => {}
            () = self.bell.notified() => {}
        }
    }

    async fn round(&mut self) -> Result<(), Error> {
        let store = self.opened().await?;
        let (lease, mine) = self.ask(&store).await?;
        self.haste.look(mine.as_ref());
        let course = Course::of(mine.as_ref(), &self.identity.installation);
        self.course
            .send_if_modified(|before| std::mem::replace(before, course) != course);
        if self
            .grace
            .lasts(&store, mine.as_ref(), &self.evidence)
            .await?
        {
            // As if this round had not been: the lease that was given before runs on, and out.
            return Ok(());
        }
        self.learn(lease, mine.map(seen));
        self.place.look(&store, &self.identity).await?;
        let routers = store.routers().await?;
        let doors = attest::doors(&routers);
        // What was read is obeyed by now: in the grace of a switch nothing was looked at.
        self.roster.looked(&doors);
        self.look_at_others(&store, &routers).await?;
        self.report(&store, doors).await?;
        // Only what is asked after the fence was noted tells the end of what was written.
        if self.haste.lasts() {
            self.ask_again.notify_one();
        }
        self.fetch_orders(&store).await
    }

    async fn look_at_others(
        &mut self,
        store: &Handle,
        routers: &[RouterRecord],
    ) -> Result<(), Error> {
        if self.replica.borrow().role == Role::NotAsked {
            return Ok(());
        }
        let me = &self.identity;
        let agents = store.agents().await?;
        let others = agents.iter().filter(|agent| {
            agent.report.site == me.site && agent.report.installation != me.installation
        });
        self.others.look(others, routers, clock::moment());
        Ok(())
    }

    /// Says what is proven. `fenced` is said only of the generation at which it was proven.
    async fn report(&mut self, store: &Handle, doors: Doors) -> Result<(), Error> {
        let told_in = store.incarnation().await?;
        let counter = match self.counter.take() {
            Some(counter) => counter,
            None => self.last_counter(store).await?,
        };
        let processes = doors.keys().cloned().collect();
        let asks = Asks { processes, told_in };
        self.roster.telling(doors);
        self.needed.send_replace(self.roster.needed());
        let standing = self.standing.borrow_and_update().clone();
        let role = match standing.fenced_at() {
            Some(_) => AgentRole::Fenced,
            None => AgentRole::Open,
        };
        let before = self.fenced.take();
        self.fenced = standing.fenced_at().map(|at| {
            let known = before.filter(|(known, _)| *known == at);
            known.unwrap_or_else(|| (at, clock::moment()))
        });
        let me = &self.identity;
        let report = AgentReport {
            site: me.site,
            installation: me.installation.clone(),
            holder: me.holder.clone(),
            generation: standing.fenced_at().unwrap_or_else(|| self.highest.value()),
            role,
            facts: self.facts(&standing, &asks).to_string(),
        };
        let reporting = Reporting {
            report: &report,
            lease_ms: millis(me.term),
            after: Some(counter),
        };
        let told = store.take(reporting).await;
        match told {
            Ok(record) => {
                self.counter = Some(record.counter);
                self.roster.told();
                Ok(())
            }
            Err(Error::Stale { found, .. }) => {
                tracing::error!(
                    found = found.map(|found| found.0),
                    "this agent has reported a higher generation before: its folder `state` is an older copy, and it stays closed"
                );
                if let Some(found) = found
                    && let Err(error) = self.highest.raise(found)
                {
                    tracing::error!("the generation cannot be kept: {}", chain(&error));
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Of the last report that the store has: one that is on its way still must not come after another.
    async fn last_counter(&self, store: &Handle) -> Result<u64, Error> {
        let me = &self.identity;
        let agents = store.agents().await?;
        let mine = agents.iter().find(|agent| {
            let report = &agent.report;
            (report.site, &report.installation, &report.holder)
                == (me.site, &me.installation, &me.holder)
        });
        Ok(mine.map_or(0, |agent| agent.counter))
    }

    /// What whoever decides may want to know.
    fn facts(&self, standing: &Standing, asks: &Asks) -> serde_json::Value {
        let now = clock::moment();
        let written = self.others.served_until(self.identity.term);
        let fenced = self.fenced.map(|(_, since)| since);
        let replica = self.replica.borrow().facts(now, written, fenced);
        let (state, why) = match standing.decision {
            Decision::Open { .. } => ("open", None),
            Decision::Fenced(why) => ("fenced", Some(why.as_str())),
        };
        let outcome = match &standing.outcome {
            Ok(proof) => proof,
            Err(missing) => missing,
        };
        serde_json::json!({
            "mode": self.mode,
            "decision": state,
            "why": why,
            "proven": standing.outcome.is_ok(),
            "outcome": outcome.chars().take(OUTCOME_CHARS_MAX).collect::<String>(),
            "lag_ms": replica.get("lag_ms"),
            "replica": replica,
            "asks": asks.processes,
            "asks_in": asks.told_in,
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    async fn fetch_orders(&mut self, store: &Handle) -> Result<(), Error> {
        let me = &self.identity;
        let at = self.highest.value();
        let mut orders = store.orders(me.site).await?;
        orders.retain(|order| {
            order.order.installation == me.installation
                && order.order.generation == at
                && matches!(order.state, OrderState::Asked | OrderState::Running)
        });
        if !orders.is_empty() {
            let store = Some(store.clone());
            self.inbox.send_replace(Inbox { store, orders });
        }
        Ok(())
    }

    async fn opened(&mut self) -> Result<Handle, Error> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let url = match &self.url {
            StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            StoreUrl::Postgres(url) => url.expose().to_owned(),
        };
        let store = homing_mapping_store::open(&url).await?;
        self.store = Some(store.clone());
        Ok(store)
    }

    /// First the lease, then the assignment: one that names us was true after the lease was given.
    async fn ask(&self, store: &Handle) -> Result<(Lease, Option<Assignment>), Error> {
        let me = &self.identity;
        let asked = clock::moment();
        let (name, term) = (lease_name(me.site), millis(me.term));
        let claim = fence::claim(&self.evidence.borrow(), asked);
        let given = match store.claim(&name, &me.installation, term, claim).await {
            Ok(given) => given,
            // The assignment does not entitle us: what it says is read below.
            Err(Error::NotAssigned { .. }) => None,
            Err(error) => return Err(error),
        };
        let evidence = self.evidence.borrow().clone();
        let lease = fence::worth(given.as_ref(), asked, &evidence, clock::moment());
        let assignments = store.assignments().await?;
        let mine = assignments.into_iter().find(|found| found.site == me.site);
        Ok((lease, mine))
    }

    /// The generation is on disk before anybody decides by it.
    fn learn(&mut self, lease: Lease, seen: Option<Seen>) {
        if let Some(seen) = &seen
            && let Err(error) = self.highest.raise(seen.generation)
        {
            tracing::error!("the generation cannot be kept: {}", chain(&error));
        }
        let highest = self.highest.value();
        self.tell(highest, lease);
        self.evidence.send_if_modified(|evidence| {
            let before = evidence.clone();
            // An answer that was long on its way does not end what was attested to meanwhile.
            let same = match (&seen, &evidence.seen) {
                (Some(seen), Some(before)) => seen.generation == before.generation,
                (Some(_), None) | (None, _) => false,
            };
            evidence.lease = match same {
                true => fence::later(evidence.lease, lease),
                false => lease,
            };
            evidence.highest = highest;
            evidence.seen = seen.or_else(|| evidence.seen.take());
            *evidence != before
        });
    }

    fn tell(&self, highest: Generation, lease: Lease) {
        let generation = i64::try_from(highest.0).unwrap_or(i64::MAX);
        let site = self.identity.site.name();
        metrics()
            .generation
            .with_label_values(&[site])
            .set(generation);
        let remaining = match lease {
            Lease::Granted(asked) => remaining(asked, self.identity.term),
            Lease::Refused | Lease::Unknown => Duration::ZERO,
        };
        metrics()
            .lease_remaining_seconds
            .set(remaining.as_secs_f64());
    }

    /// Fenced and proven: nobody needs to wait for the lease.
    async fn farewell(&mut self) -> Result<(), Error> {
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        let doors = attest::doors(&store.routers().await?);
        self.report(&store, doors).await?;
        if self.standing.borrow().fenced_at().is_none() {
            return Ok(());
        }
        let me = &self.identity;
        store.release(&lease_name(me.site), &me.installation).await
    }
}

fn seen(assignment: Assignment) -> Seen {
    Seen {
        generation: assignment.generation,
        entitled: assignment.entitled().map(str::to_owned),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn lease_name(site: SiteId) -> String {
    format!("site/{}", site.name())
}

fn remaining(asked: Moment, term: Duration) -> Duration {
    super::fence::open_until(asked, term).since(clock::moment())
}
