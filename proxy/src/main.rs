//! The `homing` binary: arguments in, exit code out.
//!
//! Owns nothing; everything goes through the library.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    homing_proxy::cli::main()
}
