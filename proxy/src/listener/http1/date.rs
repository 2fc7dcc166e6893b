//! The header `Date` of an answer that has none (RFC 9110 6.6.1).
//!
//! Owns its text, made once a second on each thread.

use crate::clock;
use bytes::{BufMut, BytesMut};
use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

thread_local! {
    static TEXT: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Writes the header line.
pub(super) fn write(out: &mut BytesMut) {
    let now = clock::wall().0 / 1_000;
    TEXT.with_borrow_mut(|(second, text)| {
        if *second != now {
            *second = now;
            let since = Duration::from_secs(u64::try_from(now).unwrap_or_default());
            *text = format!("date: {}\r\n", httpdate::fmt_http_date(UNIX_EPOCH + since));
        }
        out.put_slice(text.as_bytes());
    });
}
