//! The report: on the terminal, as JSON, as one HTML page.
//!
//! Owns its shape and where it is kept. Must not measure.

use std::path::PathBuf;

use anyhow::{Context, Result};
use homing_harness::paths;
use serde_json::{Value, json};

use crate::load::{Kept, Lost};
use crate::story::{Loss, Story};
use crate::timeline::{STEPS, Timeline};

/// One line on the terminal.
#[expect(clippy::print_stdout, reason = "a program of its own")]
pub(crate) fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

/// What was measured.
pub(crate) struct Report(Value);

fn seconds(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

impl Report {
    pub(crate) fn new(
        story: Story,
        timeline: &Timeline,
        kept: &Kept,
        lost: &Lost,
        returned: &str,
    ) -> Result<Self> {
        let mut before = std::time::Duration::ZERO;
        let mut phases = Vec::new();
        for ((step, at), (_, words)) in timeline.reached.iter().zip(STEPS) {
            phases.push(json!({
                "phase": words, "step": step, "seconds": seconds(at.saturating_sub(before)), "since": seconds(*at),
            }));
            before = *at;
        }
        anyhow::ensure!(!phases.is_empty(), "no step of the failover was seen");
        Ok(Self(json!({
            "schema": "homing/demo-failover/v1",
            "story": { "loss": story.loss.words(), "standby": story.standby() },
            // Nothing was lost: then nobody has a reason to refuse either.
            "planned": story.loss == Loss::Nothing,
            "actor": timeline.actor,
            "operation": timeline.operation,
            "phases": phases,
            "rto_seconds": seconds(kept.first_success),
            "rpo": {
                "lost_starts": lost.starts, "of_starts": lost.starts_of,
                "lost_writes": lost.writes, "of_writes": lost.writes_of,
            },
            "answers": {
                "good": kept.answered, "wrong": kept.wrong, "wrong_site": kept.wrong_site,
                "refused_with_reason": kept.refused, "slowest_seconds": seconds(kept.slowest),
            },
            "the_lost_place_on_its_return": returned,
            "evidence": timeline.events,
        })))
    }

    /// No wrong answer, nothing acknowledged is missing; if it was planned, nothing was refused.
    pub(crate) fn is_clean(&self) -> bool {
        let none = |list: &Value| list.as_array().is_some_and(Vec::is_empty);
        self.0["answers"]["wrong"] == 0
            && self.0["answers"]["wrong_site"] == 0
            && none(&self.0["rpo"]["lost_starts"])
            && none(&self.0["rpo"]["lost_writes"])
            && (self.0["planned"] == false || self.0["answers"]["refused_with_reason"] == json!({}))
    }

    fn lines(&self) -> Vec<(String, String)> {
        let of = &self.0;
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let count = |value: &Value| value.as_array().map_or(0, Vec::len);
        let mut lines: Vec<(String, String)> = of["phases"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|phase| {
                let took = format!("{} s (at {} s)", phase["seconds"], phase["since"]);
                (text(&phase["phase"]), took)
            })
            .collect();
        let (answers, rpo) = (&of["answers"], &of["rpo"]);
        let further = [
            (
                "first success (RTO)",
                format!("{} s after it began", of["rto_seconds"]),
            ),
            (
                "acknowledged starts lost (RPO)",
                format!("{} of {}", count(&rpo["lost_starts"]), rpo["of_starts"]),
            ),
            (
                "acknowledged writes lost (RPO)",
                format!("{} of {}", count(&rpo["lost_writes"]), rpo["of_writes"]),
            ),
            ("good answers", answers["good"].to_string()),
            ("wrong answers", answers["wrong"].to_string()),
            (
                "answers of the wrong place",
                answers["wrong_site"].to_string(),
            ),
            (
                "refused, by reason",
                answers["refused_with_reason"].to_string(),
            ),
            (
                "longest wait of a good answer",
                format!("{} s", answers["slowest_seconds"]),
            ),
            ("who acted", text(&of["actor"])),
            (
                "the lost place on its return",
                text(&of["the_lost_place_on_its_return"]),
            ),
        ];
        lines.extend(further.map(|(name, value)| (name.to_owned(), value)));
        lines
    }

    pub(crate) fn tell(&self) {
        for (name, value) in self.lines() {
            say(format_args!("  {name:<34} {value}"));
        }
    }

    /// Both forms, in the reports folder of the cache.
    pub(crate) fn write(&self) -> Result<()> {
        let folder: PathBuf = paths::reports()?;
        let (page, data) = (
            folder.join("demo-failover.html"),
            folder.join("demo-failover.json"),
        );
        std::fs::write(&data, serde_json::to_string_pretty(&self.0)?)
            .with_context(|| format!("writing {}", data.display()))?;
        std::fs::write(&page, self.html())
            .with_context(|| format!("writing {}", page.display()))?;
        say(format_args!(
            "report: file://{} and {}",
            page.display(),
            data.display()
        ));
        Ok(())
    }

    fn html(&self) -> String {
        let rows: String = self
            .lines()
            .iter()
            .map(|(name, value)| format!("<tr><th>{}<td>{}\n", escape(name), escape(value)))
            .collect();
        let events: String = self.0["evidence"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|line| format!("{}\n", escape(line)))
            .collect();
        let verdict = if self.is_clean() {
            "clean"
        } else {
            "NOT clean"
        };
        format!(
            "<!doctype html><meta charset=utf-8><title>A place is lost: report</title>\
             <style>body{{font:15px/1.5 system-ui;margin:3em auto;max-width:60em}}th{{text-align:left;padding-right:2em}}\
             pre{{background:#eee;padding:1em;overflow:auto}}</style>\n\
             <h1>A place is lost: {verdict}</h1>\n<table>\n{rows}</table>\n<h2>What the operation tells</h2>\n<pre>{events}</pre>\n"
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
