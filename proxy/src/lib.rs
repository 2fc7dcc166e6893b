//! The router: one address in front of many engine sites.
//!
//! Owns the data path and the control path; `app` alone knows how the parts are connected.

pub mod admin;
pub mod agent;
pub mod app;
pub mod attest;
pub mod classify;
pub mod cli;
pub mod clock;
pub mod context;
pub mod control;
pub mod decide;
pub mod deployments;
pub mod dialect;
pub mod drill;
pub mod fleet;
pub mod forward;
pub mod gate;
pub mod http1;
pub mod learn;
pub mod listener;
mod names;
pub mod observe;
pub mod pipeline;
pub mod problem;
pub mod rehome;
pub mod resolve;
pub mod shared;
pub mod telemetry;
mod timer;
pub mod topology;
