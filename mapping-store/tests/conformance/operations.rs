//! Plans never change; an operation belongs to one executor at a time, by compare-and-set.

use crate::on_both;
use crate::support::{Fresh, assignment, audit, site, switch, two_sites};
use homing_mapping_store::operation::{
    Account, Ends, NewOperation, OperationRecord, PlanRecord, Progress,
};
use homing_mapping_store::store::{Error, Slice};
use homing_mapping_store::{Generation, Handle, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

on_both!(
    a_plan_never_changes,
    of_two_applies_of_a_plan_one_wins,
    a_stale_plan_is_refused,
    a_site_has_one_operation_at_a_time,
    a_step_is_taken_once,
    what_was_done_in_one_go_is_kept_and_in_nobodys_way,
    pages_show_every_record_once_the_newest_first,
);

fn plan(hash: &str, at: i64) -> PlanRecord {
    PlanRecord {
        hash: hash.into(),
        verb: "switchover".into(),
        subject: "b".into(),
        body: "{}".into(),
        created_by: "uid:0".into(),
        created_at: Timestamp(at),
    }
}

async fn a_plan_never_changes(fresh: Fresh) {
    let store = &fresh.store;
    store.put_plan(&plan("one", 1)).await.unwrap();
    let mut other = plan("one", 2);
    other.body = "another".into();
    store.put_plan(&other).await.unwrap();
    store.put_plan(&plan("two", 3)).await.unwrap();
    assert_eq!(store.plan("one").await.unwrap(), Some(plan("one", 1)));
    assert_eq!(store.plan("three").await.unwrap(), None);
    let newest = Slice {
        after: None,
        limit: 10,
    };
    let newest = store.plans_page(newest).await.unwrap();
    assert_eq!(newest.items, [plan("two", 3), plan("one", 1)]);
    assert_eq!(newest.next, None);
}

async fn operation(store: &Handle, id: u128, plan: &str) -> NewOperation {
    NewOperation {
        id: Uuid::from_u128(id),
        plan: plan.into(),
        verb: "switchover".into(),
        subject: "b".into(),
        sites: vec![(site("b"), assignment(store, "b").await.generation)],
        state: "running".into(),
        body: "{}".into(),
    }
}

async fn of_two_applies_of_a_plan_one_wins(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let mut racers = Vec::new();
    for id in 1..=8 {
        let new = operation(store, id, "one").await;
        let store = Arc::clone(store);
        racers.push(tokio::spawn(async move {
            store.begin_operation(&new, &audit("apply")).await
        }));
    }
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, Error::Applied { .. }), "{error}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(store.operations(10).await.unwrap().len(), 1);
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
}

async fn a_stale_plan_is_refused(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let new = operation(store, 1, "one").await;
    store
        .begin_switch(&switch("b-2", new.sites[0].1), &audit("switch"))
        .await
        .unwrap();
    let stale = store.begin_operation(&new, &audit("apply")).await;
    assert!(matches!(stale, Err(Error::Stale { .. })), "{stale:?}");
    assert!(store.operations(10).await.unwrap().is_empty());
}

async fn a_site_has_one_operation_at_a_time(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = operation(store, 1, "one").await;
    let first = store
        .begin_operation(&first, &audit("apply"))
        .await
        .unwrap();
    let second = operation(store, 2, "two").await;
    let busy = store.begin_operation(&second, &audit("apply")).await;
    assert!(matches!(busy, Err(Error::Busy(_))), "{busy:?}");
    store
        .operation_progress(&step(&first, "done", Ends::Yes))
        .await
        .unwrap();
    store
        .begin_operation(&second, &audit("apply"))
        .await
        .unwrap();
}

fn step(before: &OperationRecord, state: &str, ends: Ends) -> Progress {
    Progress {
        id: before.id,
        expected: before.generation,
        state: state.into(),
        body: format!("{{\"at\":\"{state}\"}}"),
        ends,
        what: "step".into(),
        detail: state.into(),
    }
}

async fn a_step_is_taken_once(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let new = operation(store, 1, "one").await;
    let first = store.begin_operation(&new, &audit("apply")).await.unwrap();
    let second = store
        .operation_progress(&step(&first, "fencing", Ends::No))
        .await
        .unwrap();
    assert!(second.generation > first.generation);
    let late = store
        .operation_progress(&step(&first, "flipping", Ends::No))
        .await;
    assert!(matches!(late, Err(Error::Stale { .. })), "{late:?}");
    let done = store
        .operation_progress(&step(&second, "done", Ends::Yes))
        .await
        .unwrap();
    assert!(done.ended_at.is_some());
    let after = store
        .operation_progress(&step(&done, "again", Ends::No))
        .await;
    assert!(matches!(after, Err(Error::Busy(_))), "{after:?}");
    assert_eq!(store.operation(done.id).await.unwrap(), Some(done.clone()));
    let events = store.operation_events(done.id).await.unwrap();
    let words: Vec<_> = events
        .iter()
        .map(|event| (event.number, event.detail.as_str()))
        .collect();
    assert_eq!(words, [(1, "switchover"), (2, "fencing"), (3, "done")]);
    let nothing = Progress {
        id: Uuid::from_u128(99),
        expected: Generation(1),
        ..step(&done, "x", Ends::No)
    };
    let unknown = store.operation_progress(&nothing).await;
    assert!(matches!(unknown, Err(Error::Unknown { .. })));
}

async fn what_was_done_in_one_go_is_kept_and_in_nobodys_way(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let account = |state: &str| Account {
        id: Uuid::from_u128(7),
        verb: "restored".into(),
        subject: "b".into(),
        sites: vec![site("b")],
        state: state.into(),
        body: "{}".into(),
        what: state.into(),
        detail: format!("it is {state}"),
    };
    let begun = store.record_operation(&account("partly")).await.unwrap();
    assert!(begun.ended_at.is_some(), "{begun:?}");
    let new = operation(store, 1, "one").await;
    store.begin_operation(&new, &audit("apply")).await.unwrap();
    let done = store.record_operation(&account("done")).await.unwrap();
    assert!(done.generation > begun.generation);
    assert_eq!(
        (done.state.as_str(), done.started_at),
        ("done", begun.started_at)
    );
    assert_eq!(store.operation(done.id).await.unwrap(), Some(done.clone()));
    let events = store.operation_events(done.id).await.unwrap();
    let words: Vec<&str> = events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(words, ["partly", "done"]);
    assert_eq!(store.operations(10).await.unwrap().len(), 2);
}

async fn pages_show_every_record_once_the_newest_first(fresh: Fresh) {
    let store = &fresh.store;
    // Several of the same millisecond: the id decides.
    for (at, hash) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        let at = i64::try_from(at / 2).unwrap();
        store.put_plan(&plan(hash, at)).await.unwrap();
    }
    let mut seen = String::new();
    let mut after: Option<String> = None;
    loop {
        let slice = Slice {
            after: after.as_deref(),
            limit: 2,
        };
        let page = store.plans_page(slice).await.unwrap();
        page.items.iter().for_each(|plan| seen += &plan.hash);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, "ecdab");
    for wrong in ["x", "1.", "x.y"] {
        let slice = Slice {
            after: Some(wrong),
            limit: 2,
        };
        let refused = store.plans_page(slice).await;
        assert!(matches!(refused, Err(Error::Unknown { .. })), "{wrong}");
    }
    two_sites(store).await;
    for id in [1, 2] {
        let new = operation(store, id, &format!("plan {id}")).await;
        let begun = store.begin_operation(&new, &audit("apply")).await.unwrap();
        let ended = step(&begun, "done", Ends::Yes);
        store.operation_progress(&ended).await.unwrap();
    }
    let of = |after| Slice { after, limit: 1 };
    let first = store.operations_page(of(None)).await.unwrap();
    let next = first.next.as_deref();
    let second = store.operations_page(of(next)).await.unwrap();
    assert_eq!(second.next, None);
    let mut ids = [first.items[0].id.as_u128(), second.items[0].id.as_u128()];
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
}
