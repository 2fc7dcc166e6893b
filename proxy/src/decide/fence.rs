//! Is it proven that the installation that served before can change nothing any more?
//!
//! Owns that rule, purely. Must not read clocks: how long something has been watched is measured by the caller, on its
//! own monotonic clock, from after the switch was seen in the store. When in doubt the answer is no.

use super::attest::{self, Asks, Facts, Reader};
use super::world::Agent;
use homing_mapping_store::Generation;
use homing_mapping_store::agent::AgentRole;
use homing_mapping_store::store::{RouterRecord, Seq};
use std::time::Duration;

/// What a wait has to cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clocks {
    /// The router lease of this configuration.
    pub router: Duration,
    /// The site lease of this configuration.
    pub site: Duration,
    /// Largest error of a clock's rate.
    pub drift: f64,
    /// Added to each wait.
    pub margin: Duration,
}

impl Clocks {
    /// How long to watch until a lease of this length has certainly run out, whatever the clocks do within the drift.
    pub fn wait(&self, lease: Duration) -> Duration {
        let factor = (1.0 + self.drift) / (1.0 - self.drift).max(f64::EPSILON);
        lease.mul_f64(factor) + self.margin
    }
}

/// Whether somebody has stopped attesting to what was before a switch, for each of those who may go on without the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Informed {
    /// So that nobody goes on for longer than a lease from then.
    Enough,
    /// Somebody may be going on by the word of others: a watch has not begun.
    Nobody,
}

/// Whether a watch may begin: see `witness::informed`. `me` is this router, if it takes questions itself: it has stopped.
pub fn informed(
    me: Option<&str>,
    routers: &[RouterRecord],
    agents: &[Agent],
    seq: Seq,
) -> Informed {
    let readers: Vec<Reader> = routers.iter().map(Reader::of).collect();
    let enough = |asks: &Asks| attest::informed(asks, me, seq, &readers);
    let mut all = agents.iter().map(|agent| agent.asks.clone()).chain(
        routers
            .iter()
            // One that has read of the switch asks nobody about what was before.
            .filter(|router| router.applied < seq)
            .map(|router| Facts::of(router).asks),
    );
    if all.all(|asks| enough(&asks)) {
        Informed::Enough
    } else {
        Informed::Nobody
    }
}

/// What is known of a switch that has begun.
#[derive(Clone, Debug)]
pub struct Watch<'a> {
    /// The generation of the switch.
    pub generation: Generation,
    /// The change by which a router knows of the switch.
    pub seq: Seq,
    /// All routers that are registered.
    pub routers: &'a [RouterRecord],
    /// The installation that served before.
    pub installation: &'a str,
    /// All of its agents.
    pub agents: &'a [Agent],
    /// The counters of these agents when the watch began, in the same order; what was not there has none.
    pub counters: &'a [Option<u64>],
    /// The operator's statement.
    pub statement: Option<&'a str>,
    /// How long the switch has been watched.
    pub watched: Duration,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is proven, by this evidence.
    Proven(String),
    /// Not yet; this is missing.
    Waiting(String),
}

/// Judges both halves: routers have stopped sending, and the installation cannot change data.
pub fn judge(clocks: &Clocks, watch: &Watch<'_>) -> Verdict {
    let routers = match routers(clocks, watch) {
        Verdict::Proven(evidence) => evidence,
        waiting @ Verdict::Waiting(_) => return waiting,
    };
    match installation(clocks, watch) {
        Verdict::Proven(evidence) => Verdict::Proven(format!("{routers}; {evidence}")),
        waiting @ Verdict::Waiting(_) => waiting,
    }
}

fn routers(clocks: &Clocks, watch: &Watch<'_>) -> Verdict {
    let missing: Vec<&RouterRecord> = watch
        .routers
        .iter()
        .filter(|router| router.applied < watch.seq)
        .collect();
    if missing.is_empty() {
        return Verdict::Proven(format!(
            "all {} routers have acknowledged",
            watch.routers.len()
        ));
    }
    // A router that goes on renewing has read the assignment; one that does not has stopped by itself.
    let longest = watch.routers.iter().map(|router| router.lease_ms).max();
    let longest = Duration::from_millis(longest.unwrap_or(0)).max(clocks.router);
    let wait = clocks.wait(longest);
    if watch.watched >= wait {
        return Verdict::Proven(format!("every router's lease has run out ({wait:?})"));
    }
    let names: Vec<&str> = missing.iter().map(|router| router.name.as_str()).collect();
    Verdict::Waiting(format!(
        "routers {} have not acknowledged; their leases run out in {:?}",
        names.join(", "),
        wait.saturating_sub(watch.watched)
    ))
}

fn installation(clocks: &Clocks, watch: &Watch<'_>) -> Verdict {
    let mut evidence = Vec::new();
    for (at, agent) in watch.agents.iter().enumerate() {
        let who = format!("the agent of {} ({})", watch.installation, agent.holder);
        if agent.role == AgentRole::Fenced && agent.generation >= watch.generation {
            evidence.push(format!("{who} has fenced"));
            continue;
        }
        let wait = clocks.wait(agent.lease.max(clocks.site));
        let left = wait.saturating_sub(watch.watched);
        if !left.is_zero() {
            // Also with a statement: an agent that is alive says more than a person who is not there, and soon.
            if watch.statement.is_some() && !agent.live {
                continue;
            }
            let then = match agent.silence_proves() || watch.statement.is_some() {
                true => "",
                false => ", and its silence will prove nothing",
            };
            return Verdict::Waiting(format!(
                "{who} has not fenced yet; its lease runs out in {left:?}{then}"
            ));
        }
        let spoke = watch.counters.get(at).copied().flatten() != Some(agent.counter);
        if spoke && agent.role == AgentRole::Open && agent.live {
            return Verdict::Waiting(format!(
                "{who} still says that it is open, after its lease has run out: stop that installation by hand"
            ));
        }
        if agent.silence_proves() {
            evidence.push(format!("the lease of {who} has run out ({wait:?})"));
        } else if watch.statement.is_none() {
            return Verdict::Waiting(format!(
                "{who} is silent, and its silence proves nothing; abort, or plan again with --fenced-by"
            ));
        }
    }
    if let Some(statement) = watch.statement {
        evidence.push(format!("stated: {statement}"));
    }
    if evidence.is_empty() {
        return Verdict::Waiting(
            "no agent and no statement proves the fence; abort, or plan again with --fenced-by"
                .to_owned(),
        );
    }
    Verdict::Proven(evidence.join("; "))
}
