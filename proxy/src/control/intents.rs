//! Starts whose outcome is unknown: what did the site make?
//!
//! Owns the resolution of open intents, after the engine's transaction can no longer be running. Never resends a start.
//! Relies on the dialect for the query, and on the table to tell what is known already.

use crate::clock;
use crate::dialect::{Durability, Fact, Window};
use crate::forward::ask;
use crate::forward::send::Times;
use crate::learn::Learner;
use crate::resolve::{RouteSource, Target};
use crate::telemetry::metrics::metrics;
use crate::topology::Topology;
use arc_swap::ArcSwap;
use homing_mapping_store::store::OpenIntent;
use homing_mapping_store::{Generation, Source};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// When and how open intents are looked at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest that an engine's transaction may run: only afterwards is "not there" an answer.
    pub transaction_bound: Duration,
    /// Between two looks.
    pub every: Duration,
    /// Times of the queries.
    pub times: Times,
    /// For the queries.
    pub via: HeaderValue,
}

/// Clocks of router and engine may differ by this much; whatever a window finds is only learned, never guessed about.
const CLOCK_SLACK_MS: i64 = 60_000;
/// An intent that cannot be resolved by query (a dialect without one) is given up after this long.
const GIVE_UP_MS: i64 = 24 * 3600 * 1000;

/// Resolves open intents until the task is dropped.
pub async fn run(topology: Arc<ArcSwap<Topology>>, learner: Arc<Learner>, settings: Settings) {
    loop {
        tokio::time::sleep(settings.every).await;
        let open = learner.journal().open_intents();
        metrics()
            .open_intents
            .set(i64::try_from(open.len()).unwrap_or(i64::MAX));
        let bound = i64::try_from(settings.transaction_bound.as_millis()).unwrap_or(i64::MAX);
        let now = clock::wall().0;
        for intent in open.into_iter().filter(|intent| intent.at.0 + bound <= now) {
            resolve(&topology.load_full(), &learner, &settings, &intent, bound).await;
        }
    }
}

async fn resolve(
    topology: &Topology,
    learner: &Learner,
    settings: &Settings,
    intent: &OpenIntent,
    bound: i64,
) {
    let Some(site) = topology.site(intent.site) else {
        return;
    };
    let Ok(what) = serde_json::from_str(&intent.what) else {
        return;
    };
    let window = Window {
        from_ms: intent.at.0 - CLOCK_SLACK_MS,
        to_ms: intent.at.0 + bound + CLOCK_SLACK_MS,
    };
    let Some(query) = site.dialect.resolve_intent(&what, window) else {
        if clock::wall().0 - intent.at.0 > GIVE_UP_MS {
            learner.not_made(intent.id, "cannot be found out with this dialect");
        }
        return;
    };
    let Ok(target) = Target::of(site, RouteSource::Located, Generation::default()) else {
        return;
    };
    let Ok((status, body)) = ask::ask(&target, &query, &settings.via, settings.times).await else {
        return;
    };
    let Some(keys) = site.dialect.read_resolved(&what, status, &body) else {
        return;
    };
    // Acknowledged starts have rows; what is left over in the window is what unknown outcomes made.
    let news = keys.into_iter().filter(|key| learner.is_news(key));
    let facts: Vec<Fact> = news
        .map(|key| Fact {
            key,
            durability: Durability::Row,
        })
        .collect();
    learner.passing(&facts, site.id, Source::Reconciled);
    learner.not_made(
        intent.id,
        if facts.is_empty() {
            "resolved: nothing was made"
        } else {
            "resolved: found at the site"
        },
    );
    tracing::info!(intent = %intent.id, site = %site.id, found = facts.len(), "an unknown outcome is resolved");
}
