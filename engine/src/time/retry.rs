//! How often and when a failed job is tried again: `R5/PT5M`, or `PT10M,PT17M,PT20M`.

use jiff::Span;

/// Tries of a job that says nothing.
pub const DEFAULT: i64 = 3;

/// A parsed retry cycle.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Tries in all.
    pub times: i64,
    /// Pauses between them.
    pub pauses: Vec<Span>,
}

impl Retry {
    /// `R5/PT5M` is five tries five minutes apart; `PT10M,PT20M` three tries with these pauses between them.
    pub fn parse(text: &str) -> Option<Retry> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('R') {
            let (times, pause) = rest.split_once('/')?;
            let pauses = vec![super::duration(pause)?];
            return Some(Retry {
                times: times.parse().ok()?,
                pauses,
            });
        }
        let pauses: Option<Vec<Span>> = text.split(',').map(super::duration).collect();
        let pauses = pauses?;
        Some(Retry {
            times: i64::try_from(pauses.len()).ok()? + 1,
            pauses,
        })
    }

    /// The pause after a failure that found this many tries left.
    pub fn pause(&self, retries: i64) -> Option<Span> {
        let count = i64::try_from(self.pauses.len()).ok()?;
        let index = (count - (retries - 1)).clamp(0, count - 1);
        self.pauses.get(usize::try_from(index).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_cycles_are_read_in_both_forms() {
        let shape = |text| Retry::parse(text).map(|r| (r.times, r.pauses.len()));
        assert_eq!(shape("R5/PT5M"), Some((5, 1)));
        assert_eq!(shape("PT10M, PT17M,PT20M"), Some((4, 3)));
        assert_eq!(shape("often"), None);
    }

    #[test]
    fn the_pauses_of_a_list_are_taken_in_order() {
        let retry = Retry::parse("PT1M,PT2M").unwrap();
        let minutes = |retries| retry.pause(retries).map(|s| s.get_minutes());
        assert_eq!(
            [minutes(3), minutes(2), minutes(1)],
            [Some(1), Some(2), Some(2)]
        );
    }
}
