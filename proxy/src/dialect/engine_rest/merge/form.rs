//! In which form a client takes an answer.
//!
//! Owns which forms are merged, and choosing as the engines choose: by quality, then the more specific, then the first.
//! Pure.

use crate::dialect::{Head, Matched};
use http::Method;
use http::header::ACCEPT;

/// Members of a row that its HAL form does not have.
pub(super) const NOT_IN_HAL: &[&str] = &["lastUpdated"];

/// Lists that these engines give in HAL as well, and under which name the rows are there.
const IN_HAL: &[(&str, &str)] = &[("/task", "task"), (SAVED, "task")];
/// A run of a saved filter, which these engines give in HAL also when it is asked for by POST.
const SAVED: &str = "/filter/{id}/list";

/// Reports that these engines give as comma-separated values as well.
const IN_CSV: &[&str] = &["/history/process-instance/report"];
/// The media types of these, as the engines name them.
const CSV: &[&str] = &["application/csv", "text/csv"];

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// Rows under this name.
    Hal(&'static str),
    /// Comma-separated values, under this media type.
    Csv(&'static str),
}

impl Form {
    /// The media type of comma-separated values, if they are wanted.
    pub(super) fn csv(self) -> Option<&'static str> {
        match self {
            Form::Csv(media_type) => Some(media_type),
            Form::Json | Form::Hal(_) => None,
        }
    }
}

/// The form to answer in. `None`: the client takes none that is merged.
pub(super) fn of(found: &Matched<'_>, head: &Head<'_>) -> Option<Form> {
    let hal = IN_HAL
        .iter()
        .find(|(path, _)| *path == &*found.operation.path)
        .filter(|(path, _)| *head.method != Method::POST || *path == SAVED)
        .map(|(_, member)| Form::Hal(member));
    let mut ranges: Vec<(Range<'_>, f32)> = head
        .headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(range)
        .collect();
    if ranges.is_empty() {
        return Some(Form::Json);
    }
    // Stable: of equals, the first one named.
    ranges.sort_by(|(one, q), (two, other)| {
        other
            .total_cmp(q)
            .then_with(|| one.is_wild().cmp(&two.is_wild()))
    });
    ranges
        .iter()
        .filter(|(_, quality)| *quality > 0.0)
        .find_map(|(range, _)| {
            if range.is("application/hal+json") {
                hal
            } else if let Some(csv) = CSV.iter().find(|csv| range.is(csv)) {
                IN_CSV
                    .contains(&&*found.operation.path)
                    .then_some(Form::Csv(csv))
            } else {
                (range.is_wild() || range.is("application/json")).then_some(Form::Json)
            }
        })
}

/// One media range.
struct Range<'a>(&'a str);

impl Range<'_> {
    fn is(&self, known: &str) -> bool {
        self.0.eq_ignore_ascii_case(known)
    }

    fn is_wild(&self) -> bool {
        self.is("*/*") || self.is("application/*")
    }
}

/// A range and its quality.
fn range(text: &str) -> Option<(Range<'_>, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let quality = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(1.0);
    Some((Range(range), quality))
}
