//! `homing serve`.

use super::Exit;
use super::input::{self, ConfigArgs};
use crate::app::handover::Beginning;
use crate::app::{self, Router, open_files, shell};
use crate::telemetry::chain;
use homing_config::settings::LogFormat;
use homing_config::{Config, Inputs, Loaded, Purpose};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Run a router.
#[derive(clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    /// Take the listening sockets over from the process of this router that runs, without losing a connection.
    #[arg(long)]
    upgrade: bool,
}

/// Threads for everything that is not a request: store, probes, feed.
const CONTROL_THREADS: usize = 2;

impl Serve {
    pub(super) fn run(self) -> Exit {
        let inputs = input::inputs(&self.config.config, &self.config.set);
        let Some(loaded) = input::loaded(&inputs, Purpose::Serve) else {
            return Exit::Config;
        };
        logging(&loaded.config);
        let beginning = if self.upgrade {
            Beginning::TakeOver
        } else {
            Beginning::Alone
        };
        match serve(inputs, loaded, beginning) {
            Ok(()) => Exit::Ok,
            Err(error) => {
                tracing::error!("{}", chain(&error));
                Exit::Failed
            }
        }
    }
}

/// Runs a router that takes nothing over.
pub(super) fn alone(inputs: Inputs, loaded: Loaded) -> Result<(), app::Error> {
    serve(inputs, loaded, Beginning::Alone)
}

fn serve(inputs: Inputs, loaded: Loaded, beginning: Beginning) -> Result<(), app::Error> {
    open_files::raise(&loaded.config.limits);
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|source| app::Error::Io {
            doing: "start the control threads".into(),
            source,
        })?;
    let router = control.block_on(Router::open(inputs, loaded, beginning))?;
    shell::run(control, router, beginning)
}

/// The process log, on standard error.
pub(super) fn logging(config: &Config) {
    let filter =
        EnvFilter::try_new(&config.telemetry.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = match config.telemetry.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber in one process (tests) is refused; the first one stays.
    let _ = if json {
        log.json().try_init()
    } else {
        log.try_init()
    };
}
