//! Metrics of the agent: every name and label that it exposes.
//!
//! Owns the registry. Must not carry an id as a label.

use prometheus::{
    Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::OnceLock;

/// How a connection through the relay ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Both sides had said everything.
    Closed,
    /// A side broke off.
    Broken,
    /// The gate was closed when it came, or when it wanted to pass bytes.
    Fenced,
    /// The fence fell.
    Cut,
    /// There were too many.
    Limit,
    /// The database took no connection.
    NoDatabase,
}

impl Ending {
    fn as_str(self) -> &'static str {
        match self {
            Ending::Closed => "closed",
            Ending::Broken => "broken",
            Ending::Fenced => "fenced",
            Ending::Cut => "cut",
            Ending::Limit => "limit",
            Ending::NoDatabase => "no-database",
        }
    }
}

/// Bytes by direction.
pub struct RelayBytes {
    pub to_database: IntCounter,
    pub to_engine: IntCounter,
}

/// All metrics of an agent.
pub struct Metrics {
    registry: Registry,
    /// 1 while the installation may change data.
    pub open: IntGauge,
    /// 1 if what was decided is done and proven.
    pub carried_out: IntGauge,
    pub generation: IntGaugeVec,
    pub lease_remaining_seconds: Gauge,
    pub store_up: IntGauge,
    fences: IntCounterVec,
    extensions: IntCounterVec,
    orders: IntCounterVec,
    pub relay_connections: IntGauge,
    relay_endings: IntCounterVec,
    pub relay_bytes: RelayBytes,
    pub replica_lag_seconds: Gauge,
    limit_hits: IntCounterVec,
}

/// The metrics of this process.
pub fn metrics() -> &'static Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::new)
}

impl Metrics {
    fn new() -> Metrics {
        let registry = Registry::new_custom(Some("homing".into()), None).unwrap_or_default();
        let counters = |name: &str, help: &str, label: &str| {
            kept(
                &registry,
                IntCounterVec::new(Opts::new(name, help), &[label]),
            )
        };
        let gauge = |name: &str, help: &str| kept(&registry, IntGauge::new(name, help));
        let real = |name: &str, help: &str| kept(&registry, Gauge::new(name, help));
        let bytes = counters(
            "agent_relay_bytes_total",
            "Bytes through the relay",
            "direction",
        );
        tell_build(&registry);
        let lag = real(
            "agent_replica_lag_seconds",
            "Age of the newest data that the replica is known to hold; NaN when unknown",
        );
        lag.set(f64::NAN);
        Metrics {
            open: gauge("agent_open", "1 while the installation may change data"),
            carried_out: gauge(
                "agent_carried_out",
                "1 if what was decided of the fence is done and proven",
            ),
            generation: kept(
                &registry,
                IntGaugeVec::new(
                    Opts::new("generation", "Highest generation that the agent has seen"),
                    &["site"],
                ),
            ),
            lease_remaining_seconds: real(
                "lease_remaining_seconds",
                "Time until the agent fences by itself",
            ),
            store_up: gauge("store_up", "1 if the store answered last time"),
            extensions: counters(
                "agent_extensions_total",
                "Times that all routers were asked to go on without the store",
                "result",
            ),
            fences: counters("agent_fences_total", "Times that the fence fell", "reason"),
            orders: counters(
                "agent_orders_total",
                "Orders by what became of them",
                "result",
            ),
            relay_connections: gauge("agent_relay_connections", "Connections through the relay"),
            relay_endings: counters(
                "agent_relay_connections_total",
                "Ended connections through the relay by how they ended",
                "result",
            ),
            relay_bytes: RelayBytes {
                to_database: bytes.with_label_values(&["to-database"]),
                to_engine: bytes.with_label_values(&["to-engine"]),
            },
            replica_lag_seconds: lag,
            limit_hits: counters(
                "limit_hits_total",
                "Times that a named limit was reached",
                "limit",
            ),
            registry,
        }
    }

    /// Counts a connection that has ended.
    pub fn relay_ended(&self, ending: Ending) {
        self.relay_endings
            .with_label_values(&[ending.as_str()])
            .inc();
        if ending == Ending::Limit {
            self.limit_hits
                .with_label_values(&["relay_connections"])
                .inc();
        }
    }

    /// Counts a fall of the fence.
    pub fn fenced(&self, reason: &'static str) {
        self.fences.with_label_values(&[reason]).inc();
    }

    /// Counts an extension, or that it was not had.
    pub fn extended(&self, result: &'static str) {
        self.extensions.with_label_values(&[result]).inc();
    }

    /// Counts an order that was carried out, or not.
    pub fn ordered(&self, result: &'static str) {
        self.orders.with_label_values(&[result]).inc();
    }

    /// The text for `/metrics`.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

fn tell_build(registry: &Registry) {
    let opts = Opts::new("build_info", "Constant 1 with the version");
    let build = kept(registry, IntGaugeVec::new(opts, &["version"]));
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
}

fn kept<T: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<T, prometheus::Error>,
) -> T {
    let made =
        made.expect("metric names and labels are constants of this file, checked by its test");
    registry
        .register(Box::new(made.clone()))
        .expect("no two metrics of this file have the same name");
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_can_be_told() {
        metrics().relay_ended(Ending::Limit);
        metrics().fenced("boot");
        metrics().ordered("done");
        let text = metrics().text();
        for name in [
            "homing_agent_open",
            "homing_limit_hits_total",
            "homing_build_info",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
