//! Starts whose outcome is not known yet.
//!
//! Owns reading them; they come and go with shipments.

use super::Sql;
use super::session::args;
use crate::mapping::Timestamp;
use crate::store::{Error, OpenIntent};

impl Sql {
    pub(super) async fn oldest_intents(&self, limit: usize) -> Result<Vec<OpenIntent>, Error> {
        let mut session = self.read("read open intents").await?;
        let sql = "SELECT id, router, site, what, at FROM intents ORDER BY at, id LIMIT $1";
        let rows = session.rows(sql, args![limit as i64]).await?;
        let known = self.names.refresh(session.as_mut()).await?;
        session.commit().await?;
        let intent = |row: &super::session::Row| {
            let id = row.bytes(0)?;
            let id = uuid::Uuid::from_slice(&id)
                .map_err(|_| Error::Corrupt("an intent's id is no UUID".into()))?;
            let (router, site) = (row.text(1)?, known.site_at(row.int(2)?)?);
            Ok(OpenIntent {
                id,
                router,
                site,
                what: row.text(3)?,
                at: Timestamp(row.int(4)?),
            })
        };
        rows.iter().map(intent).collect()
    }
}
