//! Settings of the configuration as the parts want them.
//!
//! Owns the translation. Must not start anything.

use super::Error;
use crate::deployments::Deployments;
use crate::fleet;
use crate::forward::send::Times;
use crate::gate;
use crate::learn::Learner;
use crate::listener;
use crate::pipeline::{self, Pipeline};
use crate::resolve::choice::{self, Placement};
use crate::resolve::known::Known;
use crate::resolve::locate::{self, Locator};
use crate::resolve::route::Resolver;
use crate::resolve::withheld::Withheld;
use crate::telemetry::access_log::AccessLog;
use crate::topology::Topology;
use arc_swap::ArcSwap;
use homing_config::settings::{self as config, Config};
use homing_mapping_store::Handle;
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a body that goes to every site (limit `spool_bytes`).
const SPOOL_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) fn pipeline(
    config: &Config,
    known: &Arc<Known>,
    learner: &Arc<Learner>,
    store: &Handle,
    topology: &Arc<ArcSwap<Topology>>,
) -> Result<Pipeline, Error> {
    let (timeouts, limits) = (&config.timeouts, &config.limits);
    let via = HeaderValue::try_from(format!("1.1 {}", config.router.name))
        .unwrap_or_else(|_| HeaderValue::from_static("1.1 homing"));
    let probe_times = Times {
        head: timeouts.locate,
        ..times(config)
    };
    let resolver = Resolver {
        known: Arc::clone(known),
        locator: Locator::new(
            via,
            probe_times,
            locate::Limits {
                negative: limits.negative_cache,
                negative_entries: limits.negative_cache_entries,
                in_flight: limits.locate_in_flight,
            },
        ),
        learner: Arc::clone(learner),
        store: Arc::clone(store),
        store_within: timeouts.store,
        placement: Arc::new(ArcSwap::from_pointee(placement(config))),
        deployments: Arc::new(Deployments::new(Arc::clone(store), &config.router.name)),
        withheld: Withheld::default(),
    };
    let log = access_log(config)?;
    let pipeline = Pipeline::new(
        &config.router.name,
        Arc::clone(topology),
        resolver,
        Arc::clone(learner),
        pipeline_settings(config),
        log,
    );
    pipeline.rates.set(limits.requests_per_second_per_client);
    Ok(pipeline)
}

/// What client connections may take.
pub(super) fn listener_limits(config: &Config) -> listener::Limits {
    let (limits, timeouts) = (&config.limits, &config.timeouts);
    listener::Limits {
        gate: gate_limits(config),
        head_bytes: limits.head_bytes,
        head: timeouts.head,
        handshake: timeouts.handshake,
        idle: timeouts.keepalive_downstream,
        write: timeouts.response_idle,
        linger: timeouts.drain / 2,
        body_bytes_per_second: limits.body_bytes_per_second,
        connections: limits.connections,
    }
}

fn gate_limits(config: &Config) -> gate::Limits {
    gate::Limits {
        target_bytes: config.limits.target_bytes,
        headers: config.limits.headers,
    }
}

pub(super) fn times(config: &Config) -> Times {
    let timeouts = &config.timeouts;
    Times {
        connect: timeouts.connect,
        head: timeouts.response_head,
        body_idle: timeouts.response_idle,
        keep: timeouts.keepalive_upstream,
    }
}

pub(super) fn pipeline_settings(config: &Config) -> pipeline::Settings {
    let (timeouts, limits) = (&config.timeouts, &config.limits);
    pipeline::Settings {
        gate: gate_limits(config),
        sniff_bytes: limits.sniff_bytes,
        answer_sniff_bytes: limits.answer_sniff_bytes,
        spool_bytes: SPOOL_BYTES_MAX,
        times: times(config),
        long_poll: Duration::from_secs(1800) + timeouts.response_head,
        gather: crate::forward::gather::Settings {
            times: times(config),
            within: timeouts.gather,
            fanout: limits.fanout,
            bytes: limits.gather_bytes,
            on_missing: config.gather,
        },
        in_flight_per_site: limits.in_flight_per_site,
        tunnel: timeouts.tunnel,
        body_idle: timeouts.body_idle,
        sticky_user: config
            .placement
            .sticky_user
            .as_ref()
            .and_then(fleet::dialects::user_source),
    }
}

pub(super) fn placement(config: &Config) -> Placement {
    use crate::resolve::place::Policy;
    Placement {
        policy: match config.placement.policy {
            config::Policy::Weighted => Policy::Weighted,
            config::Policy::LeastLoaded => Policy::LeastLoaded,
            config::Policy::HashBusinessKey => Policy::HashBusinessKey,
            config::Policy::HashTenant => Policy::HashTenant,
            config::Policy::Locality => Policy::Locality,
        },
        constraints: config.placement.constraints.clone(),
        zone: config.router.zone.clone(),
        slow_start: config.health.slow_start,
        business_key: match config.placement.business_key {
            config::BusinessKey::Hint => choice::BusinessKey::Hint,
            config::BusinessKey::Claim => choice::BusinessKey::Claim,
            config::BusinessKey::Off => choice::BusinessKey::Off,
        },
        start_timers: config.placement.start_timers,
        start_events: config.placement.start_events,
    }
}

pub(super) fn access_log(config: &Config) -> Result<AccessLog, Error> {
    Ok(match &config.telemetry.access_log {
        config::AccessLog::Off => AccessLog::off(),
        config::AccessLog::Stdout => AccessLog::to(std::io::stdout()),
        config::AccessLog::File(path) => {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            AccessLog::to(file.map_err(|source| Error::Io {
                doing: format!("open the access log {}", path.display()),
                source,
            })?)
        }
    })
}
