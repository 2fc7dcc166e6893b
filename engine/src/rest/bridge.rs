//! `/homing/bridges` and `/metrics`: how the bridges of this node are, for people and for collectors.

use super::answer::{Answer, bytes, json};
use crate::bridge::{Bridge, Broker, Part, Told};
use crate::runtime::Handle;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/homing/bridges", get(list))
        .route("/metrics", get(metrics))
}

async fn metrics(State(handle): State<Handle>) -> Answer {
    let text = exposed(&handle.inner.bridges.all());
    let media = "text/plain; version=0.0.4; charset=utf-8";
    Ok(bytes(media, None, text.into_bytes()))
}

/// The text form that Prometheus reads.
fn exposed(all: &[(Bridge, Told)]) -> String {
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, rows: Vec<(String, i128)>| {
        if !rows.is_empty() {
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        }
        for (labels, value) in rows {
            out.push_str(&format!("{name}{{{labels}}} {value}\n"));
        }
    };
    let label = |bridge: &Bridge| {
        let name = bridge.name.replace('\\', r"\\").replace('"', r#"\""#);
        format!("bridge=\"{}\"", name.replace('\n', r"\n"))
    };
    let open = |(bridge, told): &(Bridge, Told)| (label(bridge), i128::from(told.connected));
    family(
        "homing_engine_bridge_open",
        "gauge",
        "Is the bridge connected to its broker?",
        all.iter().map(open).collect(),
    );
    let counted = |(bridge, told): &(Bridge, Told)| {
        let outcomes = [
            ("taken", told.taken),
            ("duplicate", told.duplicates),
            ("poison", told.poison),
        ];
        let bridge = label(bridge);
        outcomes.map(|(outcome, n)| (format!("{bridge},outcome=\"{outcome}\""), i128::from(n)))
    };
    family(
        "homing_engine_bridge_messages_total",
        "counter",
        "Messages of the bridge since this node's start, by what became of them.",
        all.iter().flat_map(counted).collect(),
    );
    let parts = |of: fn(&Part) -> Option<i64>| {
        let rows = all.iter().flat_map(|(bridge, told)| {
            let parts = told.partitions.iter();
            let known = parts.filter_map(move |(number, part)| Some((*number, of(part)?)));
            let bridge = label(bridge);
            known
                .map(move |(number, n)| (format!("{bridge},partition=\"{number}\""), i128::from(n)))
        });
        rows.collect::<Vec<_>>()
    };
    family(
        "homing_engine_bridge_behind",
        "gauge",
        "Records up to the end of a partition that this node reads.",
        parts(behind),
    );
    family(
        "homing_engine_bridge_lost",
        "gauge",
        "Records that the broker had removed before they were read, since the bridge began, over all nodes.",
        parts(|part| Some(part.lost)),
    );
    out
}

/// Records up to the end, where this node reads.
fn behind(part: &Part) -> Option<i64> {
    part.end.map(|end| end.saturating_sub(part.next).max(0))
}

async fn list(State(handle): State<Handle>) -> Answer {
    let all = handle.inner.bridges.all();
    Ok(json(all.iter().map(shown).collect::<Vec<Json>>()))
}

fn shown((bridge, told): &(Bridge, Told)) -> Json {
    let still = told.partitions.iter().find_map(|(number, part)| {
        let why = part.error.as_ref()?;
        Some(format!("partition {number}: {why}"))
    });
    let state = match (told.connected, &still) {
        (false, _) => "down",
        (true, Some(_)) => "partial",
        (true, None) => "open",
    };
    let mut out = json!({
        "name": bridge.name,
        "from": bridge.from,
        "queue": bridge.queue,
        "state": state,
        "error": told.error.as_ref().or(still.as_ref()),
        "taken": told.taken,
        "duplicates": told.duplicates,
        "poison": told.poison,
    });
    if matches!(bridge.broker, Broker::Kafka(_)) {
        let lost: i64 = told.partitions.values().map(|part| part.lost).sum();
        out["lost"] = lost.into();
        out["partitions"] = told.partitions.iter().map(partition).collect();
    }
    out
}

fn partition((number, part): (&i32, &Part)) -> Json {
    json!({
        "partition": number,
        "next": part.next,
        "behind": behind(part),
        "lost": part.lost,
        "error": part.error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::{Kafka, KeyAt, StartAt};

    #[test]
    fn bridges_are_exposed_with_what_they_took_and_how_far_they_are_behind() {
        let brokers = Kafka {
            brokers: Vec::new(),
            start: StartAt::Earliest,
        };
        let bridge = Bridge {
            name: "or\"ders".to_owned(),
            broker: Broker::Kafka(brokers),
            from: "incoming".to_owned(),
            queue: "orders".to_owned(),
            key: KeyAt::Place,
        };
        let read = Part {
            next: 7,
            end: Some(10),
            lost: 2,
            error: None,
        };
        let mut told = Told {
            connected: true,
            taken: 5,
            poison: 1,
            ..Told::default()
        };
        told.partitions.insert(0, read.clone());
        // Another node reads it.
        told.partitions.insert(1, Part { end: None, ..read });
        let text = exposed(&[(bridge, told)]);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                r#"homing_engine_bridge_open{bridge="or\"ders"} 1"#,
                r#"homing_engine_bridge_messages_total{bridge="or\"ders",outcome="taken"} 5"#,
                r#"homing_engine_bridge_messages_total{bridge="or\"ders",outcome="duplicate"} 0"#,
                r#"homing_engine_bridge_messages_total{bridge="or\"ders",outcome="poison"} 1"#,
                r#"homing_engine_bridge_behind{bridge="or\"ders",partition="0"} 3"#,
                r#"homing_engine_bridge_lost{bridge="or\"ders",partition="0"} 2"#,
                r#"homing_engine_bridge_lost{bridge="or\"ders",partition="1"} 2"#,
            ]
        );
        assert_eq!(exposed(&[]), "");
    }
}
