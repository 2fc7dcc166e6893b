//! The site agent, beside one installation: it holds the site's lease, fences the installation when the lease ends, and
//! carries out the orders of a re-homing.
//!
//! Owns the wiring of its parts. Must not route requests or choose installations: the assignment in the store decides.

pub mod ahead;
pub mod enforcer;
pub mod extend;
pub mod fence;
pub mod gate;
pub mod grace;
pub mod haste;
pub mod highest;
pub mod hooks;
pub mod keeper;
pub mod means;
pub mod metrics;
pub mod orders;
pub mod others;
pub mod patroni;
pub mod place;
pub mod relay;
pub mod replica;
pub mod role;
pub mod status;
pub mod switch;

use crate::decide::attest::Roster;
use crate::telemetry::chain;
use ahead::{Ahead, Course};
use enforcer::{Enforcer, Life, Standing};
use extend::Extender;
use fence::{Evidence, Lease, Outage};
use gate::Gate;
use grace::Grace;
use haste::Haste;
use highest::Highest;
use homing_config::Config;
use homing_config::settings::{Agent, Fence, Promotion, Replica as Reads, Scheme};
use homing_mapping_store::{Handle, SiteId};
use hooks::Hooks;
use keeper::{Identity, Keeper};
use means::Means;
use orders::{Deeds, Inbox, Orders};
use others::Others;
use place::Place;
use relay::Relay;
use replica::{Replica, Watcher};
use role::Role;
use status::Telling;
use std::sync::Arc;
use switch::Switch;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Why an agent does not run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in the configuration cannot be done.
    #[error("{0}")]
    Unable(String),
    /// The memory of the highest generation cannot be used.
    #[error("the agent stays closed")]
    Memory(#[from] highest::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        address: String,
        #[source]
        source: std::io::Error,
    },
    /// The installation may still be able to change data.
    #[error("the fence is not proven; make sure by hand that the engine is stopped")]
    NotFenced(#[source] means::Error),
    /// A part ended that must never end.
    #[error("the agent broke: {0}")]
    Broke(String),
}

/// Runs an agent until `leave` is done; then fences, gives the lease back, and ends.
pub async fn run(
    config: &Config,
    agent: &Agent,
    leave: impl Future<Output = ()>,
) -> Result<(), Error> {
    let means = means(agent).await?;
    run_with(config, agent, None, means, leave).await
}

/// Like [`run`], with these means of fencing, and a store that may be open already.
pub async fn run_with(
    config: &Config,
    agent: &Agent,
    store: Option<Handle>,
    (means, accepting): (Means, Accepting),
    leave: impl Future<Output = ()>,
) -> Result<(), Error> {
    let highest = match Highest::open(&agent.state, &agent.site, &agent.installation) {
        Ok(highest) => highest,
        Err(error) => {
            // Without its memory it must not open; an engine that runs already must not go on either.
            means.shut().await.map_err(Error::NotFenced)?;
            return Err(error.into());
        }
    };
    let mut parts = Parts::wire(config, agent, means, highest)?;
    parts.keeper.store = store;
    if let Some(bind) = &agent.bind {
        let bound = status::bind(bind).await.map_err(|source| Error::Listen {
            address: bind.to_string(),
            source,
        })?;
        parts
            .tasks
            .spawn(status::serve(bound, parts.telling.clone()));
    }
    if let Some((relay, listener)) = accepting {
        parts.tasks.spawn(relay.run(listener));
    }
    tracing::info!(
        site = agent.site,
        installation = agent.installation,
        "ready: closed until the store says otherwise"
    );
    parts.live(leave).await
}

/// Everything that runs.
struct Parts {
    enforcer: Enforcer,
    keeper: Keeper,
    life: watch::Sender<Life>,
    telling: Telling,
    /// What must never end.
    tasks: JoinSet<()>,
}

impl Parts {
    fn wire(
        config: &Config,
        agent: &Agent,
        means: Means,
        highest: Highest,
    ) -> Result<Parts, Error> {
        let identity = identity(config, agent);
        let (evidence, known) = watch::channel(nothing_yet(&identity, &highest));
        let (standing, heard) = watch::channel(Standing::beginning());
        let (life, lives) = watch::channel(Life::Staying);
        let (found, replica) = watch::channel(Replica::default());
        let (inbox, brought) = watch::channel(Inbox::default());
        let (takes_away, outage) = watch::channel(None);
        let bell = Arc::new(Notify::new());
        let ask_again = Arc::new(Notify::new());
        let telling = telling(agent, &known, &heard, &replica);
        let (leads, course) = watch::channel(Course::default());
        let orders = Orders {
            identity: identity.clone(),
            inbox: brought,
            evidence: known.clone(),
            standing: heard.clone(),
            deeds: deeds(config, agent, takes_away)?,
            bell: Arc::clone(&bell),
        };
        let enforcer = Enforcer {
            means,
            evidence: known,
            replica: replica.clone(),
            reads: reads(agent),
            life: lives,
            outage,
            standing,
        };
        let (needed, needs) = watch::channel(None);
        let extender = Extender {
            identity: identity.clone(),
            evidence: evidence.clone(),
            needed: needs,
        };
        let keeper = Keeper {
            identity,
            url: agent.store.clone(),
            store: None,
            highest,
            evidence,
            standing: heard,
            replica,
            mode: mode(agent),
            others: Others::default(),
            inbox,
            grace: Grace::default(),
            haste: Haste::default(),
            course: leads,
            ask_again: Arc::clone(&ask_again),
            place: Place::default(),
            bell,
            roster: Roster::default(),
            fenced: None,
            counter: None,
            needed,
            answered: true,
        };
        let mut tasks = JoinSet::new();
        set_to_work(agent, orders, (course, enforcer.replica.clone()));
        tasks.spawn(extender.run());
        if let Some(watcher) = watcher(config, agent)? {
            tasks.spawn(watcher.run(found, ask_again));
        }
        Ok(Parts {
            enforcer,
            keeper,
            life,
            telling,
            tasks,
        })
    }

    async fn live(mut self, leave: impl Future<Output = ()>) -> Result<(), Error> {
        let broke = |what: &str, error: String| Error::Broke(format!("{what} ended: {error}"));
        let (gone, left) = tokio::sync::oneshot::channel::<()>();
        let mut enforcing = tokio::spawn(self.enforcer.run());
        let mut keeping = tokio::spawn(self.keeper.run(async move {
            // An error means that the enforcer is gone, which is as good.
            let _ = left.await;
        }));
        tokio::select! {
            () = leave => {}
            ended = &mut enforcing => return Err(broke("the enforcer", format!("{ended:?}"))),
            ended = &mut keeping => return Err(broke("the keeper", format!("{ended:?}"))),
            Some(ended) = self.tasks.join_next() => return Err(broke("a part", format!("{ended:?}"))),
        }
        tracing::info!("leaving: fencing first");
        let _ = self.life.send(Life::Leaving);
        let fenced = enforcing
            .await
            .map_err(|error| broke("the enforcer", error.to_string()))?;
        let _ = gone.send(());
        if let Err(error) = keeping.await {
            tracing::warn!("the keeper broke: {}", chain(&error));
        }
        fenced.map_err(Error::NotFenced)
    }
}

fn telling(
    agent: &Agent,
    evidence: &watch::Receiver<Evidence>,
    standing: &watch::Receiver<Standing>,
    replica: &watch::Receiver<Replica>,
) -> Telling {
    Telling {
        site: agent.site.clone(),
        installation: agent.installation.clone(),
        mode: mode(agent),
        evidence: evidence.clone(),
        standing: standing.clone(),
        replica: replica.clone(),
    }
}

fn identity(config: &Config, agent: &Agent) -> Identity {
    Identity {
        site: SiteId::named(&agent.site),
        installation: agent.installation.clone(),
        holder: config.router.name.clone(),
        term: config.lease.site,
        renew_every: config.lease.renew_every,
    }
}

/// What is known before the store was asked.
fn nothing_yet(identity: &Identity, highest: &Highest) -> Evidence {
    Evidence {
        installation: identity.installation.clone(),
        term: identity.term,
        seen: None,
        highest: highest.value(),
        lease: Lease::Unknown,
    }
}

fn mode(agent: &Agent) -> &'static str {
    match &agent.fence {
        Fence::Relay { .. } => "relay",
        Fence::Postgres { .. } => "postgres",
        Fence::Command => "command",
        Fence::Engine { .. } => "engine",
    }
}

/// What works on the engine ends with the keeper, whose end is noticed by itself.
fn set_to_work(
    agent: &Agent,
    orders: Orders,
    (course, replica): (watch::Receiver<Course>, watch::Receiver<Replica>),
) {
    if agent.start_ahead {
        let ahead = Ahead {
            hooks: orders.deeds.hooks.clone(),
            course,
            replica,
        };
        drop(tokio::spawn(ahead.run()));
    }
    drop(tokio::spawn(orders.run()));
}

fn deeds(
    config: &Config,
    agent: &Agent,
    outage: watch::Sender<Option<Outage>>,
) -> Result<Deeds, Error> {
    if let Some(Promotion::Patroni(endpoint)) = &agent.promote
        && endpoint.scheme == Scheme::Https
    {
        return Err(Error::Unable(
            "`agent.promote.patroni` is spoken to in the clear only: name its http:// address on this host".into(),
        ));
    }
    Ok(Deeds {
        hooks: hooks(agent),
        promotion: agent.promote.clone(),
        database: watcher(config, agent)?,
        limit: agent.command_timeout,
        outage,
    })
}

fn reads(agent: &Agent) -> Reads {
    match &agent.fence {
        Fence::Relay { replica, .. } => *replica,
        Fence::Postgres { .. } | Fence::Command | Fence::Engine { .. } => Reads::Closed,
    }
}

fn watcher(config: &Config, agent: &Agent) -> Result<Option<Watcher>, Error> {
    let Some(lag) = &agent.lag else {
        return Ok(None);
    };
    Watcher::new(lag.expose(), config.lease.renew_every)
        .map(Some)
        .map_err(|error| Error::Unable(format!("`agent.lag` cannot be used: {error}")))
}

/// A relay and where it listens, for means that are one.
pub type Accepting = Option<(Arc<Relay>, tokio::net::TcpListener)>;

async fn means(agent: &Agent) -> Result<(Means, Accepting), Error> {
    match &agent.fence {
        Fence::Relay {
            listen,
            database,
            connections,
            replica: _,
        } => {
            let gate = Arc::new(Gate::default());
            let bound = Relay::bind(*listen, database.clone(), *connections, Arc::clone(&gate));
            let (relay, listener) = bound.await.map_err(|source| Error::Listen {
                address: listen.to_string(),
                source,
            })?;
            let means = Means::Relay {
                relay: Arc::clone(&relay),
                gate,
            };
            Ok((means, Some((relay, listener))))
        }
        Fence::Postgres { url, role } => {
            let role =
                Role::new(url.expose(), role).map_err(|error| Error::Unable(chain(&error)))?;
            Ok((Means::Role(Box::new(role)), None))
        }
        Fence::Command => Ok((Means::Command(hooks(agent)), None)),
        Fence::Engine { store } => {
            let switch = Switch::new(store.expose(), &agent.installation);
            Ok((Means::Engine(switch), None))
        }
    }
}

fn hooks(agent: &Agent) -> Hooks {
    Hooks {
        start: agent.start.clone(),
        stop: agent.stop.clone(),
        verify_start: agent.verify_start.clone(),
        verify_stop: agent.verify_stop.clone(),
        limit: agent.command_timeout,
        folder: agent.state.clone(),
        at_it: Arc::default(),
    }
}
