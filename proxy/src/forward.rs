//! Sending to sites and streaming back.
//!
//! Owns connections, bodies, headers at the hop, and turning problems into answers. Must not choose a home or touch the
//! store.

pub mod arriving;
pub mod ask;
pub mod body;
pub mod budget;
pub mod bulkhead;
pub mod connect;
pub mod dial;
pub mod gather;
pub mod headers;
pub mod payload;
pub mod pool;
pub mod question;
pub mod rescue;
pub mod send;
pub mod tls;
pub mod upgrade;
pub mod verify;
pub mod virtual_ids;
pub mod web;
pub mod wire;
pub mod worker_fetch;
