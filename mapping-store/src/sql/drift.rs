//! What comparisons of sites with the table have found.
//!
//! Owns the table `drift`: one row for each site, replaced by the next comparison. Must not read bodies.

use super::Sql;
use super::session::args;
use crate::SiteId;
use crate::drift::DriftRecord;
use crate::mapping::Timestamp;
use crate::store::Error;

impl Sql {
    pub(super) async fn keep_drift(
        &self,
        site: SiteId,
        router: &str,
        body: &str,
    ) -> Result<(), Error> {
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

    pub(super) async fn all_drift(&self) -> Result<Vec<DriftRecord>, Error> {
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
}
