//! `orders`: one shard of an order service, a web application with a process engine inside and a database of its own.
//!
//! Owns its start and its end. It is the application of `deploy/orders`: it knows nothing of other shards, of a table of
//! orders or of Homing. Relies on PostgreSQL.

mod answer;
mod prices;
mod process;
mod shop;

use anyhow::{Context as _, Result};
use process::Processes;
use std::net::SocketAddr;
use std::process::ExitCode;

const USAGE: &str = "usage: orders ADDRESS postgres://USER:PASSWORD@HOST/DATABASE";

#[expect(clippy::print_stderr, reason = "a program of its own")]
fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(database), None) = (args.next(), args.next(), args.next()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&address, &database) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: &str, database: &str) -> Result<()> {
    let address: SocketAddr = address.parse().context("the address to listen on")?;
    // A shard of the example has little to do; eight of them share a machine.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let processes = Processes::start(database).await?;
        let prices = prices::Prices::open(database).await?;
        let listener = tokio::net::TcpListener::bind(address).await?;
        axum::serve(listener, shop::routes(processes, prices)).await?;
        Ok(())
    })
}
