//! How long a window is: durations as elsewhere, Flux time expressions, and ISO 8601 periods.
//!
//! Owns these three spellings. A window must be longer than nothing.

use crate::text::Period;
use std::time::Duration;

/// Why a text is no window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoWindow {
    /// It cannot be read.
    Unreadable,
    /// It is zero or less.
    NotPositive,
}

impl NoWindow {
    /// The rest of the sentence that begins with the text.
    pub(crate) fn told(self) -> &'static str {
        match self {
            NoWindow::Unreadable => "is not a length of time",
            NoWindow::NotPositive => "must be longer than nothing",
        }
    }
}

/// A month and a year, where a window is written in them.
const MONTH_DAYS: i64 = 30;
const YEAR_DAYS: i64 = 365;
const DAY: i64 = 86_400;

/// Reads `3m`, `+3m`, `+1H+30m` or `PT3M`.
pub(crate) fn parse(text: &str) -> Result<Duration, NoWindow> {
    let text = text.trim();
    if let Some(Period(plain)) = Period::parse(text) {
        return positive(i64::try_from(plain.as_millis()).unwrap_or(i64::MAX));
    }
    let millis = match text.strip_prefix("-P").or_else(|| text.strip_prefix('P')) {
        Some(rest) if text.starts_with('P') => iso(rest),
        Some(rest) => iso(rest).map(|millis| -millis),
        None => flux(text),
    };
    positive(millis.ok_or(NoWindow::Unreadable)?)
}

fn positive(millis: i64) -> Result<Duration, NoWindow> {
    match u64::try_from(millis) {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        Ok(_) | Err(_) => Err(NoWindow::NotPositive),
    }
}

/// Signed numbers with a unit, one after the other.
fn flux(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let signed = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let negative = rest.starts_with('-');
        let end = signed.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = signed.split_at(end);
        let unit = after.chars().next()?;
        let seconds = match unit {
            'y' => YEAR_DAYS * DAY,
            'M' => MONTH_DAYS * DAY,
            'w' => 7 * DAY,
            'd' => DAY,
            'H' | 'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        let part = millis(number, seconds)?;
        sum = sum.checked_add(if negative { -part } else { part })?;
        rest = &after[unit.len_utf8()..];
    }
    (!text.is_empty()).then_some(sum)
}

/// What follows the `P`.
fn iso(text: &str) -> Option<i64> {
    let (date, time) = text
        .split_once('T')
        .map_or((text, None), |(d, t)| (d, Some(t)));
    if date.is_empty() && time.is_none_or(str::is_empty) {
        return None;
    }
    let days: [(char, i64); 4] = [
        ('Y', YEAR_DAYS * DAY),
        ('M', MONTH_DAYS * DAY),
        ('W', 7 * DAY),
        ('D', DAY),
    ];
    let hours: [(char, i64); 3] = [('H', 3_600), ('M', 60), ('S', 1)];
    parts(date, &days)?.checked_add(parts(time.unwrap_or_default(), &hours)?)
}

/// Numbers with units, each unit at most once and in order.
fn parts(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut sum = 0_i64;
    let mut units = units.iter();
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = text.split_at(end);
        let unit = after.chars().next()?;
        let (_, seconds) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(millis(number, *seconds)?)?;
        text = &after[unit.len_utf8()..];
    }
    Some(sum)
}

fn millis(number: &str, seconds: i64) -> Option<i64> {
    number
        .parse::<i64>()
        .ok()?
        .checked_mul(seconds)?
        .checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_written_as_a_duration_or_as_flux_or_iso_write_it() {
        for (text, seconds) in [
            ("3m", 180),
            ("+3m", 180),
            ("+1H+30m", 5_400),
            ("+2h-30m", 5_400),
            ("+1d", 86_400),
            ("+1M", 2_592_000),
            ("PT3M", 180),
            ("P1DT1H1M1S", 90_061),
            ("P2W", 1_209_600),
            ("100000d", 8_640_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn a_window_of_nothing_or_less_is_refused() {
        for text in ["0s", "+0m", "-3m", "+1m-2m", "PT0S", "-PT3M"] {
            assert_eq!(parse(text), Err(NoWindow::NotPositive), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in [
            "",
            "3",
            "+m",
            "3 m",
            "P",
            "PT",
            "PT3",
            "P3S",
            "PT1S1M",
            "+3x",
            "++3m",
            "+9999999999999999999m",
            "+9223372036854775807y",
            "drei",
        ] {
            assert_eq!(parse(text), Err(NoWindow::Unreadable), "{text}");
        }
    }
}
