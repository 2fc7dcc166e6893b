//! What a new incarnation of the store owes those that knew the one before it, which may have known more.

use crate::on_both;
use crate::support::{Fresh, audit, instance, ship, site, started, two_sites};
use homing_mapping_store::agent::{AgentReport, AgentRole};
use homing_mapping_store::store::{Claim, Error, Lease, RouterRecord, Seq};
use homing_mapping_store::{Generation, Handle};
use std::time::Duration;
use tokio::time::Instant;

on_both!(
    positions_of_a_new_incarnation_are_above_all_older_ones,
    the_mappings_of_all_incarnations_are_read_in_few_pages,
    the_right_to_serve_is_only_continued_until_the_quiet_time_is_over,
    a_first_incarnation_has_no_quiet_time,
    a_quiet_time_begins_when_one_that_is_asked_has_read_the_copy,
    the_store_knows_since_when_a_process_is_there_and_takes_nothing_late,
    a_router_whose_name_was_taken_by_another_journal_stays_until_it_is_forgotten,
);

const TTL_MS: u64 = 60_000;

async fn positions_of_a_new_incarnation_are_above_all_older_ones(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    ship(store, vec![started(instance(1), "a")]).await;
    let (revision, _) = store.registry().await.unwrap();
    assert!(store.head().await.unwrap() < Seq::before(1));
    let begun = store.begin_incarnation(4, &audit("promote")).await.unwrap();
    let first = Seq::before(begun);
    assert_eq!(store.head().await.unwrap(), first);
    let (raised, _) = store.registry().await.unwrap();
    assert!(raised > revision && raised >= first.0);
    ship(store, vec![started(instance(2), "a")]).await;
    let page = store.changes(first, 10).await.unwrap();
    assert_eq!(page.items[0].0, Seq(first.0 + 1));
    assert_eq!((page.items.len(), page.head), (1, page.last));
}

/// Positions between two incarnations are many; nothing may walk over them.
async fn the_mappings_of_all_incarnations_are_read_in_few_pages(fresh: Fresh) {
    const PAGE: usize = 2;
    let store = &fresh.store;
    two_sites(store).await;
    for number in 1..=3 {
        ship(store, vec![started(instance(number), "a")]).await;
    }
    store.begin_incarnation(4, &audit("promote")).await.unwrap();
    ship(store, vec![started(instance(4), "a")]).await;
    let head = store.head().await.unwrap();
    let (mut after, mut keys, mut pages) = (Seq(0), Vec::new(), 0);
    while after < head {
        let page = store.made(after, head, PAGE).await.unwrap();
        assert!(after < page.last && page.last <= head);
        keys.extend(page.items.into_iter().map(|mapping| mapping.key));
        (after, pages) = (page.last, pages + 1);
    }
    assert_eq!(keys, (1..=4).map(instance).collect::<Vec<_>>());
    assert!(pages <= 3, "{pages} pages of {PAGE}");
}

async fn claimed(store: &Handle, installation: &str, ttl_ms: u64, claim: Claim) -> Option<Lease> {
    store
        .claim("site/b", installation, ttl_ms, claim)
        .await
        .unwrap()
}

async fn the_right_to_serve_is_only_continued_until_the_quiet_time_is_over(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let lease = claimed(store, "b-1", TTL_MS, Claim::New).await.unwrap();
    assert!(lease.recorded);
    store.begin_incarnation(0, &audit("promote")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(claimed(store, "b-1", TTL_MS, Claim::New).await, None);
        let lease = claimed(store, "b-1", TTL_MS, Claim::Continued)
            .await
            .unwrap();
        assert!(!lease.recorded, "it must not open the way for a new one");
    }
    let other = store.claim("site/b", "b-2", TTL_MS, Claim::Continued).await;
    assert!(matches!(other, Err(Error::NotAssigned { .. })), "{other:?}");

    // Another one, whose quiet time is short.
    store.begin_incarnation(0, &audit("promote")).await.unwrap();
    assert_eq!(claimed(store, "b-1", 50, Claim::New).await, None);
    let deadline = Instant::now() + Duration::from_secs(60);
    let lease = loop {
        if let Some(lease) = claimed(store, "b-1", TTL_MS, Claim::New).await {
            break lease;
        }
        assert!(Instant::now() < deadline, "the quiet time ends");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(lease.recorded);
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
}

/// A heartbeat of a router that attests.
fn beats(name: &str, process: &str, applied: Seq) -> RouterRecord {
    RouterRecord {
        name: name.into(),
        journal: format!("journal of {name}"),
        applied,
        process: process.into(),
        facts: r#"{"attest":{"address":"","key":""}}"#.into(),
        ..RouterRecord::default()
    }
}

/// The agent of `b-1` asks these processes, as it told incarnation 0.
fn asks(processes: &str) -> AgentReport {
    AgentReport {
        site: site("b"),
        installation: "b-1".into(),
        holder: "b-1-node".into(),
        generation: Generation(1),
        role: AgentRole::Open,
        facts: format!(r#"{{"asks":[{processes}],"asks_in":0}}"#),
    }
}

async fn a_quiet_time_begins_when_one_that_is_asked_has_read_the_copy(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let beat = async |router: RouterRecord| store.heartbeat(&router, 0).await.unwrap();
    // However short it is: it has not begun while those whom the agent asks may be attesting to what was before.
    let quiet = async || {
        for _ in 0..3 {
            assert_eq!(claimed(store, "b-1", 0, Claim::New).await, None);
        }
    };
    beat(beats("r1", "one", Seq(1))).await;
    beat(beats("r2", "two", Seq(1))).await;
    store.report(&asks(r#""one""#), 0).await.unwrap();
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
    let begun = store.begin_incarnation(0, &audit("promote")).await.unwrap();
    quiet().await;
    let read = Seq::before(begun);
    beat(beats("r2", "two", read)).await;
    quiet().await;
    // Another process may have come after the agent had been told whom to ask.
    beat(beats("r1", "another", Seq(1))).await;
    beat(beats("r3", "three", read)).await;
    quiet().await;
    // All that are registered have read it.
    beat(beats("r1", "another", read)).await;
    assert_eq!(claimed(store, "b-1", 0, Claim::New).await, None);
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
}

async fn a_router_whose_name_was_taken_by_another_journal_stays_until_it_is_forgotten(
    fresh: Fresh,
) {
    let store = &fresh.store;
    let beat = async |router: RouterRecord| store.heartbeat(&router, 0).await.unwrap();
    let known = async || {
        let routers = store.routers().await.unwrap();
        let mut known: Vec<_> = routers
            .into_iter()
            .map(|one| (one.journal, one.process, one.applied))
            .collect();
        known.sort();
        known
    };
    let row = |journal: &str, process: &str, applied| {
        (journal.to_owned(), process.to_owned(), Seq(applied))
    };
    let elsewhere = |process: &str, applied| RouterRecord {
        journal: "elsewhere".into(),
        ..beats("r1", process, Seq(applied))
    };
    let here = "journal of r1";
    beat(beats("r1", "one", Seq(3))).await;
    beat(elsewhere("two", 4)).await;
    assert_eq!(
        known().await,
        [row("elsewhere", "two", 4), row(here, "one", 3)]
    );
    // The next process of that journal: the one before it is dead, or hands over.
    beat(elsewhere("three", 5)).await;
    assert_eq!(
        known().await,
        [row("elsewhere", "three", 5), row(here, "one", 3)]
    );
    // The first one comes back.
    beat(beats("r1", "one", Seq(6))).await;
    assert_eq!(
        known().await,
        [row("elsewhere", "three", 5), row(here, "one", 6)]
    );
    let gone = audit("router.forget");
    let three = elsewhere("three", 5);
    store.forget_router(&three, &gone).await.unwrap();
    assert_eq!(known().await, [row(here, "one", 6)]);
    assert!(store.forget_router(&three, &gone).await.is_err());
    // One that attests nowhere and asks nobody has stopped when its name can be taken.
    let silent = RouterRecord {
        facts: r#"{"silent":true}"#.into(),
        ..beats("r1", "one", Seq(7))
    };
    beat(silent).await;
    beat(elsewhere("four", 7)).await;
    assert_eq!(known().await, [row("elsewhere", "four", 7)]);
}

async fn the_store_knows_since_when_a_process_is_there_and_takes_nothing_late(fresh: Fresh) {
    let store = &fresh.store;
    let later = RouterRecord {
        beat: 5,
        ..beats("r1", "one", Seq(3))
    };
    store.heartbeat(&later, 0).await.unwrap();
    let late = store.heartbeat(&beats("r1", "one", Seq(2)), 0).await;
    assert!(matches!(late, Err(Error::Busy(_))), "{late:?}");
    let known = store.routers().await.unwrap().remove(0);
    assert_eq!((known.applied, known.since, known.beat), (Seq(3), 0, 5));
    let begun = store.begin_incarnation(0, &audit("promote")).await.unwrap();
    store.heartbeat(&later, 0).await.unwrap();
    assert_eq!(store.routers().await.unwrap()[0].since, 0);
    store
        .heartbeat(&beats("r1", "two", Seq(2)), 0)
        .await
        .unwrap();
    let known = store.routers().await.unwrap().remove(0);
    assert_eq!((known.applied, known.since, known.beat), (Seq(2), begun, 0));
}

async fn a_first_incarnation_has_no_quiet_time(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
    store.release("site/b", "b-1").await.unwrap();
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
}
