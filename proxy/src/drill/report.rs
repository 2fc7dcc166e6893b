//! A drill's report as JSON, while it runs and for good.
//!
//! Owns its shape. Must not measure.

use super::course::{Course, Leg, Mode};
use homing_mapping_store::Timestamp;
use homing_mapping_store::drill::DrillRecord;
use serde_json::{Value, json};

/// The name of the shape.
pub const SCHEMA: &str = "homing/drill/v1";

/// A step and the words for the time that ends when it begins.
const STEPS: [(&str, &str); 7] = [
    ("begin", "applied"),
    ("fence", "taken out of service"),
    ("promote", "fence proven"),
    ("start", "replica promoted, or fence proven"),
    ("prove", "start carried out"),
    ("open", "start carried out, or a write proven"),
    ("done", "new place ready, flip"),
];

/// Milliseconds as seconds.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| at.0.to_string(), |at| format!("{at:.3}"))
}

/// The whole report.
pub fn whole(record: &DrillRecord, course: &Course) -> Value {
    let legs: Vec<Value> = course.legs.iter().map(leg).collect();
    let pauses = course.legs.iter().filter_map(|leg| leg.pause_ms);
    let operations: std::collections::BTreeSet<String> = course
        .legs
        .iter()
        .filter_map(|leg| leg.operation.clone())
        .collect();
    let reads = &course.reads;
    let mut report = json!({
        "schema": SCHEMA,
        "drill": record.id.to_string(),
        "subject": record.subject,
        "sites": course.sites,
        "mode": course.wanted.mode.as_str(),
        "state": record.state,
        "phase": course.phase.as_str(),
        "generation": record.generation.0,
        "actor": course.actor,
        "reason": course.reason,
        "routers": course.routers,
        "started_at": time(record.started_at),
        "ended_at": record.ended_at.map(time),
        "legs": legs,
        "rto_seconds": pauses.max().map(seconds),
        "keys": course.probes.len(),
        "keys_lost": course.lost,
        "reads": {
            "good": reads.good, "failed": reads.failures(), "failed_away": reads.failed_away, "failed_by_reason": reads.failed,
            "held": reads.held, "wrong_site": reads.wrong_site, "slowest_seconds": seconds(reads.slowest_ms),
        },
        "ended_early": course.ended_early,
        "returned": course.returned,
        "verdict": record.ended_at.map(|_| course.verdict()),
        "operations": operations,
        "evidence": course.evidence,
    });
    if course.wanted.mode == Mode::Park {
        report["starts"] = json!({
            "share_taken": course.wanted.share,
            "answered": course.starts.answered,
            "failed": course.starts.failed,
        });
    }
    if course.wanted.mode == Mode::Failover {
        report["lost_tail"] = json!(course.lost_tail);
    }
    report
}

fn leg(leg: &Leg) -> Value {
    let mut before = 0;
    let mut phases = Vec::new();
    for reached in &leg.reached {
        let words = STEPS.iter().find(|(step, _)| *step == reached.step);
        let words = words.map_or(reached.step.as_str(), |(_, words)| words);
        phases.push(json!({
            "phase": words, "step": reached.step,
            "seconds": seconds(reached.since_begin_ms.saturating_sub(before)),
            "since_apply": seconds(reached.since_begin_ms),
        }));
        before = reached.since_begin_ms;
    }
    json!({
        "way": leg.way.as_str(), "site": leg.site, "key": leg.key, "from": leg.from, "to": leg.to,
        "recovery": leg.recovery, "plan": leg.plan,
        "operation": leg.operation, "state": leg.state,
        "taken_away_at": leg.taken_ms.map(|at| time(Timestamp(at))),
        // Where it was planned nobody had to find out.
        "detection_seconds": leg.detection_ms.map(seconds),
        "phases": phases,
        "pause_seconds": leg.pause_ms.map(seconds),
        "first_success_seconds": leg.first_success_ms.map(seconds),
        "broken_rule": leg.broken,
        "evidence": leg.events,
    })
}

/// One line of a list.
pub fn line(record: &DrillRecord, course: &Course) -> Value {
    let whole = whole(record, course);
    let mut line = serde_json::Map::new();
    for name in [
        "drill",
        "subject",
        "mode",
        "state",
        "phase",
        "started_at",
        "ended_at",
        "actor",
        "rto_seconds",
        "verdict",
    ] {
        line.insert(name.to_owned(), whole[name].clone());
    }
    Value::Object(line)
}
