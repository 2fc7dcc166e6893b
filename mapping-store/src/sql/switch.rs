//! Switches of sites to another installation: begun, fenced, completed or aborted.
//!
//! Owns these compare-and-sets on the assignment. Must not judge safety rules (`safety.rs`) and does not know how fences
//! are proven. Relies on the store's lock: no two switches and no lease of a site run at the same time.

use super::Sql;
use super::names::generation;
use super::quarantine;
use super::safety;
use super::session::{Row, args};
use super::sites::{keep_assignment, unknown};
use super::write::{What, Write};
use crate::assignment::Assignment;
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::{Error, Seq};
use crate::switch::{Begun, Pending, Switch};
use crate::{Generation, SiteId};

/// The columns that `assignment` reads.
pub(super) const COLUMNS: &str = "SELECT site, installation, pending, fenced, operation, generation, since, switched_at FROM assignments \
     ORDER BY site";
const ONE: &str = "SELECT site, installation, pending, fenced, operation, generation, since, switched_at FROM assignments \
     WHERE site = $1";

pub(super) fn assignment(site: SiteId, row: &Row) -> Result<Assignment, Error> {
    let pending = match (row.text_or_null(2)?, row.text_or_null(4)?) {
        (None, _) => None,
        (Some(installation), operation) => {
            let operation = operation.as_deref().unwrap_or_default();
            Some(Pending {
                installation,
                fenced: row.text_or_null(3)?,
                operation: operation
                    .parse()
                    .map_err(|_| Error::Corrupt(format!("a switch of {site} has no operation")))?,
            })
        }
    };
    Ok(Assignment {
        site,
        installation: row.text(1)?,
        pending,
        generation: generation(row.int(5)?)?,
        since: Timestamp(row.int(6)?),
        switched_at: row.int_or_null(7)?.map(Timestamp),
    })
}

/// The assignment of a site, in a transaction that holds the lock.
pub(super) async fn held(
    write: &mut Write,
    site: SiteId,
    number: i64,
) -> Result<Assignment, Error> {
    let row = write.session.rows(ONE, args![number]).await?.pop();
    assignment(site, &row.ok_or_else(|| unknown(site))?)
}

/// The assignment of a site, if it is at the generation that the caller saw.
async fn expect(
    write: &mut Write,
    site: SiteId,
    number: i64,
    expected: Generation,
) -> Result<Assignment, Error> {
    let held = held(write, site, number).await?;
    if held.generation == expected {
        return Ok(held);
    }
    Err(Error::Stale {
        what: format!("the assignment of {site}"),
        expected: Some(expected),
        found: Some(held.generation),
    })
}

fn pending(held: &Assignment) -> Result<Pending, Error> {
    held.pending
        .clone()
        .ok_or_else(|| Error::Busy(format!("no switch of site {} is under way", held.site)))
}

impl Sql {
    pub(super) async fn start_switch(
        &self,
        switch: &Switch,
        audit: &AuditEntry,
    ) -> Result<Begun, Error> {
        let number = self.site_number(switch.site).await?;
        let mut write = self.write("begin a switch").await?;
        let result = begin(&mut write, number, switch, audit).await;
        write.end(result).await
    }

    pub(super) async fn keep_fence(
        &self,
        site: SiteId,
        expected: Generation,
        evidence: &str,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("note a fence").await?;
        let result = fence(&mut write, site, number, expected, evidence, audit).await;
        write.end(result).await
    }

    pub(super) async fn end_switch(
        &self,
        site: SiteId,
        expected: Generation,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("complete a switch").await?;
        let result = complete(&mut write, site, number, expected, audit).await;
        write.end(result).await
    }

    pub(super) async fn raise_generation(
        &self,
        site: SiteId,
        expected: Generation,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("raise a site's generation").await?;
        let result = raise(&mut write, site, number, expected, audit).await;
        write.end(result).await
    }

    pub(super) async fn undo_switch(
        &self,
        site: SiteId,
        expected: Generation,
        evidence: Option<&str>,
        audit: &AuditEntry,
    ) -> Result<Assignment, Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("abort a switch").await?;
        let result = abort(&mut write, site, number, expected, evidence, audit).await;
        write.end(result).await
    }
}

/// The same installation, at a further generation.
async fn raise(
    write: &mut Write,
    site: SiteId,
    number: i64,
    expected: Generation,
    audit: &AuditEntry,
) -> Result<Assignment, Error> {
    let before = expect(write, site, number, expected).await?;
    if let Some(pending) = &before.pending {
        return Err(Error::Busy(format!(
            "site {site} is switching to {}",
            pending.installation
        )));
    }
    let since = write.session.now().await?;
    let next = write.next_generation(Some(before.generation));
    let sql =
        "UPDATE assignments SET generation = $1, since = $2 WHERE site = $3 AND generation = $4";
    write
        .session
        .run(sql, args![next, since, number, expected])
        .await?;
    let serving = &before.installation;
    keep_assignment(write, number, next, serving, since, Some(audit)).await?;
    write.event_of_name(What::Assignment, site.name()).await?;
    write.audit(audit).await?;
    held(write, site, number).await
}

async fn begin(
    write: &mut Write,
    number: i64,
    switch: &Switch,
    audit: &AuditEntry,
) -> Result<Begun, Error> {
    let site = switch.site;
    let before = held(write, site, number).await?;
    if let Some(pending) = &before.pending {
        if pending.operation == switch.operation && pending.installation == switch.to {
            // Asked again after an answer that was lost. The newest change is at or after the one that began it.
            let seq = Seq(write.ledger().head);
            return Ok(Begun {
                assignment: before,
                seq,
            });
        }
        return Err(Error::Busy(format!(
            "site {site} is switching to {} already, by operation {}",
            pending.installation, pending.operation
        )));
    }
    let before = expect(write, site, number, switch.expected).await?;
    let sql = "SELECT position FROM installations WHERE site = $1 AND name = $2";
    let found = write
        .session
        .rows(sql, args![number, &switch.to])
        .await?
        .is_empty();
    if found || before.installation == switch.to {
        return Err(Error::Unknown {
            what: format!("other installation {} of site {site}", switch.to),
        });
    }
    safety::judge_switch(write, &before, number, switch, audit).await?;
    let since = write.session.now().await?;
    let next = write.next_generation(Some(before.generation));
    let sql = "UPDATE assignments SET pending = $1, fenced = NULL, operation = $2, generation = $3, since = $4 \
               WHERE site = $5 AND generation = $6";
    let operation = switch.operation.to_string();
    let args = args![
        &switch.to,
        operation,
        next,
        since,
        number,
        before.generation
    ];
    write.session.run(sql, args).await?;
    // Nobody but the one it switches to can ever serve at this generation.
    keep_assignment(write, number, next, &switch.to, since, Some(audit)).await?;
    let seq = write.event_of_name(What::Assignment, site.name()).await?;
    write.audit(audit).await?;
    let assignment = held(write, site, number).await?;
    Ok(Begun { assignment, seq })
}

async fn fence(
    write: &mut Write,
    site: SiteId,
    number: i64,
    expected: Generation,
    evidence: &str,
    audit: &AuditEntry,
) -> Result<Assignment, Error> {
    let before = expect(write, site, number, expected).await?;
    if pending(&before)?.fenced.is_some() {
        return Ok(before);
    }
    let sql = "UPDATE assignments SET fenced = $1 WHERE site = $2 AND generation = $3";
    write
        .session
        .run(sql, args![evidence, number, expected])
        .await?;
    write.event_of_name(What::Assignment, site.name()).await?;
    write.audit(audit).await?;
    held(write, site, number).await
}

async fn complete(
    write: &mut Write,
    site: SiteId,
    number: i64,
    expected: Generation,
    audit: &AuditEntry,
) -> Result<Assignment, Error> {
    let before = expect(write, site, number, expected).await?;
    if before.pending.is_none() && before.switched_at == Some(before.since) {
        // Completed at this very generation before: asked again after an answer that was lost.
        return Ok(before);
    }
    let target = pending(&before)?;
    if target.fenced.is_none() {
        return Err(Error::Busy(format!(
            "it is not proven that {} is fenced, so {} may not serve site {site}",
            before.installation, target.installation
        )));
    }
    let since = write.session.now().await?;
    let sql = "UPDATE assignments SET installation = $1, pending = NULL, fenced = NULL, operation = NULL, since = $2, \
               switched_at = $2 WHERE site = $3 AND generation = $4";
    let args = args![&target.installation, since, number, expected];
    write.session.run(sql, args).await?;
    quarantine::follow(write, number, &before, &target, (since, audit)).await?;
    write.event_of_name(What::Assignment, site.name()).await?;
    write.audit(audit).await?;
    held(write, site, number).await
}

async fn abort(
    write: &mut Write,
    site: SiteId,
    number: i64,
    expected: Generation,
    evidence: Option<&str>,
    audit: &AuditEntry,
) -> Result<Assignment, Error> {
    let before = expect(write, site, number, expected).await?;
    let target = pending(&before)?;
    if target.fenced.is_some() && evidence.is_none() {
        return Err(Error::Busy(format!(
            "{} may have begun to serve site {site}; it has to be fenced before {} serves again",
            target.installation, before.installation
        )));
    }
    let since = write.session.now().await?;
    let next = write.next_generation(Some(before.generation));
    let sql = "UPDATE assignments SET pending = NULL, fenced = NULL, operation = NULL, generation = $1, since = $2 \
               WHERE site = $3 AND generation = $4";
    write
        .session
        .run(sql, args![next, since, number, expected])
        .await?;
    keep_assignment(
        write,
        number,
        next,
        &before.installation,
        since,
        Some(audit),
    )
    .await?;
    write.event_of_name(What::Assignment, site.name()).await?;
    write.audit(audit).await?;
    held(write, site, number).await
}
