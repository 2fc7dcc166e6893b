//! Dates, durations and cycles as models and the REST API write them.
//!
//! Owns parsing and arithmetic in the engine's zone, UTC: not the host's, so that every node says the same. Must not
//! read the clock.

pub mod cycle;
pub mod pattern;
pub mod retry;

use crate::clock::Millis;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// A unit that `dateTime().plusDays(n)` can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// years
    Year,
    /// months
    Month,
    /// weeks
    Week,
    /// days
    Day,
    /// hours
    Hour,
    /// minutes
    Minute,
    /// seconds
    Second,
    /// milliseconds
    Milli,
}

/// Furthest a date may be, in milliseconds either side of 1970: the year 9999.
const RANGE: Millis = 253_402_300_799_000;

/// The moment moved by an amount; `None` if it leaves the calendar.
pub fn plus(ms: Millis, unit: Unit, amount: i64) -> Option<Millis> {
    if amount.unsigned_abs() > RANGE.unsigned_abs() {
        return None;
    }
    let span = Span::new();
    let span = match unit {
        Unit::Year => span.try_years(amount),
        Unit::Month => span.try_months(amount),
        Unit::Week => span.try_weeks(amount),
        Unit::Day => span.try_days(amount),
        Unit::Hour => span.try_hours(amount),
        Unit::Minute => span.try_minutes(amount),
        Unit::Second => span.try_seconds(amount),
        Unit::Milli => span.try_milliseconds(amount),
    };
    add(ms, span.ok()?)
}

/// The moment moved by a span of the calendar.
pub fn add(ms: Millis, span: Span) -> Option<Millis> {
    zoned(ms)?
        .checked_add(span)
        .ok()
        .map(|z| z.timestamp().as_millisecond())
}

fn zoned(ms: Millis) -> Option<Zoned> {
    Timestamp::from_millisecond(ms)
        .ok()
        .map(|t| t.to_zoned(TimeZone::UTC))
}

/// An ISO 8601 duration such as `PT5M` or `P1M2DT3H`.
pub fn duration(text: &str) -> Option<Span> {
    let text = text.trim();
    if !text.starts_with('P') {
        return None;
    }
    text.parse::<Span>().ok()
}

/// A date: with or without zone, time and fraction; `+0200` as well as `+02:00`. Without a zone it is UTC.
pub fn date(text: &str) -> Option<Millis> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z"] {
        if let Ok(zoned) = Zoned::strptime(form, text).or_else(|_| fixed(form, text)) {
            return Some(zoned.timestamp().as_millisecond());
        }
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(|d| d.at(0, 0, 0, 0)));
    civil
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()
        .map(|z| z.timestamp().as_millisecond())
}

fn fixed(form: &str, text: &str) -> Result<Zoned, jiff::Error> {
    let broken = jiff::fmt::strtime::parse(form, text)?;
    let offset = broken.offset().unwrap_or(Offset::UTC);
    Ok(broken.to_timestamp()?.to_zoned(offset.to_time_zone()))
}

/// A date in the REST API's form, and no other: `2026-11-21T06:28:26.000+0000`.
pub fn rest_date(text: &str) -> Option<Millis> {
    let (_, zone) = text.split_at_checked(text.len().checked_sub(5)?)?;
    let digits = zone.strip_prefix(['+', '-'])?;
    let exact = digits.bytes().all(|b| b.is_ascii_digit()) && text.contains('.');
    if exact { date(text) } else { None }
}

/// The REST API's form: `2026-11-21T06:28:26.000+0000`.
pub fn rest_text(ms: Millis) -> String {
    zoned(ms).map_or_else(String::new, |z| {
        z.strftime("%Y-%m-%dT%H:%M:%S%.3f%z").to_string()
    })
}

/// The form of `java.util.Date.toString()`.
pub fn java_text(ms: Millis) -> String {
    zoned(ms).map_or_else(String::new, |z| {
        z.strftime("%a %b %d %H:%M:%S UTC %Y").to_string()
    })
}

/// The form of a moment with arithmetic: `2026-11-21T06:28:26.000Z`.
pub fn iso_text(ms: Millis) -> String {
    zoned(ms).map_or_else(String::new, |z| {
        z.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    })
}

/// A span of milliseconds.
pub fn span_of(ms: Millis) -> Span {
    ms.clamp(-RANGE, RANGE).milliseconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_all_the_forms_that_clients_send() {
        for text in [
            "2026-11-21T06:28:26.500+0000",
            "2026-11-21T06:28:26.500Z",
            "2026-11-21T08:28:26.500+0200",
            "2026-11-21T08:28:26.500+02:00",
            "2026-11-21T06:28:26.500",
        ] {
            assert_eq!(
                date(text).map(rest_text).as_deref(),
                Some("2026-11-21T06:28:26.500+0000"),
                "{text}"
            );
        }
        assert_eq!(
            date("2026-11-21").map(rest_text).as_deref(),
            Some("2026-11-21T00:00:00.000+0000")
        );
        assert_eq!(date("tomorrow"), None);
    }

    #[test]
    fn months_are_months() {
        let january = date("2026-01-31T00:00:00Z").unwrap();
        assert_eq!(
            rest_text(plus(january, Unit::Month, 1).unwrap()),
            "2026-02-28T00:00:00.000+0000"
        );
        assert_eq!(plus(january, Unit::Year, 1_000_000), None);
        assert_eq!(
            rest_text(add(january, duration("P1DT2H").unwrap()).unwrap()),
            "2026-02-01T02:00:00.000+0000"
        );
    }
}
