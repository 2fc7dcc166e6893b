//! What a site is to get next, and what may still be on its way there.
//!
//! Owns the order at one site and what no longer belongs there. Pure.

use crate::deployments::picture::{Entry, Picture};
use homing_mapping_store::deployment::{AtSite, Standing};
use homing_mapping_store::{SiteId, Timestamp};

/// What an engine has refused is tried again after this long: it may have been upgraded.
const REFUSED_AGAIN_MS: i64 = 60_000;

/// The first of a scope that the site does not have behind it.
pub(super) fn next<'p>(
    picture: &'p Picture,
    scope: &str,
    site: SiteId,
    now: Timestamp,
) -> Option<&'p Entry> {
    let mut entries = picture.entries.iter();
    entries.find(|entry| {
        let at = entry.record.at(site);
        entry.record.scope == scope && at.is_some_and(|at| is_due(picture, entry, at, now))
    })
}

fn is_due(picture: &Picture, entry: &Entry, at: &AtSite, now: Timestamp) -> bool {
    match at.standing {
        Standing::Done => false,
        // What it may have is looked for; what comes later waits until that is known.
        Standing::Missing | Standing::Sending | Standing::Unknown => true,
        // Deployed after what is newer, it would be the latest version there.
        Standing::Failed => {
            now.0 >= at.updated_at.0.saturating_add(REFUSED_AGAIN_MS)
                && !picture.is_superseded(entry, at.site)
        }
    }
}

/// Whether it may still be running at the site, so that "not there" is no answer yet.
pub(super) fn is_young(at: &AtSite, now: Timestamp, bound_ms: i64) -> bool {
    matches!(at.standing, Standing::Sending | Standing::Unknown)
        && now.0 < at.updated_at.0.saturating_add(bound_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployments::picture::What;
    use homing_mapping_store::deployment::{DeploymentRecord, Verb};

    const SCOPE: &str = "engine-rest /engine-rest default";
    const LATER: Timestamp = Timestamp(10 * REFUSED_AGAIN_MS);

    fn record(number: u64, verb: Verb, key: &str, standing: Standing) -> DeploymentRecord {
        let what = What {
            keys: vec![("process-definition".into(), key.into())],
            ..What::default()
        };
        DeploymentRecord {
            number,
            scope: SCOPE.into(),
            verb,
            removed_by: None,
            tenant: None,
            name: "name".into(),
            hash: String::new(),
            what: serde_json::to_string(&what).unwrap_or_default(),
            length: 0,
            recorded_at: Timestamp(0),
            sites: vec![AtSite {
                site: SiteId::named("b"),
                standing,
                id: None,
                holds: String::new(),
                detail: String::new(),
                updated_at: Timestamp(0),
            }],
        }
    }

    fn due(records: Vec<DeploymentRecord>) -> Option<u64> {
        let picture = Picture::of(records);
        let entry = next(&picture, SCOPE, SiteId::named("b"), LATER);
        entry.map(|entry| entry.record.number)
    }

    #[test]
    fn a_refused_version_is_not_tried_again_when_a_newer_one_of_the_same_key_is_there() {
        let refused = record(1, Verb::Deploy, "k", Standing::Failed);
        let newer = record(2, Verb::Deploy, "k", Standing::Done);
        assert_eq!(due(vec![refused.clone(), newer.clone()]), None);
        assert_eq!(due(vec![refused.clone()]), Some(1));
        let other_key = record(2, Verb::Deploy, "other", Standing::Done);
        assert_eq!(due(vec![refused.clone(), other_key]), Some(1));
        let mut other_tenant = newer;
        other_tenant.tenant = Some("t".into());
        assert_eq!(due(vec![refused.clone(), other_tenant]), Some(1));
        let older = record(1, Verb::Deploy, "k", Standing::Done);
        let refused_last = record(2, Verb::Deploy, "k", Standing::Failed);
        assert_eq!(due(vec![older, refused_last]), Some(2));
        let not_there = record(2, Verb::Deploy, "k", Standing::Missing);
        assert_eq!(due(vec![refused, not_there]), Some(1));
    }

    #[test]
    fn a_refused_version_that_was_removed_since_is_not_tried_again() {
        let mut refused = record(1, Verb::Deploy, "k", Standing::Failed);
        refused.removed_by = Some(2);
        let removal = record(2, Verb::Remove, "k", Standing::Done);
        assert_eq!(due(vec![refused.clone(), removal]), None);
        let removal = record(2, Verb::Remove, "k", Standing::Missing);
        assert_eq!(due(vec![refused, removal]), Some(1));
    }

    #[test]
    fn what_a_site_refused_just_now_does_not_hold_up_what_follows() {
        let mut refused = record(1, Verb::Deploy, "k", Standing::Failed);
        refused.sites[0].updated_at = LATER;
        let missing = record(2, Verb::Deploy, "k", Standing::Missing);
        assert_eq!(due(vec![refused, missing]), Some(2));
    }

    #[test]
    fn what_may_be_there_is_looked_for_at_any_age_and_holds_up_what_follows() {
        for standing in [Standing::Sending, Standing::Unknown] {
            let mut maybe = record(1, Verb::Deploy, "k", standing);
            maybe.sites[0].updated_at = LATER;
            let at = maybe.sites[0].clone();
            let missing = record(2, Verb::Deploy, "k", Standing::Missing);
            assert_eq!(due(vec![maybe, missing]), Some(1));
            assert!(is_young(&at, LATER, 1));
            assert!(!is_young(&at, Timestamp(LATER.0 + 1), 1));
        }
        let missing = record(1, Verb::Deploy, "k", Standing::Missing).sites[0].clone();
        assert!(!is_young(&missing, Timestamp(0), i64::MAX));
    }
}
