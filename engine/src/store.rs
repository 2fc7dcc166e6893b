//! What outlives the process: definitions, instances, their projections, history.
//!
//! Owns the schema and every statement. One unit of work is one transaction, checked against the revisions it was read
//! at. Must not know HTTP. The two databases differ in how a transaction is run and a batch is claimed, nothing else.

mod bundle;
mod carried;
mod cell;
mod claim;
mod cleanup;
mod columns;
mod database;
mod departures;
mod deployments;
mod fetch;
mod fitted;
mod forms;
mod group;
mod handover;
mod heard;
mod incident;
mod job_definitions;
mod keeping;
mod list;
mod log;
mod lookup;
mod members;
mod merge;
mod message;
mod position;
mod postgres;
mod queue;
mod read;
mod removal;
mod schema;
mod site;
mod sqlite;
mod statement;
mod statistics;
mod tasks;
mod unit;
mod upkeep;
mod variable;
mod write;

pub use bundle::{Bundle, Model};
pub use cell::{Cell, Row};
pub use claim::ClaimedJob;
pub use cleanup::{CleanupJob, removable};
pub use database::{Database, Failure, Mark, Under};
pub use departures::Root;
pub(crate) use deployments::suspension;
pub use deployments::{
    DefinitionRow, Deployment, NewDefinition, NewDeployment, Resource, StartTrigger,
};
pub use fetch::{Fetch, Topic, Wanted};
pub use forms::NewForm;
pub use handover::{HandOver, Stage};
pub(crate) use heard::Heard;
pub use incident::Incident;
pub use job_definitions::{JobsOf, Whose};
pub use keeping::{Keeping, Level, Removal};
pub use list::{Condition, Page, Query, Sort};
pub use log::{Failed, Field as LoggedField, Happened, Writing};
pub use members::Peer;
pub use message::{
    LeaseWish, Message, NewMessage, message_died, message_done, message_extended, message_failed,
    message_released, message_removed, message_revived,
};
pub use position::{Position, advanced};
pub(crate) use postgres::LOCK_SITE_SESSION;
pub use queue::{QueueCounts, QueueSettings};
pub use read::{JobRow, Loaded, SubscriptionRow, TaskRow, WorkRow};
pub(crate) use schema::LATEST as SCHEMA;
pub(crate) use site::Seen;
pub use site::{Executor, Known, Member, Site, SiteChange};
pub(crate) use sqlite::lock_file;
pub use statement::{Expect, Statement};
pub use statistics::OpenIncidents;
pub use tasks::{Comment, Link, TaskFields};
pub use unit::{Changes, InstanceChange, Unit};

use std::sync::Arc;

/// The store of one site.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) db: Arc<Database>,
    pub(crate) known: Arc<Known>,
    pub(crate) keeping: Keeping,
    /// What this node is called in the logs.
    pub(crate) host: Arc<str>,
    pub(crate) fetches: Arc<fetch::Fetches>,
}

impl Store {
    /// Opens `sqlite:FILE` or `postgres://…`, makes the schema if it is new, and gives the database an identity.
    ///
    /// Until someone says what generation it may serve, it serves the one that it finds.
    pub async fn open(url: &str, connections: u32) -> Result<Store, Failure> {
        let db = Database::open(url, connections).await?;
        schema::migrate(&db).await?;
        let store = Store::over(db);
        store.known.set(Some(store.site().await?.mark()));
        if matches!(&*store.db, Database::Sqlite(_)) {
            store.reclaim_file().await?;
        }
        Ok(store)
    }

    /// Joins engines that are there, on a server, only to look at their site and to change it: makes no schema and takes no
    /// work.
    pub async fn attach(url: &str) -> Result<Store, Failure> {
        if url.starts_with("sqlite:") {
            return Err(Failure::Held(url.to_owned()));
        }
        Ok(Store::over(Database::open(url, 1).await?))
    }

    fn over(db: Database) -> Store {
        Store {
            db: Arc::new(db),
            known: Arc::default(),
            keeping: Keeping::default(),
            host: Arc::from(""),
            fetches: Arc::default(),
        }
    }

    /// Does the database take writes? A replica of a server does not.
    pub async fn takes_writes(&self) -> Result<bool, Failure> {
        let Database::Postgres(_) = &*self.db else {
            return Ok(true);
        };
        let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN 0::bigint ELSE 1::bigint END";
        let rows = self.rows(sql, Vec::new()).await?;
        Ok(rows.first().is_some_and(|row| row.int(0) == 1))
    }

    /// The identity of this database, given to it when it was made.
    pub async fn installation(&self) -> Result<String, Failure> {
        let rows = self
            .db
            .query(
                "SELECT value FROM property WHERE name = 'installation'",
                Vec::new(),
            )
            .await?;
        Ok(rows.first().map(|row| row.text(0)).unwrap_or_default())
    }

    /// Commits a unit, or nothing of it.
    pub async fn commit(&self, unit: Unit) -> Result<(), Failure> {
        let logs = self.writing(unit.now);
        let statements = unit.statements(self.keeping, &logs);
        self.fenced(statements).await.map(|_| ())
    }

    /// How the logs of history are written now.
    pub fn writing(&self, now: crate::clock::Millis) -> Writing {
        Writing {
            level: self.keeping.level,
            now,
            host: Arc::clone(&self.host),
        }
    }

    /// Carries out statements in one transaction.
    pub(crate) async fn apply(&self, statements: Vec<Statement>) -> Result<(), Failure> {
        self.fenced(statements).await.map(|_| ())
    }

    /// The only way to write: one transaction, at the generation that this engine may serve or not at all.
    async fn fenced(&self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, Failure> {
        let under = Under::Generation(self.known.get());
        let done = self.db.apply(statements, under).await;
        if matches!(done, Err(Failure::Fenced { .. })) {
            self.known.bell.notify_one();
        }
        done
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
