//! `make demo-operaton`: two real Operaton sites, a router and its admin listener, until Ctrl-C.
//!
//! Owns the story that is told on the terminal. Everything that runs is started by the test harness, which ties it to
//! the life of this process. Relies on `scripts/prerequisites` and `scripts/engines`.

mod story;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use homing_harness::{
    engine::{Builder, Engine, Kind},
    paths,
    ports::loopback,
    postgres::{Cluster, Durability},
    router::{self, Router},
};

const CONFIGURATION: &str = include_str!("../../deploy/demo-operaton/homing.toml");
const USAGE: &str = "usage: demo-operaton [--port PORT] [--admin-port PORT]";

/// Where the router listens.
struct Ports {
    data: u16,
    admin: u16,
}

#[expect(clippy::print_stderr, reason = "a program of its own")]
fn main() -> ExitCode {
    let ports = match ports() {
        Ok(ports) => ports,
        Err(error) => {
            eprintln!("{error:#}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&ports) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-operaton: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(ports: &Ports) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = demonstrate(ports) => ended,
            stopped = stop_signal() => stopped,
        }
    });
    story::say("\nstopped the router, both sites and PostgreSQL");
    // An engine that was still starting is not waited for: it ends with this process.
    runtime.shutdown_background();
    let removed = paths::remove_run_folder();
    ended?;
    removed
}

fn ports() -> Result<Ports> {
    let mut ports = Ports {
        data: 8080,
        admin: 8081,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let port = match arg.as_str() {
            "--port" => &mut ports.data,
            "--admin-port" => &mut ports.admin,
            _ => anyhow::bail!("unknown argument {arg}"),
        };
        let value = args.next().with_context(|| format!("{arg} needs a port"))?;
        *port = value.parse().with_context(|| format!("{arg} {value}"))?;
    }
    for port in [ports.data, ports.admin] {
        std::net::TcpListener::bind(loopback(port)).with_context(|| {
            format!(
                "port {port} is taken; choose others: make demo-operaton PORT=9000 ADMIN_PORT=9001"
            )
        })?;
    }
    Ok(ports)
}

async fn stop_signal() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        _ = terminate.recv() => Ok(()),
    }
}

async fn demonstrate(ports: &Ports) -> Result<()> {
    story::say("starting a private PostgreSQL and two real Operaton sites (about 10 s) ...");
    let cluster =
        tokio::task::spawn_blocking(|| Cluster::start("postgres", Durability::On)).await??;
    let (a, b) = tokio::try_join!(site(&cluster, "site_a"), site(&cluster, "site_b"))?;
    let router = router(ports, &a, &b).await?;
    story::tell(&router, [("a", &a), ("b", &b)]).await?;
    std::future::pending().await
}

async fn site(cluster: &Cluster, name: &str) -> Result<Arc<Engine>> {
    let database = cluster.database(name)?;
    Ok(Arc::new(
        Builder::new(name, Kind::Operaton, &database)
            .start()
            .await?,
    ))
}

async fn router(ports: &Ports, a: &Engine, b: &Engine) -> Result<Router> {
    let folder = paths::new_folder("router")?;
    let text = CONFIGURATION
        .replace("{PORT}", &ports.data.to_string())
        .replace("{ADMIN_PORT}", &ports.admin.to_string())
        .replace("{FOLDER}", &folder.display().to_string())
        .replace("{SITE_A}", &a.endpoint())
        .replace("{SITE_B}", &b.endpoint());
    router::start_from(
        "router",
        folder,
        &text,
        router::Ports {
            data: ports.data,
            admin: ports.admin,
        },
    )
    .await
}
