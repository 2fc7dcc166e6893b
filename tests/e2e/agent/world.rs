//! A site `b` with two installations, its store, and the controller's side of a switch in a few words.
//!
//! Owns the store's handle and the switch. Must not fence anything itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use homing_harness::{
    clock::{Stopwatch, eventually},
    postgres::Cluster,
    sql::Database,
};
use homing_mapping_store::{
    Generation, SiteId, Timestamp,
    agent::{AgentRecord, AgentRole, NewOrder, Order, OrderKind, OrderState},
    assignment::{Assignment, InstallationRecord, SiteRecord, SiteState},
    audit::AuditEntry,
    operation::{NewOperation, PlanRecord},
    store::{Handle, RouterRecord, Seq},
    switch::{Limits, Switch},
};
use sqlx::{Connection as _, PgConnection};

pub(super) const PATIENCE: Duration = Duration::from_secs(90);
pub(super) const INSTALLATIONS: [&str; 2] = ["b-one", "b-two"];

/// The store and the site's database.
pub(super) struct World {
    pub(super) store: Handle,
    pub(super) store_database: Database,
    pub(super) site: SiteId,
}

pub(super) fn audit() -> AuditEntry {
    AuditEntry {
        actor: "test".into(),
        action: "switch".into(),
        subject: "b".into(),
        reason: Some("a test".into()),
        detail: "{}".into(),
        request_id: None,
        at: Timestamp(0),
    }
}

impl World {
    /// Site `b` is registered; `b-one` serves.
    pub(super) async fn new() -> Result<Self> {
        let store_database = Cluster::shared()?.fresh_database("store")?;
        let store = homing_mapping_store::open(&store_database.url()).await?;
        let site = SiteId::named("b");
        let record = SiteRecord {
            site,
            dialect: "engine-rest".into(),
            installations: INSTALLATIONS
                .map(|name| InstallationRecord {
                    name: name.into(),
                    zone: None,
                    endpoints: vec![format!("http://{name}:8080/engine-rest")],
                })
                .into(),
            identity: None,
            state: SiteState::Ready,
            generation: Generation(0),
            revision: 0,
            reason: None,
            updated_at: Timestamp(0),
            quarantined: Vec::new(),
        };
        store.register("r1", &[record]).await?;
        Ok(Self {
            store,
            store_database,
            site,
        })
    }

    pub(super) async fn assignment(&self) -> Result<Assignment> {
        let all = self.store.assignments().await?;
        all.into_iter()
            .find(|one| one.site == self.site)
            .context("no assignment")
    }

    /// Nobody serves from here on.
    pub(super) async fn begin_switch(&self, to: &str) -> Result<Generation> {
        self.begin(to, uuid::Uuid::new_v4()).await
    }

    /// The same, as part of a planned operation.
    pub(super) async fn begin_planned(&self, to: &str) -> Result<Generation> {
        let plan = PlanRecord {
            hash: uuid::Uuid::new_v4().to_string(),
            verb: "switchover".into(),
            subject: "b".into(),
            body: "{}".into(),
            created_by: "test".into(),
            created_at: Timestamp(0),
        };
        self.store.put_plan(&plan).await?;
        let operation = NewOperation {
            id: uuid::Uuid::new_v4(),
            plan: plan.hash,
            verb: plan.verb,
            subject: plan.subject,
            sites: vec![(self.site, self.assignment().await?.generation)],
            state: "running".into(),
            body: plan.body,
        };
        self.store.begin_operation(&operation, &audit()).await?;
        self.begin(to, operation.id).await
    }

    async fn begin(&self, to: &str, operation: uuid::Uuid) -> Result<Generation> {
        let switch = Switch {
            site: self.site,
            to: to.into(),
            expected: self.assignment().await?.generation,
            operation,
            limits: Limits {
                freeze: false,
                cool_down_ms: 0,
                share_at_once: 1.0,
            },
            overrides: Vec::new(),
        };
        let begun = self.store.begin_switch(&switch, &audit()).await?;
        Ok(begun.assignment.generation)
    }

    /// A router lives, and has obeyed what the store said up to there.
    pub(super) async fn heartbeat(&self, applied: Seq) -> Result<()> {
        let router = RouterRecord {
            name: "r1".into(),
            registry_acknowledged: 1,
            applied,
            address: "127.0.0.1:1".into(),
            version: "test".into(),
            config_hash: String::new(),
            seen_at: Timestamp(0),
            live: true,
            lease_ms: 0,
            ..RouterRecord::default()
        };
        Ok(self.store.heartbeat(&router, 600_000).await?)
    }

    pub(super) async fn note_fence(&self, at: Generation) -> Result<()> {
        self.store
            .note_fence(self.site, at, "seen by a test", &audit())
            .await?;
        Ok(())
    }

    pub(super) async fn complete(&self, at: Generation) -> Result<()> {
        self.store.complete_switch(self.site, at, &audit()).await?;
        Ok(())
    }

    pub(super) async fn agent(&self, installation: &str) -> Result<AgentRecord> {
        let all = self.store.agents().await?;
        all.into_iter()
            .find(|agent| agent.report.installation == installation)
            .with_context(|| format!("no agent of {installation}"))
    }

    /// Waits until the agent has told the store that it is fenced at this generation.
    pub(super) async fn acknowledged(&self, installation: &str, at: Generation) -> Result<()> {
        let what = format!("{installation} acknowledges its fence");
        eventually(&what, PATIENCE, async || {
            let agent = self.agent(installation).await?;
            ensure!(
                agent.report.role == AgentRole::Fenced && agent.report.generation >= at,
                "{agent:?}"
            );
            Ok(Some(()))
        })
        .await
    }

    /// Gives an order and waits until it is done or has failed.
    pub(super) async fn order(
        &self,
        installation: &str,
        what: OrderKind,
        at: Generation,
    ) -> Result<Order> {
        let order = NewOrder {
            id: uuid::Uuid::new_v4(),
            site: self.site,
            installation: installation.into(),
            generation: at,
            what,
        };
        self.store.order(&order, &audit()).await?;
        eventually(&format!("{what} ends"), PATIENCE, async || {
            let orders = self.store.orders(self.site).await?;
            let found = orders.into_iter().find(|found| found.order.id == order.id);
            Ok(found.filter(|found| matches!(found.state, OrderState::Done | OrderState::Failed)))
        })
        .await
    }
}

/// Waits until so much time has passed.
pub(super) async fn past(watch: Stopwatch, time: Duration) -> Result<()> {
    eventually("time passes", PATIENCE, async || {
        Ok(watch.is_past(time).then_some(()))
    })
    .await
}

/// A session of the site's role through a relay.
pub(super) async fn session(database: &Database, port: u16) -> Result<PgConnection> {
    Ok(PgConnection::connect(&database.url_through(port)).await?)
}

/// Sessions of the site's role, however they came.
pub(super) fn sessions(cluster: &Cluster, database: &Database) -> Result<u32> {
    let role = database.role();
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'");
    Ok(cluster.admin(&sql)?.trim().parse()?)
}

/// Waits until the last session of the site's role is gone.
pub(super) async fn no_sessions(cluster: &Cluster, database: &Database) -> Result<()> {
    eventually("no session is left", PATIENCE, async || {
        let left = sessions(cluster, database)?;
        ensure!(left == 0, "{left} sessions");
        Ok(Some(()))
    })
    .await
}
