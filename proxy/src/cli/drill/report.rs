//! A drill's report: on the terminal, as JSON, as one HTML page.
//!
//! Owns its shape and where it is kept. Must not measure.

use super::leg::Done;
use super::load::Tally;
use crate::cli::{Exit, output};
use crate::clock;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What was measured.
pub(super) struct Report {
    name: String,
    of: Value,
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

impl Report {
    pub(super) fn begin(site: &str, reason: &str, planned: &Value, probes: &[String]) -> Report {
        let at = clock::wall();
        let name = format!("{site}-{}", at.0);
        let started = jiff::Timestamp::from_millisecond(at.0)
            .map_or_else(|_| at.0.to_string(), |at| format!("{at:.3}"));
        let of = json!({
            "schema": "homing/drill/v1",
            "drill": name,
            "site": site,
            "mode": planned["recovery"],
            "reason": reason,
            "started_at": started,
            "legs": [],
            "ended_early": null,
            "returned": false,
            "keys": probes.len(),
            "keys_lost": [],
        });
        Report { name, of }
    }

    pub(super) fn leg(&mut self, done: &Done) {
        let mut before = Duration::ZERO;
        let mut phases = Vec::new();
        for (step, words, at) in &done.reached {
            phases.push(json!({
                "phase": words, "step": step,
                "seconds": seconds(at.saturating_sub(before)), "since_apply": seconds(*at),
            }));
            before = *at;
        }
        let leg = json!({
            "way": done.name, "from": done.from, "to": done.to,
            "operation": done.operation, "state": done.state,
            // Planned: nobody had to find out.
            "detection_seconds": null,
            "phases": phases,
            "pause_seconds": done.pause.map(seconds),
            "first_success_seconds": done.first_success.map(seconds),
            "broken_rule": done.broken,
            "evidence": done.events,
        });
        if let Some(legs) = self.of["legs"].as_array_mut() {
            legs.push(leg);
        }
    }

    /// The first reason is the one that counts.
    pub(super) fn ended_early(&mut self, why: String) {
        if self.of["ended_early"].is_null() {
            self.of["ended_early"] = why.into();
        }
    }

    pub(super) fn returned(&mut self, home: bool) {
        self.of["returned"] = home.into();
    }

    pub(super) fn lost(&mut self, keys: Vec<String>) {
        self.of["keys_lost"] = keys.into();
    }

    /// Adds up what the reads saw, and the verdict.
    pub(super) fn judge(&mut self, tally: &Tally) {
        let seen = tally.seen();
        let legs = self.of["legs"].as_array().cloned().unwrap_or_default();
        let pauses = legs.iter().filter_map(|leg| leg["pause_seconds"].as_f64());
        self.of["rto_seconds"] = pauses.reduce(f64::max).into();
        self.of["reads"] = json!({
            "good": seen.good, "failed": seen.failures(), "failed_by_reason": seen.failed,
            "held": seen.held, "wrong_site": seen.wrong_site, "slowest_seconds": seconds(seen.slowest),
        });
        let lost = self.of["keys_lost"].as_array().map_or(0, Vec::len);
        let both = legs.iter().filter(|leg| leg["state"] == "done").count() == 2;
        let clean = both
            && lost == 0
            && seen.wrong_site == 0
            && self.of["ended_early"].is_null()
            && self.of["returned"] == true
            && legs.iter().all(|leg| leg["broken_rule"].is_null());
        self.of["verdict"] = if clean { "clean" } else { "not clean" }.into();
    }

    /// 0 clean; 5 the site is not back at its place; else 1.
    pub(super) fn exit(&self) -> Exit {
        if self.of["verdict"] == "clean" {
            Exit::Ok
        } else if self.of["returned"] == true {
            Exit::Failed
        } else {
            Exit::Partly
        }
    }

    pub(super) fn json(&self) -> &Value {
        &self.of
    }

    fn lines(&self) -> Vec<(String, String)> {
        let of = &self.of;
        let mut lines = vec![
            ("site".to_owned(), text(&of["site"])),
            ("mode".to_owned(), text(&of["mode"])),
            ("why".to_owned(), text(&of["reason"])),
            ("begun".to_owned(), text(&of["started_at"])),
        ];
        for leg in of["legs"].as_array().into_iter().flatten() {
            let way = format!("way {}", text(&leg["way"]));
            let words = format!(
                "{} to {}: {}",
                text(&leg["from"]),
                text(&leg["to"]),
                text(&leg["state"])
            );
            lines.push((way, words));
            for phase in leg["phases"].as_array().into_iter().flatten() {
                let took = format!("{} s (at {} s)", phase["seconds"], phase["since_apply"]);
                lines.push((format!("  {}", text(&phase["phase"])), took));
            }
            let times = [
                (
                    "  first success, since the apply",
                    &leg["first_success_seconds"],
                ),
                ("  pause between the places", &leg["pause_seconds"]),
            ];
            for (name, value) in times {
                lines.push((name.to_owned(), format!("{} s", text(value))));
            }
        }
        let reads = &of["reads"];
        let lost = of["keys_lost"].as_array().map_or(0, Vec::len);
        let further = [
            (
                "longest pause (RTO)",
                format!("{} s", text(&of["rto_seconds"])),
            ),
            (
                "keys lost (RPO)",
                format!("{lost} of {}", text(&of["keys"])),
            ),
            ("good reads", text(&reads["good"])),
            (
                "failed reads",
                format!("{} {}", reads["failed"], reads["failed_by_reason"]),
            ),
            ("held reads", text(&reads["held"])),
            ("answers of a wrong place", text(&reads["wrong_site"])),
            (
                "slowest good read",
                format!("{} s", text(&reads["slowest_seconds"])),
            ),
            ("ended early", text(&of["ended_early"])),
            ("back at its place", text(&of["returned"])),
            ("verdict", text(&of["verdict"])),
        ];
        lines.extend(further.map(|(name, value)| (name.to_owned(), value)));
        lines
    }

    pub(super) fn tell(&self) {
        for (name, value) in self.lines() {
            output::say(&format!("  {name:<34} {value}"));
        }
    }

    /// Both forms, in the folder.
    pub(super) fn write(&self, folder: &Path) -> Result<(PathBuf, PathBuf), Exit> {
        let page = folder.join(format!("{}.html", self.name));
        let data = folder.join(format!("{}.json", self.name));
        let whole = serde_json::to_string_pretty(&self.of).unwrap_or_default();
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&data, whole))
            .and_then(|()| std::fs::write(&page, self.html()));
        written.map_err(|error| output::complain(Exit::Failed, &format!("the report: {error}")))?;
        Ok((page, data))
    }

    fn html(&self) -> String {
        let rows: String = self
            .lines()
            .iter()
            .map(|(name, value)| format!("<tr><th>{}<td>{}\n", escape(name), escape(value)))
            .collect();
        let legs = self.of["legs"].as_array().into_iter().flatten();
        let told = legs.flat_map(|leg| leg["evidence"].as_array().into_iter().flatten());
        let events: String = told
            .filter_map(Value::as_str)
            .map(|line| format!("{}\n", escape(line)))
            .collect();
        let title = format!(
            "Drill of site {}: {}",
            escape(&text(&self.of["site"])),
            escape(&text(&self.of["verdict"]))
        );
        format!(
            "<!doctype html><meta charset=utf-8><title>{title}</title>\
             <style>body{{font:15px/1.5 system-ui;margin:3em auto;max-width:60em}}th{{text-align:left;padding-right:2em;white-space:pre}}\
             pre{{background:#eee;padding:1em;overflow:auto}}</style>\n\
             <h1>{title}</h1>\n<table>\n{rows}</table>\n<h2>What the operations tell</h2>\n<pre>{events}</pre>\n"
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn read(path: &Path) -> Option<Value> {
    let read: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (read["schema"] == "homing/drill/v1").then_some(read)
}

/// The reports in the folder, oldest first.
pub(super) fn list(folder: &Path, json: bool) -> Result<Exit, Exit> {
    let mut found: Vec<Value> = match std::fs::read_dir(folder) {
        Ok(files) => files
            .flatten()
            .filter_map(|file| read(&file.path()))
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(output::complain(Exit::Failed, &error.to_string())),
    };
    found.sort_by_key(|one| text(&one["started_at"]));
    if json {
        output::machine("drill-list", &json!({ "items": found }));
    } else {
        let columns = [
            "drill",
            "site",
            "mode",
            "started_at",
            "rto_seconds",
            "verdict",
        ];
        output::rows(&columns, &found);
    }
    Ok(Exit::Ok)
}

/// One report.
pub(super) fn show(folder: &Path, name: &str, json: bool) -> Result<Exit, Exit> {
    let plain = name
        .chars()
        .all(|one| one.is_ascii_alphanumeric() || one == '-');
    let path = folder.join(format!("{name}.json"));
    let of = plain.then(|| read(&path)).flatten();
    let of = of.ok_or_else(|| {
        let why = format!("there is no report {name} in {}", folder.display());
        output::complain(Exit::Failed, &why)
    })?;
    if json {
        output::machine("drill", &of);
    } else {
        let name = name.to_owned();
        Report { name, of }.tell();
    }
    Ok(Exit::Ok)
}
