//! Suffix hints: which sites' engines have made ids that end so.
//!
//! Owns their rows. A hint is only added: a wrong one costs a probe, a missing one an answer.

use super::Sql;
use super::names::Wanted;
use super::session::args;
use super::write::{What, Write};
use crate::SiteId;
use crate::store::Error;

impl Sql {
    pub(super) async fn all_suffixes(&self) -> Result<Vec<(String, SiteId)>, Error> {
        let mut session = self.read("read the suffix hints").await?;
        let rows = session
            .rows(
                "SELECT suffix, site FROM suffixes ORDER BY suffix, site",
                args![],
            )
            .await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, known.site_at(row.int(1)?)?)))
            .collect()
    }

    pub(super) async fn add_suffix(&self, suffix: &str, site: SiteId) -> Result<(), Error> {
        let mut wanted = Wanted::default();
        wanted.site(site);
        let known = self.names.ensure(self.backend.as_ref(), &wanted).await?;
        let number = known.site(site).ok_or_else(|| Error::Unknown {
            what: format!("site {site}"),
        })?;
        let mut write = self.write("learn a suffix hint").await?;
        let result = add_in(&mut write, suffix, number).await;
        write.end(result).await
    }
}

async fn add_in(write: &mut Write, suffix: &str, site: i64) -> Result<(), Error> {
    let sql =
        "INSERT INTO suffixes (suffix, site) VALUES ($1, $2) ON CONFLICT (suffix, site) DO NOTHING";
    if write.session.run(sql, args![suffix, site]).await? > 0 {
        write.event_of_name(What::Suffix, suffix).await?;
    }
    Ok(())
}
