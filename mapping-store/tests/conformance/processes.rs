//! Two processes of one router, while one hands over to the other: each says for itself what it knows and sees.

use crate::on_both;
use crate::support::{Fresh, audit, site, two_sites};
use homing_mapping_store::operation::Observation;
use homing_mapping_store::store::{Beside, RouterRecord, Seq};
use homing_mapping_store::{Generation, Handle, Timestamp};

on_both!(
    two_processes_of_one_journal_say_for_themselves_how_far_they_are,
    a_process_whose_successor_died_takes_its_name_back,
    each_process_tells_what_it_sees,
);

const LEASE_MS: u64 = 60_000;

fn beat(process: &str, applied: u64, beside: Beside) -> RouterRecord {
    RouterRecord {
        name: "r1".into(),
        journal: "of r1".into(),
        process: process.into(),
        applied: Seq(applied),
        facts: r#"{"silent":true}"#.into(),
        beat: applied,
        beside,
        ..RouterRecord::default()
    }
}

/// Who is registered, and how far each is.
async fn known(store: &Handle) -> Vec<(String, u64)> {
    let routers = store.routers().await.unwrap();
    let mut known: Vec<_> = routers
        .into_iter()
        .map(|one| (one.process, one.applied.0))
        .collect();
    known.sort();
    known
}

fn row(process: &str, applied: u64) -> (String, u64) {
    (process.to_owned(), applied)
}

async fn two_processes_of_one_journal_say_for_themselves_how_far_they_are(fresh: Fresh) {
    let store = &fresh.store;
    let says = async |record: RouterRecord| store.heartbeat(&record, LEASE_MS).await.unwrap();
    says(beat("old", 3, Beside::Nobody)).await;
    says(beat("new", 3, Beside::Another)).await;
    assert_eq!(known(store).await, [row("new", 3), row("old", 3)]);
    // The new one knows of a change; the old one still has requests of before it, in whatever order they say so.
    says(beat("new", 5, Beside::Another)).await;
    says(beat("old", 4, Beside::Another)).await;
    says(beat("new", 6, Beside::Another)).await;
    assert_eq!(known(store).await, [row("new", 6), row("old", 4)]);
    // It looked for others before there were any.
    says(beat("old", 5, Beside::Nobody)).await;
    assert_eq!(known(store).await, [row("new", 6), row("old", 5)]);
    assert!(
        store
            .heartbeat(&beat("old", 4, Beside::Another), LEASE_MS)
            .await
            .is_err()
    );
    // A third one takes over before the first has ended.
    says(beat("third", 6, Beside::Another)).await;
    let all = [row("new", 6), row("old", 5), row("third", 6)];
    assert_eq!(known(store).await, all);
    says(beat("third", 7, Beside::Nobody)).await;
    assert_eq!(known(store).await, [row("third", 7)]);
    // One that begins alone is the only one.
    says(beat("fourth", 7, Beside::Another)).await;
    says(beat("fifth", 7, Beside::Nobody)).await;
    assert_eq!(known(store).await, [row("fifth", 7)]);
}

async fn a_process_whose_successor_died_takes_its_name_back(fresh: Fresh) {
    let store = &fresh.store;
    let gone = audit("router.forget");
    let record = |process: &str, applied| beat(process, applied, Beside::Another);
    store.heartbeat(&record("old", 3), LEASE_MS).await.unwrap();
    store.heartbeat(&record("new", 3), 0).await.unwrap();
    // It may be paused.
    store.heartbeat(&record("old", 4), LEASE_MS).await.unwrap();
    assert_eq!(known(store).await, [row("new", 3), row("old", 4)]);
    store
        .heartbeat(&beat("old", 5, Beside::Nobody), LEASE_MS)
        .await
        .unwrap();
    assert_eq!(known(store).await, [row("old", 5)]);
    // A person forgets one process, not its name.
    store.heartbeat(&record("newer", 5), 0).await.unwrap();
    store
        .forget_router(&record("newer", 5), &gone)
        .await
        .unwrap();
    assert_eq!(known(store).await, [row("old", 5)]);
    assert!(
        store
            .forget_router(&record("newer", 5), &gone)
            .await
            .is_err()
    );
}

async fn each_process_tells_what_it_sees(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let seen = |process: &str, running| Observation {
        router: "r1".into(),
        process: process.into(),
        site: site("a"),
        installation: "a-1".into(),
        seen: "healthy".into(),
        detail: String::new(),
        since: Timestamp(1),
        stopped_at: Some(Generation(7)),
        running,
    };
    let says = async |one: Observation, lease_ms| {
        let process = one.process.clone();
        let said = store.observe("r1", &process, &[one], lease_ms).await;
        said.unwrap();
    };
    says(seen("old", 2), LEASE_MS).await;
    says(seen("new", 0), LEASE_MS).await;
    let told = store.observations().await.unwrap();
    assert_eq!(told, [seen("new", 0), seen("old", 2)]);
    says(seen("old", 1), 0).await;
    says(seen("new", 0), LEASE_MS).await;
    assert_eq!(store.observations().await.unwrap(), [seen("new", 0)]);
}
