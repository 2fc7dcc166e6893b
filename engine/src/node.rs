//! One node of the engine as a program runs it: store, executor and REST face, started and stopped together.

use crate::bridge::{self, Bridge};
use crate::clock::Clock;
use crate::cluster::branches::Branches;
use crate::cluster::resource::Resource;
use crate::limits::Limits;
use crate::model::Delegates;
use crate::runtime::{Cleaning, Handle, Identity, Place, cleanup};
use crate::store::{Executor, Failure, Keeping, Level, Removal, Store};
use crate::{cluster, http_call, jobs, queue, rest};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for requests in flight when a node stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Jobs that run at once.
const CAPACITY: u16 = 32;
/// Connections to PostgreSQL: few, because a unit holds one only while it is applied.
const CONNECTIONS: u32 = 8;

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the REST face listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// `sqlite:FILE` or `postgres://…`. Nodes with the same store are a cluster.
    pub store_url: String,
    /// Does this node run jobs and timers? The site's and the engine's switch in the database have a say too.
    pub executor: Executor,
    /// The installation that this node belongs to, where the site can be served from several.
    pub installation: Option<String>,
    /// Jobs that run at once.
    pub capacity: u16,
    /// How much this node has to give.
    pub resource: Resource,
    /// How often that is measured.
    pub resource_interval: Duration,
    /// Which jobs of an instance may run at the same time.
    pub branches: Branches,
    /// Are the other nodes told at once that work is there, by the database's LISTEN and NOTIFY?
    pub notify: bool,
    /// Connections to PostgreSQL.
    pub connections: u32,
    /// A node that shows no life for this long is dead, and others take over its work.
    pub failover_window: Duration,
    /// How much history is written; `None`: as the database has it, and everything in a new one.
    pub history_level: Option<Level>,
    /// When it is settled how long an instance's history stays.
    pub history_removal: Removal,
    /// When this node removes old history.
    pub cleaning: Cleaning,
    /// This node's name, for people.
    pub name: String,
    /// Bridges from brokers to work queues.
    pub bridges: Vec<Bridge>,
    /// What Java names in models stand for.
    pub delegates: Delegates,
    /// What it takes at most.
    pub limits: Limits,
    /// What this node takes for the time until its database tells it, and where no database has a clock.
    pub clock: Clock,
    /// May requests move this node's clock (`POST /test/clock`)? For tests only.
    pub test_clock: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bind: SocketAddr::from(([127, 0, 0, 1], 18081)),
            store_url: "sqlite:engine.db".to_owned(),
            executor: Executor::Enabled,
            installation: None,
            capacity: CAPACITY,
            resource: Resource::Jobs,
            resource_interval: Duration::from_secs(30),
            branches: Branches::Model,
            notify: true,
            connections: CONNECTIONS,
            failover_window: Duration::from_secs(180),
            history_level: None,
            history_removal: Removal::End,
            cleaning: Cleaning::Always,
            name: "engine".to_owned(),
            bridges: Vec::new(),
            delegates: Delegates::default(),
            limits: Limits::default(),
            clock: Clock::default(),
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
    /// The engines of one database write the same history.
    #[error(
        "historyLevel mismatch: this engine is told to write history at the level '{}', and the database has '{}'; \
         set `history_level` to \"{}\" or \"auto\"", .wanted.name(), .has.name(), .has.name()
    )]
    Level {
        /// What this engine is to write.
        wanted: Level,
        /// What the database has.
        has: Level,
    },
    /// What a Java name stands for cannot be called.
    #[error("the delegate '{0}' cannot be called over HTTP: {1}")]
    Delegate(String, String),
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
    leave: watch::Sender<bool>,
    membership: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Starts a node; when this returns it answers requests.
    pub async fn start(options: Options) -> Result<Node, StartError> {
        let calls = http_call::ready(&options.delegates)
            .map_err(|(name, why)| StartError::Delegate(name, why))?;
        let store = opened(&options).await?;
        let identity = Identity {
            name: options.name.clone(),
            installation: options.installation.clone(),
        };
        let place = Place::new(identity, options.executor);
        let handle = Handle::new(
            store,
            options.clock.clone(),
            options.delegates.clone(),
            place,
            options.branches,
            options.cleaning,
            options.limits,
        );
        handle.look().await?;
        if let Err(failure) = handle.complete_job_definitions().await {
            // A site that others serve is not written to; the next start does it.
            tracing::warn!(%failure, "job definitions of earlier deployments could not be added");
        }
        let (listener, address) = listening(options.bind).await?;
        let (stop, stopped) = watch::channel(false);
        let (member, membership) = watch::channel(None);
        let executor_task = jobs::run(
            handle.clone(),
            membership,
            i64::from(options.capacity),
            stopped.clone(),
        );
        let name = options.name.clone();
        let (leave, left) = watch::channel(false);
        let cluster_task =
            cluster::run(handle.clone(), name, options.failover_window, member, left);
        let look_task = cluster::look::run(handle.clone(), stopped.clone());
        let cleanup_task = cleanup::run(handle.clone(), stopped.clone());
        let queue_task = queue::run::run(handle.clone(), stopped.clone());
        let mut tasks = vec![
            tokio::spawn(executor_task),
            tokio::spawn(look_task),
            tokio::spawn(cleanup_task),
            tokio::spawn(queue_task),
        ];
        tasks.extend(asked_for(&handle, &options, calls, &stopped));
        tasks.extend(bridge::start(&handle, options.bridges, &stopped));
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
            leave,
            membership: tokio::spawn(cluster_task),
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

    /// Switches the executor of this process; the switches in the database stay as they are.
    pub fn set_executor(&self, executor: Executor) {
        self.handle.inner.place.local.send_replace(executor);
    }

    /// Stops at once and gives nothing back, as if the process had died. For tests of what others then do.
    pub fn abort(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.membership.abort();
    }

    /// Stops: no more claims, requests in flight are finished, held jobs are given back.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            drop(tokio::time::timeout(DRAIN_MAX, task).await);
        }
        // A member as long as it has work: what is under way is not taken from it.
        self.leave.send_replace(true);
        drop(tokio::time::timeout(DRAIN_MAX, self.membership).await);
        self.handle.store().close().await;
    }
}

/// What runs only where it is asked for.
fn asked_for(
    handle: &Handle,
    options: &Options,
    calls: http_call::Calls,
    stopped: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    if options.notify {
        let bells = cluster::bells::run(handle.clone(), stopped.clone());
        tasks.push(tokio::spawn(bells));
    }
    if !calls.is_empty() {
        let calling = http_call::run::run(handle.clone(), calls, stopped.clone());
        tasks.push(tokio::spawn(calling));
    }
    if options.resource != Resource::Jobs {
        let (resource, every) = (options.resource.clone(), options.resource_interval);
        let measure = cluster::resource::run(handle.clone(), resource, every, stopped.clone());
        tasks.push(tokio::spawn(measure));
    }
    tasks
}

/// A listener, with the address that it has.
async fn listening(bind: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |e| StartError::Bind(bind, e);
    let listener = TcpListener::bind(bind).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The store, with what history keeps in it.
async fn opened(options: &Options) -> Result<Store, StartError> {
    let mut store = Store::open(&options.store_url, options.connections).await?;
    match keeping(&store, options).await {
        Ok(keeping) => {
            store.keeping = keeping;
            store.host = options.name.as_str().into();
            Ok(store)
        }
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

/// What history keeps: as this node is told, if the database has no other word.
async fn keeping(store: &Store, options: &Options) -> Result<Keeping, StartError> {
    let has = store.settle_level(options.history_level).await?;
    match options.history_level {
        Some(wanted) if wanted != has => Err(StartError::Level { wanted, has }),
        Some(_) | None => Ok(Keeping {
            level: has,
            removal: options.history_removal,
        }),
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
