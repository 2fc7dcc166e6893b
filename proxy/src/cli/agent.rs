//! `homing agent`: the site agent beside one installation.
//!
//! Owns the process around it. Must not know how it fences.

use super::Exit;
use super::input::{self, ConfigArgs};
use super::serve::logging;
use crate::agent;
use crate::telemetry::chain;
use homing_config::{Config, Purpose};
use tokio::signal::unix::{SignalKind, signal};

/// Keep one installation from changing its site's data unless it may, and carry out what a re-homing asks for.
#[derive(clap::Args)]
pub(super) struct Agent {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Agent {
    pub(super) fn run(self) -> Exit {
        let inputs = input::inputs(&self.config.config, &self.config.set);
        let Some(loaded) = input::loaded(&inputs, Purpose::Agent) else {
            return Exit::Config;
        };
        logging(&loaded.config);
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!("cannot start threads: {error}");
                return Exit::Failed;
            }
        };
        runtime.block_on(run(&loaded.config))
    }
}

async fn run(config: &Config) -> Exit {
    let Some(settings) = &config.agent else {
        return Exit::Config;
    };
    match agent::run(config, settings, asked_to_leave()).await {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            match error {
                agent::Error::Unable(_) => Exit::Config,
                agent::Error::Memory(_)
                | agent::Error::Listen { .. }
                | agent::Error::NotFenced(_)
                | agent::Error::Broke(_) => Exit::Failed,
            }
        }
    }
}

/// SIGTERM or SIGINT.
async fn asked_to_leave() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be watched; only SIGKILL ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
