//! The engines under measurement, each on a database of its own.
//!
//! Owns their settings: what each is shipped with, and for Operaton a heap and a pool of connections that are not in its
//! way. Must not know the load.

use anyhow::Result;
use clap::ValueEnum;
use homing_benches::rig::contender::Contender;
use homing_harness::{paths, ports::free_port, postgres::Cluster};
use std::ffi::OsString;
use std::path::Path;

/// Answered by an engine that works.
const PROBE: &str = "/engine-rest/version";
/// More than these processes ever fill.
const HEAP: &str = "-Xmx1g";

/// A contender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Operaton on PostgreSQL.
    Operaton,
    /// Homing's own engine on PostgreSQL.
    Postgres,
    /// Homing's own engine on SQLite.
    Sqlite,
}

impl Kind {
    /// As the table names it.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Kind::Operaton => "Operaton, PostgreSQL",
            Kind::Postgres => "Homing, PostgreSQL",
            Kind::Sqlite => "Homing, SQLite",
        }
    }

    /// Starts it on a new database.
    pub(crate) fn start(self, folder: &Path, cluster: &Cluster) -> Result<Contender> {
        let port = free_port()?;
        match self {
            Kind::Operaton => {
                let args = operaton(port, cluster)?;
                Contender::start("operaton", folder, "java", args, port, PROBE)
            }
            Kind::Postgres => {
                let store = cluster.fresh_database("homing")?.url();
                homing("homing-postgres", folder, port, &store)
            }
            Kind::Sqlite => {
                let store = format!("sqlite:{}", folder.join("engine.db").display());
                homing("homing-sqlite", folder, port, &store)
            }
        }
    }
}

fn operaton(port: u16, cluster: &Cluster) -> Result<Vec<OsString>> {
    let database = cluster.fresh_database("operaton")?;
    let (name, role) = (database.name(), database.role());
    let data = "--spring.datasource";
    let args = [
        HEAP.to_owned(),
        "-jar".to_owned(),
        paths::engine_jar("operaton")?.display().to_string(),
        format!("--server.port={port}"),
        "--server.address=127.0.0.1".to_owned(),
        format!(
            "{data}.url=jdbc:postgresql://127.0.0.1:{}/{name}",
            cluster.port()
        ),
        format!("{data}.username={role}"),
        format!("{data}.password={role}"),
        format!("{data}.hikari.maximum-pool-size=20"),
        // What Homing's engine writes, too; the default writes more.
        "--operaton.bpm.history-level=audit".to_owned(),
    ];
    Ok(args.into_iter().map(OsString::from).collect())
}

fn homing(name: &str, folder: &Path, port: u16, store: &str) -> Result<Contender> {
    let file = folder.join(format!("{name}.toml"));
    let text = format!(
        "[router]\nname = \"{name}\"\n[engine]\nbind = \"127.0.0.1:{port}\"\nstore = {store:?}\n"
    );
    std::fs::write(&file, text)?;
    let binary = paths::homing_binary()?.display().to_string();
    let args = vec!["engine".into(), "-c".into(), file.into()];
    Contender::start(name, folder, &binary, args, port, PROBE)
}
