//! The database behind the store: one of two.

use super::cell::{Cell, Row};
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::statement::Statement;

/// Why the database did not do it.
#[derive(thiserror::Error, Debug)]
pub enum Failure {
    /// The URL names no database that is built.
    #[error("'{0}' is neither sqlite: nor postgres://")]
    Url(String),
    /// Someone else changed the same thing first; nothing was written.
    #[error("the state was changed by another transaction")]
    Conflict,
    /// The database is not there, or cannot do it.
    #[error("An exception occurred in the persistence layer: {0}")]
    Database(#[from] sqlx::Error),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
    /// Another process has the file.
    #[error("another engine has the database file {0} open; nodes of a cluster need PostgreSQL")]
    Held(String),
    /// A record that cannot be read.
    #[error("the record of {what} cannot be read: {reason}")]
    Record {
        /// Of what.
        what: String,
        /// Why.
        reason: String,
    },
}

/// One of two databases.
#[derive(Debug)]
pub enum Database {
    /// A file, for one engine.
    Sqlite(Sqlite),
    /// A server, for a cluster.
    Postgres(Postgres),
}

impl Database {
    /// Opens a database.
    pub async fn open(url: &str) -> Result<Database, Failure> {
        if url.starts_with("sqlite:") {
            Ok(Database::Sqlite(Sqlite::open(url).await?))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Ok(Database::Postgres(Postgres::open(url).await?))
        } else {
            Err(Failure::Url(
                url.split('@').next_back().unwrap_or_default().to_owned(),
            ))
        }
    }

    /// Reads.
    pub async fn query(
        &self,
        sql: impl Into<String>,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, Failure> {
        match self {
            Database::Sqlite(db) => db.query(sql.into(), parameters).await,
            Database::Postgres(db) => db.query(sql.into(), parameters).await,
        }
    }

    /// Writes, all or nothing; gives the rows of the statements that return some.
    pub async fn apply(&self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, Failure> {
        match self {
            Database::Sqlite(db) => db.apply(statements).await,
            Database::Postgres(db) => db.apply(statements).await,
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Database::Sqlite(db) => db.close().await,
            Database::Postgres(db) => db.close().await,
        }
    }

    /// What a claim adds so that engines do not wait for each other.
    pub(super) fn skip_locked(&self) -> &'static str {
        match self {
            Database::Sqlite(_) => "",
            Database::Postgres(_) => " FOR UPDATE SKIP LOCKED",
        }
    }
}
