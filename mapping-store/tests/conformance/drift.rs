//! Of each site the last comparison is kept, and where one stands that is not over.

use crate::on_both;
use crate::support::{Fresh, site, two_sites};

on_both!(
    the_last_comparison_of_a_site_replaces_the_one_before,
    what_is_not_over_is_kept_for_each_purpose_until_it_is
);

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

async fn what_is_not_over_is_kept_for_each_purpose_until_it_is(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let note = async |name: &str, purpose: &str, body: Option<&str>| {
        let noted = store.note_unfinished(site(name), purpose, "r1", body).await;
        noted.unwrap();
    };
    note("a", "operator", None).await;
    note("a", "operator", Some("1")).await;
    note("a", "continuous", Some("2")).await;
    note("b", "operator", Some("3")).await;
    note("a", "operator", Some("4")).await;
    let bodies = async || {
        let kept = store.unfinished().await.unwrap();
        let mut bodies: Vec<_> = kept
            .into_iter()
            .map(|one| (one.site.name(), one.purpose, one.body))
            .collect();
        bodies.sort();
        bodies
    };
    let kept =
        |name: &'static str, purpose: &str, body: &str| (name, purpose.to_owned(), body.to_owned());
    let continuous = kept("a", "continuous", "2");
    let other = kept("b", "operator", "3");
    assert_eq!(
        bodies().await,
        [
            continuous.clone(),
            kept("a", "operator", "4"),
            other.clone()
        ]
    );
    note("a", "operator", None).await;
    assert_eq!(bodies().await, [continuous, other]);
}
