//! A site is served by one installation at most; what goes against the rules does not happen.

use crate::on_both;
use crate::support::{Fresh, assignment, audit, site, site_record, switch, two_sites};
use homing_mapping_store::assignment::SiteState;
use homing_mapping_store::operation::Observation;
use homing_mapping_store::store::{Changed, Error, Seq};
use homing_mapping_store::switch::{Override, Rule};
use homing_mapping_store::{Handle, Timestamp};
use std::sync::Arc;

on_both!(
    a_switch_goes_through_nobody,
    nothing_is_completed_before_the_fence,
    of_two_switches_one_begins,
    the_same_operation_may_ask_again,
    an_aborted_switch_goes_back_with_a_further_generation,
    after_the_fence_only_a_proof_leads_back,
    the_right_to_serve_follows_the_assignment,
    a_freeze_stops_a_switch,
    a_site_rests_after_a_switch,
    only_so_many_sites_switch_at_once,
    the_last_available_site_is_not_taken_away,
    a_site_that_is_down_takes_nothing_away,
    an_override_names_rule_and_person,
    a_switching_site_stays_in_the_registry,
);

const WHY: &str = "the agent said so";

async fn a_switch_goes_through_nobody(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let before = assignment(store, "b").await;
    let head = store.head().await.unwrap();
    let begun = store
        .begin_switch(&switch("b-2", before.generation), &audit("switch"))
        .await
        .unwrap();
    assert_eq!(begun.seq, Seq(head.0 + 1));
    assert_eq!(
        store.changes(head, 10).await.unwrap().items,
        [(begun.seq, Changed::Assignment { site: site("b") })]
    );
    let held = assignment(store, "b").await;
    assert_eq!(held, begun.assignment);
    assert!(held.generation > before.generation);
    assert_eq!((held.serving(), held.entitled()), (None, None));
    assert_eq!(held.installation, "b-1");
    let fenced = store
        .note_fence(site("b"), held.generation, WHY, &audit("fence"))
        .await
        .unwrap();
    assert_eq!((fenced.serving(), fenced.entitled()), (None, Some("b-2")));
    let done = store
        .complete_switch(site("b"), held.generation, &audit("complete"))
        .await
        .unwrap();
    assert_eq!(done.serving(), Some("b-2"));
    assert_eq!(done.generation, held.generation);
    assert!(done.switched_at.is_some());
    assert_eq!(assignment(store, "b").await, done);
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 3);
}

async fn nothing_is_completed_before_the_fence(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let before = assignment(store, "b").await.generation;
    let idle = store
        .complete_switch(site("b"), before, &audit("complete"))
        .await;
    assert!(matches!(idle, Err(Error::Busy(_))), "{idle:?}");
    let idle = store
        .note_fence(site("b"), before, WHY, &audit("fence"))
        .await;
    assert!(matches!(idle, Err(Error::Busy(_))), "{idle:?}");
    let at = store
        .begin_switch(&switch("b-2", before), &audit("switch"))
        .await
        .unwrap()
        .assignment
        .generation;
    let early = store
        .complete_switch(site("b"), at, &audit("complete"))
        .await;
    assert!(matches!(early, Err(Error::Busy(_))), "{early:?}");
    for stale in [
        store
            .complete_switch(site("b"), before, &audit("complete"))
            .await,
        store
            .note_fence(site("b"), before, WHY, &audit("fence"))
            .await,
        store
            .abort_switch(site("b"), before, None, &audit("abort"))
            .await,
    ] {
        assert!(matches!(stale, Err(Error::Stale { .. })), "{stale:?}");
    }
    assert_eq!(assignment(store, "b").await.serving(), None);
}

async fn of_two_switches_one_begins(fresh: Fresh) {
    let store = &fresh.store;
    let three = site_record("b", &["b-1", "b-2", "b-3"]);
    store
        .register("r1", &[site_record("a", &["a"]), three])
        .await
        .unwrap();
    let before = assignment(store, "b").await.generation;
    let racers = (0..8_u128).map(|racer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let to = if racer % 2 == 0 { "b-2" } else { "b-3" };
            let mut wanted = switch(to, before);
            wanted.operation = uuid::Uuid::from_u128(racer + 1);
            store.begin_switch(&wanted, &audit("switch")).await
        })
    });
    let mut won = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Ok(begun) => won.push(begun),
            Err(error) => assert!(matches!(error, Error::Busy(_)), "{error}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(assignment(store, "b").await, won[0].assignment);
    let unknown = {
        let mut unknown = switch("b-9", won[0].assignment.generation);
        unknown.site = site("a");
        unknown.expected = assignment(store, "a").await.generation;
        store.begin_switch(&unknown, &audit("switch")).await
    };
    assert!(matches!(unknown, Err(Error::Unknown { .. })));
}

async fn the_same_operation_may_ask_again(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let wanted = switch("b-2", assignment(store, "b").await.generation);
    let first = store.begin_switch(&wanted, &audit("switch")).await.unwrap();
    let again = store.begin_switch(&wanted, &audit("switch")).await.unwrap();
    assert_eq!(again.assignment, first.assignment);
    assert!(again.seq >= first.seq);
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
}

async fn an_aborted_switch_goes_back_with_a_further_generation(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let wanted = switch("b-2", assignment(store, "b").await.generation);
    let begun = store
        .begin_switch(&wanted, &audit("switch"))
        .await
        .unwrap()
        .assignment;
    let back = store
        .abort_switch(site("b"), begun.generation, None, &audit("abort"))
        .await
        .unwrap();
    assert_eq!(back.serving(), Some("b-1"));
    assert!(back.generation > begun.generation);
    assert_eq!(back.switched_at, None, "nothing was switched");
    let late = store
        .note_fence(site("b"), begun.generation, WHY, &audit("fence"))
        .await;
    assert!(matches!(late, Err(Error::Stale { .. })));
}

async fn after_the_fence_only_a_proof_leads_back(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let wanted = switch("b-2", assignment(store, "b").await.generation);
    let at = store
        .begin_switch(&wanted, &audit("switch"))
        .await
        .unwrap()
        .assignment
        .generation;
    store
        .note_fence(site("b"), at, WHY, &audit("fence"))
        .await
        .unwrap();
    let refused = store
        .abort_switch(site("b"), at, None, &audit("abort"))
        .await;
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    let back = store
        .abort_switch(site("b"), at, Some(WHY), &audit("abort"))
        .await
        .unwrap();
    assert_eq!(back.serving(), Some("b-1"));
}

/// Who of the two gets the lease now.
async fn holders(store: &Handle) -> Vec<&'static str> {
    let mut holders = Vec::new();
    for installation in ["b-1", "b-2"] {
        match store.lease("site/b", installation, 60_000).await {
            Ok(Some(lease)) => {
                assert_eq!(lease.generation, assignment(store, "b").await.generation);
                holders.push(installation);
            }
            Ok(None) => panic!("a site's lease is given or refused with a reason"),
            Err(Error::NotAssigned { generation, .. }) => {
                assert_eq!(generation, assignment(store, "b").await.generation);
            }
            Err(error) => panic!("{error}"),
        }
    }
    holders
}

async fn the_right_to_serve_follows_the_assignment(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    assert_eq!(holders(store).await, ["b-1"]);
    let wanted = switch("b-2", assignment(store, "b").await.generation);
    let at = store
        .begin_switch(&wanted, &audit("switch"))
        .await
        .unwrap()
        .assignment
        .generation;
    assert!(holders(store).await.is_empty(), "nobody serves");
    store
        .note_fence(site("b"), at, WHY, &audit("fence"))
        .await
        .unwrap();
    assert_eq!(holders(store).await, ["b-2"]);
    store
        .complete_switch(site("b"), at, &audit("complete"))
        .await
        .unwrap();
    assert_eq!(holders(store).await, ["b-2"]);
    let nowhere = store.lease("site/zzz", "b-2", 60_000).await;
    assert!(matches!(nowhere, Err(Error::Unknown { .. })), "{nowhere:?}");
}

fn refused_by<T: std::fmt::Debug>(rule: Rule, result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert!(
        matches!(error, Error::Refused { rule: found, .. } if found == rule),
        "{error}"
    );
}

async fn a_freeze_stops_a_switch(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let before = assignment(store, "b").await;
    let mut wanted = switch("b-2", before.generation);
    wanted.limits.freeze = true;
    refused_by(
        Rule::Freeze,
        store.begin_switch(&wanted, &audit("switch")).await,
    );
    assert_eq!(assignment(store, "b").await, before);
    assert!(store.audit(None, 10).await.unwrap().is_empty());
}

async fn a_site_rests_after_a_switch(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let mut wanted = switch("b-2", assignment(store, "b").await.generation);
    wanted.limits.cool_down_ms = 3_600_000;
    let at = store
        .begin_switch(&wanted, &audit("switch"))
        .await
        .unwrap()
        .assignment
        .generation;
    store
        .note_fence(site("b"), at, WHY, &audit("fence"))
        .await
        .unwrap();
    store
        .complete_switch(site("b"), at, &audit("complete"))
        .await
        .unwrap();
    wanted.to = "b-1".into();
    wanted.expected = at;
    wanted.operation = uuid::Uuid::from_u128(8);
    refused_by(
        Rule::CoolDown,
        store.begin_switch(&wanted, &audit("switch")).await,
    );
    wanted.limits.cool_down_ms = 0;
    store.begin_switch(&wanted, &audit("switch")).await.unwrap();
}

async fn only_so_many_sites_switch_at_once(fresh: Fresh) {
    let store = &fresh.store;
    let sites: Vec<_> = ["b", "c", "d", "e"]
        .iter()
        .map(|name| site_record(name, &[&format!("{name}-1"), &format!("{name}-2")]))
        .collect();
    store.register("r1", &sites).await.unwrap();
    for (at, name) in ["b", "c", "d"].into_iter().enumerate() {
        let mut wanted = switch(
            &format!("{name}-2"),
            assignment(store, name).await.generation,
        );
        wanted.site = site(name);
        let begun = store.begin_switch(&wanted, &audit("switch")).await;
        if at < 2 {
            begun.unwrap();
        } else {
            refused_by(Rule::ShareAtOnce, begun);
        }
    }
}

async fn the_last_available_site_is_not_taken_away(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let drain = |name: &'static str| async move {
        store
            .set_site_state(
                site(name),
                SiteState::Draining,
                None,
                &[],
                &audit("site.draining"),
            )
            .await
    };
    drain("a").await.unwrap();
    refused_by(Rule::LastAvailable, drain("b").await);
    let wanted = switch("b-2", assignment(store, "b").await.generation);
    refused_by(
        Rule::LastAvailable,
        store.begin_switch(&wanted, &audit("switch")).await,
    );
    store
        .set_site_state(site("a"), SiteState::Ready, None, &[], &audit("site.ready"))
        .await
        .unwrap();
    store.begin_switch(&wanted, &audit("switch")).await.unwrap();
    refused_by(Rule::LastAvailable, drain("a").await);
}

fn seen(router: &str, name: &str, seen: &str) -> Observation {
    Observation {
        router: router.into(),
        process: String::new(),
        site: site(name),
        installation: format!("{name}-1"),
        seen: seen.into(),
        detail: String::new(),
        since: Timestamp(1),
        stopped_at: Some(homing_mapping_store::Generation(7)),
        running: 3,
    }
}

async fn a_site_that_is_down_takes_nothing_away(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let wanted = switch("b-2", assignment(store, "b").await.generation);
    // The other one is down for all that look: the last available site stays.
    for router in ["r1", "r2"] {
        let all = [seen(router, "a", "down"), seen(router, "b", "healthy")];
        store.observe(router, "", &all, 60_000).await.unwrap();
    }
    let told = store.observations().await.unwrap();
    assert_eq!(told.len(), 4);
    assert!(told.contains(&seen("r1", "a", "down")), "{told:?}");
    refused_by(
        Rule::LastAvailable,
        store.begin_switch(&wanted, &audit("switch")).await,
    );
    // Both are down: failing one over takes nothing away.
    for router in ["r1", "r2"] {
        let all = [seen(router, "a", "down"), seen(router, "b", "down")];
        store.observe(router, "", &all, 60_000).await.unwrap();
    }
    store.begin_switch(&wanted, &audit("switch")).await.unwrap();
    // What was said too long ago does not count.
    store
        .observe("r1", "", &[seen("r1", "a", "down")], 0)
        .await
        .unwrap();
    store.observe("r2", "", &[], 60_000).await.unwrap();
    assert!(store.observations().await.unwrap().is_empty());
}

async fn an_override_names_rule_and_person(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let mut wanted = switch("b-2", assignment(store, "b").await.generation);
    wanted.limits.freeze = true;
    let word = |rule| Override {
        rule,
        person: "uid:1000".into(),
        reason: "the place burns".into(),
    };
    wanted.overrides = vec![word(Rule::CoolDown)];
    refused_by(
        Rule::Freeze,
        store.begin_switch(&wanted, &audit("switch")).await,
    );
    wanted.overrides.push(word(Rule::Freeze));
    store.begin_switch(&wanted, &audit("switch")).await.unwrap();
    let trail = store.audit(None, 10).await.unwrap();
    let (rule, change) = (&trail[0].entry, &trail[1].entry);
    assert_eq!(
        (
            rule.action.as_str(),
            rule.actor.as_str(),
            rule.subject.as_str()
        ),
        ("safety.override", "uid:1000", "b")
    );
    assert!(rule.detail.contains("\"freeze\""), "{}", rule.detail);
    assert_eq!(change.action, "switch");
    assert_eq!(trail.len(), 2, "what stood against nothing is not noted");
}

async fn a_switching_site_stays_in_the_registry(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let wanted = switch("b-2", assignment(store, "b").await.generation);
    store.begin_switch(&wanted, &audit("switch")).await.unwrap();
    let refused = store.unregister(site("b"), &audit("site.unregister")).await;
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
}
