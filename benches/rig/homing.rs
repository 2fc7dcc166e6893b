//! Homing: the release build, everything on that is on by default.
//!
//! Owns its configuration. The store is a copy of the filled one, because each router needs a file of its own.

use super::contender::Contender;
use super::sites::Sites;
use crate::keys::site_name;
use anyhow::{Context, Result};
use homing_harness::{paths, ports::free_port};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Whether lines are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    File,
}

/// The store of a measured router.
#[derive(Clone, Copy)]
pub enum Store<'a> {
    /// An SQLite file of its own, copied from this one.
    CopyOf(&'a Path),
    /// This PostgreSQL database.
    Postgres(&'a str),
}

impl Store<'_> {
    fn url(self, home: &Path) -> Result<String> {
        let own = home.join("store.db");
        match self {
            Store::Postgres(url) => return Ok(url.to_owned()),
            Store::CopyOf(file) => {
                std::fs::copy(file, &own).context("copying the store")?;
                // What SQLite has not yet written back from its log: all rows of a small store.
                let (log, own_log) = (with_log(file), with_log(&own));
                if log.exists() {
                    std::fs::copy(log, own_log).context("copying the store's log")?;
                }
            }
        }
        Ok(format!("sqlite:{}", own.display()))
    }
}

fn with_log(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

impl AccessLog {
    pub fn contender(self) -> &'static str {
        match self {
            AccessLog::Off => "homing",
            AccessLog::File => "homing logging",
        }
    }
}

/// A running router and its admin listener.
pub struct Router {
    pub contender: Contender,
    pub admin: u16,
}

pub fn start(
    folder: &Path,
    workers: usize,
    sites: &Sites,
    store: Store<'_>,
    log: AccessLog,
) -> Result<Contender> {
    Ok(with(folder, workers, sites, store, log, "")?.contender)
}

/// With more sections in its configuration.
pub fn with(
    folder: &Path,
    workers: usize,
    sites: &Sites,
    store: Store<'_>,
    log: AccessLog,
    more: &str,
) -> Result<Router> {
    let name = log.contender();
    let lines = match log {
        AccessLog::Off => "off".to_owned(),
        AccessLog::File => folder
            .join(format!("access-{workers}.log"))
            .display()
            .to_string(),
    };
    let home = folder.join(format!("{}-{workers}", name.replace(' ', "-")));
    std::fs::create_dir_all(&home)?;
    let url = store.url(&home)?;
    let port = free_port()?;
    let admin = free_port()?;
    let here = home.display();
    let mut text = format!(
        "[router]\nname = \"bench\"\nthreads = {workers}\n\
         [[listen]]\nbind = \"127.0.0.1:{port}\"\n[admin]\nbind = \"127.0.0.1:{admin}\"\n\
         [store]\nurl = {url:?}\njournal = \"{here}/journal\"\n[telemetry]\naccess_log = {lines:?}\n{more}\n"
    );
    for (number, port) in sites.ports().iter().enumerate() {
        writeln!(
            text,
            "[[site]]\nname = {:?}\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:{port}/engine-rest\"]",
            site_name(number)
        )?;
    }
    let config = home.join("homing.toml");
    std::fs::write(&config, text)?;
    let binary = paths::homing_binary()?.display().to_string();
    let args = vec!["serve".into(), "-c".into(), config.into()];
    let contender = Contender::start(name, folder, &binary, args, port, &sites.probe_path())?;
    Ok(Router { contender, admin })
}
