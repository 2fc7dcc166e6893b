//! End-to-end tests: one file per promise area, against real parts, through the public surface only.

mod agent;
mod attacks;
mod delivery;
mod deployments;
mod disk_full;
mod gate;
mod gather;
mod generic;
mod handover;
mod harness_works;
mod life;
mod limits;
mod locate;
mod operate;
mod protocols;
mod reconcile;
mod registry;
mod rehome;
mod reload;
mod restart;
mod site_down;
mod stickiness;
mod store_away;
mod streaming;
mod tidy;
mod workers;
