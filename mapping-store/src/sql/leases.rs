//! Leases, by the store's clock.
//!
//! Owns who holds a name until when. The right to serve a site is such a name; the assignment says whose it is. Relies
//! on the store's lock being taken before the clock and the assignment are read.

use super::Sql;
use super::names::{SITE as CLASS_OF_SITES, generation};
use super::session::{args, stored};
use super::write::Write;
use crate::mapping::Timestamp;
use crate::store::{Error, Lease};
use crate::{Generation, SiteId};

impl Sql {
    pub(super) async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        ttl_ms: u64,
    ) -> Result<Option<Lease>, Error> {
        let mut write = self.write("take a lease").await?;
        let result = take_in(&mut write, name, holder, ttl_ms).await;
        write.end(result).await
    }

    pub(super) async fn give_lease_back(&self, name: &str, holder: &str) -> Result<(), Error> {
        let mut write = self.write("release a lease").await?;
        let sql = "UPDATE leases SET holder = NULL, expires_at = 0 WHERE name = $1 AND holder = $2";
        let result = write
            .session
            .run(sql, args![name, holder])
            .await
            .map(|_| ());
        write.end(result).await
    }
}

/// What the lease on the right to serve a site is called: this and the site's name.
const SITE: &str = "site/";

/// The generation at which an installation may hold the lease of a site.
async fn entitled(
    write: &mut Write,
    name: &str,
    installation: &str,
) -> Result<Option<Generation>, Error> {
    let Some(name) = name.strip_prefix(SITE) else {
        return Ok(None);
    };
    let unknown = || Error::Unknown {
        what: format!("site {name} in the registry"),
    };
    let sql = "SELECT number FROM names WHERE class = $1 AND name = $2";
    let rows = write.session.rows(sql, args![CLASS_OF_SITES, name]).await?;
    let number = rows.first().ok_or_else(unknown)?.int(0)?;
    let site = SiteId::named(name);
    let held = super::switch::held(write, site, number).await?;
    if held.entitled() == Some(installation) {
        return Ok(Some(held.generation));
    }
    let why = match &held.pending {
        None => format!("{} serves it", held.installation),
        Some(pending) => format!("it is switching to {}", pending.installation),
    };
    Err(Error::NotAssigned {
        site,
        installation: installation.to_owned(),
        generation: held.generation,
        why,
    })
}

/// The generation grows when the holder changes or had let it run out; the counter with each renewal.
async fn take_in(
    write: &mut Write,
    name: &str,
    holder: &str,
    ttl_ms: u64,
) -> Result<Option<Lease>, Error> {
    let entitled = entitled(write, name, holder).await?;
    let now = write.session.now().await?;
    let sql = "SELECT holder, generation, counter, expires_at FROM leases WHERE name = $1";
    let row = write.session.rows(sql, args![name]).await?.pop();
    let (mut next, mut counter) = (write.next_generation(None), 1);
    if let Some(row) = row {
        let held = row.text_or_null(0)?;
        let last = generation(row.int(1)?)?;
        let alive = row.int(3)? > now.0;
        // Of a site's lease the assignment is the judge: it entitles another only when the last holder is fenced.
        if entitled.is_none() && alive && held.as_deref().is_some_and(|held| held != holder) {
            return Ok(None);
        }
        let renewed = alive && held.as_deref() == Some(holder);
        next = if renewed {
            last
        } else {
            write.next_generation(Some(last))
        };
        counter = row.number(2)? + 1;
    }
    let next = entitled.unwrap_or(next);
    let expires_at = Timestamp(now.0.saturating_add(stored(ttl_ms)));
    let sql = "INSERT INTO leases (name, holder, generation, counter, expires_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, generation = excluded.generation, \
               counter = excluded.counter, expires_at = excluded.expires_at WHERE leases.counter < excluded.counter";
    write
        .session
        .run(sql, args![name, holder, next, stored(counter), expires_at])
        .await?;
    Ok(Some(Lease {
        name: name.to_owned(),
        holder: holder.to_owned(),
        generation: next,
        counter,
        expires_at,
    }))
}
