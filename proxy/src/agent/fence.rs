//! Whether the installation may change the site's data now: the one decision that everything else here carries out.
//!
//! Owns the rule. It is closed unless everything speaks for open: so at boot, without news, and on any contradiction.
//! Must not read a clock, a disk or a network. Relies on the lease having been asked for before the assignment was read.

use crate::clock::Moment;
use homing_mapping_store::Generation;
use homing_mapping_store::store::{Claim, Lease as Given};
use std::fmt;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The site's assignment, as the store showed it last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Seen {
    /// Grows with every switch.
    pub generation: Generation,
    /// Who may serve: nobody between the beginning of a switch and the proof that the installation that served before is
    /// fenced; from then on the one that is to serve next.
    pub entitled: Option<String>,
}

/// What the store said about the site's lease last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Lease {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// Ours, counted from the moment at which the store was asked.
    Granted(Moment),
    /// It was refused.
    Refused,
}

/// All that the decision is made from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Evidence {
    /// The installation that the agent stands beside.
    pub installation: String,
    /// Length of the site's lease.
    pub term: Duration,
    /// The assignment, if the store has shown it since the process began.
    pub seen: Option<Seen>,
    /// The highest generation that this disk remembers.
    pub highest: Generation,
    /// The lease.
    pub lease: Lease,
}

/// The decision, good for this moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// It may change data until then, at this generation.
    Open {
        until: Moment,
        generation: Generation,
    },
    /// It must not.
    Fenced(Why),
}

/// Why it must not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// The store has not answered since the process began.
    Boot,
    /// The assignment names another installation.
    NotNamed,
    /// A re-homing is under way, and nobody serves.
    Pending,
    /// The store shows a generation below the one that this disk remembers.
    LowerGeneration,
    /// Another installation holds the site's lease.
    LeaseRefused,
    /// The lease was not renewed in time.
    LeaseOver,
    /// The generation that was seen could not be kept on disk.
    NotKept,
    /// A drill has taken the place away.
    Drill,
    /// The agent ends.
    Leaving,
}

/// Longest time for which a drill takes a place away (limit `drill_outage`); then the agent opens again by itself.
pub const OUTAGE_MAX: Duration = Duration::from_secs(600);

/// A drill's word that the installation is as good as lost, as long as it serves at this generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// Any later assignment ends it.
    pub generation: Generation,
    /// So does time.
    pub until: Moment,
}

/// The decision under an outage: closed where it was open, and never the other way round.
pub fn under(outage: Option<Outage>, decision: Decision, now: Moment) -> Decision {
    match (outage, decision) {
        (Some(outage), Decision::Open { generation, .. })
            if outage.generation == generation && now < outage.until =>
        {
            Decision::Fenced(Why::Drill)
        }
        (_, decision) => decision,
    }
}

impl Why {
    /// For logs, metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Boot => "boot",
            Why::NotNamed => "not-named",
            Why::Pending => "pending",
            Why::LowerGeneration => "lower-generation",
            Why::LeaseRefused => "lease-refused",
            Why::LeaseOver => "lease-over",
            Why::NotKept => "not-kept",
            Why::Drill => "drill",
            Why::Leaving => "leaving",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last moment at which an installation may change data on a lease that was asked for at `asked`: after two thirds
/// of it. The last third is for the fence to fall, before anybody else may think that the lease is over.
pub fn open_until(asked: Moment, term: Duration) -> Moment {
    asked.plus(term.saturating_mul(2) / 3)
}

/// Decides.
pub fn decide(evidence: &Evidence, now: Moment) -> Decision {
    let Some(seen) = &evidence.seen else {
        return Decision::Fenced(Why::Boot);
    };
    if seen.generation < evidence.highest {
        return Decision::Fenced(Why::LowerGeneration);
    }
    if seen.generation > evidence.highest {
        return Decision::Fenced(Why::NotKept);
    }
    match &seen.entitled {
        None => return Decision::Fenced(Why::Pending),
        Some(entitled) if *entitled != evidence.installation => {
            return Decision::Fenced(Why::NotNamed);
        }
        Some(_) => {}
    }
    let asked = match evidence.lease {
        Lease::Unknown => return Decision::Fenced(Why::Boot),
        Lease::Refused => return Decision::Fenced(Why::LeaseRefused),
        Lease::Granted(asked) => asked,
    };
    let until = open_until(asked, evidence.term);
    if now >= until {
        return Decision::Fenced(Why::LeaseOver);
    }
    Decision::Open {
        until,
        generation: seen.generation,
    }
}

/// How the lease is asked for at this moment.
pub fn claim(evidence: &Evidence, now: Moment) -> Claim {
    match decide(evidence, now) {
        Decision::Open { .. } => Claim::Continued,
        Decision::Fenced(_) => Claim::New,
    }
}

/// What the word of all registered routers is worth, asked for at `asked` and complete at `now`: the lease goes on, if the
/// installation still serves at the generation that they were asked about.
pub fn attested(
    evidence: &Evidence,
    generation: Generation,
    asked: Moment,
    now: Moment,
) -> Option<Lease> {
    match decide(evidence, now) {
        Decision::Open { generation: at, .. } if at == generation => {
            Some(later(evidence.lease, Lease::Granted(asked)))
        }
        Decision::Open { .. } | Decision::Fenced(_) => None,
    }
}

/// Of two rights that were both given, the one that was asked for later; else the new one.
pub fn later(before: Lease, now: Lease) -> Lease {
    match (before, now) {
        (Lease::Granted(before), Lease::Granted(now)) => Lease::Granted(before.max(now)),
        (_, now) => now,
    }
}

/// What the store's answer is worth, when it comes at `now`. One that the store gave in its quiet time, because the
/// installation had the lease, is nothing if the installation has lost it meanwhile: another may have it by then.
pub fn worth(given: Option<&Given>, asked: Moment, evidence: &Evidence, now: Moment) -> Lease {
    match given {
        None => Lease::Refused,
        Some(given) if given.recorded => Lease::Granted(asked),
        Some(_) => match decide(evidence, now) {
            Decision::Open { .. } => Lease::Granted(asked),
            Decision::Fenced(_) => Lease::Refused,
        },
    }
}
