//! Metrics: every name and label that the router exposes.
//!
//! Owns the registry. Must not carry an id as a label: labels are closed sets and site names.

use crate::resolve::RouteSource;
use homing_mapping_store::SiteId;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::time::Duration;

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    /// The router's own share of a request's time.
    pub router_seconds: Histogram,
    pub upstream_connections: IntGaugeVec,
    pub site_available: IntGaugeVec,
    pub site_state: IntGaugeVec,
    pub deployments_missing: IntGaugeVec,
    pub shared_missing: IntGaugeVec,
    pub mappings: IntGaugeVec,
    pub mapping_writes: IntCounterVec,
    pub store_seconds: HistogramVec,
    pub store_up: IntGauge,
    pub feed_lag_seconds: Gauge,
    pub locate: IntCounterVec,
    /// Reads that were tried at a standby.
    pub standby_reads: IntCounterVec,
    /// Answers that showed that a key lives elsewhere than the table says. Must stay 0.
    pub wrong_home: IntCounter,
    pub mapping_conflicts: IntCounter,
    pub limit_hits: IntCounterVec,
    pub config_reload_success: IntGauge,
    pub open_intents: IntGauge,
    pub attestations: IntCounterVec,
    pub generation: IntGaugeVec,
    /// Steps of re-homing that have ended, counted by the router that took the last one.
    pub operations: IntCounterVec,
    /// How long this router may go on without the store.
    pub lease_remaining_seconds: Gauge,
    pub failover_advised: IntGaugeVec,
    /// Drills that have ended, counted by the router that ended them.
    pub drills: IntCounterVec,
    /// What the last comparison of a site with the table has found.
    pub reconcile_drift: IntGaugeVec,
    pub reconcile_repaired: IntCounterVec,
    /// Rows that were added for what began at a site.
    pub reconcile_begun: IntCounterVec,
    pub reconcile_begun_conflicts: IntCounterVec,
    /// For how long the router that follows a site has not known all that is new there.
    pub reconcile_lag: IntGaugeVec,
    /// Rows that say now that their thing has ended.
    pub reconcile_ended: IntCounterVec,
    pub reconcile_last_success: IntGaugeVec,
    /// Instances that a place made which does not serve. Must stay 0.
    pub fence_broken: IntGaugeVec,
}

/// Seconds; from a tenth of a millisecond to a long poll.
const REQUEST_BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// The metrics of this process.
pub fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::new)
}

/// Takes the time of the store's transactions from now on.
pub fn time_the_store() {
    homing_mapping_store::timing::observe_with(|doing, took| {
        let seconds = &metrics().store_seconds;
        seconds
            .with_label_values(&[doing])
            .observe(took.as_secs_f64());
    });
}

/// Counts that a named limit was reached.
pub fn limit_hit(limit: &'static str) {
    metrics().limit_hits.with_label_values(&[limit]).inc();
}

impl Metrics {
    #[expect(
        clippy::too_many_lines,
        reason = "a list of names with their help, nothing else"
    )]
    fn new() -> Metrics {
        let registry = Registry::new_custom(Some("homing".into()), None).unwrap_or_default();
        let made = Metrics {
            requests: counters(
                "requests_total",
                "Requests by site, class, route source and status code",
                &["site", "class", "source", "code"],
            ),
            request_seconds: histograms(
                "request_seconds",
                "Whole time of a request until its answer's head",
                &["site", "class"],
            ),
            router_seconds: one(Histogram::with_opts(
                HistogramOpts::new("router_seconds", "The router's own share of a request")
                    .buckets(REQUEST_BUCKETS.to_vec()),
            )),
            upstream_connections: gauges(
                "upstream_connections",
                "Requests towards a site by state (running, waiting)",
                &["site", "state"],
            ),
            site_available: gauges("site_available", "1 if the site takes new work", &["site"]),
            site_state: gauges(
                "site_state",
                "1 for the state that the site is in, on either axis",
                &["site", "state"],
            ),
            mappings: gauges("mappings", "Mappings in memory by kind", &["kind"]),
            mapping_writes: counters(
                "mapping_writes_total",
                "Mappings written to the store by result",
                &["result"],
            ),
            store_seconds: histograms(
                "store_seconds",
                "Time of the store's transactions, with the wait for a connection",
                &["op"],
            ),
            store_up: one(IntGauge::new(
                "store_up",
                "1 if the store answered last time",
            )),
            feed_lag_seconds: one(Gauge::new(
                "feed_lag_seconds",
                "How far the table is behind the store",
            )),
            locate: counters(
                "locate_total",
                "Searches for the home of an unknown key by result",
                &["result"],
            ),
            standby_reads: counters(
                "standby_reads_total",
                "Reads that were tried at a standby: answered, stale (who serves is down), or passed on to who serves",
                &["result"],
            ),
            wrong_home: one(IntCounter::new(
                "wrong_home_total",
                "Requests that a site answered though the key lives elsewhere",
            )),
            mapping_conflicts: one(IntCounter::new(
                "mapping_conflicts_total",
                "Keys that two sites claim",
            )),
            limit_hits: counters(
                "limit_hits_total",
                "Times that a named limit was reached",
                &["limit"],
            ),
            config_reload_success: one(IntGauge::new(
                "config_reload_success",
                "1 if the last configuration was taken",
            )),
            attestations: counters(
                "attestations_total",
                "Times that this router asked the others to go on without the store, for each site",
                &["result"],
            ),
            open_intents: one(IntGauge::new(
                "open_intents",
                "Starts whose outcome is not known yet",
            )),
            generation: gauges(
                "generation",
                "Generation of the site's assignment",
                &["site"],
            ),
            operations: counters(
                "operations_total",
                "Operations that have ended, counted by the router that took the last step",
                &["verb", "result"],
            ),
            lease_remaining_seconds: one(Gauge::new(
                "lease_remaining_seconds",
                "How long this router may go on without the store",
            )),
            deployments_missing: gauges(
                "deployments_missing",
                "Recorded deployments and removals that the site does not have behind it",
                &["site"],
            ),
            shared_missing: gauges(
                "shared_missing",
                "Recorded writes of users, groups, tenants, filters and authorizations that the site does not have behind it",
                &["site"],
            ),
            failover_advised: gauges(
                "failover_advised",
                "1 if the site is down and may be failed over without a person's word",
                &["site"],
            ),
            drills: counters(
                "drills_total",
                "Drills that have ended, counted by the router that ended them",
                &["mode", "result"],
            ),
            reconcile_drift: gauges(
                "reconcile_drift",
                "Findings of the last comparison of the site with the table: conflict, orphan, ghost, unproven",
                &["site", "finding"],
            ),
            reconcile_repaired: counters(
                "reconcile_repaired_total",
                "Missing rows that this router added because exactly one site has the thing",
                &["site"],
            ),
            reconcile_begun: counters(
                "reconcile_begun_total",
                "Rows that this router added because their site says that the thing has begun there",
                &["site"],
            ),
            reconcile_begun_conflicts: counters(
                "reconcile_begun_conflicts_total",
                "Things that began at the site and live elsewhere by the table",
                &["site"],
            ),
            reconcile_lag: gauges(
                "reconcile_lag_seconds",
                "For how long not all is known that has begun, or ended, at the site; told by the router that asks",
                &["site", "events"],
            ),
            reconcile_ended: counters(
                "reconcile_ended_total",
                "Rows that this router marked as ended because their site says that the thing has ended",
                &["site"],
            ),
            reconcile_last_success: gauges(
                "reconcile_last_success_timestamp_seconds",
                "When the site was last compared with the table to the end",
                &["site"],
            ),
            fence_broken: gauges(
                "fence_broken",
                "Instances made by a place of the site that does not serve, in the last comparison",
                &["site"],
            ),
            registry,
        };
        let build = gauges("build_info", "Constant 1 with the version", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        made.config_reload_success.set(1);
        let all: Vec<Box<dyn prometheus::core::Collector>> = vec![
            Box::new(made.requests.clone()),
            Box::new(made.request_seconds.clone()),
            Box::new(made.router_seconds.clone()),
            Box::new(made.upstream_connections.clone()),
            Box::new(made.site_available.clone()),
            Box::new(made.site_state.clone()),
            Box::new(made.deployments_missing.clone()),
            Box::new(made.shared_missing.clone()),
            Box::new(made.mappings.clone()),
            Box::new(made.mapping_writes.clone()),
            Box::new(made.store_seconds.clone()),
            Box::new(made.store_up.clone()),
            Box::new(made.feed_lag_seconds.clone()),
            Box::new(made.locate.clone()),
            Box::new(made.standby_reads.clone()),
            Box::new(made.wrong_home.clone()),
            Box::new(made.mapping_conflicts.clone()),
            Box::new(made.limit_hits.clone()),
            Box::new(made.config_reload_success.clone()),
            Box::new(made.open_intents.clone()),
            Box::new(made.attestations.clone()),
            Box::new(made.generation.clone()),
            Box::new(made.operations.clone()),
            Box::new(made.lease_remaining_seconds.clone()),
            Box::new(made.failover_advised.clone()),
            Box::new(made.drills.clone()),
            Box::new(made.reconcile_drift.clone()),
            Box::new(made.reconcile_repaired.clone()),
            Box::new(made.reconcile_begun.clone()),
            Box::new(made.reconcile_begun_conflicts.clone()),
            Box::new(made.reconcile_lag.clone()),
            Box::new(made.reconcile_ended.clone()),
            Box::new(made.reconcile_last_success.clone()),
            Box::new(made.fence_broken.clone()),
            Box::new(build),
        ];
        for collector in all {
            one(made.registry.register(collector));
        }
        made
    }

    /// Counts one finished request.
    pub fn request(&self, done: Done) {
        HANDLES.with_borrow_mut(|known| {
            let (counter, seconds) = known
                .entry((done.site, done.class, done.source, done.code))
                .or_insert_with(|| {
                    let site = done.site.map_or("", SiteId::name);
                    let source = done.source.map_or("", RouteSource::as_str);
                    let code = done.code.to_string();
                    let labels = [site, done.class, source, &code];
                    (
                        self.requests.with_label_values(&labels),
                        self.request_seconds.with_label_values(&labels[..2]),
                    )
                });
            counter.inc();
            seconds.observe(done.took.as_secs_f64());
        });
    }

    /// Starts that this router has answered, by site, and how many failed.
    pub fn starts(&self) -> (BTreeMap<String, u64>, u64) {
        let (mut answered, mut failed) = (BTreeMap::new(), 0);
        for family in prometheus::core::Collector::collect(&self.requests) {
            for metric in family.get_metric() {
                let labels = metric.get_label();
                let label = |name: &str| {
                    let found = labels.iter().find(|label| label.name() == name);
                    found.map_or("", |label| label.value())
                };
                if label("class") != "create" {
                    continue;
                }
                let count = metric.get_counter().get_value() as u64;
                match label("code").parse::<u16>() {
                    Ok(500..) => failed += count,
                    Ok(..400) => *answered.entry(label("site").to_owned()).or_default() += count,
                    Ok(400..500) | Err(_) => {}
                }
            }
        }
        (answered, failed)
    }

    /// Drops what is told of sites that this router does not front any more. Counts of what has happened stay: they are a
    /// past that does not change.
    pub fn keep_sites(&self, is_kept: impl Fn(&str) -> bool) {
        for gauges in [
            &self.upstream_connections,
            &self.site_available,
            &self.site_state,
            &self.deployments_missing,
            &self.shared_missing,
            &self.generation,
            &self.failover_advised,
            &self.reconcile_drift,
            &self.reconcile_last_success,
            &self.fence_broken,
        ] {
            for family in prometheus::core::Collector::collect(gauges) {
                for metric in family.get_metric() {
                    let labels = metric.get_label().iter();
                    let labels: HashMap<&str, &str> =
                        labels.map(|label| (label.name(), label.value())).collect();
                    let gone = labels.get("site").is_some_and(|site| !is_kept(site));
                    if gone {
                        // Somebody else may have dropped it meanwhile.
                        let _ = gauges.remove(&labels);
                    }
                }
            }
        }
    }

    /// The text for `/metrics`.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

/// One finished request, as the metrics see it.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub site: Option<SiteId>,
    pub class: &'static str,
    pub source: Option<RouteSource>,
    pub code: u16,
    pub took: Duration,
}

type Labels = (Option<SiteId>, &'static str, Option<RouteSource>, u16);

thread_local! {
    /// Label look-ups cost more than the count itself, so each thread keeps the handles that it has used.
    static HANDLES: RefCell<HashMap<Labels, (IntCounter, Histogram), ahash::RandomState>> = RefCell::new(HashMap::default());
}

fn one<T>(made: Result<T, prometheus::Error>) -> T {
    made.expect("metric names and labels are constants of this file, checked by its test")
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    one(IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    one(IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histograms(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    one(HistogramVec::new(
        HistogramOpts::new(name, help).buckets(REQUEST_BUCKETS.to_vec()),
        labels,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_is_gone_is_told_no_more() {
        let metrics = Metrics::new();
        for site in ["here", "gone"] {
            metrics.site_available.with_label_values(&[site]).set(1);
            let running = [site, "running"];
            metrics
                .upstream_connections
                .with_label_values(&running)
                .set(2);
        }
        metrics.keep_sites(|site| site == "here");
        let text = metrics.text();
        assert!(!text.contains("gone"), "{text}");
        assert!(
            text.contains("homing_site_available{site=\"here\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("homing_upstream_connections{site=\"here\",state=\"running\"} 2"),
            "{text}"
        );
    }

    #[test]
    fn every_metric_can_be_told() {
        metrics().request(Done {
            site: None,
            class: "any",
            source: None,
            code: 200,
            took: Duration::from_millis(1),
        });
        let text = metrics().text();
        for name in [
            "homing_requests_total",
            "homing_router_seconds",
            "homing_wrong_home_total",
            "homing_build_info",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
