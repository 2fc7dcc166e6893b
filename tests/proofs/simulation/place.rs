//! A place at which the site can be served: its agent, and an engine that always wants to write.
//!
//! Owns the software of one host. The engine reaches its database through the agent's gate only, as behind its relay.

use super::clocks::Clock;
use super::truth::{self, Truth};
use homing_config::settings::HostPort;
use homing_config::{Inputs, Purpose, load};
use homing_mapping_store::Handle;
use homing_proxy::agent::{self, gate::Gate, means::Means, relay::Relay};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use turmoil::net::TcpListener;

/// Between two writes of the engine.
const WRITES_EVERY: Duration = Duration::from_millis(11);
/// Where the engine listens.
pub(crate) const PORT: u16 = 80;

/// A place.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) config: String,
    pub(crate) store: Handle,
    pub(crate) truth: Arc<Truth>,
    pub(crate) clock: Clock,
    /// For so long the engine goes on after its gate has shut: none, but in a sabotage.
    pub(crate) goes_on: Duration,
}

impl Place {
    /// Lives until the host is crashed.
    pub(crate) async fn live(&self) -> turmoil::Result {
        self.clock.rules();
        let loaded = load(
            &Inputs::text("agent.toml", self.config.clone()),
            Purpose::Agent,
        )
        .map_err(|report| report.to_string())?;
        let settings = loaded.config.agent.as_ref().ok_or("no [agent]")?;
        let gate = Arc::new(Gate::default());
        let database = HostPort {
            host: "database".into(),
            port: 1,
        };
        let relay = Relay::new(database, 1, Arc::clone(&gate));
        let engine = Arc::clone(&gate);
        let (written, name, goes_on) = (Arc::clone(&self.truth), self.name, self.goes_on);
        tokio::spawn(async move {
            let mut last = None;
            loop {
                tokio::time::sleep(WRITES_EVERY).await;
                let now = truth::now();
                if engine.is_open() {
                    last = Some(now);
                }
                if last.is_some_and(|last| now - last <= goes_on) {
                    written.wrote(name);
                }
            }
        });
        tokio::task::spawn_local(listen());
        let means = (Means::Relay { relay, gate }, None);
        let store = Some(Arc::clone(&self.store));
        agent::run_with(
            &loaded.config,
            settings,
            store,
            means,
            std::future::pending(),
        )
        .await?;
        Ok(())
    }
}

/// Whoever connects finds the engine there.
async fn listen() -> turmoil::Result {
    let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::task::spawn_local(async move {
            let _ = stream.read(&mut [0; 64]).await;
        });
    }
}
