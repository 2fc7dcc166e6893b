//! A drill's report for people: lines of names and values, and one HTML page of them.
//!
//! Owns the words. Must not read anything but the report.

use serde_json::Value;

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn all(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn ways(report: &Value, lines: &mut Vec<(String, String)>) {
    for leg in all(&report["legs"]) {
        let subject = match leg["key"].as_str() {
            Some(key) => key.to_owned(),
            None => format!("site {}", text(&leg["site"])),
        };
        let name = format!("way {}, {subject}", text(&leg["way"]));
        let words = format!(
            "{} to {}: {}",
            text(&leg["from"]),
            text(&leg["to"]),
            text(&leg["state"])
        );
        lines.push((name, words));
        if leg["taken_away_at"].is_string() {
            lines.push(("  taken away".to_owned(), text(&leg["taken_away_at"])));
            let took = format!("{} s", text(&leg["detection_seconds"]));
            lines.push(("  detection".to_owned(), took));
        }
        for phase in all(&leg["phases"]) {
            let took = format!("{} s (at {} s)", phase["seconds"], phase["since_apply"]);
            lines.push((format!("  {}", text(&phase["phase"])), took));
        }
        for (name, member) in [
            ("  first success, since the apply", "first_success_seconds"),
            ("  pause between the places", "pause_seconds"),
        ] {
            lines.push((name.to_owned(), format!("{} s", text(&leg[member]))));
        }
        if leg["broken_rule"].is_string() {
            lines.push(("  broken rule".to_owned(), text(&leg["broken_rule"])));
        }
    }
}

/// The report, line by line.
pub fn lines(report: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push((name.to_owned(), value));
    line("drill", text(&report["drill"]));
    line("of", text(&report["subject"]));
    line("mode", text(&report["mode"]));
    line("state", text(&report["state"]));
    line("why", text(&report["reason"]));
    line("begun", text(&report["started_at"]));
    ways(report, &mut lines);
    let mut line = |name: &str, value: String| lines.push((name.to_owned(), value));
    let reads = &report["reads"];
    let lost = all(&report["keys_lost"]).count();
    let starts = &report["starts"];
    if starts.is_object() {
        line("share taken", text(&starts["share_taken"]));
        line("starts meanwhile, by site", text(&starts["answered"]));
        line("starts that failed", text(&starts["failed"]));
    } else {
        line(
            "longest pause (RTO)",
            format!("{} s", text(&report["rto_seconds"])),
        );
    }
    line(
        "keys lost (RPO)",
        format!("{lost} of {}", text(&report["keys"])),
    );
    line("good reads", text(&reads["good"]));
    line(
        "failed reads",
        format!("{} {}", reads["failed"], reads["failed_by_reason"]),
    );
    if report["mode"] == "failover" {
        line("of these while it was away", text(&reads["failed_away"]));
        line("lost tail", text(&report["lost_tail"]));
    }
    line("held reads", text(&reads["held"]));
    line("answers of a wrong place", text(&reads["wrong_site"]));
    line(
        "slowest good read",
        format!("{} s", text(&reads["slowest_seconds"])),
    );
    line("ended early", text(&report["ended_early"]));
    line("back at its place", text(&report["returned"]));
    line("verdict", text(&report["verdict"]));
    lines
}

/// One page, with nothing to load from elsewhere.
pub fn html(report: &Value) -> String {
    let rows: String = lines(report)
        .iter()
        .map(|(name, value)| format!("<tr><th>{}<td>{}\n", escape(name), escape(value)))
        .collect();
    let events = all(&report["legs"]).flat_map(|leg| all(&leg["evidence"]));
    let events: String = events
        .filter_map(Value::as_str)
        .map(|line| format!("{}\n", escape(line)))
        .collect();
    let trail: String = all(&report["evidence"])
        .map(|one| {
            let line = format!(
                "{}  {}  {}  {}  {}",
                text(&one["number"]),
                text(&one["action"]),
                text(&one["subject"]),
                text(&one["actor"]),
                text(&one["hash"])
            );
            format!("{}\n", escape(&line))
        })
        .collect();
    let verdict = report["verdict"].as_str();
    let verdict = verdict.map_or_else(|| text(&report["state"]), str::to_owned);
    let title = format!(
        "Drill of {}: {}",
        escape(&text(&report["subject"])),
        escape(&verdict)
    );
    format!(
        "<!doctype html><meta charset=utf-8><title>{title}</title>\
         <style>body{{font:15px/1.5 system-ui;margin:3em auto;max-width:60em}}th{{text-align:left;padding-right:2em;white-space:pre}}\
         pre{{background:#eee;padding:1em;overflow:auto}}</style>\n\
         <h1>{title}</h1>\n<table>\n{rows}</table>\n<h2>What the operations tell</h2>\n<pre>{events}</pre>\n\
         <h2>What the audit trail has</h2>\n<pre>{trail}</pre>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_people_wrote_cannot_become_markup() {
        let report =
            json!({ "subject": "b", "reason": "<script>", "state": "running", "verdict": null });
        let page = html(&report);
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("Drill of b: running"), "{page}");
    }
}
