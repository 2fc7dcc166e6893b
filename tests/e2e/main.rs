//! End-to-end tests: one file per promise area, against real parts, through the public surface only.

mod gather;
mod handover;
mod harness_works;
mod reload;
mod tidy;
mod workers;
