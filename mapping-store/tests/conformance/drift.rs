//! Of each site the last comparison is kept.

use crate::on_both;
use crate::support::{Fresh, site, two_sites};

on_both!(the_last_comparison_of_a_site_replaces_the_one_before);

async fn the_last_comparison_of_a_site_replaces_the_one_before(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    assert!(store.drift().await.unwrap().is_empty());
    store.note_drift(site("a"), "r1", "{}").await.unwrap();
    store.note_drift(site("b"), "r1", "{}").await.unwrap();
    store
        .note_drift(site("a"), "r2", "{\"ghosts\":1}")
        .await
        .unwrap();
    let mut kept = store.drift().await.unwrap();
    kept.sort_by_key(|one| one.site.name());
    let words: Vec<_> = kept
        .iter()
        .map(|one| (one.site.name(), one.router.as_str(), one.body.as_str()))
        .collect();
    assert_eq!(words, [("a", "r2", "{\"ghosts\":1}"), ("b", "r1", "{}")]);
    assert!(kept.iter().all(|one| one.at.0 > 0));
}
