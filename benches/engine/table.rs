//! From samples to the table.
//!
//! Owns the arithmetic: every ratio is taken within one round, then the median over the rounds.

use crate::contenders::Kind;
use crate::load::{self, Process};
use anyhow::{Context, Result};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use homing_benches::rig::contender::Contender;
use homing_benches::rig::report::median;
use homing_benches::rig::usage;
use tokio::runtime::Runtime;

/// One measurement of one contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU time of the engine's own process for one instance.
    micros: f64,
    /// Instances for which the engine answered with an error of its own.
    failed: usize,
}

impl Sample {
    /// Measures a contender.
    pub(crate) fn take(
        runtime: &Runtime,
        contender: &Contender,
        process: Process,
        clients: usize,
        seconds: u32,
    ) -> Result<Sample> {
        let before = usage::cpu(contender)?;
        let loaded = runtime
            .block_on(load::run(contender.port, process, clients, seconds))
            .with_context(|| format!("measuring {}", contender.name))?;
        let spent = usage::cpu(contender)?.saturating_sub(before);
        let mut took = loaded.took;
        took.sort_unstable();
        let at = |share: f64| {
            let place = (took.len() as f64 * share) as usize;
            let found = took.get(place.min(took.len().saturating_sub(1)));
            let found = found.context("no instance came to its end")?;
            anyhow::Ok(found.as_secs_f64() * 1e3)
        };
        Ok(Sample {
            per_second: took.len() as f64 / loaded.seconds,
            p50_ms: at(0.50)?,
            p99_ms: at(0.99)?,
            micros: spent.as_secs_f64() * 1e6 / took.len() as f64,
            failed: loaded.failed,
        })
    }
}

/// What every contender does with each number of clients, and its ratio to the first one.
pub(crate) fn of(
    contenders: &[Kind],
    clients: &[usize],
    rounds: &[(usize, Vec<Sample>)],
) -> Result<Table> {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "clients",
        "engine",
        "instances/s (range)",
        "ratio",
        "p50 ms",
        "p99 ms",
        "CPU us/instance",
        "ratio",
        "failed",
    ]);
    for count in clients {
        let rounds: Vec<&Vec<Sample>> = rounds
            .iter()
            .filter(|(clients, _)| clients == count)
            .map(|(_, samples)| samples)
            .collect();
        for (at, contender) in contenders.iter().enumerate() {
            let of = |what: fn(&Sample) -> f64| -> Vec<f64> {
                let own = rounds.iter().filter_map(|round| round.get(at));
                own.map(what).collect()
            };
            let against = |what: fn(&Sample) -> f64| -> Vec<f64> {
                let pairs = rounds.iter().filter_map(|r| Some((r.get(at)?, r.first()?)));
                pairs.map(|(own, first)| what(own) / what(first)).collect()
            };
            let rates = of(|sample| sample.per_second);
            let (low, high) = rates.iter().fold((f64::MAX, 0_f64), |(low, high), rate| {
                (low.min(*rate), high.max(*rate))
            });
            table.add_row([
                count.to_string(),
                contender.told().to_owned(),
                format!("{:.0} ({low:.0}-{high:.0})", median(rates)?),
                format!("{:.2}", median(against(|sample| sample.per_second))?),
                format!("{:.2}", median(of(|sample| sample.p50_ms))?),
                format!("{:.2}", median(of(|sample| sample.p99_ms))?),
                format!("{:.0}", median(of(|sample| sample.micros))?),
                format!("{:.2}", median(against(|sample| sample.micros))?),
                format!(
                    "{:.0}",
                    of(|sample| sample.failed as f64).iter().sum::<f64>()
                ),
            ]);
        }
    }
    Ok(table)
}
