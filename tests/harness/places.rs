//! Site `b` at two places: PostgreSQL, agent and engine each, the second on a streaming replica, with a router in front.
//!
//! Owns all of their processes and how they are put together. Must not kill anything by itself. The router comes first,
//! since it makes the registry; its endpoints are doors that lead to the engines when they are there.

use anyhow::Result;
use sqlx::Executor as _;

use crate::{
    agent::{self, Agent, LEASES},
    client::Client,
    deploy::{self, ORDER},
    engine::{self, Engine, Kind},
    faults::FaultProxy,
    hooks::Hooks,
    ports::{free_port, loopback},
    postgres::{Cluster, Durability},
    router::{self, Router},
    sql::Database,
};

/// A site and its two installations.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    pub site: &'static str,
    /// Where it is served at first.
    pub first: &'static str,
    pub second: &'static str,
}

const B: Names = Names {
    site: "b",
    first: "b-one",
    second: "b-two",
};

/// A primary and its replica, each behind the relay of its agent.
pub struct Places {
    pub primary: Cluster,
    pub standby: Cluster,
    pub database: Database,
    pub one: Agent,
    pub at_one: u16,
    pub two: Agent,
    pub at_two: u16,
    /// Of the second place's engine, if nobody but its agent starts it.
    cold: Option<(Engine, Hooks)>,
}

impl Places {
    /// The store knows site `b` already; `prepare` is run in its database before there is a replica.
    pub async fn start(store: &str, leases: &str, prepare: &str) -> Result<Places> {
        Places::of(B, (store, leases), prepare, None).await
    }

    /// The second place's engine is started by its agent, if one is named.
    pub async fn of(
        names: Names,
        (store, leases): (&str, &str),
        prepare: &str,
        cold: Option<Kind>,
    ) -> Result<Places> {
        let primary = Cluster::start("primary", Durability::Off)?;
        let database = primary.database("site")?;
        database
            .connect()
            .await?
            .execute(sqlx::AssertSqlSafe(prepare.to_owned()))
            .await?;
        let standby = primary.standby("standby")?;
        let (at_one, at_two) = (free_port()?, free_port()?);
        let one = format!(
            "mode = \"relay\"\nrelay = {{ listen = \"127.0.0.1:{at_one}\", database = \"127.0.0.1:{port}\" }}\n\
             lag = \"postgres://postgres@127.0.0.1:{port}/postgres\"\npromote = {promote:?}",
            port = primary.port(),
            promote = primary.promote_command()?,
        );
        let two = format!(
            "mode = \"relay\"\nrelay = {{ listen = \"127.0.0.1:{at_two}\", database = \"127.0.0.1:{port}\", replica = \"read-only\" }}\n\
             lag = \"postgres://postgres@127.0.0.1:{port}/postgres\"\npromote = {promote:?}",
            port = standby.port(),
            promote = standby.promote_command()?,
        );
        let cold = match cold {
            Some(kind) => Some(prepared(names, kind, &database, at_two)?),
            None => None,
        };
        let two = match &cold {
            Some((_, hooks)) => format!("{two}\nstart_ahead = true\n{}", hooks.lines()),
            None => two,
        };
        let agent = |installation: &'static str, lines: &str| {
            agent::Builder::new(names.site, installation, store, lines)
                .leases(leases)
                .start()
        };
        let one = agent(names.first, &one).await?;
        let two = agent(names.second, &two).await?;
        Ok(Places {
            primary,
            standby,
            database,
            one,
            at_one,
            two,
            at_two,
            cold,
        })
    }
}

/// The second place's engine, and what starts it.
fn prepared(
    names: Names,
    kind: Kind,
    database: &Database,
    through: u16,
) -> Result<(Engine, Hooks)> {
    let engine = engine::Builder::new(names.second, kind, database)
        .database_through(through)
        .prepare()?;
    let hooks = Hooks::of(names.second, &engine)?;
    Ok((engine, hooks))
}

/// What a fleet's times are, and what may happen without a person.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// The router's name.
    pub name: &'a str,
    /// Which engine: Operaton, or Flowable with its executor.
    pub engine: Kind,
    /// The `[lease]` table of router and agents; empty: the built-in ones.
    pub leases: &'a str,
    /// The `[safety]` table.
    pub safety: &'a str,
    /// The lines of `[health]`; `None`: looked at often.
    pub health: Option<&'a str>,
    /// `off`, `advise` or `on`.
    pub automatic: &'a str,
    /// Whether a drill may take the place that serves away.
    pub unplanned_drills: bool,
    /// Whether the second place's engine is started by its agent when it is needed, and does not run beside the replica before.
    pub cold: bool,
}

impl Default for Manner<'_> {
    fn default() -> Self {
        Self {
            name: "places",
            engine: Kind::Operaton,
            leases: LEASES,
            safety: "[safety]\ncool_down = \"0ms\"\n",
            health: None,
            automatic: "off",
            unplanned_drills: false,
            cold: false,
        }
    }
}

/// Both places, with engines, and the router.
pub struct Fleet {
    pub places: Places,
    pub router: Router,
    /// The second one has no process of its own in a fleet whose standby is cold.
    pub engines: [Engine; 2],
    /// What starts it then.
    pub hooks: Option<Hooks>,
    doors: [FaultProxy; 2],
    store: String,
}

impl Fleet {
    /// Everything runs; at Operaton the model `order` is deployed.
    pub async fn start(manner: Manner<'_>) -> Result<Fleet> {
        let store = Cluster::shared()?.fresh_database("store")?;
        let doors = [
            FaultProxy::start(loopback(1), 1).await?,
            FaultProxy::start(loopback(1), 2).await?,
        ];
        let router = router(manner, &store.url(), &doors).await?;
        let cold = manner.cold.then_some(manner.engine);
        let mut places = Places::of(B, (&store.url(), manner.leases), "SELECT 1", cold).await?;
        places.one.is("open").await?;
        let first = engine::Builder::new("b-one", manner.engine, &places.database)
            .database_through(places.at_one)
            .start()
            .await?;
        doors[0].retarget(loopback(first.port()));
        if manner.engine == Kind::Operaton {
            let client = Client::new(loopback(first.port()), "/engine-rest");
            let deployed = deploy::deploy(&client, "order", &[ORDER]).await?;
            deployed.expect(200)?;
        }
        let (second, hooks) = match places.cold.take() {
            Some((engine, hooks)) => (engine, Some(hooks)),
            // Warm: it runs beside the replica, which takes no writes, before anybody needs it.
            None => {
                let warm = engine::Builder::new("b-two", manner.engine, &places.database)
                    .database_through(places.at_two)
                    .start();
                (warm.await?, None)
            }
        };
        doors[1].retarget(loopback(second.port()));
        Ok(Fleet {
            places,
            router,
            engines: [first, second],
            hooks,
            doors,
            store: store.url(),
        })
    }

    /// One more router of this fleet, with a journal of its own.
    pub async fn another_router(&self, manner: Manner<'_>) -> Result<Router> {
        router(manner, &self.store, &self.doors).await
    }

    /// Agent, engine and database of the first place get SIGKILL.
    pub fn lose_the_first_place(&self) -> Result<()> {
        self.places.one.kill()?;
        self.lose_the_first_host()
    }

    /// Engine and database of the first place get SIGKILL; its agent, which stands elsewhere, lives.
    pub fn lose_the_first_host(&self) -> Result<()> {
        self.engines[0].kill()?;
        self.places.primary.kill_server()
    }
}

async fn router(manner: Manner<'_>, store: &str, doors: &[FaultProxy; 2]) -> Result<Router> {
    let [one, two] = [&doors[0], &doors[1]].map(FaultProxy::port);
    let (dialect, base) = if manner.engine == Kind::Flowable {
        ("flowable", "")
    } else {
        ("engine-rest", "/engine-rest")
    };
    let tables = format!(
        "{}{}[[site]]\nname = \"b\"\ndialect = \"{dialect}\"\n\
         recovery = {{ mode = \"replica\", max_lag = \"300s\", automatic = \"{}\", unplanned_drills = {} }}\n\
         [[site.installation]]\nname = \"b-one\"\nzone = \"eu-1\"\nendpoints = [\"http://127.0.0.1:{one}{base}\"]\n\
         [[site.installation]]\nname = \"b-two\"\nzone = \"eu-2\"\nendpoints = [\"http://127.0.0.1:{two}{base}\"]\n",
        manner.leases, manner.safety, manner.automatic, manner.unplanned_drills
    );
    let builder = router::Builder::new(manner.name)
        .store(store)
        .tables(&tables);
    match manner.health {
        Some(lines) => builder.health(lines).start().await,
        None => builder.start().await,
    }
}
