//! Plans, kept as they were made.
//!
//! Owns their rows, which never change. Must not read bodies.

use super::Sql;
use super::newest::{self, After};
use super::session::{Row, args};
use crate::mapping::Timestamp;
use crate::operation::PlanRecord;
use crate::store::{Error, Page, Slice};

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

    pub(super) async fn newest_plans(&self, slice: Slice<'_>) -> Result<Page<PlanRecord>, Error> {
        let after = After::read(slice.after)?;
        let mut session = self.read("read plans").await?;
        let sql = "SELECT hash, verb, subject, body, created_by, created_at FROM plans \
                   WHERE created_at < $1 OR (created_at = $1 AND hash > $2) \
                   ORDER BY created_at DESC, hash LIMIT $3";
        let args = args![after.at, &after.id, newest::rows(slice.limit)];
        let rows = session.rows(sql, args).await?;
        session.commit().await?;
        let items: Vec<PlanRecord> = rows.iter().map(plan).collect::<Result<_, _>>()?;
        Ok(newest::page(items, slice.limit, |one| {
            (one.created_at, one.hash.clone())
        }))
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
