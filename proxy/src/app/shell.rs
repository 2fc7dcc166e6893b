//! The process shell: pingora's server around our listeners, and the order of shutting down.
//!
//! Owns listeners, signals and threads. Must not know what a request is. Relies on pingora-core for accepting, and for
//! handing sockets to a new process.

use super::admin_listener::AdminListener;
use super::handover::{self, Beginning};
use super::reload::Reloader;
use super::{Error, Router};
use crate::admin;
use crate::listener::{self, Listener, ProxyProtocol};
use crate::pipeline::Pipeline;
use async_trait::async_trait;
use homing_config::Config;
use homing_config::settings::{Bind, Listen};
use pingora_core::listeners::Listeners;
use pingora_core::server::configuration::{Opt, ServerConf};
use pingora_core::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora_core::services::listening::Service;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// What is left undone this long after the last request is left to the next start.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// pingora's runtimes get this long to end. A listener whose driver has ended before its own thread fails to accept for
/// ever, and its thread with it: nothing runs there any more, and the process may go.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
/// How often the drain looks whether the last connection has ended.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// Runs a router until a signal ends it.
pub fn run(control: Runtime, router: Router, beginning: Beginning) -> Result<(), Error> {
    let config = Arc::clone(&router.config);
    let drain = config.timeouts.drain;
    let conf = ServerConf {
        threads: config.router.threads,
        work_stealing: false,
        grace_period_seconds: Some(drain.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        upgrade_sock: handover::socket(&config).display().to_string(),
        ..ServerConf::default()
    };
    if beginning == Beginning::Alone {
        free(&config)?;
    }
    control.block_on(router.start());
    for tls in router.tls.all().chain(router.admin_tls.clone()) {
        control.spawn(tls.watch());
    }
    let opt = Opt {
        upgrade: beginning == Beginning::TakeOver,
        ..Opt::default()
    };
    let mut server = Server::new_with_opt_and_conf(opt, conf);
    if beginning == Beginning::TakeOver {
        handover::ask(handover::running(&config)?, handover::socket(&config));
    }
    server.bootstrap();
    control.block_on(router.attest());
    for listen in &config.listen {
        let settings = listener_settings(&router, listen);
        let app = Listener::new(settings, Arc::clone(&router.pipeline));
        let listeners = Listeners::tcp(&listen.bind.to_string());
        server.add_service(Service::with_listeners(
            format!("data {}", listen.bind),
            listeners,
            app,
        ));
    }
    let mut admin = Service::new(
        "admin".into(),
        AdminListener {
            service: admin::service(&router.admin),
            tls: router.admin_tls.clone(),
            handshake: config.timeouts.handshake,
        },
    );
    admin.threads = Some(1);
    match &config.admin.bind {
        Bind::Tcp(address) => admin.add_tcp(&address.to_string()),
        Bind::Unix(path) => admin.add_uds(
            &path.display().to_string(),
            Some(std::fs::Permissions::from_mode(0o600)),
        ),
    }
    server.add_service(admin);
    control.spawn(reload_on_hangup(Arc::clone(&router.reloader)));
    control.spawn(announce(
        Arc::clone(&router.admin),
        config.listen.iter().map(|listen| listen.bind).collect(),
    ));
    let ended = until_told(server, &router, drain);
    control.block_on(router.close(CLOSE_WITHIN));
    control.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Whether every address can be listened on: pingora's listeners find out on threads of their own, too late to say so.
fn free(config: &Config) -> Result<(), Error> {
    let admin = match &config.admin.bind {
        Bind::Tcp(address) => Some(*address),
        Bind::Unix(_) => None,
    };
    for address in config.listen.iter().map(|listen| listen.bind).chain(admin) {
        std::net::TcpListener::bind(address).map_err(|source| Error::Io {
            doing: format!("listen on {address}"),
            source,
        })?;
    }
    Ok(())
}

/// Runs the listeners on a thread of their own until a signal ends them.
fn until_told(server: Server, router: &Router, drain: Duration) -> Result<(), Error> {
    let (phase, phases) = mpsc::channel();
    let signals = Signals {
        pipeline: Arc::clone(&router.pipeline),
        admin: Arc::clone(&router.admin),
        drain,
        phase: phase.clone(),
    };
    let run = move || {
        server.run(RunArgs {
            shutdown_signal: Box::new(signals),
        });
        let _ = phase.send(Phase::Ended);
    };
    let shell = std::thread::Builder::new().name("shell".into());
    shell.spawn(run).map_err(|source| Error::Io {
        doing: "start the thread of the listeners".into(),
        source,
    })?;
    let first = phases.recv().map_err(|_| Error::Listeners)?;
    if first == Phase::Leaving {
        let _ = phases.recv_timeout(LEAVE_WITHIN);
    }
    Ok(())
}

fn listener_settings(router: &Router, listen: &Listen) -> listener::Settings {
    listener::Settings {
        tls: router.tls.at(listen.bind),
        trusted: listen.trusted_proxies.clone(),
        proxy_protocol: if listen.proxy_protocol {
            ProxyProtocol::Required
        } else {
            ProxyProtocol::Off
        },
        limits: Arc::clone(&router.limits),
    }
}

/// SIGHUP: read the configuration again.
async fn reload_on_hangup(reloader: Arc<Reloader>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    while hangup.recv().await.is_some() {
        // How it went is logged and kept by the reloader.
        let _ = reloader.reload().await;
    }
}

/// Says `ready` once every listener takes connections.
async fn announce(admin: Arc<admin::State>, listeners: Vec<std::net::SocketAddr>) {
    for address in &listeners {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }
    admin.set_ready();
    handover::announce(&admin.config);
    let listeners: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    tracing::info!(router = admin.config.router.name, listen = listeners.join(" "), admin = %admin.config.admin.bind, "ready");
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing runs any more; pingora is told to end.
    Leaving,
    /// It has ended.
    Ended,
}

/// SIGTERM: unready, then drained, then out. SIGINT: out. SIGQUIT: sockets to the new process, then drained.
struct Signals {
    pipeline: Arc<Pipeline>,
    admin: Arc<admin::State>,
    drain: Duration,
    phase: mpsc::Sender<Phase>,
}

impl Signals {
    fn leave(&self) -> ShutdownSignal {
        let _ = self.phase.send(Phase::Leaving);
        ShutdownSignal::FastShutdown
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
        ) else {
            tracing::error!("signals cannot be watched; only SIGKILL ends this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!("SIGTERM: draining");
                self.admin.set_unready("draining");
                self.pipeline.drain();
                let ended = async {
                    while self.pipeline.connections() > 0 {
                        tokio::time::sleep(DRAIN_LOOK).await;
                    }
                    self.pipeline.settled().await;
                };
                tokio::select! {
                    () = ended => {}
                    () = tokio::time::sleep(self.drain) => tracing::warn!(open = self.pipeline.connections(), "drain time is over"),
                    _ = interrupt.recv() => {}
                }
                // Everything has ended: pingora's own grace period would only wait.
                self.leave()
            }
            _ = interrupt.recv() => self.leave(),
            _ = quit.recv() => {
                self.admin.set_unready("handing over");
                self.admin.registrar.witness.leave();
                ShutdownSignal::GracefulUpgrade
            }
        }
    }
}
