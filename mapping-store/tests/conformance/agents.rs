//! Agents are believed for what they said last, never for less than they have seen; orders die with their generation.

use crate::on_both;
use crate::support::{Fresh, assignment, audit, site, switch, two_sites};
use homing_mapping_store::agent::{
    AgentReport, AgentRole, NewOrder, OrderKind, OrderState, Reporting,
};
use homing_mapping_store::store::{Changed, Error};
use homing_mapping_store::{FACTS_BYTES_MAX, Generation};
use uuid::Uuid;

on_both!(
    an_agent_is_known_by_its_last_report,
    an_agent_never_goes_back_to_a_lower_generation,
    a_report_that_another_has_overtaken_changes_nothing,
    news_of_an_agent_wakes_whoever_follows,
    a_forgotten_agent_is_gone,
    an_order_goes_its_way_once,
    an_order_dies_with_its_generation,
);

fn report(installation: &str, generation: u64, role: AgentRole) -> AgentReport {
    AgentReport {
        site: site("b"),
        installation: installation.into(),
        holder: format!("{installation}-node"),
        generation: Generation(generation),
        role,
        facts: r#"{"mode":"relay"}"#.into(),
    }
}

async fn an_agent_is_known_by_its_last_report(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let open = report("b-1", 1, AgentRole::Open);
    for counter in 1..=3 {
        assert_eq!(store.report(&open, 60_000).await.unwrap().counter, counter);
    }
    let fenced = report("b-2", 1, AgentRole::Fenced);
    store.report(&fenced, 0).await.unwrap();
    let agents = store.agents().await.unwrap();
    assert_eq!(agents.len(), 2);
    assert_eq!((&agents[0].report, agents[0].live), (&open, true));
    assert_eq!(agents[0].lease_ms, 60_000);
    assert_eq!((&agents[1].report, agents[1].live), (&fenced, false));
    let mut stranger = open.clone();
    stranger.site = site("nowhere-known");
    let unknown = store.report(&stranger, 60_000).await;
    assert!(matches!(unknown, Err(Error::Unknown { .. })));
    let mut talker = open;
    talker.facts = "x".repeat(FACTS_BYTES_MAX + 1);
    let refused = store.report(&talker, 60_000).await;
    assert!(matches!(refused, Err(Error::Limit(..))));
}

async fn an_agent_never_goes_back_to_a_lower_generation(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let high = report("b-1", 5, AgentRole::Fenced);
    store.report(&high, 60_000).await.unwrap();
    for role in [AgentRole::Open, AgentRole::Fenced] {
        let lower = store.report(&report("b-1", 4, role), 60_000).await;
        assert!(
            matches!(
                lower,
                Err(Error::Stale {
                    found: Some(Generation(5)),
                    ..
                })
            ),
            "{lower:?}"
        );
    }
    assert_eq!(store.agents().await.unwrap()[0].report, high);
}

async fn a_report_that_another_has_overtaken_changes_nothing(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let said = |generation, role| report("b-1", generation, role);
    let first = said(1, AgentRole::Open);
    let take = async |report: &AgentReport, after| {
        let after = Some(after);
        store
            .take(Reporting {
                report,
                lease_ms: 0,
                after,
            })
            .await
    };
    let counter = take(&first, 0).await.unwrap().counter;
    let fenced = said(1, AgentRole::Fenced);
    take(&fenced, counter).await.unwrap();
    for late in [
        said(1, AgentRole::Fenced),
        said(1, AgentRole::Open),
        said(2, AgentRole::Open),
    ] {
        for after in [0, counter] {
            let refused = take(&late, after).await;
            assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
        }
    }
    assert_eq!(store.agents().await.unwrap()[0].report, fenced);
}

async fn news_of_an_agent_wakes_whoever_follows(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    store
        .report(&report("b-1", 1, AgentRole::Open), 60_000)
        .await
        .unwrap();
    let head = store.head().await.unwrap();
    store
        .report(&report("b-1", 1, AgentRole::Open), 60_000)
        .await
        .unwrap();
    assert_eq!(store.head().await.unwrap(), head, "nothing new");
    store
        .report(&report("b-1", 2, AgentRole::Fenced), 60_000)
        .await
        .unwrap();
    let changes = store.changes(head, 10).await.unwrap().items;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].1, Changed::Assignment { site: site("b") });
}

async fn a_forgotten_agent_is_gone(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    store
        .report(&report("b-1", 1, AgentRole::Open), 60_000)
        .await
        .unwrap();
    let forget = || store.forget_agent(site("b"), "b-1", "b-1-node", &GONE);
    static GONE: std::sync::LazyLock<homing_mapping_store::audit::AuditEntry> =
        std::sync::LazyLock::new(|| audit("agent.forget"));
    forget().await.unwrap();
    assert!(store.agents().await.unwrap().is_empty());
    assert!(matches!(forget().await, Err(Error::Unknown { .. })));
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
}

fn order(number: u128, generation: Generation, what: OrderKind) -> NewOrder {
    NewOrder {
        id: Uuid::from_u128(number),
        site: site("b"),
        installation: "b-2".into(),
        generation,
        what,
    }
}

async fn an_order_goes_its_way_once(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let at = assignment(store, "b").await.generation;
    let wanted = order(1, at, OrderKind::Start);
    let asked = store.order(&wanted, &audit("order")).await.unwrap();
    assert_eq!(asked.state, OrderState::Asked);
    assert_eq!(store.order(&wanted, &audit("order")).await.unwrap(), asked);
    let other = order(1, at, OrderKind::Stop);
    assert!(matches!(
        store.order(&other, &audit("order")).await,
        Err(Error::Busy(_))
    ));
    let progress = |expected, to| store.order_progress(wanted.id, expected, to, "word");
    let running = progress(OrderState::Asked, OrderState::Running)
        .await
        .unwrap();
    assert_eq!(
        (running.state, running.detail.as_str()),
        (OrderState::Running, "word")
    );
    let twice = progress(OrderState::Asked, OrderState::Running).await;
    assert!(matches!(twice, Err(Error::Busy(_))), "one of two agents");
    progress(OrderState::Running, OrderState::Done)
        .await
        .unwrap();
    let again = progress(OrderState::Done, OrderState::Running).await;
    assert!(matches!(again, Err(Error::Busy(_))));
    let held = store.orders(site("b")).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!((&held[0].order, held[0].state), (&wanted, OrderState::Done));
    assert!(store.orders(site("a")).await.unwrap().is_empty());
}

async fn an_order_dies_with_its_generation(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let before = assignment(store, "b").await.generation;
    store
        .order(&order(1, before, OrderKind::Promote), &audit("order"))
        .await
        .unwrap();
    store
        .begin_switch(&switch("b-2", before), &audit("switch"))
        .await
        .unwrap();
    let late = store
        .order_progress(
            Uuid::from_u128(1),
            OrderState::Asked,
            OrderState::Running,
            "",
        )
        .await;
    assert!(matches!(late, Err(Error::Stale { .. })), "{late:?}");
    let old = store
        .order(&order(2, before, OrderKind::Promote), &audit("order"))
        .await;
    assert!(matches!(old, Err(Error::Stale { .. })), "{old:?}");
}
