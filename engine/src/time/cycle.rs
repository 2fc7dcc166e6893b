//! A repeating due date: `R3/PT10S`, `R/2026-01-01T00:00:00/P1D`, or a cron pattern with seconds.

use super::{add, date, duration};
use crate::clock::Millis;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A parsed cycle.
#[derive(Debug)]
pub enum Cycle {
    /// `times` due dates, `period` apart, the first one period after `start`.
    Repeat {
        /// How many; `None` without end.
        times: Option<u32>,
        /// Where it is counted from.
        start: Millis,
        /// The distance.
        period: Span,
    },
    /// By the calendar.
    Cron(Box<Cron>),
}

/// Most steps looked at to find the next due date of a cycle that lies far back.
const STEPS_MAX: u32 = 1_000_000;

impl Cycle {
    /// Parses a cycle; one without a start of its own starts at `start`.
    pub fn parse(text: &str, start: Millis) -> Option<Cycle> {
        let text = text.trim();
        if !text.starts_with('R') {
            return cron(text).map(|c| Cycle::Cron(Box::new(c)));
        }
        let mut fields = text.split('/');
        let times = match fields.next()?.strip_prefix('R')? {
            "" => None,
            n => Some(n.parse().ok()?),
        };
        let rest: Vec<&str> = fields.collect();
        let (start, period) = match rest.as_slice() {
            [period] => (start, duration(period)?),
            [first, period] if !first.starts_with('P') => (date(first)?, duration(period)?),
            [period, end] => {
                let period = duration(period)?;
                let total = times.unwrap_or(1);
                let mut at = date(end)?;
                for _ in 0..total.min(STEPS_MAX) {
                    at = add(at, -period)?;
                }
                (at, period)
            }
            _ => return None,
        };
        if period.is_zero() || period.is_negative() {
            return None;
        }
        Some(Cycle::Repeat {
            times,
            start,
            period,
        })
    }

    /// The first due date after `now`, if there is one left.
    pub fn next_after(&self, now: Millis) -> Option<Millis> {
        match self {
            Cycle::Repeat {
                times,
                start,
                period,
            } => {
                let mut at = *start;
                for step in 0..STEPS_MAX {
                    if at > now && (step > 0 || *start > now) {
                        return Some(at);
                    }
                    if times.is_some_and(|times| step >= times) {
                        return None;
                    }
                    at = add(at, *period)?;
                }
                None
            }
            Cycle::Cron(cron) => {
                let zoned = Timestamp::from_millisecond(now)
                    .ok()?
                    .to_zoned(TimeZone::UTC);
                cron.find_next_occurrence(&zoned, false)
                    .ok()
                    .map(|z| z.timestamp().as_millisecond())
            }
        }
    }
}

/// Six fields are Spring's dialect (Sunday is 0 or 7), seven are Quartz's (Sunday is 1), as the models in use have them.
fn cron(text: &str) -> Option<Cron> {
    let fields = text.split_whitespace().count();
    let pattern = text.replace('?', "*");
    // `0/5` starts at 0, and both day fields must match, as in the two dialects.
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .sloppy_ranges(true)
        .dom_and_dow(true);
    match fields {
        6 => parser.year(Year::Disallowed).build().parse(&pattern).ok(),
        7 => parser
            .year(Year::Required)
            .alternative_weekdays(true)
            .build()
            .parse(&pattern)
            .ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(text: &str, from: Millis, most: usize) -> Vec<Millis> {
        let cycle = Cycle::parse(text, from).unwrap();
        let mut out = Vec::new();
        let mut now = from;
        while let Some(next) = cycle.next_after(now).filter(|_| out.len() < most) {
            out.push(next);
            now = next;
        }
        out
    }

    #[test]
    fn a_counted_cycle_ends_after_its_count() {
        assert_eq!(dues("R3/PT10S", 1_000, 9), [11_000, 21_000, 31_000]);
        assert_eq!(dues("R/PT1S", 0, 4), [1_000, 2_000, 3_000, 4_000]);
    }

    #[test]
    fn cron_patterns_of_both_dialects_are_read() {
        assert_eq!(dues("0 0/5 * * * ?", 1, 2), [300_000, 600_000]);
        assert_eq!(dues("0 0 0,12 ? * * *", 1, 2), [43_200_000, 86_400_000]);
        // 1 January 1970 was a Thursday.
        assert_eq!(dues("0 0 0 * * 7", 1, 1), [3 * 86_400_000]);
        assert_eq!(dues("0 0 0 ? * 1 *", 1, 1), [3 * 86_400_000]);
    }

    #[test]
    fn nonsense_is_no_cycle() {
        for text in ["", "R3", "R3/PT0S", "R3/10s", "every day", "* * *"] {
            assert!(Cycle::parse(text, 0).is_none(), "{text}");
        }
    }
}
