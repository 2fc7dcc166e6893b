//! A session whose time is taken.
//!
//! Owns nothing but the clock's run; everything else is the session's own.

use super::session::{Access, Arg, Backend, Ledger, Revision, Row, Session, StoredMapping};
use crate::mapping::Timestamp;
use crate::sql::key::StoredKey;
use crate::store::Error;
use crate::timing::Timing;
use async_trait::async_trait;

struct Timed {
    inner: Box<dyn Session>,
    _timing: Timing,
}

/// A session of this backend; waiting for the connection counts.
pub(super) async fn session(
    backend: &dyn Backend,
    access: Access,
    doing: &'static str,
) -> Result<Box<dyn Session>, Error> {
    let timing = Timing::begin(doing);
    let inner = backend.session(access, doing).await?;
    Ok(Box::new(Timed {
        inner,
        _timing: timing,
    }))
}

#[async_trait]
impl Session for Timed {
    async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, Error> {
        self.inner.run(sql, args).await
    }

    async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        self.inner.rows(sql, args).await
    }

    async fn now(&mut self) -> Result<Timestamp, Error> {
        self.inner.now().await
    }

    async fn lock(&mut self) -> Result<(Ledger, String), Error> {
        self.inner.lock().await
    }

    async fn find(&mut self, keys: &[StoredKey]) -> Result<Vec<StoredMapping>, Error> {
        self.inner.find(keys).await
    }

    async fn insert(&mut self, rows: &[StoredMapping]) -> Result<(), Error> {
        self.inner.insert(rows).await
    }

    async fn revise(&mut self, what: i64, rows: &[Revision]) -> Result<u64, Error> {
        self.inner.revise(what, rows).await
    }

    async fn made(&mut self, after: i64, to: i64, limit: i64) -> Result<Vec<StoredMapping>, Error> {
        self.inner.made(after, to, limit).await
    }

    async fn by_index(&mut self) -> Result<(), Error> {
        self.inner.by_index().await
    }

    async fn announce(&mut self) -> Result<(), Error> {
        self.inner.announce().await
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        let Timed { inner, _timing } = *self;
        inner.commit().await
    }

    async fn rollback(self: Box<Self>) -> Result<(), Error> {
        let Timed { inner, _timing } = *self;
        inner.rollback().await
    }
}
