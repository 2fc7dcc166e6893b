//! One router, and one site with two places behind the relays of their agents, on a store of their own.
//!
//! Owns all of it. Must not judge what a switch does.

use std::sync::{Arc, atomic::AtomicU64};

use anyhow::Result;
use homing_harness::{
    agent::Agent,
    clock::eventually,
    ports::free_port,
    postgres::{Cluster, Durability},
    router::{self, Router},
    sql::Database,
};

use super::world::{Origin, RULES, lease};
use super::zone::site;
use super::{PATIENCE, SHORT};

/// Site `b` has no other beside it.
pub(super) struct Places {
    pub(super) cluster: Cluster,
    pub(super) store: Database,
    pub(super) router: Router,
    pub(super) agents: [Agent; 2],
    pub(super) origins: [Origin; 2],
}

impl Places {
    pub(super) async fn start(name: &str) -> Result<Places> {
        let clock = Arc::new(AtomicU64::new(0));
        let one = Origin::start("b1", Arc::clone(&clock)).await?;
        let two = Origin::start("b2", clock).await?;
        let cluster = Cluster::start(name, Durability::On)?;
        let store = cluster.fresh_database("store")?;
        let ports = [free_port()?, free_port()?];
        let tables = format!("{}{RULES}\n{}", lease(SHORT), site("b", ports));
        let router = router::Builder::new(name)
            .store(&store.url())
            .tables(&tables)
            .start()
            .await?;
        let first = one.behind(("b", "b-1"), &store, (ports[0], SHORT), "");
        let first = first.await?;
        first.is("open").await?;
        let second = two.behind(("b", "b-2"), &store, (ports[1], SHORT), "");
        let second = second.await?;
        eventually("both agents have reported", PATIENCE, async || {
            let agents = store.count("SELECT count(*) FROM agents").await?;
            Ok((agents == 2).then_some(()))
        })
        .await?;
        // It was down for the router until its first agent had opened.
        let available = "homing_site_available{site=\"b\"}";
        eventually("the site takes work", PATIENCE, async || {
            let taken = router.metric(available).await? == Some(1.0);
            Ok(taken.then_some(()))
        })
        .await?;
        Ok(Places {
            cluster,
            store,
            router,
            agents: [first, second],
            origins: [one, two],
        })
    }

    pub(super) async fn is_served(&self, order: &str) -> Result<()> {
        let client = self.router.client("");
        eventually("the order is served", PATIENCE, async || {
            let answer = client.get(&format!("/orders/{order}")).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
        Ok(())
    }
}
