//! A line's JSON.
//!
//! Owns how texts, numbers and times are written. Must not know which members a line has. A line is written for every
//! request, so what needs no escaping is copied as it is; serde writes the rest.

use homing_mapping_store::Timestamp;
use std::cell::Cell;
use std::time::Duration;

/// A JSON object on one line.
pub(super) struct Object<'t> {
    to: &'t mut Vec<u8>,
    before: u8,
}

impl<'t> Object<'t> {
    pub(super) fn begin(to: &'t mut Vec<u8>) -> Object<'t> {
        Object { to, before: b'{' }
    }

    pub(super) fn end(self) {
        self.to.extend_from_slice(b"}\n");
    }

    /// Names are words of this crate that need no escaping.
    fn name(&mut self, name: &'static str) {
        self.to.push(self.before);
        self.quoted(name);
        self.to.push(b':');
        self.before = b',';
    }

    fn quoted(&mut self, text: &str) {
        self.to.push(b'"');
        self.to.extend_from_slice(text.as_bytes());
        self.to.push(b'"');
    }

    /// Whatever a client may have written.
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        if is_plain(value.as_bytes()) {
            self.quoted(value);
        } else if serde_json::to_writer(&mut *self.to, value).is_err() {
            self.to.extend_from_slice(b"null");
        }
    }

    pub(super) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.word(name, "null"),
        }
    }

    /// One of a closed list of words of this crate, which need no escaping.
    pub(super) fn known(&mut self, name: &'static str, value: Option<&'static str>) {
        match value {
            Some(value) => {
                self.name(name);
                self.quoted(value);
            }
            None => self.word(name, "null"),
        }
    }

    /// `true`, `false`, `null`.
    pub(super) fn word(&mut self, name: &'static str, word: &'static str) {
        self.name(name);
        self.to.extend_from_slice(word.as_bytes());
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        digits(self.to, value, 1);
    }

    /// Milliseconds with three decimals.
    pub(super) fn millis(&mut self, name: &'static str, value: Duration) {
        self.name(name);
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        digits(self.to, micros / 1_000, 1);
        self.to.push(b'.');
        digits(self.to, micros % 1_000, 3);
    }

    pub(super) fn time(&mut self, name: &'static str, at: Timestamp) {
        self.name(name);
        self.to.push(b'"');
        let second = at.0.div_euclid(1_000);
        self.to.extend_from_slice(&second_text(second));
        self.to.push(b'.');
        digits(self.to, at.0.rem_euclid(1_000).unsigned_abs(), 3);
        self.to.extend_from_slice(b"Z\"");
    }
}

/// Wall clock as RFC 3339 with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

const SECOND_BYTES: usize = "2026-01-01T00:00:00".len();
type Second = [u8; SECOND_BYTES];

thread_local! {
    /// The last second that was written, and its text.
    static LAST: Cell<(i64, Second)> = const { Cell::new((i64::MIN, [b'0'; SECOND_BYTES])) };
}

fn second_text(second: i64) -> Second {
    LAST.with(|last| {
        let (known, text) = last.get();
        if known == second {
            return text;
        }
        let mut made = text;
        let whole = rfc3339(Timestamp(second.saturating_mul(1_000)));
        if let Some(head) = whole.as_bytes().first_chunk() {
            made = *head;
        }
        last.set((second, made));
        made
    })
}

/// Decimal digits, at least so many.
fn digits(to: &mut Vec<u8>, mut value: u64, at_least: usize) {
    let mut text = [b'0'; 20];
    let mut at = text.len();
    while value > 0 {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    to.extend_from_slice(&text[at.min(text.len() - at_least)..]);
}

/// Whether it stands for itself in a JSON text. Folded without a branch for each byte.
fn is_plain(text: &[u8]) -> bool {
    let odd = |byte: u8| byte.wrapping_sub(b' ') >= 0x7f - b' ' || byte == b'"' || byte == b'\\';
    !text.iter().fold(false, |found, byte| found | odd(*byte))
}
