//! Two sites that all tests of this process share, an Operaton and a Camunda 7, started by the first test that asks.
//!
//! For tests that leave the engines running: an engine's start is what costs most in the whole suite. The test models
//! are deployed once to both. Must not be stopped, paused or fenced; who needs that starts engines of their own.

use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::{
    client::Client,
    deploy::{self, ORDER, PAYMENT, REMINDER},
    engine::{Builder, Engine, Kind},
    outcome::shared,
    ports::loopback,
    postgres::Cluster,
    router,
};

/// The two sites, by the names that routers give them.
pub struct Pair {
    pub a: Engine,
    pub b: Engine,
}

impl Pair {
    pub async fn shared() -> Result<&'static Pair> {
        static SHARED: OnceLock<Result<Pair, String>> = OnceLock::new();
        tokio::task::spawn_blocking(|| shared(&SHARED, Self::start)).await?
    }

    fn start() -> Result<Pair> {
        let cluster = Cluster::shared()?;
        let start = |name: &'static str, kind| {
            let database = cluster.database(name)?;
            Builder::new(name, kind, &database).start_blocking()
        };
        let (a, b) = std::thread::scope(|scope| {
            let a = scope.spawn(|| start("site_a", Kind::Operaton));
            let b = start("site_b", Kind::Camunda);
            (a.join(), b)
        });
        let pair = Pair {
            a: a.ok().context("the start of site a panicked")??,
            b: b?,
        };
        // A runtime of its own: this runs outside of any test's.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(pair.deploy_models())?;
        Ok(pair)
    }

    /// A router in front of both, named `a` and `b`.
    pub fn router(&self, name: &str) -> router::Builder {
        router::Builder::new(name)
            .site("a", &self.a.endpoint())
            .site("b", &self.b.endpoint())
    }

    /// The site of this name.
    pub fn site(&self, name: &str) -> Result<&Engine> {
        match name {
            "a" => Ok(&self.a),
            "b" => Ok(&self.b),
            _ => anyhow::bail!("no site {name}"),
        }
    }

    async fn deploy_models(&self) -> Result<()> {
        for engine in [&self.a, &self.b] {
            let client = Client::new(loopback(engine.port()), "/engine-rest");
            deploy::deploy(&client, "test models", &[ORDER, PAYMENT, REMINDER])
                .await?
                .expect(200)?;
        }
        Ok(())
    }
}
