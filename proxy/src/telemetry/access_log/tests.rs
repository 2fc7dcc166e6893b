//! What the module above promises.

use super::*;
use crate::clock;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut paper = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paper.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn line<'a>(path: &'a str, request_id: &'a str) -> Line<'a> {
    Line {
        time: Timestamp(1_767_225_600_007),
        request_id,
        trace_id: None,
        peer: "192.0.2.1",
        method: "GET",
        path,
        operation: Some("getTask"),
        class: "keyed",
        key_kind: None,
        source: Some(RouteSource::Mapping),
        site: None,
        status: 200,
        reason: None,
        blame: Some(Blame::Upstream),
        bytes: 0,
        whole: true,
        head: Duration::from_micros(1_050),
        total: Duration::from_micros(12),
        site_time: Duration::ZERO,
    }
}

#[test]
fn a_line_is_json_whatever_the_client_wrote() {
    for odd in [
        "/a",
        "/a\"b\\c",
        "/\u{1}\n",
        "/ä€𝄞",
        "\u{2028}",
        "a\u{7f}b",
        "",
    ] {
        let mut text = Vec::new();
        line(odd, odd).write(&mut text);
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["path"], odd);
        assert_eq!(value["request_id"], odd);
        assert_eq!(value["time"], "2026-01-01T00:00:00.007Z");
        assert_eq!(value["trace_id"], serde_json::Value::Null);
        assert_eq!(value["source"], "mapping");
        assert_eq!(value["blame"], "upstream");
        assert_eq!(value["status"], 200);
        assert_eq!(value["bytes"], 0);
        assert_eq!(value["whole"], true);
        assert_eq!(value["head_ms"], 1.05);
        assert_eq!(value["total_ms"], 0.012);
    }
}

#[test]
fn times_are_those_of_the_calendar() {
    for millis in [0, -1, 1_000, 1_767_225_599_999, 1_767_225_600_000] {
        let mut text = Vec::new();
        let mut object = text::Object::begin(&mut text);
        object.time("time", Timestamp(millis));
        object.end();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["time"], rfc3339(Timestamp(millis)));
    }
}

#[test]
fn all_lines_are_written_in_their_order_and_the_last_ones_too() {
    let paper = Paper::default();
    let log = AccessLog::to(paper.clone());
    for number in 0..1_000 {
        log.line(&line(&number.to_string(), ""));
    }
    drop(log);
    let until = clock::now() + Duration::from_secs(20);
    loop {
        let written = paper.0.lock().unwrap().clone();
        let paths: Vec<String> = written
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
            .filter_map(|line| Some(line["path"].as_str()?.to_owned()))
            .collect();
        let wanted: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        if paths == wanted {
            return;
        }
        assert!(clock::now() < until, "{} lines", paths.len());
        std::thread::sleep(Duration::from_millis(5));
    }
}
