//! Whether a site has what an acknowledged write did.
//!
//! Owns the face of the questions. Must not send.

use http::StatusCode;

/// What a GET tells of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// The site has what it did.
    Held,
    /// The site does not; says what it has instead.
    Lost(&'static str),
}

/// A GET, and how its answer is read; `None`: the next one may tell.
pub struct Question {
    /// Below the base path.
    pub path: String,
    /// Reads the answer.
    pub read: fn(StatusCode, &[u8]) -> Option<Trace>,
}
