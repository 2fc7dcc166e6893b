//! What is appended to a file, so that a torn end is told from damage: length, checksum, JSON.
//!
//! Owns the frame and the search for the end of what was written. Must not open files.

use serde::Serialize;

/// Bytes before each payload: its length and its CRC-32, little-endian.
pub const HEADER_BYTES: usize = 8;
/// A longer payload is damage: an intent holds a few texts, an outcome a few rows.
pub const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The value as JSON, with its header.
pub fn wrap<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, value).expect("plain structs become JSON");
    let payload = &bytes[HEADER_BYTES..];
    let (length, sum) = (payload.len() as u32, crc32fast::hash(payload));
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The payload of the frame at the beginning of `bytes`, if its checksum is right.
pub fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let sum = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    // A run of zeros has a right checksum for an empty payload; no record is empty.
    if length == 0 || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + length)?;
    (crc32fast::hash(payload) == sum).then_some(payload)
}

/// Whether a sound frame begins anywhere in `bytes`: then what stands before it is damage, not an end.
pub fn any_follows(bytes: &[u8]) -> bool {
    (0..bytes.len().saturating_sub(HEADER_BYTES)).any(|at| payload(&bytes[at..]).is_some())
}
