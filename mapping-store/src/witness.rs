//! Whose word those who serve need to go on without the store, and whether such a one has read of a change: then nobody
//! goes on with what was before it for longer than a lease from there.
//!
//! Owns these records and the rule. Must not touch disk, network or clock. Relies on three things: nobody relies on others
//! than it has told the store; whoever has read of a change attests to nothing before it; and only a router that is gone
//! for good is forgotten. Words are those of processes, never of names: another process may have taken a name while the
//! first one, cut off from the store, goes on.

use crate::store::{Beside, RouterRecord, Seq};
use serde::{Deserialize, Serialize};

/// Where a router is asked, and the key that its word is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// The router's name.
    #[serde(default)]
    pub router: String,
    /// Host and port.
    pub address: String,
    /// Of this process alone, in hex.
    pub key: String,
}

/// Whose word somebody needs, as it has told the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asks {
    /// Processes of routers; nobody: it does not go on without the store.
    #[serde(default, rename = "asks")]
    pub processes: Vec<String>,
    /// The incarnation in which it told this.
    #[serde(default, rename = "asks_in")]
    pub told_in: u16,
}

/// What a router says of itself with its heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Where it attests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest: Option<Door>,
    /// It attests nowhere, and no process with its journal does.
    #[serde(default)]
    pub silent: bool,
    /// How often this process has attested.
    #[serde(default)]
    pub attested: u64,
    /// Whose word it needs itself.
    #[serde(flatten)]
    pub asks: Asks,
}

impl Facts {
    /// What the record says.
    pub fn of(record: &RouterRecord) -> Facts {
        serde_json::from_str(&record.facts).unwrap_or_default()
    }
}

/// A router that may have read of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    process: String,
    applied: Seq,
    /// The incarnation in which the store heard of this process first.
    since: u16,
    facts: Facts,
}

impl Reader {
    /// What the record says.
    pub fn of(record: &RouterRecord) -> Reader {
        Reader {
            process: record.process.clone(),
            applied: record.applied,
            since: record.since,
            facts: Facts::of(record),
        }
    }

    /// Whether no process with this one's journal attests to anything before the change.
    fn knows(&self, seq: Seq) -> bool {
        let between = self.facts.attest.is_none() && !self.facts.silent;
        self.applied >= seq && !between
    }
}

/// What becomes of what a router had said, now that another process has its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    /// It may be dropped.
    Ended,
    /// Nobody knows whether it has ended: its word goes on being needed, and its acknowledgement waited for.
    Stays,
}

/// Whether a router may be going on when another process takes its name. With the same journal it does while it hands over, and
/// has ended when the next one says that nobody is beside it; and with another journal, one that attests nowhere and asks
/// nobody has stopped by itself when its name could be taken.
pub fn before(before: &RouterRecord, next: &RouterRecord) -> Before {
    let facts = Facts::of(before);
    let stopped = facts.silent && facts.attest.is_none() && facts.asks.processes.is_empty();
    let ended = match before.journal == next.journal {
        true => next.beside == Beside::Nobody,
        false => stopped,
    };
    match ended {
        true => Before::Ended,
        false => Before::Stays,
    }
}

/// Whether somebody whose word is needed has stopped attesting to what was before this change. In an incarnation later than the
/// one in which `asks` was told this may be an old word: there the one who has read must have been there before, as one
/// process, because from then on it is needed whatever was told. When all that are registered have read, whoever is asked has
/// stopped or ended: the store forgets only what is gone for good. `me` is a process that has stopped as well.
pub fn informed(asks: &Asks, me: Option<&str>, seq: Seq, readers: &[Reader]) -> bool {
    let present = asks.told_in >= seq.incarnation();
    let continuous = |reader: &Reader| present || reader.since < seq.incarnation();
    let counts = |process: &str| asks.processes.iter().any(|asked| asked == process);
    let anybody = asks.processes.is_empty();
    let needed = |reader: &Reader| anybody || counts(&reader.process);
    let mut knowing = readers.iter().filter(|reader| reader.knows(seq));
    (present && (anybody || me.is_some_and(counts)))
        || knowing.any(|reader| continuous(reader) && needed(reader))
        || (!readers.is_empty() && readers.iter().all(|reader| reader.knows(seq)))
}

/// Whether this incarnation may begin to give rights anew: nobody goes on with rights of an earlier one for longer than a
/// lease from here. `asks` are those of the site's agents; one that this copy has never heard of needs all the same whom
/// the copy knows.
pub fn heard(incarnation: u16, asks: &[Asks], readers: &[Reader]) -> bool {
    let first = Seq::before(incarnation);
    let unknown = Asks::default();
    let mut all = asks.iter().chain([&unknown]);
    // Without routers nobody attests to anything.
    readers.is_empty() || all.all(|asks| informed(asks, None, first, readers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(process: &str, applied: Seq, since: u16, attest: bool) -> Reader {
        let door = Door {
            router: String::new(),
            address: String::new(),
            key: String::new(),
        };
        Reader {
            process: process.into(),
            applied,
            since,
            facts: Facts {
                attest: attest.then_some(door),
                ..Facts::default()
            },
        }
    }

    fn asks(processes: &[&str], told_in: u16) -> Asks {
        Asks {
            processes: processes.iter().map(|one| (*one).to_owned()).collect(),
            told_in,
        }
    }

    #[test]
    fn a_wait_counts_from_when_somebody_who_is_asked_knows_of_the_switch() {
        let both = asks(&["r1", "r2"], 0);
        let late = [reader("r1", Seq(6), 0, true), reader("r9", Seq(7), 0, true)];
        assert!(!informed(&both, Some("r9"), Seq(7), &late));
        assert!(informed(&both, Some("r1"), Seq(7), &late));
        assert!(informed(&asks(&[], 0), Some("r9"), Seq(7), &late));
        let heard = [reader("r1", Seq(7), 0, true), reader("r9", Seq(6), 0, true)];
        assert!(informed(&both, None, Seq(7), &heard));
        // A process that has handed over, or one that has not taken over yet, may still be attesting under this name.
        let between = [reader("r1", Seq(7), 0, false)];
        assert!(!informed(&both, None, Seq(7), &between));
        // All know, so whoever is asked does.
        let all = [reader("r8", Seq(7), 0, true), reader("r9", Seq(7), 0, true)];
        assert!(informed(&both, None, Seq(7), &all));
    }

    #[test]
    fn a_copy_is_heard_when_one_knows_of_it_whom_everybody_asks_whatever_the_copy_has_forgotten() {
        let first = Seq::before(1);
        let old = asks(&["r1"], 0);
        let r1 = |applied, since| reader("r1", applied, since, true);
        let r2 = |applied, since| reader("r2", applied, since, true);
        let heard = |readers: &[Reader]| heard(1, std::slice::from_ref(&old), readers);
        assert!(heard(&[r1(first, 0), r2(Seq(9), 0)]));
        // Nobody asks the second one as far as the copy knows.
        assert!(!heard(&[r1(Seq(9), 0), r2(first, 0)]));
        // Another process may have come after somebody was told whom to ask.
        assert!(!heard(&[r1(first, 1), r2(Seq(9), 0)]));
        assert!(heard(&[r1(first, 1), r2(first, 1)]));
        assert!(super::heard(1, &[], &[]));
        assert!(super::heard(
            1,
            &[asks(&["r2"], 1)],
            &[r1(first, 0), r2(first, 1)]
        ));
        assert!(!super::heard(
            1,
            &[asks(&["r2"], 1)],
            &[r1(Seq(9), 0), r2(first, 1)]
        ));
    }

    #[test]
    fn a_name_that_another_journal_has_taken_says_nothing_of_the_one_before() {
        let router = |journal: &str, facts: &str| RouterRecord {
            journal: journal.into(),
            facts: facts.into(),
            ..RouterRecord::default()
        };
        let next = router("two", "{}");
        let attests = r#"{"attest":{"address":"","key":""}}"#;
        assert_eq!(before(&router("two", attests), &next), Before::Ended);
        let taking_over = RouterRecord {
            beside: Beside::Another,
            ..router("two", "{}")
        };
        let silent = router("two", r#"{"silent":true}"#);
        assert_eq!(before(&silent, &taking_over), Before::Stays);
        assert_eq!(before(&router("one", attests), &next), Before::Stays);
        assert_eq!(before(&router("one", "{}"), &next), Before::Stays);
        let silent = router("one", r#"{"silent":true}"#);
        assert_eq!(before(&silent, &next), Before::Ended);
        let asks = router("one", r#"{"silent":true,"asks":["p"]}"#);
        assert_eq!(before(&asks, &next), Before::Stays);
        // What is told of the second one is not the first one's word.
        let first = asks_one("first");
        let known = [
            reader("second", Seq(7), 0, true),
            reader("first", Seq(6), 0, true),
        ];
        assert!(!informed(&first, Some("second"), Seq(7), &known));
    }

    fn asks_one(process: &str) -> Asks {
        asks(&[process], 0)
    }
}
