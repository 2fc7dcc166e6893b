//! Agents: what each last said of itself.
//!
//! Owns the agents' rows. Must not believe or doubt a report: whoever reads it does. Relies on the store's clock for
//! what is alive.

use super::Sql;
use super::names::generation;
use super::session::{Access, Row, Session, args, stored};
use super::write::{What, Write};
use crate::SiteId;
use crate::agent::{AgentRecord, AgentReport, AgentRole, Reporting};
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::Error;

/// Longest facts that an agent may report, in bytes.
pub const FACTS_BYTES_MAX: usize = 16 * 1024;

const ONE: &str = "SELECT site, installation, holder, generation, role, facts, counter, lease_ms, seen_at FROM agents \
                   WHERE site = $1 AND installation = $2 AND holder = $3";
const ALL: &str = "SELECT site, installation, holder, generation, role, facts, counter, lease_ms, seen_at FROM agents \
                   ORDER BY site, installation, holder";
const KEEP: &str = "INSERT INTO agents (site, installation, holder, generation, role, facts, counter, lease_ms, seen_at) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (site, installation, holder) DO UPDATE SET \
                    generation = excluded.generation, role = excluded.role, facts = excluded.facts, \
                    counter = excluded.counter, lease_ms = excluded.lease_ms, seen_at = excluded.seen_at \
                    WHERE agents.counter < excluded.counter";

impl Sql {
    pub(super) async fn take_report(&self, reporting: Reporting<'_>) -> Result<AgentRecord, Error> {
        let Reporting {
            report,
            lease_ms,
            after,
        } = reporting;
        if report.facts.len() > FACTS_BYTES_MAX {
            return Err(Error::Limit(
                "bytes of facts in an agent's report",
                FACTS_BYTES_MAX,
            ));
        }
        let number = self.site_number(report.site).await?;
        // Mostly nothing changes but the counter; only news is worth the store's lock and a change.
        let mut session = self
            .session(Access::Write, "take an agent's report")
            .await?;
        let before = one(session.as_mut(), number, report).await?;
        comes_after(before.as_ref(), report, after)?;
        if before.as_ref().is_some_and(|before| same(before, report)) {
            let record = keep(session.as_mut(), number, report, lease_ms, before.as_ref()).await?;
            session.commit().await?;
            let record = record.ok_or_else(|| overtaken(report))?;
            return Ok(record);
        }
        session.rollback().await?;
        let mut write = self.write("take an agent's report").await?;
        let result = news(&mut write, number, report, lease_ms, after).await;
        write.end(result).await
    }

    pub(super) async fn all_agents(&self) -> Result<Vec<AgentRecord>, Error> {
        let mut session = self.read("read the agents").await?;
        let now = session.now().await?;
        let rows = session.rows(ALL, args![]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.iter()
            .map(|row| record(known.site_at(row.int(0)?)?, row, now))
            .collect()
    }

    pub(super) async fn remove_agent(
        &self,
        site: SiteId,
        installation: &str,
        holder: &str,
        audit: &AuditEntry,
    ) -> Result<(), Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("forget an agent").await?;
        let sql = "DELETE FROM agents WHERE site = $1 AND installation = $2 AND holder = $3";
        let gone = write
            .session
            .run(sql, args![number, installation, holder])
            .await;
        let result = match gone {
            Ok(0) => Err(Error::Unknown {
                what: format!("agent {holder} of installation {installation} of site {site}"),
            }),
            Ok(_) => write.audit(audit).await.map(|_| ()),
            Err(error) => Err(error),
        };
        write.end(result).await
    }
}

fn same(before: &AgentRecord, report: &AgentReport) -> bool {
    (before.report.role, before.report.generation) == (report.role, report.generation)
}

async fn one(
    session: &mut dyn Session,
    number: i64,
    report: &AgentReport,
) -> Result<Option<AgentRecord>, Error> {
    let now = session.now().await?;
    let rows = session
        .rows(ONE, args![number, &report.installation, &report.holder])
        .await?;
    rows.first()
        .map(|row| record(report.site, row, now))
        .transpose()
}

async fn news(
    write: &mut Write,
    number: i64,
    report: &AgentReport,
    lease_ms: u64,
    after: Option<u64>,
) -> Result<AgentRecord, Error> {
    super::switch::held(write, report.site, number).await?;
    let before = one(write.session.as_mut(), number, report).await?;
    comes_after(before.as_ref(), report, after)?;
    if let Some(before) = &before
        && before.report.generation > report.generation
    {
        return Err(Error::Stale {
            what: format!(
                "agent {} of {}, which has reported a higher generation before,",
                report.holder, report.installation
            ),
            expected: Some(report.generation),
            found: Some(before.report.generation),
        });
    }
    let record = keep(
        write.session.as_mut(),
        number,
        report,
        lease_ms,
        before.as_ref(),
    )
    .await?
    .ok_or_else(|| overtaken(report))?;
    write
        .event_of_name(What::Assignment, report.site.name())
        .await?;
    Ok(record)
}

/// Nothing if another report came between.
async fn keep(
    session: &mut dyn Session,
    number: i64,
    report: &AgentReport,
    lease_ms: u64,
    before: Option<&AgentRecord>,
) -> Result<Option<AgentRecord>, Error> {
    let seen_at = session.now().await?;
    let counter = before.map_or(1, |before| before.counter + 1);
    let args = args![
        number,
        &report.installation,
        &report.holder,
        report.generation,
        report.role.as_str(),
        &report.facts,
        stored(counter),
        stored(lease_ms),
        seen_at,
    ];
    let kept = session.run(KEEP, args).await? > 0;
    Ok(kept.then(|| AgentRecord {
        report: report.clone(),
        counter,
        lease_ms,
        seen_at,
        live: true,
    }))
}

fn overtaken(report: &AgentReport) -> Error {
    let holder = &report.holder;
    Error::Busy(format!("another report of agent {holder} has come between"))
}

/// Whether the last report is the one that this one was made after.
fn comes_after(
    before: Option<&AgentRecord>,
    report: &AgentReport,
    after: Option<u64>,
) -> Result<(), Error> {
    let counter = before.map_or(0, |before| before.counter);
    if after.is_some_and(|after| after != counter) {
        return Err(overtaken(report));
    }
    Ok(())
}

fn record(site: SiteId, row: &Row, now: Timestamp) -> Result<AgentRecord, Error> {
    let role = row.text(4)?;
    let (lease_ms, seen_at) = (row.number(7)?, row.int(8)?);
    Ok(AgentRecord {
        report: AgentReport {
            site,
            installation: row.text(1)?,
            holder: row.text(2)?,
            generation: generation(row.int(3)?)?,
            role: AgentRole::parse(&role)
                .ok_or_else(|| Error::Corrupt(format!("\"{role}\" is no role of an agent")))?,
            facts: row.text(5)?,
        },
        counter: row.number(6)?,
        lease_ms,
        seen_at: Timestamp(seen_at),
        live: seen_at.saturating_add(stored(lease_ms)) > now.0,
    })
}
