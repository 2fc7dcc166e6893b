//! Forms that were deployed (`*.form`), by key and version.

use super::Store;
use super::database::Failure;
use super::statement::Statement;
use crate::machine::FormRef;

/// A form to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewForm {
    /// The row's id.
    pub id: String,
    /// Its key: the `id` within its JSON.
    pub key: String,
    /// Grows with each deployment of the key.
    pub version: i64,
    /// The resource.
    pub resource: String,
    /// The hash of its content.
    pub sha: String,
}

impl NewForm {
    /// Stores it with its deployment.
    pub(super) fn insert(&self, deployment: &str, tenant: Option<&String>) -> Statement {
        let sql = "INSERT INTO form (id, key, version, tenant, deployment, resource, sha) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let cells = vec![
            (&self.id).into(),
            (&self.key).into(),
            self.version.into(),
            tenant.cloned().into(),
            deployment.into(),
            (&self.resource).into(),
            (&self.sha).into(),
        ];
        Statement::new(sql, cells)
    }
}

impl Store {
    /// The latest version of a form; 0: there is none.
    pub async fn form_version(&self, key: &str, tenant: Option<&str>) -> Result<i64, Failure> {
        let sql =
            "SELECT COALESCE(MAX(version), 0) FROM form WHERE key = ? AND COALESCE(tenant, '') = ?";
        let cells = vec![key.into(), tenant.unwrap_or_default().into()];
        let rows = self.rows(sql, cells).await?;
        Ok(rows.first().map_or(0, |row| row.int(0)))
    }

    /// The content of a form that somebody of this deployment and tenant means.
    pub async fn form(
        &self,
        wanted: &FormRef,
        deployment: &str,
        tenant: Option<&str>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let key = "SELECT sha FROM form WHERE key = ?";
        let of = "AND COALESCE(tenant, '') = ?";
        let tenant = || tenant.unwrap_or_default().into();
        let (sql, mut cells) = match (wanted.binding.as_str(), wanted.version) {
            ("deployment", _) => (format!("{key} AND deployment = ?"), vec![deployment.into()]),
            ("version", Some(version)) => (
                format!("{key} {of} AND version = ?"),
                vec![tenant(), version.into()],
            ),
            _ => (
                format!("{key} {of} ORDER BY version DESC LIMIT 1"),
                vec![tenant()],
            ),
        };
        cells.insert(0, (&wanted.key).into());
        let rows = self.rows(sql, cells).await?;
        match rows.first() {
            Some(row) => self.content(&row.text(0)).await,
            None => Ok(None),
        }
    }
}
