//! What comparisons of sites with the table have found.
//!
//! Owns the tables `drift`, one row for each site, replaced by the next comparison, and `unfinished`, where comparisons stand
//! that are not over. Must not read bodies.

use super::Sql;
use super::session::args;
use crate::SiteId;
use crate::drift::{DriftRecord, DriftStore, UnfinishedRecord};
use crate::mapping::Timestamp;
use crate::store::Error;
use async_trait::async_trait;

#[async_trait]
impl DriftStore for Sql {
    async fn note_drift(&self, site: SiteId, router: &str, body: &str) -> Result<(), Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("note a comparison").await?;
        let now = match write.session.now().await {
            Ok(now) => now,
            Err(error) => return write.end(Err(error)).await,
        };
        let sql = "INSERT INTO drift (site, router, at, body) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (site) DO UPDATE SET router = $2, at = $3, body = $4";
        let args = args![number, router, now, body];
        let result = write.session.run(sql, args).await.map(drop);
        write.end(result).await
    }

    async fn drift(&self) -> Result<Vec<DriftRecord>, Error> {
        let mut session = self.read("read comparisons").await?;
        let sql = "SELECT site, router, at, body FROM drift ORDER BY site";
        let rows = session.rows(sql, args![]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.iter()
            .map(|row| {
                Ok(DriftRecord {
                    site: known.site_at(row.int(0)?)?,
                    router: row.text(1)?,
                    at: Timestamp(row.int(2)?),
                    body: row.text(3)?,
                })
            })
            .collect()
    }

    async fn note_unfinished(
        &self,
        site: SiteId,
        purpose: &str,
        router: &str,
        body: Option<&str>,
    ) -> Result<(), Error> {
        let number = self.site_number(site).await?;
        let mut write = self.write("note an unfinished comparison").await?;
        let now = match write.session.now().await {
            Ok(now) => now,
            Err(error) => return write.end(Err(error)).await,
        };
        let result = match body {
            None => {
                let sql = "DELETE FROM unfinished WHERE site = $1 AND purpose = $2";
                write.session.run(sql, args![number, purpose]).await
            }
            Some(body) => {
                let sql = "INSERT INTO unfinished (site, purpose, router, at, body) VALUES ($1, $2, $3, $4, $5) \
                           ON CONFLICT (site, purpose) DO UPDATE SET router = $3, at = $4, body = $5";
                let args = args![number, purpose, router, now, body];
                write.session.run(sql, args).await
            }
        };
        write.end(result.map(drop)).await
    }

    async fn unfinished(&self) -> Result<Vec<UnfinishedRecord>, Error> {
        let mut session = self.read("read unfinished comparisons").await?;
        let sql = "SELECT site, purpose, router, at, body FROM unfinished ORDER BY site, purpose";
        let rows = session.rows(sql, args![]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.iter()
            .map(|row| {
                Ok(UnfinishedRecord {
                    site: known.site_at(row.int(0)?)?,
                    purpose: row.text(1)?,
                    router: row.text(2)?,
                    at: Timestamp(row.int(3)?),
                    body: row.text(4)?,
                })
            })
            .collect()
    }
}
