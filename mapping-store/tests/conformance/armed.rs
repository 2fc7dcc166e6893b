//! One site of many starts a definition by itself: the first row stays, and changes one step at a time.

use crate::on_both;
use crate::support::{Fresh, site, two_sites};
use homing_mapping_store::armed::{Armed, Stage};
use homing_mapping_store::{Generation, Timestamp};

on_both!(
    whoever_comes_first_is_armed_and_stays_so,
    a_row_moves_by_compare_and_set_and_every_change_is_announced,
    a_tenants_definition_is_another_one,
);

fn row(key: &str, tenant: Option<&str>, at: &str) -> Armed {
    Armed {
        scope: "engine-rest /engine-rest default".into(),
        tenant: tenant.map(str::to_owned),
        key: key.into(),
        site: site(at),
        stage: Stage::Armed,
        detail: String::new(),
        generation: Generation::default(),
        since: Timestamp(0),
    }
}

async fn whoever_comes_first_is_armed_and_stays_so(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = store.arm(&row("k", None, "a")).await.unwrap();
    let second = store.arm(&row("k", None, "b")).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(store.armed().await.unwrap(), [first]);
}

async fn a_row_moves_by_compare_and_set_and_every_change_is_announced(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = store.arm(&row("k", None, "a")).await.unwrap();
    let before = store.head().await.unwrap();
    let leaving = Armed {
        stage: Stage::Leaving,
        detail: "{}".into(),
        ..first.clone()
    };
    assert!(store.rearm(first.generation, &leaving).await.unwrap());
    assert!(!store.rearm(first.generation, &leaving).await.unwrap());
    let held = store.armed().await.unwrap().remove(0);
    assert!(held.generation > first.generation);
    assert_eq!((held.stage, held.detail.as_str()), (Stage::Leaving, "{}"));
    let moved = row("k", None, "b");
    assert!(store.rearm(held.generation, &moved).await.unwrap());
    let now = store.armed().await.unwrap().remove(0);
    assert_eq!((now.site, now.stage), (site("b"), Stage::Armed));
    assert!(!store.forget_armed(&held).await.unwrap());
    assert!(store.forget_armed(&now).await.unwrap());
    assert!(store.armed().await.unwrap().is_empty());
    assert_eq!(store.head().await.unwrap().0, before.0 + 3);
}

async fn a_tenants_definition_is_another_one(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    store.arm(&row("k", None, "a")).await.unwrap();
    store.arm(&row("k", Some("t"), "b")).await.unwrap();
    let rows = store.armed().await.unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.tenant.as_deref(), row.site))
        .collect();
    assert_eq!(told, [(None, site("a")), (Some("t"), site("b"))]);
}
