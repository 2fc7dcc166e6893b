//! What routers see of sites, shared.
//!
//! Owns these rows. Must not judge them. Relies on the store's clock for what still counts.

use super::Sql;
use super::names::{Wanted, generation};
use super::session::{Access, args, stored};
use crate::mapping::Timestamp;
use crate::operation::Observation;
use crate::store::Error;

impl Sql {
    /// Without the store's lock: a router writes only its own rows.
    pub(super) async fn observe_as(
        &self,
        router: &str,
        process: &str,
        seen: &[Observation],
        lease_ms: u64,
    ) -> Result<(), Error> {
        let mut wanted = Wanted::default();
        seen.iter().for_each(|one| wanted.site(one.site));
        let known = self.names.ensure(self.backend.as_ref(), &wanted).await?;
        let mut session = self.session(Access::Write, "share what is seen").await?;
        let now = session.now().await?;
        // Also what another process said that says nothing any more.
        let sql =
            "DELETE FROM observations WHERE router = $1 AND (process = $2 OR expires_at <= $3)";
        session.run(sql, args![router, process, now]).await?;
        for one in seen {
            let Some(site) = known.site(one.site) else {
                continue;
            };
            let sql = "INSERT INTO observations (router, site, installation, seen, detail, since, expires_at, stopped_at, \
                       running, process) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
            let expires_at = now.0.saturating_add(stored(lease_ms));
            let args = args![
                router,
                site,
                &one.installation,
                &one.seen,
                &one.detail,
                one.since,
                expires_at,
                one.stopped_at.unwrap_or_default(),
                stored(one.running),
                process,
            ];
            session.run(sql, args).await?;
        }
        session.commit().await
    }

    pub(super) async fn all_observations(&self) -> Result<Vec<Observation>, Error> {
        let mut session = self.read("read what is seen").await?;
        let now = session.now().await?;
        let sql = "SELECT router, site, installation, seen, detail, since, stopped_at, running, process FROM observations \
                   WHERE expires_at > $1 ORDER BY site, router, process";
        let rows = session.rows(sql, args![now]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.iter()
            .map(|row| {
                Ok(Observation {
                    router: row.text(0)?,
                    site: known.site_at(row.int(1)?)?,
                    installation: row.text(2)?,
                    seen: row.text(3)?,
                    detail: row.text(4)?,
                    since: Timestamp(row.int(5)?),
                    stopped_at: Some(generation(row.int(6)?)?).filter(|at| at.0 > 0),
                    running: row.number(7)?,
                    process: row.text(8)?,
                })
            })
            .collect()
    }
}
