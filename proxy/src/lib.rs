//! The router: one address in front of many engine sites.

pub mod classify;
pub mod dialect;
