//! What resolving a known key costs, in time and in allocations, over a table of a million.
//!
//! Panics if resolving a known key allocates: that is a promise, not a measurement.

use criterion::{Criterion, criterion_group, criterion_main};
use homing_benches::keys::{Key, Keys, SITES, row, site_name};
use homing_benches::wired;
use homing_mapping_store::{Kind, RoutingKey};
use homing_proxy::app::Router;
use homing_proxy::classify::{Class, Keyed, Unknown};
use homing_proxy::resolve::Route;
use homing_proxy::resolve::route::Asking;
use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

const KEYS: usize = 1_000_000;
/// Keys asked for, all over the table: more than the processor's caches hold.
const ASKED: usize = 100_000;

fn class(key: &Key) -> Class {
    Class::Keyed(Keyed {
        key: RoutingKey::new(Kind::PROCESS_INSTANCE, &key.id.to_string()),
        unknown: Unknown::Locate,
    })
}

/// Resolves as the pipeline does; a known key needs no waiting.
fn resolved(router: &Router, class: &Class) -> Option<usize> {
    let topology = router.pipeline.topology.load();
    let group = topology.groups.first()?;
    let asking = Asking::default();
    let resolving = router
        .pipeline
        .resolver
        .resolve(&topology, group, class, &asking);
    match pin!(resolving).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Route::One(target))) => Some(target.site.id.index()),
        Poll::Ready(_) | Poll::Pending => None,
    }
}

fn known_key(c: &mut Criterion) {
    let router = wired::router(SITES).expect("a router can be wired in a temporary folder");
    for key in Keys::begin().take(KEYS) {
        router.pipeline.resolver.known.table.insert_once(&row(&key));
    }
    let mut asked: Vec<(Class, usize)> = Keys::begin()
        .take(KEYS)
        .step_by(KEYS / ASKED)
        .map(|key| {
            (
                class(&key),
                homing_mapping_store::SiteId::named(&site_name(key.site)).index(),
            )
        })
        .collect();
    fastrand::Rng::with_seed(7).shuffle(&mut asked);
    for (class, home) in asked.iter().take(1_000) {
        assert_eq!(resolved(&router, class), Some(*home), "{class:?}");
    }
    let allocated = allocation_counter::measure(|| {
        for (class, _) in asked.iter().take(1_000) {
            black_box(resolved(&router, class));
        }
    });
    assert_eq!(allocated.count_total, 0, "resolving a known key allocates");
    let mut next = asked.iter().map(|(class, _)| class).cycle();
    c.bench_function("resolve a known key of a million", |b| {
        b.iter(|| black_box(next.next().and_then(|class| resolved(&router, class))));
    });
    // The same one again and again: the work without the waiting for memory.
    let warm = asked.first().map(|(class, _)| class);
    c.bench_function("resolve one key of a million", |b| {
        b.iter(|| black_box(warm.and_then(|class| resolved(&router, class))));
    });
}

/// What this machine asks for one look into one map of the same keys, in the same order: most of the above is waiting
/// for memory, and how long that takes differs by machine and by what else it does.
fn bare_look_up(c: &mut Criterion) {
    let map: HashMap<[u8; 16], u32> = Keys::begin()
        .take(KEYS)
        .zip(0..)
        .map(|(key, number)| (key.id.into_bytes(), number))
        .collect();
    let mut asked: Vec<[u8; 16]> = Keys::begin()
        .take(KEYS)
        .step_by(KEYS / ASKED)
        .map(|key| key.id.into_bytes())
        .collect();
    fastrand::Rng::with_seed(7).shuffle(&mut asked);
    let mut next = asked.iter().cycle();
    c.bench_function("bare look-up in one map of a million", |b| {
        b.iter(|| black_box(next.next().and_then(|key| map.get(key))));
    });
}

criterion_group!(benches, known_key, bare_look_up);
criterion_main!(benches);
