//! A report of durations over all sites.
//!
//! Owns that rows are read only where reports do not do, and only at sites whose engine lets this caller have the report.
//! Must not compute.

use super::one::Told;
use super::{Gathered, Read, answer, gather, malformed, name_form, name_missing};
use crate::dialect::merge::{self, Durations, Malformed, Plan};
use crate::problem::Problem;
use crate::topology::Site;
use bytes::Bytes;
use homing_mapping_store::SiteId;
use std::sync::Arc;

/// Asks every site for its report; for its rows as well, if two of them report the same period.
pub async fn report(read: &Read<'_>, durations: &Durations) -> Result<Gathered, Problem> {
    let read_as = &Plan::Durations(durations.clone());
    let reported = gather(&Read {
        plan: &Plan::Concat,
        ..*read
    })
    .await?;
    if !reported.answer.status().is_success() {
        return Ok(reported);
    }
    let reports: Vec<Bytes> = reported.told.iter().map(|told| told.body.clone()).collect();
    let joined = merge::apart(&reports).map_err(|Malformed| malformed())?;
    if let Some(joined) = joined {
        let missing = reported.missing;
        let joined = durations.written(joined).map_err(|Malformed| malformed())?;
        let mut answer = answer(joined, &missing);
        name_form(read_as, &mut answer);
        return Ok(Gathered {
            answer,
            told: Vec::new(),
            missing,
        });
    }
    let sites = having(read, &reported.told);
    let mut made = gather(&Read {
        plan: read_as,
        sites: &sites,
        ..*read
    })
    .await?;
    made.missing = read
        .sites
        .iter()
        .map(|site| site.id)
        .filter(|id| made.missing.contains(id) || reported.missing.contains(id))
        .collect::<Vec<SiteId>>();
    name_missing(made.answer.headers_mut(), &made.missing);
    // Rows were read to be counted: nobody sees their ids.
    made.told.clear();
    Ok(made)
}

/// The sites that gave a report.
fn having(read: &Read<'_>, told: &[Told]) -> Vec<Arc<Site>> {
    let gave = |site: &&Arc<Site>| told.iter().any(|told| told.target.site.id == site.id);
    read.sites.iter().filter(gave).cloned().collect()
}
