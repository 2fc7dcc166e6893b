//! A page far behind in a list of several sites: few rows are asked for around where it may begin, until they prove it.
//!
//! Owns the rounds of asking. Must not decide what proves a page. Where this does not come to an end, the page is read
//! like any other, from the first row on: so whoever asks gets the same rows either way.

use super::one::{self, Told};
use super::pieces::Piece;
use super::{Found, Read, nulls, shaped};
use crate::dialect::merge::{Rows, Seek, Window};
use crate::problem::Problem;
use crate::topology::Site;
use bytes::Bytes;
use futures_util::future::join_all;
use homing_mapping_store::SiteId;
use std::sync::Arc;
use tokio::time::timeout;

/// Times that all sites are asked at most (limit `gather_looks`). A list whose keys lie very unevenly is read from the
/// beginning.
const LOOKS_MAX: usize = 8;

/// One site that takes part.
struct Looked<'s> {
    site: &'s Arc<Site>,
    /// The first row of its list, if it has any.
    head: Window,
    told: Told,
    window: Window,
}

/// The page, and what it was made of. `None`: it has to be read from the first row on.
pub(super) async fn look(read: &Read<'_>, plan: &Rows) -> Option<(Bytes, Found)> {
    // All sites at a time or none; and what proves the page rests on the true order of rows without a value.
    if read.sites.len() > read.settings.fanout || !is_one_order(read) {
        return None;
    }
    let (mut looked, missing) = first(read, plan).await?;
    let mut seek = plan.seek(looked.len())?;
    for (number, looked) in looked.iter().enumerate() {
        seek.saw(number, &looked.head);
        seek.saw(number, &looked.window);
    }
    for _ in 0..LOOKS_MAX {
        if let Some(page) = page(plan, &seek, &looked) {
            let told = looked.into_iter().map(|looked| looked.told).collect();
            return Some((page, Found { told, missing }));
        }
        let places = seek.places()?;
        let asking = looked
            .iter()
            .zip(places)
            .map(|(looked, piece)| one::window(read, plan, looked.site, piece.into()));
        let answers = timeout(read.settings.within, join_all(asking)).await.ok()?;
        for (number, (looked, answer)) in looked.iter_mut().zip(answers).enumerate() {
            let (told, window) = answer.ok()?;
            seek.saw(number, &window);
            (looked.told, looked.window) = (told, window);
        }
    }
    None
}

/// Whether every site has told where its database puts rows without a value, and all say the same.
fn is_one_order(read: &Read<'_>) -> bool {
    let nulls = |site: &Arc<Site>| site.live.habits().map(|habits| habits.nulls);
    let mut each = read.sites.iter().map(nulls);
    let first = each.next().flatten();
    first.is_some() && each.all(|nulls| nulls == first)
}

fn page(plan: &Rows, seek: &Seek<'_>, looked: &[Looked<'_>]) -> Option<Bytes> {
    let nulls = nulls(looked.iter().map(|looked| &looked.told));
    let windows: Vec<_> = looked.iter().map(|looked| &looked.window).collect();
    let heads: Vec<_> = looked
        .iter()
        .map(|looked| looked.head.rows.first())
        .collect();
    let page = seek.page(&windows, &heads, nulls)?;
    shaped(plan, looked.iter().map(|looked| &looked.told), page).ok()
}

/// Each site's first row, and its rows where the page is if all have as many before it; and the sites that do not answer.
/// `None`: nobody answers, one refuses, or this is no way to read the list.
async fn first<'r>(
    read: &Read<'r>,
    plan: &Rows,
) -> Option<(Vec<Looked<'r>>, Vec<(SiteId, Problem)>)> {
    let places = plan.seek(read.sites.len())?.places()?;
    let asking = read
        .sites
        .iter()
        .zip(places)
        .map(|(site, piece)| async move {
            let head = one::window(read, plan, site, Piece { first: 0, max: 1 });
            let window = one::window(read, plan, site, piece.into());
            let both = async { tokio::try_join!(head, window) };
            (site, timeout(read.settings.within, Box::pin(both)).await)
        });
    let (mut looked, mut missing) = (Vec::new(), Vec::new());
    for (site, answer) in join_all(asking).await {
        match answer {
            Ok(Ok(((_, head), (told, window)))) => looked.push(Looked {
                site,
                head,
                told,
                window,
            }),
            Ok(Err(None)) => return None,
            Ok(Err(Some(problem))) if super::is_ours(&problem) => return None,
            Ok(Err(Some(problem))) => missing.push((site.id, problem)),
            Err(_) => missing.push((site.id, one::late(site, read.settings.within))),
        }
    }
    (!looked.is_empty()).then_some((looked, missing))
}
