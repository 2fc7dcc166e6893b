//! What still names a site that is to leave the registry.
//!
//! Owns the count of what keeps it, and letting go of what does not: users, tenants and business keys that were placed there are
//! placed anew. Must not touch what lives there, nor what has ended there: those rows stay.

use crate::clock;
use homing_mapping_store::store::{Error, MappingFilter, StateChange, Store};
use homing_mapping_store::{Kind, SiteId, State};

/// Rows in one transaction.
const PAGE: usize = 500;
/// Keys that only say where new work goes.
const PLACED: [Kind; 3] = [Kind::BUSINESS_KEY, Kind::USER, Kind::TENANT];

fn placed(site: SiteId, kind: Kind) -> MappingFilter {
    MappingFilter {
        kind: Some(kind),
        home: Some(site),
        state: Some(State::Placed),
        ..MappingFilter::default()
    }
}

/// Keys that keep the site: those that neither have ended nor only say where new work goes.
pub(super) async fn still_home(store: &dyn Store, site: SiteId) -> Result<u64, Error> {
    let all = MappingFilter {
        home: Some(site),
        ..MappingFilter::default()
    };
    let ended = MappingFilter {
        state: Some(State::Ended),
        ..all.clone()
    };
    let mut keys = store.count(&all).await?;
    keys = keys.saturating_sub(store.count(&ended).await?);
    for kind in PLACED {
        keys = keys.saturating_sub(store.count(&placed(site, kind)).await?);
    }
    Ok(keys)
}

/// Lets go of keys that only say where new work goes, as they are found.
pub(super) async fn release(store: &dyn Store, site: SiteId, router: &str) -> Result<(), Error> {
    for kind in PLACED {
        let mut after = None;
        loop {
            let filter = placed(site, kind);
            let page = store.scan(&filter, after.as_ref(), PAGE).await?;
            let rows = page.items.into_iter();
            let change = StateChange {
                site,
                from: State::Placed,
                to: None,
                rows: rows.map(|row| (row.key, row.generation)).collect(),
                actor: format!("router:{router}"),
                reason: "the site was removed from the configuration".to_owned(),
                at: clock::wall(),
            };
            store.change_states(&change).await?;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}
