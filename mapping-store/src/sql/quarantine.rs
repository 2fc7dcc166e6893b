//! Installations that were failed over: kept out until an operator releases them.
//!
//! Owns the table `quarantines`. A row comes in the transaction that lets another installation serve, and goes in the one
//! of the release, or of a switch to the installation against the named rule.

use super::Sql;
use super::names::{Known, generation};
use super::session::{Row, args};
use super::sites::unknown;
use super::write::{What, Write};
use crate::assignment::{Assignment, Quarantine, SiteRecord};
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::Error;
use crate::switch::Pending;
use crate::{Generation, SiteId};

/// The verb after which the installation that was left is not trusted.
const UNPLANNED: &str = "failover";

pub(super) const COLUMNS: &str = "SELECT site, installation, generation, since, reason FROM quarantines ORDER BY site, installation";

pub(super) fn fill(known: &Known, rows: &[Row], records: &mut [SiteRecord]) -> Result<(), Error> {
    for row in rows {
        let site = known.site_at(row.int(0)?)?;
        let Some(record) = records.iter_mut().find(|record| record.site == site) else {
            continue;
        };
        record.quarantined.push(Quarantine {
            installation: row.text(1)?,
            generation: generation(row.int(2)?)?,
            since: Timestamp(row.int(3)?),
            reason: row.text(4)?,
        });
    }
    Ok(())
}

/// Since when the installation is in quarantine, if it is.
pub(super) async fn of(
    write: &mut Write,
    number: i64,
    installation: &str,
) -> Result<Option<(Generation, Timestamp)>, Error> {
    let sql = "SELECT generation, since FROM quarantines WHERE site = $1 AND installation = $2";
    let row = write
        .session
        .rows(sql, args![number, installation])
        .await?
        .pop();
    row.map(|row| Ok((generation(row.int(0)?)?, Timestamp(row.int(1)?))))
        .transpose()
}

/// A switch is completed: the place that was failed over is kept out from here on, the one that serves is not.
pub(super) async fn follow(
    write: &mut Write,
    number: i64,
    before: &Assignment,
    target: &Pending,
    (since, audit): (Timestamp, &AuditEntry),
) -> Result<(), Error> {
    lift(write, number, &target.installation).await?;
    let sql = "SELECT verb FROM operations WHERE id = $1";
    let operation = target.operation.as_bytes().to_vec();
    let verb = write.session.rows(sql, args![operation]).await?.pop();
    if verb.map(|row| row.text(0)).transpose()?.as_deref() != Some(UNPLANNED) {
        return Ok(());
    }
    lift(write, number, &before.installation).await?;
    let why = audit.reason.as_deref().unwrap_or("no reason was given");
    let reason = format!("failed over to {}: {why}", target.installation);
    let sql = "INSERT INTO quarantines (site, installation, generation, since, reason) VALUES ($1, $2, $3, $4, $5)";
    let args = args![
        number,
        &before.installation,
        before.generation,
        since,
        reason
    ];
    write.session.run(sql, args).await?;
    Ok(())
}

async fn lift(write: &mut Write, number: i64, installation: &str) -> Result<(), Error> {
    let sql = "DELETE FROM quarantines WHERE site = $1 AND installation = $2";
    write.session.run(sql, args![number, installation]).await?;
    Ok(())
}

impl Sql {
    pub(super) async fn release_installation(
        &self,
        site: SiteId,
        installation: &str,
        expected: Option<Generation>,
        audit: &AuditEntry,
    ) -> Result<SiteRecord, Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("release an installation").await?;
        let result = release(&mut write, site, number, (installation, expected), audit).await;
        write.end(result).await?;
        let (_, sites) = self.all_sites().await?;
        sites
            .into_iter()
            .find(|record| record.site == site)
            .ok_or_else(|| unknown(site))
    }
}

async fn release(
    write: &mut Write,
    site: SiteId,
    number: i64,
    (installation, expected): (&str, Option<Generation>),
    audit: &AuditEntry,
) -> Result<(), Error> {
    let found = of(write, number, installation).await?;
    // Released before: asked again after an answer that was lost.
    let Some((found, _)) = found else {
        return Ok(());
    };
    if expected.is_some_and(|expected| expected != found) {
        return Err(Error::Stale {
            what: format!("the quarantine of {installation}"),
            expected,
            found: Some(found),
        });
    }
    lift(write, number, installation).await?;
    write.event_of_name(What::Site, site.name()).await?;
    write.audit(audit).await?;
    Ok(())
}
