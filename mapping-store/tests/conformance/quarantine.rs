//! A place that was failed over is not switched to again before an operator has released it.

use crate::on_both;
use crate::support::{Fresh, assignment, audit, site, switch, two_sites};
use homing_mapping_store::operation::{Ends, NewOperation, Progress};
use homing_mapping_store::store::Error;
use homing_mapping_store::switch::{Override, Rule};
use homing_mapping_store::{Generation, Handle};

on_both!(
    what_was_failed_over_is_kept_out_until_it_is_released,
    a_planned_switch_keeps_nobody_out,
    a_named_word_lets_it_serve_and_ends_the_quarantine,
);

/// Has another place serve site `b`, by an operation with this verb.
async fn switched(store: &Handle, verb: &str, to: &str, number: u128) -> Generation {
    let before = assignment(store, "b").await.generation;
    let mut wanted = switch(to, before);
    wanted.operation = uuid::Uuid::from_u128(number);
    let operation = NewOperation {
        id: wanted.operation,
        plan: format!("plan-{number}"),
        verb: verb.into(),
        subject: "b".into(),
        sites: vec![(site("b"), before)],
        state: "running".into(),
        body: "{}".into(),
    };
    let begun = store
        .begin_operation(&operation, &audit("apply"))
        .await
        .unwrap();
    let at = store
        .begin_switch(&wanted, &audit("switch"))
        .await
        .unwrap()
        .assignment
        .generation;
    store
        .note_fence(site("b"), at, "stated", &audit("fence"))
        .await
        .unwrap();
    // Twice: an answer may have been lost.
    for _ in 0..2 {
        store
            .complete_switch(site("b"), at, &audit("complete"))
            .await
            .unwrap();
    }
    let ended = Progress {
        id: begun.id,
        expected: begun.generation,
        state: "done".into(),
        body: "{}".into(),
        ends: Ends::Yes,
        what: "done".into(),
        detail: String::new(),
    };
    store.operation_progress(&ended).await.unwrap();
    at
}

async fn kept_out(store: &Handle) -> Vec<(String, Generation)> {
    let (_, records) = store.registry().await.unwrap();
    let record = records.into_iter().find(|one| one.site == site("b"));
    let list = record.unwrap().quarantined.into_iter();
    list.map(|one| (one.installation, one.generation)).collect()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let rule = match &answer {
        Err(Error::Refused { rule, .. }) => Some(*rule),
        _ => None,
    };
    assert_eq!(rule, Some(Rule::Quarantine), "{answer:?}");
}

async fn what_was_failed_over_is_kept_out_until_it_is_released(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let at = switched(store, "failover", "b-2", 1).await;
    assert_eq!(kept_out(store).await, [("b-1".to_owned(), at)]);
    let back = switch("b-1", at);
    refused(store.begin_switch(&back, &audit("switch")).await);

    let stale = store
        .release_quarantine(
            site("b"),
            "b-1",
            Some(Generation(at.0 + 1)),
            &audit("site.release"),
        )
        .await;
    assert!(matches!(stale, Err(Error::Stale { .. })), "{stale:?}");
    refused(store.begin_switch(&back, &audit("switch")).await);
    // A router that registers its file again changes nothing about it.
    two_sites(store).await;
    assert_eq!(kept_out(store).await.len(), 1);

    for _ in 0..2 {
        let released = store
            .release_quarantine(site("b"), "b-1", Some(at), &audit("site.release"))
            .await
            .unwrap();
        assert!(released.quarantined.is_empty());
    }
    let trail = store.audit(None, 100).await.unwrap();
    let releases = trail
        .iter()
        .filter(|one| one.entry.action == "site.release");
    assert_eq!(releases.count(), 1);
    store.begin_switch(&back, &audit("switch")).await.unwrap();
}

async fn a_planned_switch_keeps_nobody_out(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    switched(store, "switchover", "b-2", 1).await;
    assert!(kept_out(store).await.is_empty());
    switched(store, "failback", "b-1", 2).await;
    assert!(kept_out(store).await.is_empty());
}

async fn a_named_word_lets_it_serve_and_ends_the_quarantine(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let at = switched(store, "failover", "b-2", 1).await;
    let mut back = switch("b-1", at);
    back.operation = uuid::Uuid::from_u128(2);
    back.overrides = vec![Override {
        rule: Rule::Quarantine,
        person: "uid:1000".into(),
        reason: "the other one burns".into(),
    }];
    let at = store
        .begin_switch(&back, &audit("switch"))
        .await
        .unwrap()
        .assignment
        .generation;
    // Taken back before it served: it is still kept out.
    let undone = store
        .abort_switch(site("b"), at, None, &audit("abort"))
        .await
        .unwrap();
    assert_eq!(kept_out(store).await.len(), 1);
    back.expected = undone.generation;
    let at = store
        .begin_switch(&back, &audit("switch"))
        .await
        .unwrap()
        .assignment
        .generation;
    store
        .note_fence(site("b"), at, "stated", &audit("fence"))
        .await
        .unwrap();
    store
        .complete_switch(site("b"), at, &audit("complete"))
        .await
        .unwrap();
    assert!(kept_out(store).await.is_empty());
}
