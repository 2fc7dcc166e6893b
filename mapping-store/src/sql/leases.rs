//! Leases, by the store's clock.
//!
//! Owns who holds a name until when. Relies on the lease's row being locked before the clock is read.

use super::Sql;
use super::names::generation;
use super::session::{args, stored};
use super::write::Write;
use crate::mapping::Timestamp;
use crate::store::{Error, Lease};

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

/// The generation grows when the holder changes or had let it run out; the counter with each renewal.
async fn take_in(
    write: &mut Write,
    name: &str,
    holder: &str,
    ttl_ms: u64,
) -> Result<Option<Lease>, Error> {
    let now = write.session.now().await?;
    let sql = "SELECT holder, generation, counter, expires_at FROM leases WHERE name = $1";
    let row = write.session.rows(sql, args![name]).await?.pop();
    let (mut next, mut counter) = (write.next_generation(None), 1);
    if let Some(row) = row {
        let held = row.text_or_null(0)?;
        let last = generation(row.int(1)?)?;
        let alive = row.int(3)? > now.0;
        if alive && held.as_deref().is_some_and(|held| held != holder) {
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
