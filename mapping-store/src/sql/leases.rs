//! Leases, by the store's clock.
//!
//! Owns who holds a name until when. The right to serve a site is such a name; the assignment says whose it is. Relies
//! on the store's lock being taken before the clock and the assignment are read.

use super::Sql;
use super::names::{SITE as CLASS_OF_SITES, generation};
use super::session::{args, stored};
use super::write::Write;
use crate::mapping::Timestamp;
use crate::store::{Claim, Error, Lease};
use crate::witness::{self, Reader};
use crate::{Generation, SiteId, lease};
use std::time::Duration;

impl Sql {
    pub(super) async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        ttl_ms: u64,
        claim: Claim,
    ) -> Result<Option<Lease>, Error> {
        let mut write = self.write("take a lease").await?;
        let result = take_in(&mut write, name, holder, ttl_ms, claim).await;
        write.end(result).await
    }

    pub(super) async fn lease_holder(&self, name: &str) -> Result<Option<String>, Error> {
        let mut session = self.read("read a lease").await?;
        let now = session.now().await?;
        let sql = "SELECT holder FROM leases WHERE name = $1 AND expires_at > $2";
        let rows = session.rows(sql, args![name, now.0]).await?;
        session.commit().await?;
        rows.first().map_or(Ok(None), |row| row.text_or_null(0))
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
    claim: Claim,
) -> Result<Option<Lease>, Error> {
    let entitled = entitled(write, name, holder).await?;
    let now = write.session.now().await?;
    let last = last(write, name).await?;
    let expires_at = Timestamp(now.0.saturating_add(stored(ttl_ms)));
    let mut lease = Lease {
        name: name.to_owned(),
        holder: holder.to_owned(),
        generation: entitled.unwrap_or_else(|| write.next_generation(None)),
        counter: last.as_ref().map_or(0, |last| last.counter) + 1,
        expires_at,
        recorded: true,
    };
    if entitled.is_some() && quiet(write, last.as_ref(), now, &lease, ttl_ms).await? {
        lease.recorded = false;
        return Ok((claim == Claim::Continued).then_some(lease));
    }
    if let (None, Some(last)) = (entitled, &last) {
        let alive = last.expires_at > now;
        let ours = last.holder.as_deref() == Some(holder);
        // Of a site's lease the assignment is the judge: it entitles another only when the last holder is fenced.
        if alive && !ours && last.holder.is_some() {
            return Ok(None);
        }
        lease.generation = match alive && ours {
            true => last.generation,
            false => write.next_generation(Some(last.generation)),
        };
    }
    record(write, &lease, Some(holder)).await?;
    Ok(Some(lease))
}

/// What is known of a name.
struct Last {
    holder: Option<String>,
    generation: Generation,
    counter: u64,
    expires_at: Timestamp,
}

async fn last(write: &mut Write, name: &str) -> Result<Option<Last>, Error> {
    let sql = "SELECT holder, generation, counter, expires_at FROM leases WHERE name = $1";
    let row = write.session.rows(sql, args![name]).await?.pop();
    row.map(|row| {
        Ok(Last {
            holder: row.text_or_null(0)?,
            generation: generation(row.int(1)?)?,
            counter: row.number(2)?,
            expires_at: Timestamp(row.int(3)?),
        })
    })
    .transpose()
}

/// Whether the right to serve this site was last given in another incarnation, which may have given it to another since,
/// and that is not long enough ago. The row then has no holder, the present incarnation, and the end of the quiet time.
async fn quiet(
    write: &mut Write,
    last: Option<&Last>,
    now: Timestamp,
    asked: &Lease,
    ttl_ms: u64,
) -> Result<bool, Error> {
    let incarnation = write.incarnation();
    let given_in = last.map_or(0, |last| last.generation.incarnation());
    if given_in >= incarnation {
        return Ok(last.is_some_and(|last| last.holder.is_none() && last.expires_at > now));
    }
    if !heard_of(write, &asked.name, incarnation).await? {
        // It has not begun: its beginning is what the first one finds who asks after that.
        return Ok(true);
    }
    let quiet = lease::quiet(Duration::from_millis(ttl_ms)).as_millis();
    let quiet = i64::try_from(quiet).unwrap_or(i64::MAX);
    let ends = Lease {
        expires_at: Timestamp(now.0.saturating_add(quiet)),
        ..asked.clone()
    };
    record(write, &ends, None).await?;
    Ok(true)
}

/// Whether those whom the site's agents may be asking have read this incarnation: until then an installation that is cut
/// off from this copy may be going on with their word.
async fn heard_of(write: &mut Write, name: &str, incarnation: u16) -> Result<bool, Error> {
    let site = name.strip_prefix(SITE).unwrap_or_default();
    let sql = "SELECT agents.facts FROM agents JOIN names ON names.number = agents.site \
               WHERE names.class = $1 AND names.name = $2";
    let rows = write.session.rows(sql, args![CLASS_OF_SITES, site]).await?;
    let mut asks = Vec::with_capacity(rows.len());
    for row in &rows {
        asks.push(serde_json::from_str(&row.text(0)?).unwrap_or_default());
    }
    let routers = super::routers::in_session(write.session.as_mut()).await?;
    let readers: Vec<Reader> = routers.iter().map(Reader::of).collect();
    Ok(witness::heard(incarnation, &asks, &readers))
}

/// Keeps the lease at a generation of the present incarnation, so that it shows in which one it was given.
async fn record(write: &mut Write, lease: &Lease, holder: Option<&str>) -> Result<(), Error> {
    let sql = "INSERT INTO leases (name, holder, generation, counter, expires_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, generation = excluded.generation, \
               counter = excluded.counter, expires_at = excluded.expires_at WHERE leases.counter < excluded.counter";
    let given_at = lease.generation.max(Generation::first(write.incarnation()));
    let args = args![
        &lease.name,
        holder.map(str::to_owned),
        given_at,
        stored(lease.counter),
        lease.expires_at
    ];
    write.session.run(sql, args).await.map(|_| ())
}
