//! Times as engines write them.
//!
//! Owns their reading. Must not write one: what an engine reads is its dialect's.

use homing_mapping_store::Timestamp;

/// Cut to the millisecond, as engines tell it.
pub(super) fn read_ms(text: &str) -> Option<Timestamp> {
    let time = read(text)?;
    Some(Timestamp(
        time.as_nanosecond().div_euclid(1_000_000).try_into().ok()?,
    ))
}

/// The format is configurable in the engines; what is read here is every form that names an offset.
pub(super) fn read(text: &str) -> Option<jiff::Timestamp> {
    let strict: Result<jiff::Timestamp, _> = text.parse();
    let instant = strict.or_else(|_| jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text));
    instant.ok()
}
