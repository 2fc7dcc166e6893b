//! A drill is rehearsed by one router at a time, by compare-and-set, and a site is in one drill at a time.

use crate::on_both;
use crate::support::{Fresh, audit, site};
use homing_mapping_store::Generation;
use homing_mapping_store::drill::{DrillProgress, DrillRecord, NewDrill};
use homing_mapping_store::operation::Ends;
use homing_mapping_store::store::{Error, Slice};
use uuid::Uuid;

on_both!(
    a_site_is_in_one_drill_at_a_time,
    a_drill_goes_on_once_from_each_step,
    a_drill_said_twice_is_one_drill,
);

fn drill(id: u128, sites: &[&str]) -> NewDrill {
    NewDrill {
        id: Uuid::from_u128(id),
        mode: "switch".into(),
        subject: sites.join(" "),
        sites: sites.iter().map(|name| site(name)).collect(),
        state: "running".into(),
        body: "{}".into(),
    }
}

fn step(before: &DrillRecord, state: &str, ends: Ends) -> DrillProgress {
    DrillProgress {
        id: before.id,
        expected: before.generation,
        state: state.into(),
        body: format!("{{\"at\":\"{state}\"}}"),
        ends,
    }
}

async fn a_site_is_in_one_drill_at_a_time(fresh: Fresh) {
    let store = &fresh.store;
    let first = drill(1, &["a", "b"]);
    let first = store.begin_drill(&first, &audit("drill")).await.unwrap();
    let second = drill(2, &["b"]);
    let busy = store.begin_drill(&second, &audit("drill")).await;
    assert!(matches!(busy, Err(Error::Busy(_))), "{busy:?}");
    let other = drill(3, &["c"]);
    let other = store.begin_drill(&other, &audit("drill")).await.unwrap();
    assert_eq!(store.open_drills().await.unwrap().len(), 2);
    store
        .drill_progress(&step(&first, "clean", Ends::Yes), Some(&audit("end")))
        .await
        .unwrap();
    assert_eq!(store.open_drills().await.unwrap(), [other]);
    store.begin_drill(&second, &audit("drill")).await.unwrap();
    let page = async |after: Option<&str>, limit| {
        let slice = Slice { after, limit };
        store.drills_page(slice).await.unwrap()
    };
    let all = page(None, 10).await;
    assert_eq!((all.items.len(), all.next), (3, None));
    let first = page(None, 2).await;
    let second = page(first.next.as_deref(), 2).await;
    let paged: Vec<_> = first.items.into_iter().chain(second.items).collect();
    assert_eq!(paged, all.items);
    // Three that began and one that ended; the one that was refused left nothing.
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 4);
}

async fn a_drill_goes_on_once_from_each_step(fresh: Fresh) {
    let store = &fresh.store;
    let new = drill(1, &["a"]);
    let first = store.begin_drill(&new, &audit("drill")).await.unwrap();
    let second = store
        .drill_progress(&step(&first, "running", Ends::No), None)
        .await
        .unwrap();
    assert!(second.generation > first.generation);
    let late = store
        .drill_progress(&step(&first, "running", Ends::No), None)
        .await;
    assert!(matches!(late, Err(Error::Stale { .. })), "{late:?}");
    let done = store
        .drill_progress(&step(&second, "not-clean", Ends::Yes), None)
        .await
        .unwrap();
    assert!(done.ended_at.is_some());
    assert_eq!(store.drill(done.id).await.unwrap(), Some(done.clone()));
    let after = store
        .drill_progress(&step(&done, "running", Ends::No), None)
        .await;
    assert!(matches!(after, Err(Error::Busy(_))), "{after:?}");
    let nothing = DrillProgress {
        id: Uuid::from_u128(9),
        expected: Generation(1),
        ..step(&done, "x", Ends::No)
    };
    let unknown = store.drill_progress(&nothing, None).await;
    assert!(matches!(unknown, Err(Error::Unknown { .. })));
    assert_eq!(store.drill(nothing.id).await.unwrap(), None);
}

async fn a_drill_said_twice_is_one_drill(fresh: Fresh) {
    let store = &fresh.store;
    let new = drill(1, &["a"]);
    let once = store.begin_drill(&new, &audit("drill")).await.unwrap();
    let twice = store.begin_drill(&new, &audit("drill")).await.unwrap();
    assert_eq!(once, twice);
    let newest = Slice {
        after: None,
        limit: 10,
    };
    assert_eq!(store.drills_page(newest).await.unwrap().items.len(), 1);
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
}
