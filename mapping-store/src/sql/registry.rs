//! The registry: which sites there are, and with which installations.
//!
//! Owns what `register` adds and changes. Must not touch identity, state or assignment of a known site.

use super::Sql;
use super::deployments::{only_there, settle_all};
use super::names::{Known, Wanted, generation};
use super::quarantine;
use super::session::{Row, args, stored};
use super::sites::keep_assignment;
use super::write::{What, Write};
use crate::assignment::{InstallationRecord, SiteRecord, SiteState};
use crate::audit::AuditEntry;
use crate::mapping::Timestamp;
use crate::store::Error;
use crate::{Generation, SiteId};

const STATES: [SiteState; 4] = [
    SiteState::Ready,
    SiteState::Draining,
    SiteState::Maintenance,
    SiteState::Quarantined,
];

pub(super) fn state_number(state: SiteState) -> i64 {
    STATES
        .iter()
        .position(|one| *one == state)
        .map_or(i64::MAX, |at| at as i64)
}

fn state(number: i64) -> Result<SiteState, Error> {
    let state = usize::try_from(number)
        .ok()
        .and_then(|at| STATES.get(at))
        .copied();
    state.ok_or_else(|| Error::Corrupt(format!("{number} is not the number of a site's state")))
}

impl Sql {
    pub(super) async fn all_sites(&self) -> Result<(u64, Vec<SiteRecord>), Error> {
        let mut session = self.read("read the registry").await?;
        // The revision first: sites that come meanwhile belong to a later one, which nobody acknowledges by this read.
        let revision = session
            .rows("SELECT registry FROM store WHERE only_row = 1", args![])
            .await?;
        let sites = session.rows(SITES, args![]).await?;
        let installations = session.rows(INSTALLATIONS, args![]).await?;
        let quarantined = session.rows(quarantine::COLUMNS, args![]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        let revision = revision.first().map_or(Ok(0), |row| row.number(0))?;
        let mut records = records(&known, &sites, &installations)?;
        quarantine::fill(&known, &quarantined, &mut records)?;
        Ok((revision, records))
    }

    pub(super) async fn register_sites(
        &self,
        router: &str,
        sites: &[SiteRecord],
    ) -> Result<u64, Error> {
        let mut wanted = Wanted::default();
        sites.iter().for_each(|site| wanted.site(site.site));
        self.names.ensure(self.backend.as_ref(), &wanted).await?;
        let mut write = self.write("register sites").await?;
        let result = self.register_in(&mut write, router, sites).await;
        write.end(result).await
    }

    pub(super) async fn unregister_site(
        &self,
        site: SiteId,
        audit: &AuditEntry,
    ) -> Result<(), Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("take a site out of the registry").await?;
        let result = remove(&mut write, site, number, audit).await;
        write.end(result).await
    }

    async fn register_in(
        &self,
        write: &mut Write,
        router: &str,
        sites: &[SiteRecord],
    ) -> Result<u64, Error> {
        let known = self.names.refresh(write.session.as_mut()).await?;
        let rows = write.session.rows(SITES, args![]).await?;
        let installations = write.session.rows(INSTALLATIONS, args![]).await?;
        let present = records(&known, &rows, &installations)?;
        let mut revision = None;
        for site in sites {
            let number = known.site(site.site).ok_or_else(|| Error::Unknown {
                what: format!("site {}", site.site),
            })?;
            let before = present.iter().find(|record| record.site == site.site);
            let same = |before: &SiteRecord| {
                before.dialect == site.dialect && before.installations == site.installations
            };
            if before.is_some_and(same) {
                continue;
            }
            let revision = *revision.get_or_insert_with(|| write.next_registry());
            match before {
                None => add(write, number, site, revision).await?,
                Some(before) => update(write, number, site, before, revision).await?,
            }
            write.event_of_name(What::Site, site.site.name()).await?;
            tracing::info!(router, site = %site.site, revision, "the registry changed");
        }
        Ok(write.ledger().registry)
    }
}

const SITES: &str = "SELECT site, dialect, identity, state, generation, revision, reason, updated_at FROM sites ORDER BY site";
const INSTALLATIONS: &str =
    "SELECT site, name, zone, endpoints FROM installations ORDER BY site, position";

fn records(known: &Known, sites: &[Row], installations: &[Row]) -> Result<Vec<SiteRecord>, Error> {
    let mut records = Vec::with_capacity(sites.len());
    for row in sites {
        let number = row.int(0)?;
        let mut record = SiteRecord {
            site: known.site_at(number)?,
            dialect: row.text(1)?,
            installations: Vec::new(),
            identity: row.text_or_null(2)?,
            state: state(row.int(3)?)?,
            generation: generation(row.int(4)?)?,
            revision: row.number(5)?,
            reason: row.text_or_null(6)?,
            updated_at: Timestamp(row.int(7)?),
            quarantined: Vec::new(),
        };
        for row in installations {
            if row.int(0)? == number {
                record.installations.push(installation(row)?);
            }
        }
        records.push(record);
    }
    Ok(records)
}

fn installation(row: &Row) -> Result<InstallationRecord, Error> {
    let endpoints = serde_json::from_str(&row.text(3)?)
        .map_err(|error| Error::Corrupt(format!("the endpoints of an installation: {error}")))?;
    Ok(InstallationRecord {
        name: row.text(1)?,
        zone: row.text_or_null(2)?,
        endpoints,
    })
}

async fn add(
    write: &mut Write,
    number: i64,
    site: &SiteRecord,
    revision: u64,
) -> Result<(), Error> {
    let now = write.session.now().await?;
    let first = first_generation(write, number).await?;
    let sql = "INSERT INTO sites (site, dialect, identity, state, generation, revision, reason, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let args = args![
        number,
        &site.dialect,
        site.identity.clone(),
        state_number(site.state),
        first,
        stored(revision),
        site.reason.clone(),
        now,
    ];
    write.session.run(sql, args).await?;
    set_installations(write, number, &site.installations).await?;
    assign_first(write, number, site, now).await
}

/// New addresses of known installations are no reason for routers to hold a site back, so the record keeps its revision.
async fn update(
    write: &mut Write,
    number: i64,
    site: &SiteRecord,
    before: &SiteRecord,
    revision: u64,
) -> Result<(), Error> {
    let names = |record: &SiteRecord| {
        record
            .installations
            .iter()
            .map(|one| one.name.clone())
            .collect::<Vec<_>>()
    };
    let same = site.dialect == before.dialect && names(site) == names(before);
    let revision = if same { before.revision } else { revision };
    let now = write.session.now().await?;
    let sql = "UPDATE sites SET dialect = $1, revision = $2, updated_at = $3 WHERE site = $4";
    write
        .session
        .run(sql, args![&site.dialect, stored(revision), now, number])
        .await?;
    set_installations(write, number, &site.installations).await?;
    assign_first(write, number, site, now).await
}

/// The first installation listed serves at the very first start; afterwards the assignment decides.
async fn assign_first(
    write: &mut Write,
    number: i64,
    site: &SiteRecord,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "SELECT site FROM assignments WHERE site = $1";
    let assigned = !write.session.rows(sql, args![number]).await?.is_empty();
    let Some(serving) = site.installations.first().filter(|_| !assigned) else {
        return Ok(());
    };
    let first = first_generation(write, number).await?;
    let sql =
        "INSERT INTO assignments (site, installation, generation, since) VALUES ($1, $2, $3, $4)";
    write
        .session
        .run(sql, args![number, &serving.name, first, now])
        .await?;
    keep_assignment(write, number, first, &serving.name, now, None).await?;
    write
        .event_of_name(What::Assignment, site.site.name())
        .await?;
    Ok(())
}

async fn set_installations(
    write: &mut Write,
    number: i64,
    list: &[InstallationRecord],
) -> Result<(), Error> {
    write
        .session
        .run("DELETE FROM installations WHERE site = $1", args![number])
        .await?;
    for (position, one) in list.iter().enumerate() {
        let endpoints = serde_json::to_string(&one.endpoints).map_err(|error| {
            Error::Corrupt(format!("the endpoints of an installation: {error}"))
        })?;
        let sql = "INSERT INTO installations (site, position, name, zone, endpoints) VALUES ($1, $2, $3, $4, $5)";
        write
            .session
            .run(
                sql,
                args![
                    number,
                    position as i64,
                    &one.name,
                    one.zone.clone(),
                    endpoints
                ],
            )
            .await?;
    }
    Ok(())
}

/// A site that was in the registry before goes on above its last generation.
async fn first_generation(write: &mut Write, site: i64) -> Result<Generation, Error> {
    let sql = "SELECT MAX(generation) FROM assignment_history WHERE site = $1";
    let rows = write.session.rows(sql, args![site]).await?;
    let last = rows
        .first()
        .map(|row| row.int_or_null(0))
        .transpose()?
        .flatten();
    Ok(write.next_generation(last.map(generation).transpose()?))
}

/// Refused while a mapping that has not ended names the site, or while others are still to get what only it has.
async fn remove(
    write: &mut Write,
    site: SiteId,
    number: i64,
    audit: &AuditEntry,
) -> Result<(), Error> {
    let sql = "SELECT COUNT(*) FROM mappings WHERE home = $1 AND state <> $2";
    let ended = super::names::state_number(crate::State::Ended);
    let mappings = write
        .session
        .rows(sql, args![number, ended])
        .await?
        .first()
        .map_or(Ok(0), |row| row.number(0))?;
    if mappings > 0 {
        return Err(Error::InUse { site, mappings });
    }
    let deployments =
        only_there(write, number).await? + super::shared::only_there(write, number).await?;
    if deployments > 0 {
        return Err(Error::OnlyThere { site, deployments });
    }
    if let Some(pending) = super::switch::held(write, site, number).await?.pending {
        return Err(Error::Busy(format!(
            "site {site} is switching to {}; wait for it, or abort it",
            pending.installation
        )));
    }
    let last = "SELECT generation FROM sites WHERE site = $1";
    let row = write.session.rows(last, args![number]).await?.pop();
    let row = row.ok_or_else(|| Error::Unknown {
        what: format!("site {site} in the registry"),
    })?;
    let next = write
        .next_generation(Some(generation(row.int(0)?)?))
        .max(first_generation(write, number).await?);
    // The last word on the site, above both its generations, for the case that it comes back.
    let now = write.session.now().await?;
    keep_assignment(write, number, next, "", now, Some(audit)).await?;
    for sql in [
        "DELETE FROM installations WHERE site = $1",
        "DELETE FROM assignments WHERE site = $1",
        "DELETE FROM agents WHERE site = $1",
        "DELETE FROM quarantines WHERE site = $1",
        "DELETE FROM observations WHERE site = $1",
        "DELETE FROM deployment_sites WHERE site = $1",
        "DELETE FROM shared_sites WHERE site = $1",
        "DELETE FROM sites WHERE site = $1",
    ] {
        write.session.run(sql, args![number]).await?;
    }
    settle_all(write).await?;
    super::shared::settle_all(write).await?;
    write.next_registry();
    write.event_of_name(What::Site, site.name()).await?;
    write.audit(audit).await?;
    Ok(())
}
