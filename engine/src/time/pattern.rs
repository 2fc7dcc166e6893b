//! Dates in a form that a model gives, as `java.text.SimpleDateFormat` writes such forms.
//!
//! Owns the part of those forms that is known: years, months, days, hours, minutes, seconds in numbers.

use crate::clock::Millis;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Can dates of this form be read and written?
pub fn is_known(form: &str) -> bool {
    translated(form).is_some_and(|text| ["%Y", "%m", "%d"].iter().all(|part| text.contains(part)))
}

/// The form in the words of this crate's library.
fn translated(form: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = form;
    while let Some(letter) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches(letter).len();
        let part = match (letter, run) {
            ('y', 4) => "%Y",
            ('M', 2) => "%m",
            ('d', 2) => "%d",
            ('H', 2) => "%H",
            ('m', 2) => "%M",
            ('s', 2) => "%S",
            (other, _) if other.is_ascii_alphabetic() || matches!(other, '%' | '\'') => {
                return None;
            }
            _ => rest.get(..run)?,
        };
        out.push_str(part);
        rest = rest.get(run..)?;
    }
    Some(out)
}

/// The moment that a text of this form is, in the engine's zone.
pub fn read(form: &str, text: &str) -> Option<Millis> {
    let form = translated(form)?;
    let civil = DateTime::strptime(&form, text)
        .or_else(|_| Date::strptime(&form, text).map(|day| day.at(0, 0, 0, 0)));
    let zoned = civil.ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// A moment in this form.
pub fn write(form: &str, ms: Millis) -> Option<String> {
    let zoned = super::zoned(ms)?;
    Some(zoned.strftime(&translated(form)?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_and_written_in_the_form_of_its_field() {
        for (form, text) in [
            ("dd/MM/yyyy", "31/12/2026"),
            ("yyyy-MM-dd", "2026-12-31"),
            ("yyyy-MM-dd'T'HH:mm", "2026-12-31T00:00"),
        ] {
            assert_eq!(is_known(form), !form.contains('\''), "{form}");
            if is_known(form) {
                assert_eq!(read(form, text), Some(1_798_675_200_000), "{form}");
                assert_eq!(write(form, 1_798_675_200_000).as_deref(), Some(text));
            }
        }
        assert_eq!(read("dd/MM/yyyy", "2026-12-31"), None);
        assert!(!is_known("EEE") && !is_known("HH:mm"));
    }
}
