//! The syntax of HTTP/1.1 messages (RFC 9112) that both sides of the router share: towards clients and towards sites.
//!
//! Owns how headers and chunks are read and written. Must not read or write a stream, nor say what a header means.

pub mod chunks;
pub mod lines;

use bytes::Bytes;
use http_body::Frame;

/// What was said is not HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What can be handed on of a body that arrives.
pub enum Piece {
    /// A piece of it, or its trailers.
    Frame(Frame<Bytes>),
    /// Nothing before more has arrived.
    More,
    /// Nothing any more.
    End,
}
