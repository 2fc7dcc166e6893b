//! Forms that several resources share: times, ETags, sites by name.
//!
//! Owns how they read. Must not know resources.

use super::State;
use super::error::Error;
use crate::names;
use crate::topology::Site;
use axum::http::{HeaderName, HeaderValue, header};
use homing_mapping_store::{Generation, SiteId, Timestamp};
use std::sync::Arc;

/// RFC 3339 with milliseconds, UTC.
pub(super) fn time(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => format!("{at:.3}"),
        Err(_) => at.0.to_string(),
    }
}

/// The ETag of a single resource: its generation.
pub(super) fn etag(generation: Generation) -> [(HeaderName, HeaderValue); 1] {
    let tag = HeaderValue::try_from(format!("\"{generation}\""));
    [(
        header::ETAG,
        tag.unwrap_or_else(|_| HeaderValue::from_static("\"0\"")),
    )]
}

/// The site with this name, or a refusal that names those that there are.
pub(super) fn site(state: &State, name: &str) -> Result<Arc<Site>, Error> {
    let topology = state.pipeline.topology.load();
    let found = SiteId::known(name).and_then(|id| topology.site(id).cloned());
    found.ok_or_else(|| {
        let names: Vec<&str> = topology.sites().map(|site| site.id.name()).collect();
        Error::absent(format!(
            "there is no {}",
            names::unknown("site", name, &names)
        ))
    })
}

/// The installation that serves a site now, as far as this router knows.
pub(super) fn serving(state: &State, id: SiteId) -> Option<String> {
    let topology = state.pipeline.topology.load();
    let site = topology.site(id)?;
    let at = site.live.read(|view| site.serving(view))?;
    Some(site.installations.get(at)?.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_rfc_3339() {
        assert_eq!(time(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            time(Timestamp(1_700_000_000_120)),
            "2023-11-14T22:13:20.120Z"
        );
    }
}
