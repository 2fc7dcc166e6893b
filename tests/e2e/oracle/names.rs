//! What one side calls things: symbols for its ids, and its answers in words that both sides share.
//!
//! Ids become symbols (or `<id>` where nobody has named them), the script's mark becomes `MARK`, instants become the number
//! of the operation in which they fell. Must not know what is asked. Relies on ids being UUIDs.

use std::collections::HashMap;

use serde_json::Value;

const UUID: usize = 36;
const DAY: i64 = 86_400_000;
/// How long the models let history be kept.
const KEPT: i64 = 30 * DAY;

/// Both directions of one side's names, and when each operation began.
pub(super) struct Names {
    mark: String,
    ids: HashMap<String, String>,
    symbols: HashMap<String, String>,
    taken: HashMap<String, usize>,
    began: Vec<i64>,
}

impl Names {
    pub(super) fn new(mark: &str) -> Names {
        Names {
            mark: mark.to_owned(),
            ids: HashMap::new(),
            symbols: HashMap::new(),
            taken: HashMap::new(),
            began: Vec::new(),
        }
    }

    /// The next operation begins.
    pub(super) fn begin(&mut self, millis: i64) {
        self.began.push(millis);
    }

    /// Gives an id its symbol, once: `base#n`.
    pub(super) fn name(&mut self, base: &str, id: &str) -> String {
        if let Some(symbol) = self.symbols.get(id) {
            return symbol.clone();
        }
        let number = self.taken.entry(base.to_owned()).or_default();
        let symbol = format!("{base}#{number}");
        *number += 1;
        self.symbols.insert(id.to_owned(), symbol.clone());
        self.ids.insert(symbol.clone(), id.to_owned());
        symbol
    }

    /// The same for what each side has ids of its own for: its symbol is only ever asked with, never told.
    pub(super) fn call(&mut self, base: &str, id: &str) -> String {
        let symbol = self.name(base, id);
        self.symbols.remove(id);
        symbol
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.symbols.contains_key(id)
    }

    /// A template as this side is to be told it: `{{symbol}}` and `MARK` replaced.
    pub(super) fn fill(&self, template: &str) -> anyhow::Result<String> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (symbol, behind) = after
                .split_once("}}")
                .ok_or_else(|| anyhow::anyhow!("an open name in {template}"))?;
            let id = self
                .ids
                .get(symbol)
                .ok_or_else(|| anyhow::anyhow!("nothing is called {symbol}"))?;
            text += before;
            text += id;
            rest = behind;
        }
        text += rest;
        Ok(text.replace("MARK", &self.mark))
    }

    /// An answer in words of both sides.
    pub(super) fn plain(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(list) => list.iter().map(|value| self.plain(value)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (self.text(name), self.member(name, value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// How long something took is never the same twice.
    fn member(&self, name: &str, value: &Value) -> Value {
        match value {
            Value::Number(_)
                if ["duration", "durationInMillis", "workTimeInMillis"].contains(&name) =>
            {
                "<time>".into()
            }
            // Ten minutes ahead: a long script comes past it, each side in an operation of its own.
            Value::String(_) if name == "lockExpirationTime" => "<time>".into(),
            // A password's hash, an engine's name in a log, where a resource is.
            Value::String(_) if name == "hostname" => "<host>".into(),
            Value::String(_)
            | Value::Number(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_) => self.plain(value),
        }
    }

    pub(super) fn text(&self, text: &str) -> String {
        if let Some(symbol) = self.symbols.get(text) {
            return symbol.clone();
        }
        if let Some(operation) = self.operation(text) {
            return operation;
        }
        let mut plain = String::new();
        let mut rest = here(text);
        while let Some(at) = uuid(rest) {
            plain += &rest[..at];
            let id = &rest[at..at + UUID];
            plain += self.symbols.get(id).map_or("<id>", String::as_str);
            rest = &rest[at + UUID..];
        }
        plain += rest;
        // Site a's parts and site b's are one thing with one name.
        while let Some(at) = plain.find("<id>.<id>") {
            plain.replace_range(at..at + "<id>.<id>".len(), "<id>");
        }
        plain
            // Answers name the class of the engine that gave them.
            .replace("org.camunda.bpm.", "org.operaton.bpm.")
            .replace("homing.<id>", "<id>")
            .replace(&self.mark, "MARK")
    }

    /// An instant of this script -> the operation it fell into.
    fn operation(&self, text: &str) -> Option<String> {
        let instant = millis(text)?;
        let number = |instant: i64| {
            let after = self.began.partition_point(|began| *began <= instant);
            // Years that the script itself writes are kept.
            let far = instant - self.began.last()? > DAY;
            (after > 0 && !far).then(|| after - 1)
        };
        let removed = || number(instant - KEPT).map(|number| format!("@{number}, kept"));
        number(instant)
            .map(|number| format!("@{number}"))
            .or_else(removed)
    }
}

/// The engines' formats of instants: `+0000` behind milliseconds, or as RFC 3339 has it.
fn millis(text: &str) -> Option<i64> {
    let looks = (20..=29).contains(&text.len()) && text.as_bytes()[10] == b'T';
    if !looks {
        return None;
    }
    jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text)
        .or_else(|_| text.parse())
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

/// A link without its host.
fn here(text: &str) -> &str {
    let link = text.strip_prefix("http://127.0.0.1:");
    link.map_or(text, |link| {
        link.trim_start_matches(|digit: char| digit.is_ascii_digit())
    })
}

/// Where the first UUID stands.
fn uuid(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..(bytes.len() + 1).checked_sub(UUID)?).find(|start| {
        bytes[*start..*start + UUID]
            .iter()
            .enumerate()
            .all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    })
}

#[test]
fn what_two_sides_call_differently_is_called_alike() {
    let mut names = Names::new("r1");
    let id = "0a8b0e41-c6e0-11f0-9a6b-0242ac120002";
    names.begin(1_000);
    names.begin(1_500);
    assert_eq!(names.name("task", id), "task#0");
    assert_eq!(
        names.fill("/task/{{task#0}}?x=MARK").unwrap(),
        format!("/task/{id}?x=r1")
    );
    assert!(names.fill("{{nobody}}").is_err());
    let other = id.replace('0', "1");
    assert_eq!(
        names.text(&format!("no {id}, flow-r1:1:{other}")),
        "no task#0, flow-MARK:1:<id>"
    );
    assert_eq!(names.text(&format!("homing.{other}.{other}")), "<id>");
    assert_eq!(names.text("1970-01-01T00:00:01.499+0000"), "@0");
    assert_eq!(names.text("1970-01-01T00:00:01.500+0000"), "@1");
    assert_eq!(
        names.text("2099-01-01T00:00:01.500+0000"),
        "2099-01-01T00:00:01.500+0000"
    );
}
