//! When a drill is ended early.
//!
//! Owns the rules. Pure: what was seen and how long it took are handed in.

use super::course::{Starts, Wanted};
use super::tally::Reads;
use std::time::Duration;

/// The rule that is broken, if one is. `took`: of the way that is under way, where one is.
pub fn broken(
    wanted: &Wanted,
    reads: &Reads,
    starts: &Starts,
    took: Option<Duration>,
) -> Option<String> {
    if reads.wrong_site > 0 {
        return Some(format!("{} answers of a wrong place", reads.wrong_site));
    }
    let failed = reads.unexpected() + starts.failed;
    if failed > wanted.max_failed {
        return Some(format!(
            "{failed} requests failed, and {} may (max_failed)",
            wanted.max_failed
        ));
    }
    let within = Duration::from_millis(wanted.within_ms);
    let late = took.is_some_and(|took| took > within);
    late.then(|| format!("the way took longer than {within:?} (within)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::course::tests::whole;

    fn judged(reads: &Reads, failed: u64, took: Option<u64>) -> Option<String> {
        let starts = Starts {
            failed,
            ..Starts::default()
        };
        let mut wanted = whole().wanted;
        wanted.max_failed = 1;
        broken(&wanted, reads, &starts, took.map(Duration::from_secs))
    }

    #[test]
    fn one_answer_of_a_wrong_place_ends_a_drill() {
        let mut reads = Reads::default();
        assert_eq!(judged(&reads, 0, Some(10)), None);
        reads.wrong_site = 1;
        assert!(judged(&reads, 0, None).is_some());
    }

    #[test]
    fn failures_above_the_bound_end_it_wherever_they_come_from() {
        let mut reads = Reads::default();
        reads.failed.insert("503 site-switching".to_owned(), 1);
        assert_eq!(judged(&reads, 0, None), None);
        assert!(judged(&reads, 1, None).is_some());
    }

    #[test]
    fn only_a_way_has_to_be_done_in_time() {
        let reads = Reads::default();
        assert!(judged(&reads, 0, Some(11)).is_some());
        assert_eq!(judged(&reads, 0, None), None);
    }
}
