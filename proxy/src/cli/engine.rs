//! `homing engine`: one node of Homing's own engine; `backup` and `restore` of its database.
//!
//! Owns the process around a node. Must not know what an engine does.

mod backup;

use super::Exit;
use super::input::{self, ConfigArgs};
use super::serve::logging;
use crate::telemetry::chain;
use homing_config::settings::{
    self, BridgeBroker, BridgeKey, BridgeStart, Config, HistoryCleanup, HistoryLevel,
    HistoryRemoval, StoreUrl,
};
use homing_config::{Loaded, Purpose};
use homing_engine::{
    Branches, Bridge, Broker, Cleaning, Delegate, Executor, HttpCall, Kafka, KeyAt, Level, Limits,
    Node, Options, RabbitMq, Removal, Resource, StartAt, Window,
};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long threads that do not end are waited for when the node has stopped.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);

/// Run one node of Homing's own engine.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Engine {
    #[command(subcommand)]
    verb: Option<backup::Verb>,
    #[command(flatten)]
    config: Option<ConfigArgs>,
    /// Stop when standard input ends: with whoever started it.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

impl Engine {
    pub(super) fn run(self) -> Exit {
        if let Some(verb) = self.verb {
            return verb.run();
        }
        // The parser asks for it wherever there is no verb.
        let Some(loaded) = self.config.as_ref().and_then(loaded) else {
            return Exit::Config;
        };
        logging(&loaded.config);
        let Some(options) = options(&loaded.config) else {
            return Exit::Config;
        };
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!("cannot start threads: {error}");
                return Exit::Failed;
            }
        };
        let starter = if self.until_stdin_ends {
            stdin_ends()
        } else {
            None
        };
        let exit = runtime.block_on(node(options, starter));
        // What was under way has had its time; a script that does not end is not waited for.
        runtime.shutdown_timeout(SHUTDOWN_MAX);
        exit
    }
}

fn loaded(config: &ConfigArgs) -> Option<Loaded> {
    let inputs = input::inputs(&config.config, &config.set);
    input::loaded(&inputs, Purpose::Engine)
}

fn options(config: &Config) -> Option<Options> {
    let engine = config.engine.as_ref()?;
    Some(Options {
        bind: engine.bind,
        store_url: match &engine.store {
            StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            StoreUrl::Postgres(url) => url.expose().to_owned(),
        },
        executor: if engine.executor {
            Executor::Enabled
        } else {
            Executor::Disabled
        },
        failover_window: engine.failover_window,
        installation: engine.installation.clone(),
        resource: match &engine.resource {
            settings::Resource::Jobs => Resource::Jobs,
            settings::Resource::Machine => Resource::Machine,
            settings::Resource::Command(words) => Resource::Command(words.clone()),
        },
        resource_interval: engine.resource_interval,
        branches: match engine.concurrent_branches {
            settings::Branches::Model => Branches::Model,
            settings::Branches::Always => Branches::Always,
            settings::Branches::Never => Branches::Never,
        },
        notify: engine.notify,
        history_level: engine.history_level.map(level),
        history_removal: match engine.history_removal {
            HistoryRemoval::End => Removal::End,
            HistoryRemoval::Start => Removal::Start,
            HistoryRemoval::None => Removal::None,
        },
        cleaning: match engine.history_cleanup {
            HistoryCleanup::Off => Cleaning::Off,
            HistoryCleanup::Always => Cleaning::Always,
            HistoryCleanup::Daily(from, to) => Cleaning::Daily(Window { from, to }),
        },
        limits: Limits {
            variable_bytes: engine.variable_bytes,
            body_bytes: engine.body_bytes,
            http_answer_bytes: engine.http_answer_bytes,
            call_depth: engine.call_depth,
        },
        bridges: engine.bridges.iter().map(bridge).collect(),
        delegates: engine.delegates.iter().map(delegate).collect(),
        name: config.router.name.clone(),
        ..Options::default()
    })
}

fn level(level: HistoryLevel) -> Level {
    match level {
        HistoryLevel::None => Level::None,
        HistoryLevel::Activity => Level::Activity,
        HistoryLevel::Audit => Level::Audit,
        HistoryLevel::Full => Level::Full,
    }
}

fn delegate(of: &settings::Delegate) -> (String, Delegate) {
    let does = match &of.does {
        settings::Does::Topic(topic) => Delegate::Topic(topic.clone()),
        settings::Does::Script(source) => Delegate::Script(source.clone()),
        settings::Does::Http(call) => Delegate::Http(Box::new(http_call(call))),
        settings::Does::Nothing => Delegate::Nothing,
    };
    (of.name.clone(), does)
}

fn http_call(of: &settings::HttpCall) -> HttpCall {
    let secret = of.authorization.as_ref();
    HttpCall {
        method: of.method.parse().unwrap_or_default(),
        headers: of.headers.clone(),
        authorization: secret.map(|secret| secret.expose().to_owned()),
        ca: of.ca.clone(),
        timeout: of.timeout,
        send: of.send.clone(),
        result: of.result.clone(),
        retry: of.retry.clone(),
        errors: of.errors.clone(),
        ..HttpCall::to(&of.origin, &of.path)
    }
}

fn bridge(of: &settings::Bridge) -> Bridge {
    Bridge {
        name: of.name.clone(),
        broker: match &of.broker {
            BridgeBroker::RabbitMq { url, prefetch } => Broker::RabbitMq(RabbitMq {
                url: url.expose().to_owned(),
                prefetch: *prefetch,
            }),
            BridgeBroker::Kafka { brokers, start } => Broker::Kafka(Kafka {
                brokers: brokers.clone(),
                start: match start {
                    BridgeStart::Earliest => StartAt::Earliest,
                    BridgeStart::Latest => StartAt::Latest,
                },
            }),
        },
        from: of.from.clone(),
        queue: of.queue.clone(),
        key: match &of.key {
            BridgeKey::MessageId => KeyAt::MessageId,
            BridgeKey::RecordKey => KeyAt::RecordKey,
            BridgeKey::Offset => KeyAt::Place,
            BridgeKey::Header(name) => KeyAt::Header(name.clone()),
            BridgeKey::Body(at) => KeyAt::Body(at.clone()),
        },
    }
}

/// A thread that reads standard input to its end, which comes when the process that holds the other side is gone.
fn stdin_ends() -> Option<oneshot::Receiver<()>> {
    let (ended, wait) = oneshot::channel();
    let read = move || {
        // However it ends, nobody is there any more.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    };
    let thread = std::thread::Builder::new().name("stdin".into()).spawn(read);
    thread.is_ok().then_some(wait)
}

async fn ended(starter: Option<oneshot::Receiver<()>>) {
    match starter {
        Some(wait) => drop(wait.await),
        None => std::future::pending().await,
    }
}

async fn node(options: Options, starter: Option<oneshot::Receiver<()>>) -> Exit {
    let node = match Node::start(options).await {
        Ok(node) => node,
        Err(error) => {
            tracing::error!("the engine does not start: {}", chain(&error));
            return Exit::Failed;
        }
    };
    tracing::info!(address = %node.address(), "ready");
    if let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = ended(starter) => {}
        }
    }
    node.shutdown().await;
    Exit::Ok
}
