//! The store in a simulation: real transactions of a real database, reached over a line that can be slow, cut, or cut
//! between a commit and its answer, by a clock that the simulation holds.
//!
//! Owns the sessions over such a line. Must not decide when it is cut. A transaction takes no simulated time, because
//! nothing else of the simulation runs meanwhile; what takes time is the way there and the way back.

use crate::Timestamp;
use crate::sql::Sql;
use crate::sql::key::StoredKey;
use crate::sql::session::{Access, Arg, Backend, Ledger, Revision, Row, Session, StoredMapping};
use crate::sqlite::{self, Sqlite};
use crate::store::{Error, Handle};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::runtime::{self, Runtime};

/// One process's way to the store.
#[async_trait]
pub trait Line: Send + Sync + 'static {
    /// Before a transaction. An error: nothing was done.
    async fn ask(&self) -> Result<(), Error>;
    /// After a commit of these statements, before anything else can happen.
    async fn committed(&self, statements: &[&'static str]) -> Result<(), Error>;
    /// After a transaction. An error: it is done, and its answer is lost.
    async fn answer(&self) -> Result<(), Error>;
    /// Returns when something may have changed.
    async fn changed(&self);
    /// The store's clock.
    fn now(&self) -> Timestamp;
}

/// A database file, and what its driver needs of the real world.
pub struct Ground {
    file: Arc<Sqlite>,
    runtime: Runtime,
}

impl Ground {
    /// Opens the file. Not from within a runtime.
    pub fn open(file: &str) -> Result<Ground, Error> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|source| Error::Unavailable {
                doing: "begin a simulation",
                source: Box::new(source),
            })?;
        let file = Arc::new(runtime.block_on(sqlite::backend(file, None))?);
        Ok(Ground { file, runtime })
    }

    /// The store at the end of this line.
    pub fn through(&self, line: Arc<dyn Line>) -> Handle {
        Arc::new(Sql::new(Box::new(Far {
            file: Arc::clone(&self.file),
            runtime: self.runtime.handle().clone(),
            line,
        })))
    }
}

struct Far {
    file: Arc<Sqlite>,
    runtime: runtime::Handle,
    line: Arc<dyn Line>,
}

struct FarSession {
    statements: Vec<&'static str>,
    /// There until the end, and dropped where its driver can see to the connection.
    inner: Option<Box<dyn Session>>,
    runtime: runtime::Handle,
    line: Arc<dyn Line>,
}

/// The outcome, now: the simulation stands still until the real database has answered.
fn at_once<F: Future>(runtime: &runtime::Handle, doing: F) -> F::Output {
    let _entered = runtime.enter();
    futures_executor::block_on(doing)
}

#[async_trait]
impl Backend for Far {
    async fn session(
        &self,
        access: Access,
        doing: &'static str,
    ) -> Result<Box<dyn Session>, Error> {
        self.line.ask().await?;
        let inner = at_once(&self.runtime, self.file.session(access, doing))?;
        Ok(Box::new(FarSession {
            statements: Vec::new(),
            inner: Some(inner),
            runtime: self.runtime.clone(),
            line: Arc::clone(&self.line),
        }))
    }

    async fn changed(&self) {
        self.line.changed().await;
    }
}

impl FarSession {
    /// Does it now, on the session that is still there.
    fn inner(&mut self) -> Result<(&runtime::Handle, &mut Box<dyn Session>), Error> {
        let inner = self.inner.as_mut();
        let inner =
            inner.ok_or_else(|| Error::Corrupt("a session was used after its end".into()))?;
        Ok((&self.runtime, inner))
    }

    fn taken(&mut self) -> Result<Box<dyn Session>, Error> {
        let inner = self.inner.take();
        inner.ok_or_else(|| Error::Corrupt("a session was ended twice".into()))
    }
}

impl Drop for FarSession {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        drop(self.inner.take());
    }
}

#[async_trait]
impl Session for FarSession {
    async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, Error> {
        self.statements.push(sql);
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.run(sql, args))
    }

    async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        self.statements.push(sql);
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.rows(sql, args))
    }

    async fn now(&mut self) -> Result<Timestamp, Error> {
        Ok(self.line.now())
    }

    async fn lock(&mut self) -> Result<(Ledger, String), Error> {
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.lock())
    }

    async fn find(&mut self, keys: &[StoredKey]) -> Result<Vec<StoredMapping>, Error> {
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.find(keys))
    }

    async fn insert(&mut self, rows: &[StoredMapping]) -> Result<(), Error> {
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.insert(rows))
    }

    async fn revise(&mut self, what: i64, rows: &[Revision]) -> Result<u64, Error> {
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.revise(what, rows))
    }

    async fn made(&mut self, after: i64, to: i64, limit: i64) -> Result<Vec<StoredMapping>, Error> {
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.made(after, to, limit))
    }

    async fn announce(&mut self) -> Result<(), Error> {
        let (runtime, inner) = self.inner()?;
        at_once(runtime, inner.announce())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Error> {
        let inner = self.taken()?;
        at_once(&self.runtime, inner.commit())?;
        self.line.committed(&self.statements).await?;
        self.line.answer().await
    }

    async fn rollback(mut self: Box<Self>) -> Result<(), Error> {
        let inner = self.taken()?;
        at_once(&self.runtime, inner.rollback())
    }
}
