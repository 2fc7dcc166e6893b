//! What operators and health probes change of a known site: state, identity.
//!
//! Owns these compare-and-sets. Must not add sites (`registry.rs`) or change what serves them (`switch.rs`).

use super::Sql;
use super::names::{Wanted, generation};
use super::registry::state_number;
use super::safety;
use super::session::args;
use super::write::{What, Write};
use crate::assignment::{Assignment, SiteRecord, SiteState};
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::Error;
use crate::switch::Override;
use crate::{Generation, SiteId};

pub(super) fn unknown(site: SiteId) -> Error {
    Error::Unknown {
        what: format!("site {site} in the registry"),
    }
}

impl Sql {
    /// The number of a site that some router has registered.
    pub(super) async fn site_number(&self, site: SiteId) -> Result<i64, Error> {
        let mut wanted = Wanted::default();
        wanted.site(site);
        self.names
            .ensure(self.backend.as_ref(), &wanted)
            .await?
            .site(site)
            .ok_or_else(|| unknown(site))
    }

    pub(super) async fn change_identity(
        &self,
        site: SiteId,
        expected: Option<&str>,
        identity: &str,
        audit: &AuditEntry,
    ) -> Result<(), Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("set a site's identity").await?;
        let result = identify(&mut write, site, number, expected, identity, audit).await;
        write.end(result).await
    }

    pub(super) async fn change_site_state(
        &self,
        site: SiteId,
        state: SiteState,
        expected: Option<Generation>,
        overrides: &[Override],
        audit: &AuditEntry,
    ) -> Result<SiteRecord, Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("set a site's state").await?;
        let wanted = (state, expected, overrides);
        let result = set_state(&mut write, site, number, wanted, audit).await;
        write.end(result).await?;
        let (_, sites) = self.all_sites().await?;
        sites
            .into_iter()
            .find(|record| record.site == site)
            .ok_or_else(|| unknown(site))
    }

    pub(super) async fn all_assignments(&self) -> Result<Vec<Assignment>, Error> {
        let mut session = self.read("read the assignments").await?;
        let rows = session.rows(super::switch::COLUMNS, args![]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.iter()
            .map(|row| super::switch::assignment(known.site_at(row.int(0)?)?, row))
            .collect()
    }
}

async fn identify(
    write: &mut Write,
    site: SiteId,
    number: i64,
    expected: Option<&str>,
    identity: &str,
    audit: &AuditEntry,
) -> Result<(), Error> {
    let row = write
        .session
        .rows("SELECT identity FROM sites WHERE site = $1", args![number])
        .await?
        .pop();
    let found = row.ok_or_else(|| unknown(site))?.text_or_null(0)?;
    if found.as_deref() == Some(identity) {
        return Ok(());
    }
    if found.as_deref() != expected {
        let what = format!("the identity of {site} is {found:?}, not {expected:?}, and so");
        return Err(Error::Stale {
            what,
            expected: None,
            found: None,
        });
    }
    let sql = "UPDATE sites SET identity = $1, updated_at = $2 WHERE site = $3";
    write
        .session
        .run(sql, args![identity, audit.at, number])
        .await?;
    write.event_of_name(What::Site, site.name()).await?;
    write.audit(audit).await?;
    Ok(())
}

async fn set_state(
    write: &mut Write,
    site: SiteId,
    number: i64,
    (state, expected, overrides): (SiteState, Option<Generation>, &[Override]),
    audit: &AuditEntry,
) -> Result<(), Error> {
    let row = write
        .session
        .rows(
            "SELECT generation FROM sites WHERE site = $1",
            args![number],
        )
        .await?
        .pop();
    let found = generation(row.ok_or_else(|| unknown(site))?.int(0)?)?;
    if expected.is_some_and(|expected| expected != found) {
        return Err(Error::Stale {
            what: format!("the state of {site}"),
            expected,
            found: Some(found),
        });
    }
    safety::judge_state(write, site, number, state, overrides, audit).await?;
    let next = write.next_generation(Some(found));
    let sql = "UPDATE sites SET state = $1, generation = $2, reason = $3, updated_at = $4 \
               WHERE site = $5 AND generation = $6";
    let args = args![
        state_number(state),
        next,
        audit.reason.clone(),
        audit.at,
        number,
        found
    ];
    write.session.run(sql, args).await?;
    write.event_of_name(What::Site, site.name()).await?;
    write.audit(audit).await?;
    Ok(())
}

/// The past of a site's assignments: one installation a generation, by the table's key.
pub(super) async fn keep_assignment(
    write: &mut Write,
    site: i64,
    generation: Generation,
    installation: &str,
    since: Timestamp,
    audit: Option<&AuditEntry>,
) -> Result<(), Error> {
    let sql = "INSERT INTO assignment_history (site, generation, installation, since, actor, reason) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let actor = audit.map(|audit| audit.actor.clone());
    let reason = audit.and_then(|audit| audit.reason.clone());
    write
        .session
        .run(
            sql,
            args![site, generation, installation, since, actor, reason],
        )
        .await?;
    Ok(())
}
