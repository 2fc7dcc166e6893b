//! The plain way of a deployment or removal: to the only site that there is, without a record.
//!
//! Owns when that is right. A store that is away, or full, then stops nobody; what was not recorded shows as drift.

use super::deploy::Answered;
use super::every::Every;
use crate::resolve::{RouteSource, Target};
use crate::topology::Site;
use homing_mapping_store::{Generation, store};
use std::sync::Arc;

/// A single site has nobody to be level with: what cannot be recorded reaches it as if nothing were ever recorded.
pub(super) fn is_plain(sites: &[Arc<Site>], error: &store::Error) -> bool {
    let is_passing = matches!(
        error,
        store::Error::Unavailable { .. } | store::Error::Limit(..)
    );
    sites.len() == 1 && is_passing
}

/// The client's request as it is, to these sites.
pub(super) async fn plainly(every: &Every, sites: &[Arc<Site>]) -> Answered {
    let targets = sites
        .iter()
        .map(|site| Target::of(site, RouteSource::Default, Generation::default()));
    match targets.collect::<Result<Vec<Target>, _>>() {
        Ok(targets) => {
            tracing::warn!("what is to be recorded reaches its only site without being recorded");
            every.run(&targets).await
        }
        Err(problem) => (Err(problem), None),
    }
}
