//! May this engine serve the site? A pure judgement over the site's row and what this engine was told.

use crate::store::Site;

/// Whether an engine may serve, and why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It may.
    Serving,
    /// The site is served by others; it may not until it is told.
    Fenced(String),
    /// It came back, or the database did: nobody serves until an operator or agent has looked and released it.
    Quarantined(String),
}

/// Has this process served before?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Past {
    /// It has just started.
    Started,
    /// It has.
    Served,
}

/// What an engine knows of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a> {
    /// Its installation, where it was told one.
    pub(crate) installation: Option<&'a str>,
    /// The last generation that it was told to serve; `None`: it was never here.
    pub(crate) told: Option<i64>,
    /// Has it served since it started?
    pub(crate) past: Past,
}

/// Judges.
pub(crate) fn standing(site: &Site, own: Own<'_>) -> Standing {
    if let Some(why) = &site.quarantine {
        return Standing::Quarantined(why.clone());
    }
    let at = site.generation;
    match (&site.holder, own.installation) {
        (Some(holder), Some(own)) if holder == own => return Standing::Serving,
        (Some(holder), Some(own)) => {
            return Standing::Fenced(format!(
                "generation {at} of the site is served by installation '{holder}', and this engine belongs to '{own}'"
            ));
        }
        (Some(_) | None, _) => {}
    }
    let why = |told| {
        format!(
            "the site is at generation {at}, and this engine was last told to serve generation {told}"
        )
    };
    match own.told {
        Some(told) if told < at && own.past == Past::Started => Standing::Quarantined(why(told)),
        Some(told) if told < at => Standing::Fenced(why(told)),
        None if site.holder.is_some() => Standing::Quarantined(format!(
            "generation {at} of the site has a holder, and this engine was told neither its installation nor to serve"
        )),
        Some(_) | None => Standing::Serving,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Executor;

    fn site(generation: i64, holder: Option<&str>) -> Site {
        Site {
            generation,
            holder: holder.map(str::to_owned),
            executor: Executor::Enabled,
            quarantine: None,
            restored: 0,
        }
    }

    fn own(installation: Option<&'static str>, told: Option<i64>, past: Past) -> Own<'static> {
        Own {
            installation,
            told,
            past,
        }
    }

    #[test]
    fn an_engine_that_is_behind_is_fenced_and_quarantined_when_it_has_just_started() {
        let at_two = site(2, None);
        let behind = |past| standing(&at_two, own(None, Some(1), past));
        assert!(matches!(behind(Past::Served), Standing::Fenced(_)));
        assert!(matches!(behind(Past::Started), Standing::Quarantined(_)));
        let told = standing(&at_two, own(None, Some(2), Past::Started));
        assert_eq!(told, Standing::Serving);
        let new = standing(&at_two, own(None, None, Past::Started));
        assert_eq!(new, Standing::Serving);
    }

    #[test]
    fn an_installation_serves_what_it_holds_and_nothing_else() {
        let held = site(5, Some("paris"));
        for past in [Past::Started, Past::Served] {
            for told in [None, Some(1), Some(5)] {
                let holder = standing(&held, own(Some("paris"), told, past));
                assert_eq!(holder, Standing::Serving);
                let other = standing(&held, own(Some("rome"), told, past));
                assert!(matches!(other, Standing::Fenced(_)));
            }
        }
        let stranger = standing(&held, own(None, None, Past::Started));
        assert!(matches!(stranger, Standing::Quarantined(_)));
    }

    #[test]
    fn a_quarantined_site_is_served_by_nobody() {
        let mut held = site(5, Some("paris"));
        held.quarantine = Some("restored".to_owned());
        let holder = standing(&held, own(Some("paris"), Some(5), Past::Served));
        assert_eq!(holder, Standing::Quarantined("restored".to_owned()));
    }
}
