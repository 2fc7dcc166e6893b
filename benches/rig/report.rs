//! From samples to the table.
//!
//! Owns the arithmetic: every ratio is taken within one round, then the median over the rounds.

use super::contender::Contender;
use super::load::Load;
use super::usage;
use anyhow::{Context, Result};
use comfy_table::{Table, presets::ASCII_MARKDOWN};

/// One measurement of one contender.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub micros: f64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub resident: u64,
}

impl Sample {
    /// Measures a contender for this many seconds, after one to warm up.
    pub fn take(contender: &Contender, load: &Load, seconds: u32) -> Result<Sample> {
        let doing = |what: &str| format!("{what} {}", contender.name);
        load.run(contender.port, 1)
            .with_context(|| doing("warming up"))?;
        let before = usage::cpu(contender)?;
        let loaded = load
            .run(contender.port, seconds)
            .with_context(|| doing("measuring"))?;
        let spent = usage::cpu(contender)?.saturating_sub(before);
        Ok(Sample {
            micros: spent.as_secs_f64() * 1e6 / loaded.requests as f64,
            per_second: loaded.requests as f64 / loaded.seconds,
            p50_ms: loaded.p50_ms,
            p99_ms: loaded.p99_ms,
            resident: usage::resident(contender)?,
        })
    }
}

/// All contenders once, in their order; the first one is what others are compared with.
pub struct Round(pub Vec<Sample>);

/// What every contender needs, and its ratio to the first one.
pub fn table(all: &[Contender], rounds: &[Round]) -> Result<Table> {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "proxy",
        "CPU us/request (range)",
        "ratio",
        "requests/s",
        "ratio",
        "p50 ms",
        "p99 ms",
        "p99 ratio",
        "RSS MB",
    ]);
    for (at, contender) in all.iter().enumerate() {
        let of = |what: fn(&Sample) -> f64| -> Vec<f64> {
            rounds
                .iter()
                .filter_map(|round| round.0.get(at))
                .map(what)
                .collect()
        };
        let against = |what: fn(&Sample) -> f64| -> Vec<f64> {
            let pairs = rounds
                .iter()
                .filter_map(|round| Some((round.0.get(at)?, round.0.first()?)));
            pairs.map(|(own, first)| what(own) / what(first)).collect()
        };
        let micros = of(|sample| sample.micros);
        let (low, high) = micros.iter().fold((f64::MAX, 0_f64), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
        table.add_row([
            contender.name.clone(),
            format!("{:.2} ({low:.1}-{high:.1})", median(micros)?),
            format!("{:.2}", median(against(|sample| sample.micros))?),
            format!("{:.0}", median(of(|sample| sample.per_second))?),
            format!("{:.2}", median(against(|sample| sample.per_second))?),
            format!("{:.2}", median(of(|sample| sample.p50_ms))?),
            format!("{:.2}", median(of(|sample| sample.p99_ms))?),
            format!("{:.2}", median(against(|sample| sample.p99_ms))?),
            format!("{:.0}", median(of(|sample| sample.resident as f64 / 1e6))?),
        ]);
    }
    Ok(table)
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle).context("no rounds")?;
    if values.len() % 2 == 1 {
        return Ok(upper);
    }
    Ok(f64::midpoint(upper, values[middle - 1]))
}
