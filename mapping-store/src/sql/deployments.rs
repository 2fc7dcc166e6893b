//! Deployments and how far each site is with them.
//!
//! Owns their rows. A row of a site only says what was found there; who may send to it is the business of whoever holds
//! the scope's lease. Each change is announced as a change of a site: what a site has belongs to what it can take.

use super::Sql;
use super::names::{Known, Wanted};
use super::session::{Row, args, stored};
use super::write::{What, Write};
use crate::SiteId;
use crate::deployment::{
    AtSite, DEPLOYMENT_BYTES_MAX, DEPLOYMENTS_MAX, DeploymentRecord, NewDeployment, Standing, Verb,
};
use crate::mapping::Timestamp;
use crate::store::Error;
use std::collections::HashMap;
use std::sync::Arc;

impl Sql {
    pub(super) async fn add_deployment(&self, new: &NewDeployment) -> Result<u64, Error> {
        if new.content.len() > DEPLOYMENT_BYTES_MAX {
            return Err(Error::Limit("bytes of a deployment", DEPLOYMENT_BYTES_MAX));
        }
        let known = self.numbered(&new.sites).await?;
        let mut write = self.write("record a deployment").await?;
        let result = add_in(&mut write, &known, new).await;
        write.end(result).await
    }

    pub(super) async fn all_deployments(&self) -> Result<Vec<DeploymentRecord>, Error> {
        let mut session = self.read("read the deployments").await?;
        let rows = session
            .rows(
                "SELECT number, scope, verb, removed_by, tenant, name, hash, what, length, recorded_at \
                 FROM deployments ORDER BY number",
                args![],
            )
            .await?;
        let parts = session
            .rows(
                "SELECT number, site, standing, id, holds, detail, updated_at FROM deployment_sites \
                 ORDER BY number, site",
                args![],
            )
            .await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        let mut sites: HashMap<i64, Vec<AtSite>> = HashMap::new();
        for part in &parts {
            let of = sites.entry(part.int(0)?).or_default();
            of.push(at_site(part, &known)?);
        }
        rows.iter()
            .map(|row| record(row, sites.remove(&row.int(0)?).unwrap_or_default()))
            .collect()
    }

    pub(super) async fn content_of(&self, number: u64) -> Result<Vec<u8>, Error> {
        let mut session = self.read("read a deployment").await?;
        let sql = "SELECT content FROM deployments WHERE number = $1";
        let rows = session.rows(sql, args![stored(number)]).await?;
        session.commit().await?;
        rows.first().ok_or_else(|| unknown(number))?.bytes(0)
    }

    pub(super) async fn keep_standings(&self, number: u64, sites: &[AtSite]) -> Result<(), Error> {
        let of: Vec<SiteId> = sites.iter().map(|at| at.site).collect();
        let known = self.numbered(&of).await?;
        let mut write = self.write("note how far a deployment is").await?;
        let result = note_in(&mut write, &known, number, sites).await;
        write.end(result).await
    }

    pub(super) async fn drop_deployment(&self, number: u64) -> Result<(), Error> {
        let mut write = self.write("withdraw a deployment").await?;
        let result = withdraw_in(&mut write, number).await;
        write.end(result).await
    }

    pub(super) async fn add_site_to_deployments(
        &self,
        scope: &str,
        site: SiteId,
    ) -> Result<u64, Error> {
        let known = self.numbered(&[site]).await?;
        let number = numbered(&known, site)?;
        let mut write = self
            .write("give a site the deployments that it lacks")
            .await?;
        let result = enlist_in(&mut write, scope, site, number).await;
        write.end(result).await
    }

    pub(super) async fn numbered(&self, sites: &[SiteId]) -> Result<Arc<Known>, Error> {
        let mut wanted = Wanted::default();
        for site in sites {
            wanted.site(*site);
        }
        self.names.ensure(self.backend.as_ref(), &wanted).await
    }
}

fn unknown(number: u64) -> Error {
    Error::Unknown {
        what: format!("deployment {number}"),
    }
}

pub(super) fn numbered(known: &Known, site: SiteId) -> Result<i64, Error> {
    known.site(site).ok_or_else(|| Error::Unknown {
        what: format!("site {site}"),
    })
}

async fn add_in(write: &mut Write, known: &Known, new: &NewDeployment) -> Result<u64, Error> {
    let rows = write
        .session
        .rows("SELECT count(*) FROM deployments", args![])
        .await?;
    let recorded = rows.first().map_or(Ok(0), |row| row.number(0))?;
    if recorded >= DEPLOYMENTS_MAX as u64 {
        return Err(Error::Limit("recorded deployments", DEPLOYMENTS_MAX));
    }
    let first = new.sites.first().map_or("", |site| site.name());
    let number = write.event_of_name(What::Site, first).await?;
    let now = write.session.now().await?;
    let sql = "INSERT INTO deployments (number, scope, verb, tenant, name, hash, what, length, content, recorded_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let args = args![
        number,
        &new.scope,
        new.verb.as_str(),
        new.tenant.clone(),
        &new.name,
        &new.hash,
        &new.what,
        stored(new.content.len() as u64),
        new.content.as_slice(),
        now,
    ];
    write.session.run(sql, args).await?;
    let sql = "INSERT INTO deployment_sites (number, site, standing, id, holds, detail, updated_at) \
               VALUES ($1, $2, $3, NULL, '', '', $4)";
    for site in &new.sites {
        let args = args![
            number,
            numbered(known, *site)?,
            Standing::Sending.as_str(),
            now
        ];
        write.session.run(sql, args).await?;
    }
    for of in &new.of {
        let sql = "UPDATE deployments SET removed_by = $1 WHERE number = $2 AND removed_by IS NULL";
        if write.session.run(sql, args![number, stored(*of)]).await? == 0 {
            return Err(unknown(*of));
        }
    }
    Ok(number.0)
}

async fn note_in(
    write: &mut Write,
    known: &Known,
    number: u64,
    sites: &[AtSite],
) -> Result<(), Error> {
    let now = write.session.now().await?;
    let sql = "UPDATE deployment_sites SET standing = $1, id = $2, holds = $3, detail = $4, updated_at = $5 \
               WHERE number = $6 AND site = $7";
    for at in sites {
        let args = args![
            at.standing.as_str(),
            at.id.clone(),
            &at.holds,
            &at.detail,
            now,
            stored(number),
            numbered(known, at.site)?,
        ];
        if write.session.run(sql, args).await? == 0 {
            return Err(unknown(number));
        }
    }
    if let Some(at) = sites.first() {
        write.event_of_name(What::Site, at.site.name()).await?;
    }
    settle(write, number).await
}

/// A removal that every site has behind it goes, and with it what it removed.
async fn settle(write: &mut Write, number: u64) -> Result<(), Error> {
    let sql = "SELECT number FROM deployments WHERE number = $1 AND verb = $2 AND NOT EXISTS \
               (SELECT 1 FROM deployment_sites WHERE number = $1 AND standing <> $3)";
    let args = args![
        stored(number),
        Verb::Remove.as_str(),
        Standing::Done.as_str()
    ];
    if write.session.rows(sql, args).await?.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM deployment_sites WHERE number IN \
               (SELECT number FROM deployments WHERE number = $1 OR removed_by = $1)";
    write.session.run(sql, args![stored(number)]).await?;
    let sql = "DELETE FROM deployments WHERE number = $1 OR removed_by = $1";
    write.session.run(sql, args![stored(number)]).await?;
    Ok(())
}

/// Removals that waited only for a site that is no longer there.
pub(super) async fn settle_all(write: &mut Write) -> Result<(), Error> {
    let sql = "SELECT number FROM deployments WHERE verb = $1";
    let removals = write
        .session
        .rows(sql, args![Verb::Remove.as_str()])
        .await?;
    for row in &removals {
        settle(write, row.number(0)?).await?;
    }
    Ok(())
}

/// How many this site alone is known to have behind it while others are still to get them. Without its word they would
/// count as what no site has, and would be withdrawn.
pub(super) async fn only_there(write: &mut Write, site: i64) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM deployment_sites s WHERE s.site = $1 AND s.standing = $2 \
               AND EXISTS (SELECT 1 FROM deployment_sites o WHERE o.number = s.number AND o.site <> $1) \
               AND NOT EXISTS (SELECT 1 FROM deployment_sites o \
               WHERE o.number = s.number AND o.site <> $1 AND o.standing = $2)";
    let args = args![site, Standing::Done.as_str()];
    let rows = write.session.rows(sql, args).await?;
    rows.first().map_or(Ok(0), |row| row.number(0))
}

async fn withdraw_in(write: &mut Write, number: u64) -> Result<(), Error> {
    write.event_of_name(What::Site, "").await?;
    for sql in [
        "UPDATE deployments SET removed_by = NULL WHERE removed_by = $1",
        "DELETE FROM deployment_sites WHERE number = $1",
        "DELETE FROM deployments WHERE number = $1",
    ] {
        write.session.run(sql, args![stored(number)]).await?;
    }
    Ok(())
}

async fn enlist_in(
    write: &mut Write,
    scope: &str,
    site: SiteId,
    number: i64,
) -> Result<u64, Error> {
    let now = write.session.now().await?;
    let sql = "INSERT INTO deployment_sites (number, site, standing, id, holds, detail, updated_at) \
               SELECT d.number, $1, $2, NULL, '', '', $3 FROM deployments d WHERE d.scope = $4 AND NOT EXISTS \
               (SELECT 1 FROM deployment_sites s WHERE s.number = d.number AND s.site = $1)";
    let args = args![number, Standing::Missing.as_str(), now, scope];
    let added = write.session.run(sql, args).await?;
    if added > 0 {
        write.event_of_name(What::Site, site.name()).await?;
    }
    Ok(added)
}

pub(super) fn at_site(row: &Row, known: &Known) -> Result<AtSite, Error> {
    let standing = row.text(2)?;
    Ok(AtSite {
        site: known.site_at(row.int(1)?)?,
        standing: Standing::parse(&standing)
            .ok_or_else(|| Error::Corrupt(format!("\"{standing}\" is no standing")))?,
        id: row.text_or_null(3)?,
        holds: row.text(4)?,
        detail: row.text(5)?,
        updated_at: Timestamp(row.int(6)?),
    })
}

fn record(row: &Row, sites: Vec<AtSite>) -> Result<DeploymentRecord, Error> {
    let verb = row.text(2)?;
    let removed_by = row.int_or_null(3)?.map(u64::try_from).transpose();
    Ok(DeploymentRecord {
        number: row.number(0)?,
        scope: row.text(1)?,
        verb: Verb::parse(&verb)
            .ok_or_else(|| Error::Corrupt(format!("\"{verb}\" is no verb of a deployment")))?,
        removed_by: removed_by
            .map_err(|_| Error::Corrupt("the number of a removal is negative".into()))?,
        tenant: row.text_or_null(4)?,
        name: row.text(5)?,
        hash: row.text(6)?,
        what: row.text(7)?,
        length: row.number(8)?,
        recorded_at: Timestamp(row.int(9)?),
        sites,
    })
}
