//! Every change that the store offers, as something to crash in.
//!
//! Owns the list. Must not judge what became of a change.

use crate::agent::{AgentReport, AgentRole, NewOrder, OrderKind};
use crate::assignment::{InstallationRecord, SiteRecord, SiteState};
use crate::audit::AuditEntry;
use crate::drill::NewDrill;
use crate::mapping::{Generation, Source, State, Timestamp};
use crate::operation::NewOperation;
use crate::store::{
    Error, Handle, MappingChange, NewMapping, OpenIntent, RouterRecord, Seq, Shipment, StateChange,
};
use crate::switch::{Limits, Switch};
use crate::{Kind, RoutingKey, SiteId};
use futures_util::future::BoxFuture;
use uuid::Uuid;

type Run = dyn for<'s> Fn(&'s Handle) -> BoxFuture<'s, Result<(), Error>>;

/// A change that is tried.
pub(super) struct Change {
    pub(super) name: &'static str,
    /// Said again after a lost answer, it changes nothing.
    pub(super) repeatable: bool,
    pub(super) run: Box<Run>,
}

fn change<F>(name: &'static str, run: F) -> Change
where
    F: for<'s> Fn(&'s Handle) -> BoxFuture<'s, Result<(), Error>> + 'static,
{
    Change {
        name,
        repeatable: true,
        run: Box::new(run),
    }
}

fn site(name: &str) -> SiteId {
    SiteId::named(name)
}

fn key(number: u128) -> RoutingKey {
    RoutingKey::new(Kind::PROCESS_INSTANCE, &Uuid::from_u128(number).to_string())
}

fn audit() -> AuditEntry {
    AuditEntry {
        actor: "uid:0".into(),
        action: "test".into(),
        subject: "it".into(),
        reason: Some("a test".into()),
        detail: "{}".into(),
        request_id: None,
        at: Timestamp(2_000),
    }
}

fn record(name: &str) -> SiteRecord {
    let installation = |name: &str| InstallationRecord {
        name: name.to_owned(),
        zone: None,
        endpoints: vec![format!("http://{name}:8080/engine-rest")],
    };
    SiteRecord {
        site: site(name),
        dialect: "engine-rest".into(),
        installations: vec![
            installation(&format!("{name}-1")),
            installation(&format!("{name}-2")),
        ],
        identity: None,
        state: SiteState::Ready,
        generation: Generation(0),
        revision: 0,
        reason: None,
        updated_at: Timestamp(0),
        quarantined: Vec::new(),
    }
}

fn shipment(round: u128) -> Shipment {
    let mapping = |number| NewMapping {
        key: key(number),
        home: site("a"),
        state: State::Homed,
        source: Source::Started,
        at: Timestamp(1_000),
    };
    Shipment {
        router: "r1".into(),
        mappings: (0..3).map(|n| mapping(round * 100 + n)).collect(),
        intents_opened: vec![OpenIntent {
            id: Uuid::from_u128(round),
            router: "r1".into(),
            site: site("a"),
            what: "{}".into(),
            at: Timestamp(1_000),
        }],
        intents_closed: vec![Uuid::from_u128(round.saturating_sub(1))],
    }
}

fn router(round: u128) -> RouterRecord {
    RouterRecord {
        name: format!("r{round}"),
        registry_acknowledged: 1,
        applied: Seq(1),
        address: "127.0.0.1:1".into(),
        version: "1".into(),
        config_hash: "x".into(),
        seen_at: Timestamp(0),
        live: true,
        lease_ms: 0,
        facts: "{}".into(),
        ..RouterRecord::default()
    }
}

fn order(round: u128, name: &str, at: Generation) -> NewOrder {
    NewOrder {
        id: Uuid::from_u128(round),
        site: site(name),
        installation: format!("{name}-2"),
        generation: at,
        what: OrderKind::Start,
    }
}

fn report(name: &str, at: Generation) -> AgentReport {
    AgentReport {
        site: site(name),
        installation: format!("{name}-1"),
        holder: "agent".into(),
        generation: at,
        role: AgentRole::Open,
        facts: "{}".into(),
    }
}

fn operation(round: u128, name: &str, at: Generation) -> NewOperation {
    NewOperation {
        id: Uuid::from_u128(round),
        plan: format!("plan-{round}"),
        verb: "failover".into(),
        subject: name.into(),
        sites: vec![(site(name), at)],
        state: "running".into(),
        body: "{}".into(),
    }
}

fn switch(round: u128, name: &str, at: Generation) -> Switch {
    Switch {
        site: site(name),
        to: format!("{name}-2"),
        expected: at,
        operation: Uuid::from_u128(round),
        limits: Limits {
            freeze: false,
            cool_down_ms: 0,
            share_at_once: 1.0,
        },
        overrides: Vec::new(),
    }
}

/// Every change, in an order in which each has what it needs. Each round ends with another incarnation.
pub(super) fn changes(round: u128) -> Vec<Change> {
    let parts = [content(round), control(round), leaving(round)];
    parts.into_iter().flatten().collect()
}

fn named(round: u128) -> String {
    format!("site-{round}")
}

/// Mappings, pins and sites.
#[expect(clippy::too_many_lines, reason = "a list, one entry after the other")]
fn content(round: u128) -> Vec<Change> {
    let first = Generation::first(u16::from(round > 1));
    let moved = key(round * 100);
    let pinned = moved.clone();
    let ended = key(round * 100 + 1);
    let (lost, found) = ([moved.clone()], [moved.clone()]);
    vec![
        change("ship", move |store| {
            Box::pin(async move { store.ship(&shipment(round)).await.map(drop) })
        }),
        change("register", move |store| {
            let records = [record("a"), record("b"), record(&named(round))];
            Box::pin(async move { store.register("r1", &records).await.map(drop) })
        }),
        change("change a mapping", move |store| {
            let change = MappingChange {
                key: moved.clone(),
                expected: Some(first),
                to: Some((site("b"), State::Homed)),
                source: Source::Operator,
                audit: audit(),
            };
            Box::pin(async move { store.change(&change).await.map(drop) })
        }),
        change("end what has ended", move |store| {
            let change = StateChange {
                site: site("a"),
                from: State::Homed,
                to: Some(State::Ended),
                rows: vec![(ended.clone(), first)],
                actor: "router:r1".into(),
                reason: "a test".into(),
                at: Timestamp(2_000),
            };
            Box::pin(async move { store.change_states(&change).await.map(drop) })
        }),
        change("mark what is lost", move |store| {
            let keys = lost.clone();
            let operation = uuid::Uuid::from_u128(round);
            Box::pin(async move {
                let audit = audit();
                let marked = store.mark_lost(site("b"), operation, &keys, &audit);
                marked.await.map(drop)
            })
        }),
        change("find again what was lost", move |store| {
            let keys = found.clone();
            Box::pin(async move { store.found_again(&keys, &audit()).await.map(drop) })
        }),
        change("pin", move |store| {
            let key = pinned.clone();
            Box::pin(async move {
                store
                    .pin(&key, Some(site("a")), None, &audit())
                    .await
                    .map(drop)
            })
        }),
        change("identify a site", move |store| {
            let site = site(&named(round));
            Box::pin(async move { store.set_identity(site, None, "one", &audit()).await })
        }),
        change("drain a site", move |store| {
            let site = site(&named(round));
            Box::pin(async move {
                let state = SiteState::Draining;
                store
                    .set_site_state(site, state, Some(first), &[], &audit())
                    .await
                    .map(drop)
            })
        }),
    ]
}

/// What re-homing writes.
fn control(round: u128) -> Vec<Change> {
    let first = Generation::first(u16::from(round > 1));
    vec![
        change("give an order", move |store| {
            let order = order(round, &named(round), first);
            Box::pin(async move { store.order(&order, &audit()).await.map(drop) })
        }),
        change("report as an agent", move |store| {
            let report = report(&named(round), first);
            Box::pin(async move { store.report(&report, 60_000).await.map(drop) })
        }),
        change("begin an operation", move |store| {
            let operation = operation(round, &named(round), first);
            Box::pin(async move { store.begin_operation(&operation, &audit()).await.map(drop) })
        }),
        change("begin a switch", move |store| {
            let switch = switch(round, &named(round), first);
            Box::pin(async move { store.begin_switch(&switch, &audit()).await.map(drop) })
        }),
        change("note a fence", move |store| {
            let (site, at) = (site(&named(round)), Generation(first.0 + 1));
            Box::pin(async move {
                store
                    .note_fence(site, at, "proof", &audit())
                    .await
                    .map(drop)
            })
        }),
        change("complete a switch", move |store| {
            let (site, at) = (site(&named(round)), Generation(first.0 + 1));
            Box::pin(async move { store.complete_switch(site, at, &audit()).await.map(drop) })
        }),
        change("release an installation", move |store| {
            let (site, at) = (site(&named(round)), Generation(first.0 + 1));
            let left = format!("{}-1", named(round));
            Box::pin(async move {
                store
                    .release_quarantine(site, &left, Some(at), &audit())
                    .await
                    .map(drop)
            })
        }),
    ]
}

/// What goes, and what belongs to no site.
fn leaving(round: u128) -> Vec<Change> {
    vec![
        change("unregister", move |store| {
            let site = site(&named(round));
            Box::pin(async move { store.unregister(site, &audit()).await })
        }),
        change("begin a drill", move |store| {
            let drill = NewDrill {
                id: Uuid::from_u128(round),
                mode: "switch".into(),
                subject: named(round),
                sites: vec![site(&named(round))],
                state: "running".into(),
                body: "{}".into(),
            };
            Box::pin(async move { store.begin_drill(&drill, &audit()).await.map(drop) })
        }),
        change("learn a suffix", move |store| {
            let suffix = format!("suffix-{round}");
            Box::pin(async move { store.learn_suffix(&suffix, site("a")).await })
        }),
        change("heartbeat", move |store| {
            Box::pin(async move { store.heartbeat(&router(round), 1_000).await })
        }),
        change("lease", move |store| {
            let name = format!("lease-{round}");
            Box::pin(async move { store.lease(&name, "r1", 60_000).await.map(drop) })
        }),
        change("release", move |store| {
            let name = format!("lease-{round}");
            Box::pin(async move { store.release(&name, "r1").await })
        }),
        change("forget a router", move |store| {
            Box::pin(async move { store.forget_router(&router(round), &audit()).await })
        }),
        Change {
            repeatable: false,
            ..change("append to the trail", move |store| {
                Box::pin(async move { store.audit_append(&audit()).await.map(drop) })
            })
        },
        Change {
            repeatable: false,
            ..change("begin an incarnation", move |store| {
                Box::pin(async move { store.begin_incarnation(0, &audit()).await.map(drop) })
            })
        },
    ]
}
