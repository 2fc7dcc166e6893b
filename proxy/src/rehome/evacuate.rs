//! Evacuation: live instances of a site are handed to other sites, one by one.
//!
//! Owns the order over a whole site: no new work, pass after pass over what lives there, then the end. One instance's way
//! is in `instance`. Must not decide where an instance lives: the compare-and-set of its mapping does. Each round looks at
//! everything anew, so any router can go on where another was killed.

mod engine;
mod instance;
mod leaving;
mod mark;

use super::execute::Executor;
use super::step::{Outcome, Stepper};
use super::work::{Left, Moving, Step, Tally};
use crate::clock;
use crate::decide::plan::{ANY, Verb};
use crate::decide::world::{HandsOver, World};
use crate::problem::Problem;
use crate::telemetry::chain;
use engine::Engine;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use homing_mapping_store::assignment::SiteState;
use homing_mapping_store::store::{Error, MappingFilter, Seq};
use homing_mapping_store::switch::{Override, Rule};
use homing_mapping_store::{Kind, RoutingKey, SiteId, State};
use instance::Went;
use std::time::Duration;

/// Instances in one round.
const ROUND: usize = 32;
/// How often a site is gone through while something does not leave.
const PASSES_MAX: u32 = 5;
/// Between two passes over what does not leave.
const PASS_EVERY: Duration = Duration::from_secs(1);
/// Instances that did not leave that are named.
const NAMED_MAX: usize = 100;
/// Reasons that the operation's note tells; all that are named stand in the operation.
const REASONS_MAX: usize = 3;
/// Longest round: other operations wait for it.
const ROUND_WITHIN: Duration = Duration::from_secs(20);
/// Rows that are looked at in one go when what was only marked is put back.
const PAGE: usize = 1_000;

/// What keeps an evacuation from getting on for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] Error),
    #[error("{0}")]
    Site(String),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Trouble {
        Trouble::Site(problem.detail.clone())
    }
}

impl Executor {
    /// The world that a plan of this verb is made from.
    pub(crate) async fn world(&self, verb: Verb) -> Result<World, Error> {
        let mut world = super::gather::world(&self.store, &self.config()).await?;
        if verb == Verb::Evacuate {
            for site in &mut world.sites {
                site.hands_over = match SiteId::known(&site.name) {
                    Some(id) => self.hands_over(id).await,
                    None => HandsOver::Unknown,
                };
            }
        }
        Ok(world)
    }

    /// Some live instances of a site that can be handed over, or why they are not known.
    pub(crate) async fn live(&self, site: &str, most: usize) -> Result<Vec<RoutingKey>, String> {
        let known = SiteId::known(site).ok_or("this router does not know it")?;
        let engine = Engine::at(self, known).map_err(|problem| problem.detail.clone())?;
        let roots = engine.roots("", None, most).await;
        let roots = roots.map_err(|trouble| chain(&trouble))?;
        let key = |root: &engine::Root| RoutingKey::new(Kind::PROCESS_INSTANCE, &root.id);
        Ok(roots.iter().map(key).collect())
    }

    async fn hands_over(&self, site: SiteId) -> HandsOver {
        match Engine::at(self, site) {
            Ok(engine) => engine.hands_over().await,
            Err(_) => HandsOver::Unknown,
        }
    }
}

impl Stepper<'_> {
    /// Takes the next steps of an evacuation.
    pub(super) async fn evacuate(&self, moving: &mut Moving) -> Outcome {
        if moving.step.is_last() {
            return Outcome::Waits(moving.note.clone());
        }
        let round = async {
            match (&self.work.abort, moving.step) {
                (Some(_), _) => self.take_back(moving).await,
                (None, Step::Begin) => self.drain(moving).await,
                (None, _) => self.round(moving).await,
            }
        };
        match tokio::time::timeout(ROUND_WITHIN, round).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(trouble)) => Outcome::Waits(format!("waits: {}", chain(&trouble))),
            Err(_) => Outcome::Waits(format!(
                "a round of hand-overs took longer than {ROUND_WITHIN:?}; it is gone on with"
            )),
        }
    }

    /// The site takes no new work. One instance alone leaves it as it is.
    async fn drain(&self, moving: &mut Moving) -> Result<Outcome, Trouble> {
        moving.tally = Some(Tally {
            drained: moving.of.key.is_some(),
            ..Tally::default()
        });
        if let Some(key) = &moving.of.key {
            return Ok(Outcome::To(Step::Move, format!("{key} is handed over")));
        }
        let store = &self.executor.store;
        let site = SiteId::named(&moving.of.site);
        let (_, records) = store.registry().await?;
        let record = records.iter().find(|record| record.site == site);
        let record = record.ok_or_else(|| Trouble::Site(format!("site {site} is gone")))?;
        if record.state == SiteState::Ready {
            let entry = self.entry("site.drain", moving);
            let reason = self.work.reason.clone().unwrap_or_default();
            let word = |rule| Override {
                rule,
                person: self.work.actor.clone(),
                reason: reason.clone(),
            };
            let rules = self.work.plan.overrides.iter();
            let overrides: Vec<Override> = rules
                .filter_map(|name| Rule::parse(name))
                .map(word)
                .collect();
            let expected = Some(record.generation);
            let drained =
                store.set_site_state(site, SiteState::Draining, expected, &overrides, &entry);
            if let Err(Error::Refused { why, .. }) = drained.await {
                return Ok(Outcome::To(Step::Failed, why));
            }
            // Anything else shows in the next look at the registry.
            let (_, records) = store.registry().await?;
            let mut drains = records.iter().filter(|one| one.site == site);
            if drains.any(|record| record.state == SiteState::Ready) {
                return Ok(Outcome::Waits(format!("site {site} to be drained")));
            }
        }
        moving.seq = Some(store.head().await?.0);
        let detail = format!("{site} takes no new work; its live instances are handed over");
        Ok(Outcome::To(Step::Move, detail))
    }

    async fn round(&self, moving: &mut Moving) -> Result<Outcome, Trouble> {
        let from = Engine::at(self.executor, SiteId::named(&moving.of.site))?;
        // Kept where it is: a round that takes too long is dropped in the middle.
        let mut tally = moving.tally.clone().unwrap_or_default();
        let went = self.page(moving, &from, &mut tally).await;
        let outcome = match went {
            Ok(true) => {
                tally.moved = from.count(&self.prefix(), "moved").await?;
                Ok(Outcome::To(Step::Move, words(&tally)))
            }
            Ok(false) => self.end_of_pass(moving, &from, &mut tally).await,
            Err(trouble) => Err(trouble),
        };
        moving.tally = Some(tally);
        outcome
    }

    /// Ids of this operation's hand-overs begin so.
    fn prefix(&self) -> String {
        format!("{}.", self.operation.id)
    }

    /// Finishes what is half done, then hands over the next instances. Answers whether there were any.
    async fn page(
        &self,
        moving: &Moving,
        from: &Engine,
        tally: &mut Tally,
    ) -> Result<bool, Trouble> {
        let began = clock::now();
        let mover = instance::Mover::new(self, moving, from).await;
        let half_done = from.exported(&self.prefix(), ROUND).await?;
        let at_once = usize::try_from(self.executor.config().safety.evacuations_at_once);
        let at_once = at_once.unwrap_or(1).max(1);
        if !half_done.is_empty() {
            let mut ways = Vec::with_capacity(half_done.len());
            for held in &half_done {
                ways.push(mover.settle(held).boxed());
            }
            return count(tally, some_at_once(ways, at_once).await).map(|()| true);
        }
        let per_second = self.executor.config().safety.evacuations_per_second.max(1);
        let page = ROUND.min(usize::try_from(per_second).unwrap_or(ROUND));
        let only = moving.of.key.as_deref().and_then(|key| key.split_once(':'));
        let only = only.map(|(_, id)| id);
        let roots = from.roots(&tally.after, only, page).await?;
        let Some(last) = roots.last() else {
            return Ok(false);
        };
        let after = last.id.clone();
        let (marked, left) = mover.mark(&roots).await?;
        left.into_iter().for_each(|one| leave(tally, one));
        let mut ways = Vec::with_capacity(marked.len());
        for (id, generation) in &marked {
            ways.push(mover.hand(id, *generation).boxed());
        }
        count(tally, some_at_once(ways, at_once).await)?;
        tally.after = after;
        let pace = Duration::from_secs(1) * u32::try_from(roots.len()).unwrap_or(1) / per_second;
        tokio::time::sleep(pace.saturating_sub(clock::now().duration_since(began))).await;
        Ok(true)
    }

    /// What follows when the site has been gone through once more.
    async fn end_of_pass(
        &self,
        moving: &Moving,
        from: &Engine,
        tally: &mut Tally,
    ) -> Result<Outcome, Trouble> {
        if !tally.drained {
            if let Some(waiting) = self.unaware(moving).await? {
                return Ok(Outcome::Waits(waiting));
            }
            tally.drained = true;
            tally.pass_over();
            let detail = format!("no router sends new work there; {}", words(tally));
            return Ok(Outcome::To(Step::Move, detail));
        }
        if tally.left > 0 && tally.pass + 1 < PASSES_MAX {
            let detail = format!("{} is gone through again: {}", moving.of.site, words(tally));
            tally.pass_over();
            tokio::time::sleep(PASS_EVERY).await;
            return Ok(Outcome::To(Step::Move, detail));
        }
        self.unmark(moving).await?;
        tally.moved = from.count(&self.prefix(), "moved").await?;
        let (step, word) = match (tally.moved, tally.left) {
            (0, 0) if moving.of.key.is_some() => (Step::Failed, "it does not live there: "),
            (_, 0) => (Step::Done, ""),
            (0, _) => (Step::Failed, ""),
            (_, _) => (Step::Partly, ""),
        };
        Ok(Outcome::To(step, format!("{word}{}", words(tally))))
    }

    /// Live routers that may still send new work to the site.
    async fn unaware(&self, moving: &Moving) -> Result<Option<String>, Trouble> {
        let drained = Seq(moving.seq.unwrap_or(u64::MAX));
        let routers = self.executor.store.routers().await?;
        let unaware: Vec<String> = routers
            .into_iter()
            .filter(|router| router.live && router.applied < drained)
            .map(|router| router.name)
            .collect();
        Ok((!unaware.is_empty()).then(|| {
            let names = unaware.join(", ");
            format!(
                "routers to know that {} is drained; {names}",
                moving.of.site
            )
        }))
    }

    /// What was marked and has not left is as it was.
    async fn unmark(&self, moving: &Moving) -> Result<(), Trouble> {
        let site = SiteId::named(&moving.of.site);
        let only: Option<RoutingKey> = moving.of.key.as_deref().and_then(|key| key.parse().ok());
        let filter = MappingFilter {
            home: Some(site),
            state: Some(State::Moving),
            ..MappingFilter::default()
        };
        loop {
            let page = self.executor.store.scan(&filter, None, PAGE).await?;
            let ours = |key: &RoutingKey| only.as_ref().is_none_or(|only| only == key);
            let marked: Vec<_> = page.items.iter().filter(|row| ours(&row.key)).collect();
            if marked.is_empty() {
                return Ok(());
            }
            let mut back = Vec::with_capacity(marked.len());
            for row in marked {
                back.push(self.change(row, site, State::Homed, "mapping.stays"));
            }
            self.changed(&back).await?;
        }
    }

    /// What has left stays where it is; what is on its way goes back, unless it has arrived already.
    async fn take_back(&self, moving: &mut Moving) -> Result<Outcome, Trouble> {
        let mut tally = moving.tally.clone().unwrap_or_default();
        if moving.step == Step::Begin {
            return Ok(Outcome::To(Step::Aborted, "it had not begun".to_owned()));
        }
        let from = Engine::at(self.executor, SiteId::named(&moving.of.site))?;
        let mover = instance::Mover::new(self, moving, &from).await;
        loop {
            let half_done = from.exported(&self.prefix(), ROUND).await?;
            if half_done.is_empty() {
                break;
            }
            for held in &half_done {
                mover.back(held).await?;
            }
        }
        self.unmark(moving).await?;
        tally.moved = from.count(&self.prefix(), "moved").await?;
        let detail = format!(
            "{} were handed over and stay where they are; site {} stays drained",
            tally.moved, moving.of.site
        );
        moving.tally = Some(tally);
        Ok(Outcome::To(Step::Aborted, detail))
    }
}

impl Tally {
    fn pass_over(&mut self) {
        self.pass += 1;
        self.after = String::new();
        self.left = 0;
        self.named.clear();
    }
}

fn words(tally: &Tally) -> String {
    let mut words = format!("{} handed over", tally.moved);
    if tally.left == 0 {
        return words;
    }
    words.push_str(&format!(", {} stay where they are", tally.left));
    // By reason, the most frequent first, each with one of its instances.
    let mut reasons: Vec<(&Left, u64)> = Vec::new();
    for left in &tally.named {
        match reasons.iter_mut().find(|(first, _)| first.why == left.why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((left, 1)),
        }
    }
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = reasons.iter().take(REASONS_MAX);
    let told: Vec<String> = told
        .map(|(first, count)| match count {
            1 => format!("{}: {}", first.instance, first.why),
            more => format!("{} and {} more: {}", first.instance, more - 1, first.why),
        })
        .collect();
    format!("{words} ({})", told.join("; "))
}

fn leave(tally: &mut Tally, left: Left) {
    tally.left += 1;
    if tally.named.len() < NAMED_MAX {
        tally.named.push(left);
    }
}

/// The first trouble is told when everything that could be done is done.
fn count(tally: &mut Tally, went: Vec<Result<Went, Trouble>>) -> Result<(), Trouble> {
    let mut trouble = None;
    for one in went {
        match one {
            Ok(Went::Stays(left)) => leave(tally, left),
            Ok(Went::Moved | Went::Ended) => {}
            Err(why) => trouble = trouble.or(Some(why)),
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Lets hand-overs go on side by side, not too many.
async fn some_at_once(
    ways: Vec<BoxFuture<'_, Result<Went, Trouble>>>,
    at_once: usize,
) -> Vec<Result<Went, Trouble>> {
    stream::iter(ways).buffer_unordered(at_once).collect().await
}

/// Whether a move leaves the choice of the target to placement.
fn is_any(to: &str) -> bool {
    to == ANY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_told_by_reason() {
        let left = |instance: &str, why: &str| Left {
            instance: instance.to_owned(),
            why: why.to_owned(),
        };
        let mut tally = Tally {
            moved: 1,
            ..Tally::default()
        };
        assert_eq!(words(&tally), "1 handed over");
        tally.named = vec![
            left("i1", "busy"),
            left("i2", "no copy"),
            left("i3", "no copy"),
        ];
        tally.left = 29;
        assert_eq!(
            words(&tally),
            "1 handed over, 29 stay where they are (i2 and 1 more: no copy; i1: busy)"
        );
    }
}
