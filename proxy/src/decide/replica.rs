//! Has a replica everything that the place before it wrote?
//!
//! Owns that rule for planned switches, where the old place is alive and can tell, purely. When in doubt the answer is no.
//! Relies on agents telling the end of what was written only from questions that were asked after they had fenced.

use super::world::Agent;
use homing_mapping_store::Generation;
use homing_mapping_store::agent::AgentRole;
use serde_json::Value;
use std::fmt::{self, Display};

/// A place in PostgreSQL's write-ahead log: bytes since its beginning (pg_lsn).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// As PostgreSQL writes it: two hexadecimal numbers, `16/B374D848`.
    pub fn parse(text: &str) -> Option<Position> {
        let (high, low) = text.split_once('/')?;
        let (high, low) = (
            u32::from_str_radix(high, 16).ok()?,
            u32::from_str_radix(low, 16).ok()?,
        );
        Some(Position((u64::from(high) << 32) | u64::from(low)))
    }
}

impl Display for Position {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// What an agent says of the database beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Database {
    /// Nothing, or too long ago.
    #[default]
    Unknown,
    /// It takes writes. `end`: of all that was written, asked after its installation had been fenced.
    Primary {
        /// `None`: not fenced, or not asked since.
        end: Option<Position>,
    },
    /// It follows another one.
    Replica {
        /// Up to where it shows what the other one wrote.
        replayed: Option<Position>,
    },
}

impl Database {
    /// What the facts of a report say.
    pub fn of(facts: &Value) -> Database {
        let replica = &facts["replica"];
        let position = |name: &str| replica[name].as_str().and_then(Position::parse);
        match replica["role"].as_str() {
            Some("primary") => Database::Primary {
                end: position("end"),
            },
            Some("replica") => Database::Replica {
                replayed: position("replayed"),
            },
            _ => Database::Unknown,
        }
    }
}

/// Why the replica may lack something, if it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// It may come, or be overridden.
    NotYet(String),
    /// Two databases take writes: neither has what the other one has.
    Parted(String),
}

/// Whether everything that was written at `from` up to its fence at this generation is at `to`.
pub fn lacks(
    (from, old): (&str, &[Agent]),
    (to, new): (&str, &[Agent]),
    at: Generation,
) -> Option<Lacks> {
    if let Some(parted) = parted((from, old), (to, new)) {
        return Some(Lacks::Parted(parted));
    }
    let is_primary = |agent: &Agent| matches!(agent.database, Database::Primary { .. });
    let follows = |agent: &Agent| matches!(agent.database, Database::Replica { .. });
    // Whoever keeps the databases has switched them already.
    if new.iter().any(is_primary) && old.iter().any(follows) {
        return None;
    }
    let fenced = old
        .iter()
        .filter(|agent| agent.role == AgentRole::Fenced && agent.generation >= at);
    let end = fenced
        .filter_map(|agent| match agent.database {
            Database::Primary { end } => end,
            Database::Replica { .. } | Database::Unknown => None,
        })
        .max();
    let Some(end) = end else {
        return Some(Lacks::NotYet(format!(
            "the agent of {from} to tell how far its database has written, now that it is fenced"
        )));
    };
    let replayed: Option<Vec<Position>> = new
        .iter()
        .map(|agent| match agent.database {
            Database::Replica { replayed } => replayed,
            Database::Primary { .. } | Database::Unknown => None,
        })
        .collect();
    match replayed.and_then(|all| all.into_iter().min()) {
        Some(replayed) if replayed >= end => None,
        Some(replayed) => Some(Lacks::NotYet(format!(
            "the replica at {to} to have all that {from} wrote: it is at {replayed}, and {end} is the end"
        ))),
        None => Some(Lacks::NotYet(format!(
            "the agent of {to} to tell how far its replica has come"
        ))),
    }
}

/// Whether the databases of both places take writes.
pub fn parted((from, old): (&str, &[Agent]), (to, new): (&str, &[Agent])) -> Option<String> {
    let is_primary = |agent: &Agent| matches!(agent.database, Database::Primary { .. });
    (old.iter().any(is_primary) && new.iter().any(is_primary)).then(|| {
        format!(
            "the databases of {from} and {to} both take writes: {to} does not follow {from} and has nothing of what was written there; \
             make it a replica first (pg_rewind or pg_basebackup)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::agent::{AgentRecord, AgentReport};
    use homing_mapping_store::{SiteId, Timestamp};
    use serde_json::json;

    fn agent(role: AgentRole, replica: &Value) -> Agent {
        Agent::of(&AgentRecord {
            report: AgentReport {
                site: SiteId::named("replicas"),
                installation: "one".into(),
                holder: "agent".into(),
                generation: Generation(7),
                role,
                facts: json!({ "replica": replica }).to_string(),
            },
            counter: 1,
            lease_ms: 1_000,
            seen_at: Timestamp(0),
            live: true,
        })
    }

    fn verdict(old: &Value, role: AgentRole, new: &Value) -> Option<Lacks> {
        let (old, new) = ([agent(role, old)], [agent(AgentRole::Fenced, new)]);
        lacks(("b-1", &old), ("b-2", &new), Generation(7))
    }

    #[test]
    fn positions_are_compared_as_numbers() {
        let position = |text: &str| Position::parse(text).unwrap_or_else(|| panic!("{text}"));
        assert!(position("1/0") > position("0/FFFFFFFF"));
        assert!(position("0/A") > position("0/9"));
        assert_eq!(position("16/B374D848").to_string(), "16/B374D848");
        for wrong in ["", "/", "1", "x/1", "1/123456789"] {
            assert_eq!(Position::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_replica_has_everything_when_it_has_replayed_the_end() {
        let end = json!({ "role": "primary", "position": "0/30", "end": "0/30" });
        let at = |replayed: &str| json!({ "role": "replica", "replayed": replayed });
        let fenced = AgentRole::Fenced;
        assert_eq!(verdict(&end, fenced, &at("0/30")), None);
        assert_eq!(verdict(&end, fenced, &at("1/0")), None);
        let waits = |verdict| matches!(verdict, Some(Lacks::NotYet(_)));
        assert!(waits(verdict(&end, fenced, &at("0/2F"))));
        // It writes on; it was not asked since; nobody knows.
        assert!(waits(verdict(&end, AgentRole::Open, &at("0/30"))));
        let before = json!({ "role": "primary", "position": "0/30" });
        assert!(waits(verdict(&before, fenced, &at("0/30"))));
        assert!(waits(verdict(&end, fenced, &json!({ "role": "unknown" }))));
        assert!(waits(verdict(&json!({}), fenced, &at("0/30"))));
        let none: [Agent; 0] = [];
        let old = [agent(fenced, &end)];
        assert!(waits(lacks(("b-1", &old), ("b-2", &none), Generation(7))));
        // Of a fence before this switch.
        let new = [agent(fenced, &at("0/30"))];
        assert!(waits(lacks(("b-1", &old), ("b-2", &new), Generation(8))));
    }

    #[test]
    fn two_databases_that_take_writes_are_parted() {
        let primary = json!({ "role": "primary", "end": "0/30" });
        let parted = verdict(&primary, AgentRole::Fenced, &primary);
        assert!(matches!(parted, Some(Lacks::Parted(_))), "{parted:?}");
        // Patroni has switched them already.
        let follows = json!({ "role": "replica", "replayed": "0/10" });
        assert_eq!(verdict(&follows, AgentRole::Fenced, &primary), None);
    }
}
