//! Counts of what runs, by definition and element.
//!
//! Must not read history: how much of it is kept does not matter here.

use super::Store;
use super::cell::Row;
use super::database::Failure;

/// Open incidents of one type at one element.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenIncidents {
    /// Of which definition.
    pub definition: String,
    /// At which element.
    pub element: String,
    /// Their type.
    pub kind: String,
    /// Did they begin here, and not at a called instance?
    pub cause: bool,
    /// How many.
    pub count: i64,
}

impl Store {
    /// Running instances by definition.
    pub async fn instances_by_definition(&self) -> Result<Vec<(String, i64)>, Failure> {
        let sql = "SELECT def, COUNT(*) FROM inst GROUP BY def";
        let rows = self.rows(sql, Vec::new()).await?;
        Ok(rows.iter().map(|row| (row.text(0), row.int(1))).collect())
    }

    /// Jobs without tries by definition and element.
    pub async fn failed_jobs(&self) -> Result<Vec<(String, String, i64)>, Failure> {
        let sql = "SELECT def, act, COUNT(*) FROM job WHERE retries = 0 GROUP BY def, act";
        let rows = self.rows(sql, Vec::new()).await?;
        let read = |row: &Row| (row.text(0), row.text(1), row.int(2));
        Ok(rows.iter().map(read).collect())
    }

    /// Incidents that are open.
    pub async fn open_incidents(&self) -> Result<Vec<OpenIncidents>, Failure> {
        let sql = "SELECT def, act, type, CASE WHEN root_cause = id THEN 1 ELSE 0 END AS own, COUNT(*) FROM incident \
                   WHERE inst IS NOT NULL GROUP BY def, act, type, CASE WHEN root_cause = id THEN 1 ELSE 0 END";
        let rows = self.rows(sql, Vec::new()).await?;
        let read = |row: &Row| OpenIncidents {
            definition: row.text(0),
            element: row.text(1),
            kind: row.text(2),
            cause: row.flag(3),
            count: row.int(4),
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Documents of a definition's instances behind an id, in order.
    pub async fn documents_of(
        &self,
        definition: &str,
        behind: &str,
        most: i64,
    ) -> Result<Vec<(String, String)>, Failure> {
        let sql = "SELECT id, doc FROM inst WHERE def = ? AND id > ? ORDER BY id LIMIT ?";
        let cells = vec![definition.into(), behind.into(), most.into()];
        let rows = self.rows(sql, cells).await?;
        Ok(rows.iter().map(|row| (row.text(0), row.text(1))).collect())
    }
}
