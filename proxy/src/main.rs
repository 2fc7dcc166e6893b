//! The `homing` binary.

fn main() {}
