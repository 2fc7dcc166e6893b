//! Judging at the source: statements against the databases of sites and stores.
//!
//! Owns the connection per question and knows no table names (tests name them). Relies on a running cluster.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// A database and the role that owns it.
#[derive(Clone, Debug)]
pub struct Database {
    name: String,
    password: String,
    port: u16,
}

impl Database {
    pub(crate) fn new(name: &str, port: u16) -> Self {
        Self::with_password(name, name, port)
    }

    pub(crate) fn with_password(name: &str, password: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            port,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role that owns it.
    pub fn role(&self) -> &str {
        &self.name
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// For the store of a router and for `connect`.
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The same through another port (a fault proxy's).
    pub fn url_through(&self, port: u16) -> String {
        let Database { name, password, .. } = self;
        format!("postgres://{name}:{password}@127.0.0.1:{port}/{name}")
    }

    /// A URL that names several servers.
    pub fn url_through_each(&self, ports: &[u16]) -> String {
        let Database { name, password, .. } = self;
        let hosts: Vec<String> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        format!("postgres://{name}:{password}@{}/{name}", hosts.join(","))
    }

    /// The database of the same name and role at another server: a copy of this one.
    #[must_use]
    pub fn at(&self, port: u16) -> Database {
        Database {
            port,
            ..self.clone()
        }
    }

    pub async fn connect(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url())
            .await
            .with_context(|| format!("connecting to {}", self.name))
    }

    /// The first column of every row, as text.
    pub async fn column(&self, statement: &str) -> Result<Vec<String>> {
        let mut connection = self.connect().await?;
        let rows = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .fetch_all(&mut connection)
            .await
            .with_context(|| statement.to_owned())?;
        connection.close().await?;
        rows.iter()
            .map(|row| Ok(row.try_get::<String, _>(0)?))
            .collect()
    }

    /// One number.
    pub async fn count(&self, statement: &str) -> Result<i64> {
        let mut connection = self.connect().await?;
        let row = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .fetch_one(&mut connection)
            .await
            .with_context(|| statement.to_owned())?;
        connection.close().await?;
        Ok(row.try_get(0)?)
    }
}
