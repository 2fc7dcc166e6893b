//! One node of the engine as a program runs it: store, executor and REST face, started and stopped together.

use crate::clock::Clock;
use crate::model::Delegates;
use crate::runtime::Handle;
use crate::store::{Failure, Store};
use crate::{cluster, jobs, rest};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for requests in flight when a node stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the REST face listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// `sqlite:FILE` or `postgres://…`. Nodes with the same store are a cluster.
    pub store_url: String,
    /// Does this node run jobs and timers?
    pub executor: bool,
    /// A node that shows no life for this long is dead, and others take over its work.
    pub failover_window: Duration,
    /// This node's name, for people.
    pub name: String,
    /// What Java names in models stand for.
    pub delegates: Delegates,
    /// May requests move this node's clock (`POST /test/clock`)? For tests only.
    pub test_clock: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bind: SocketAddr::from(([127, 0, 0, 1], 18081)),
            store_url: "sqlite:engine.db".to_owned(),
            executor: true,
            failover_window: Duration::from_secs(180),
            name: "engine".to_owned(),
            delegates: Delegates::default(),
            test_clock: false,
        }
    }
}

/// Why a node did not start.
#[derive(thiserror::Error, Debug)]
pub enum StartError {
    /// The store could not be opened.
    #[error("the store could not be opened: {0}")]
    Store(#[from] Failure),
    /// The address could not be listened on.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    executor: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts a node; when this returns it answers requests.
    pub async fn start(options: Options) -> Result<Node, StartError> {
        let store = Store::open(&options.store_url).await?;
        let handle = Handle::new(store, Clock::default(), options.delegates.clone());
        let listener = TcpListener::bind(options.bind)
            .await
            .map_err(|e| StartError::Bind(options.bind, e))?;
        let address = listener
            .local_addr()
            .map_err(|e| StartError::Bind(options.bind, e))?;
        let (stop, stopped) = watch::channel(false);
        let (executor, enabled) = watch::channel(options.executor);
        let (member, membership) = watch::channel(None);
        let executor_task = jobs::run(handle.clone(), membership, enabled, stopped.clone());
        let name = options.name.clone();
        let (window, until) = (options.failover_window, stopped.clone());
        let cluster_task = cluster::run(handle.clone(), name, window, member, until);
        let mut tasks = vec![tokio::spawn(executor_task), tokio::spawn(cluster_task)];
        let app = rest::router_with(
            handle.clone(),
            rest::Settings {
                test_clock: options.test_clock,
            },
        );
        tasks.push(tokio::spawn(serve(listener, app, stopped)));
        tracing::info!(%address, name = options.name, "engine ready");
        Ok(Node {
            handle,
            address,
            stop,
            executor,
            tasks,
        })
    }

    /// Where the REST face listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Switches this node's executor.
    pub fn set_executor(&self, enabled: bool) {
        self.executor.send_replace(enabled);
    }

    /// Stops at once and gives nothing back, as if the process had died. For tests of what others then do.
    pub fn abort(self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Stops: no more claims, requests in flight are finished, held jobs are given back.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            drop(tokio::time::timeout(DRAIN_MAX, task).await);
        }
        self.handle.store().close().await;
    }
}

async fn serve(listener: TcpListener, app: axum::Router, mut stopped: watch::Receiver<bool>) {
    let until = async move {
        drop(stopped.wait_for(|stop| *stop).await);
    };
    if let Err(failure) = axum::serve(listener, app)
        .with_graceful_shutdown(until)
        .await
    {
        tracing::error!(%failure, "the REST face ended");
    }
}
