//! What can be handed over, and which hand-overs there are: lists for whoever drives them.
//!
//! Owns these reads. Must not change anything.

use super::Store;
use super::cell::Cell;
use super::database::Failure;
use super::handover::{HandOver, read};
use super::statement::marks;

/// A live instance that nobody called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root {
    /// Its id.
    pub id: String,
    /// Key of its definition.
    pub definition: String,
    /// Tenant.
    pub tenant: Option<String>,
    /// Business key.
    pub business_key: Option<String>,
    /// Live instances below it.
    pub called: Vec<String>,
}

impl Store {
    /// Live instances that nobody called, in the order of their ids.
    pub async fn roots(
        &self,
        after: &str,
        only: Option<&str>,
        most: i64,
    ) -> Result<Vec<Root>, Failure> {
        let sql = "SELECT i.id, d.key, i.tenant, i.bkey FROM inst i JOIN definition d ON d.id = i.def \
                   WHERE i.id = i.root AND i.id > ? AND (? = '' OR i.id = ?) ORDER BY i.id LIMIT ?";
        let only = only.unwrap_or_default();
        let cells = vec![after.into(), only.into(), only.into(), most.into()];
        let rows = self.rows(sql, cells).await?;
        let mut roots: Vec<Root> = rows
            .iter()
            .map(|row| Root {
                id: row.text(0),
                definition: row.text(1),
                tenant: row.maybe_text(2),
                business_key: row.maybe_text(3),
                called: Vec::new(),
            })
            .collect();
        if roots.is_empty() {
            return Ok(roots);
        }
        let sql = format!(
            "SELECT root, id FROM inst WHERE id <> root AND root IN {}",
            marks(roots.len())
        );
        let cells: Vec<Cell> = roots.iter().map(|root| Cell::from(&root.id)).collect();
        for row in &self.rows(sql, cells).await? {
            let of = row.text(0);
            if let Some(root) = roots.iter_mut().find(|root| root.id == of) {
                root.called.push(row.text(1));
            }
        }
        Ok(roots)
    }

    /// How many hand-overs have ids that begin so, and the first of them, without their bundles.
    pub async fn handovers(
        &self,
        prefix: &str,
        stage: Option<&str>,
        most: i64,
    ) -> Result<(i64, Vec<HandOver>), Failure> {
        let stage = stage.unwrap_or_default();
        let cells = |most: Option<i64>| {
            let begins = format!("{prefix}%");
            let mut cells = vec![Cell::from(begins), stage.into(), stage.into()];
            cells.extend(most.map(Cell::from));
            cells
        };
        let sql = "SELECT COUNT(*) FROM handover WHERE id LIKE ? AND (? = '' OR stage = ?)";
        let count = self.rows(sql, cells(None)).await?;
        let sql = "SELECT id, root, stage, seal, NULL, site, generation, at FROM handover \
                   WHERE id LIKE ? AND (? = '' OR stage = ?) ORDER BY id LIMIT ?";
        let rows = self.rows(sql, cells(Some(most))).await?;
        Ok((
            count.first().map_or(0, |row| row.int(0)),
            rows.iter().map(read).collect(),
        ))
    }
}
