//! Plans, kept as they were made.
//!
//! Owns their rows, which never change. Must not read bodies.

use super::Sql;
use super::session::{Row, args};
use crate::mapping::Timestamp;
use crate::operation::PlanRecord;
use crate::store::Error;

impl Sql {
    pub(super) async fn keep_plan(&self, plan: &PlanRecord) -> Result<(), Error> {
        let mut write = self.write("keep a plan").await?;
        let sql = "INSERT INTO plans (hash, verb, subject, body, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
                   ON CONFLICT (hash) DO NOTHING";
        let args = args![
            &plan.hash,
            &plan.verb,
            &plan.subject,
            &plan.body,
            &plan.created_by,
            plan.created_at,
        ];
        let result = write.session.run(sql, args).await.map(|_| ());
        write.end(result).await
    }

    pub(super) async fn one_plan(&self, hash: &str) -> Result<Option<PlanRecord>, Error> {
        let mut session = self.read("read a plan").await?;
        let sql =
            "SELECT hash, verb, subject, body, created_by, created_at FROM plans WHERE hash = $1";
        let rows = session.rows(sql, args![hash]).await?;
        session.commit().await?;
        rows.first().map(plan).transpose()
    }

    pub(super) async fn newest_plans(&self, limit: usize) -> Result<Vec<PlanRecord>, Error> {
        let mut session = self.read("read plans").await?;
        let sql = "SELECT hash, verb, subject, body, created_by, created_at FROM plans \
                   ORDER BY created_at DESC, hash LIMIT $1";
        let rows = session.rows(sql, args![limit as i64]).await?;
        session.commit().await?;
        rows.iter().map(plan).collect()
    }
}

fn plan(row: &Row) -> Result<PlanRecord, Error> {
    Ok(PlanRecord {
        hash: row.text(0)?,
        verb: row.text(1)?,
        subject: row.text(2)?,
        body: row.text(3)?,
        created_by: row.text(4)?,
        created_at: Timestamp(row.int(5)?),
    })
}
