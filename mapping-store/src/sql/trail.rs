//! The audit trail's rows, and the store's incarnation.
//!
//! Owns reading and appending. Must not check the chain (`crate::audit::verify`).

use super::Sql;
use super::session::{Row, args, stored};
use super::write::Write;
use crate::audit::{AuditEntry, AuditRecord};
use crate::mapping::Timestamp;
use crate::store::Error;

impl Sql {
    pub(super) async fn audit_records(
        &self,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, Error> {
        let mut session = self.read("read the audit trail").await?;
        let sql = "SELECT number, actor, action, subject, reason, detail, request_id, at, previous, hash FROM audit \
                   WHERE number > $1 ORDER BY number LIMIT $2";
        let rows = session
            .rows(sql, args![stored(after.unwrap_or(0)), limit as i64])
            .await?;
        session.commit().await?;
        rows.iter().map(record).collect()
    }

    pub(super) async fn append_audit(&self, entry: &AuditEntry) -> Result<AuditRecord, Error> {
        let mut write = self.write("append to the audit trail").await?;
        let result = write.audit(entry).await;
        write.end(result).await
    }

    pub(super) async fn end_of_audit(&self) -> Result<(u64, String), Error> {
        let mut session = self.read("read the end of the audit trail").await?;
        let (ledger, _) = session.lock().await?;
        session.commit().await?;
        Ok((ledger.audit_number, ledger.audit_hash))
    }

    /// Begins the next incarnation if the database is not the one that the last change was made in.
    pub(super) async fn present_incarnation(&self) -> Result<u16, Error> {
        let mut session = self.read("read the incarnation").await?;
        let (ledger, lineage) = session.lock().await?;
        session.commit().await?;
        self.floor.take(ledger.incarnation)?;
        if ledger.lineage == lineage {
            return Ok(ledger.incarnation as u16);
        }
        let write = self.write("begin an incarnation").await?;
        let incarnation = write.incarnation();
        write.commit().await?;
        Ok(incarnation)
    }

    pub(super) async fn next_incarnation(
        &self,
        above: u16,
        audit: &AuditEntry,
    ) -> Result<u16, Error> {
        let mut write = self.write("begin an incarnation").await?;
        let result = next_in(&mut write, above, audit).await;
        write.end(result).await
    }
}

async fn next_in(write: &mut Write, above: u16, audit: &AuditEntry) -> Result<u16, Error> {
    write.advance_incarnation(above)?;
    write.audit(audit).await?;
    Ok(write.incarnation())
}

fn record(row: &Row) -> Result<AuditRecord, Error> {
    let entry = AuditEntry {
        actor: row.text(1)?,
        action: row.text(2)?,
        subject: row.text(3)?,
        reason: row.text_or_null(4)?,
        detail: row.text(5)?,
        request_id: row.text_or_null(6)?,
        at: Timestamp(row.int(7)?),
    };
    Ok(AuditRecord {
        number: row.number(0)?,
        entry,
        previous: row.text(8)?,
        hash: row.text(9)?,
    })
}
