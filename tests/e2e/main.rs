//! End-to-end tests: one file per promise area, against real parts, through the public surface only.

mod harness_works;
mod tidy;
