//! A crash between any two statements: nothing of a change stays, or all of it.
//!
//! Owns the promise for every change that the store offers, on both backends: a process that dies before the commit
//! leaves every table as it was; one whose commit was not answered can say the same again without doing it twice.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with tests outside of the crate"
)]
#[path = "../../tests/support/postgres.rs"]
mod server;

mod changes;

use super::Sql;
use super::session::{Access, Arg, Backend, Ledger, Revision, Row, Session, StoredMapping};
use crate::mapping::{Generation, Timestamp};
use crate::sql::key::StoredKey;
use crate::store::{Error, Handle, Seq};
use async_trait::async_trait;
use changes::changes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Commits of the dictionary before one change, at most.
const NEW_NAMES: usize = 2;
/// More statements than any change has.
const STATEMENTS_MAX: i64 = 64;
/// Every table but the dictionary `names`, whose entries are committed before a change uses them and mean nothing
/// without it. Those of the second list keep times that a repetition renews.
const TABLES: [&str; 18] = [
    "SELECT * FROM store",
    "SELECT * FROM mappings ORDER BY seq",
    "SELECT * FROM events ORDER BY seq",
    "SELECT * FROM history ORDER BY kind, engine, id, generation",
    "SELECT * FROM pins ORDER BY kind, engine, id",
    "SELECT * FROM sites ORDER BY site",
    "SELECT * FROM installations ORDER BY site, position",
    "SELECT * FROM assignments ORDER BY site",
    "SELECT * FROM assignment_history ORDER BY site, generation",
    "SELECT * FROM quarantines ORDER BY site, installation",
    "SELECT * FROM orders ORDER BY id",
    "SELECT * FROM plans ORDER BY hash",
    "SELECT * FROM operations ORDER BY id",
    "SELECT * FROM operation_events ORDER BY operation, number",
    "SELECT * FROM drills ORDER BY id",
    "SELECT * FROM intents ORDER BY id",
    "SELECT * FROM suffixes ORDER BY suffix, site",
    "SELECT * FROM audit ORDER BY number",
];
const TIMED: [&str; 4] = [
    "SELECT * FROM agents ORDER BY site, installation, holder",
    "SELECT * FROM routers ORDER BY name",
    "SELECT * FROM displaced_routers ORDER BY name, journal, process",
    "SELECT * FROM leases ORDER BY name",
];

/// When the process dies.
#[derive(Default)]
struct Fate {
    /// Statements that still succeed.
    left: AtomicI64,
    /// The commit is carried out, its answer is lost.
    unanswered: AtomicBool,
    /// Whether death came in a transaction that changes, and not while something was read.
    changing: AtomicBool,
}

impl Fate {
    fn alive(&self, access: Access) -> Result<(), Error> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        self.changing
            .store(access == Access::Write, Ordering::SeqCst);
        Err(dead())
    }
}

fn dead() -> Error {
    Error::Unavailable {
        doing: "go on after a crash",
        source: "crashed".into(),
    }
}

struct Mortal {
    inner: Box<dyn Backend>,
    fate: Arc<Fate>,
}

struct MortalSession {
    inner: Box<dyn Session>,
    access: Access,
    fate: Arc<Fate>,
}

#[async_trait]
impl Backend for Mortal {
    async fn session(
        &self,
        access: Access,
        doing: &'static str,
    ) -> Result<Box<dyn Session>, Error> {
        self.fate.alive(access)?;
        let inner = self.inner.session(access, doing).await?;
        let fate = Arc::clone(&self.fate);
        Ok(Box::new(MortalSession {
            inner,
            access,
            fate,
        }))
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}

#[async_trait]
impl Session for MortalSession {
    async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, Error> {
        self.fate.alive(self.access)?;
        self.inner.run(sql, args).await
    }

    async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        self.fate.alive(self.access)?;
        self.inner.rows(sql, args).await
    }

    async fn now(&mut self) -> Result<Timestamp, Error> {
        self.fate.alive(self.access)?;
        self.inner.now().await
    }

    async fn lock(&mut self) -> Result<(Ledger, String), Error> {
        self.fate.alive(self.access)?;
        self.inner.lock().await
    }

    async fn find(&mut self, keys: &[StoredKey]) -> Result<Vec<StoredMapping>, Error> {
        self.fate.alive(self.access)?;
        self.inner.find(keys).await
    }

    async fn insert(&mut self, rows: &[StoredMapping]) -> Result<(), Error> {
        self.fate.alive(self.access)?;
        self.inner.insert(rows).await
    }

    async fn revise(&mut self, what: i64, rows: &[Revision]) -> Result<u64, Error> {
        self.fate.alive(self.access)?;
        self.inner.revise(what, rows).await
    }

    async fn made(&mut self, after: i64, to: i64, limit: i64) -> Result<Vec<StoredMapping>, Error> {
        self.fate.alive(self.access)?;
        self.inner.made(after, to, limit).await
    }

    async fn announce(&mut self) -> Result<(), Error> {
        self.fate.alive(self.access)?;
        self.inner.announce().await
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        self.fate.alive(self.access)?;
        self.inner.commit().await?;
        if self.fate.unanswered.load(Ordering::SeqCst) {
            return Err(dead());
        }
        Ok(())
    }

    async fn rollback(self: Box<Self>) -> Result<(), Error> {
        self.fate.alive(self.access)?;
        self.inner.rollback().await
    }
}

async fn dump(watcher: &dyn Backend, tables: &[&'static str]) -> Vec<String> {
    let mut out = Vec::new();
    for table in tables {
        let mut session = watcher.session(Access::Read, "look").await.unwrap();
        let rows = session.rows(table, Vec::new()).await.unwrap();
        out.extend(rows.iter().map(|row| format!("{table}: {row:?}")));
        session.commit().await.unwrap();
    }
    out
}

/// `mappings` and `events` together have no holes but where an incarnation began, and the audit chain is whole.
async fn is_whole(watcher: &dyn Backend, store: &Handle) {
    let sql = "SELECT seq FROM mappings UNION ALL SELECT seq FROM events ORDER BY 1";
    let mut session = watcher.session(Access::Read, "look").await.unwrap();
    let rows = session.rows(sql, Vec::new()).await.unwrap();
    session.commit().await.unwrap();
    let sequence: Vec<u64> = rows.iter().map(|row| row.number(0).unwrap()).collect();
    let head = store.head().await.unwrap().0;
    let follows = |at: u64, next: u64| {
        next == at + 1 || Seq::before(Generation(next).incarnation()).0 + 1 == next
    };
    let from_the_first = sequence.iter().zip(std::iter::once(&0).chain(&sequence));
    assert!(
        from_the_first.clone().all(|(next, at)| follows(*at, *next)),
        "{sequence:?}"
    );
    let last = sequence.last().copied().unwrap_or(0);
    let begun = Seq::before(store.incarnation().await.unwrap()).0;
    assert_eq!(head, last.max(begun));
    let records = store.audit(None, 10_000).await.unwrap();
    let (last, hash) = store.audit_end().await.unwrap();
    assert_eq!(records.len() as u64, last);
    assert_eq!(
        records.last().map_or("", |record| record.hash.as_str()),
        hash
    );
}

async fn nothing_or_all(mortal: Box<dyn Backend>, watcher: Box<dyn Backend>) {
    let fate = Arc::new(Fate::default());
    let store: Handle = Arc::new(Sql::new(Box::new(Mortal {
        inner: mortal,
        fate: Arc::clone(&fate),
    })));
    let everything: Vec<&str> = TABLES.iter().chain(&TIMED).copied().collect();
    let live = |fate: &Fate| fate.left.store(i64::MAX, Ordering::SeqCst);

    for change in changes(1) {
        let before = dump(watcher.as_ref(), &everything).await;
        let mut crashes = 0;
        loop {
            fate.left.store(crashes, Ordering::SeqCst);
            let done = (change.run)(&store).await;
            live(&fate);
            let Err(error) = done else { break };
            assert!(
                matches!(error, Error::Unavailable { .. }),
                "{}: {error}",
                change.name
            );
            if dump(watcher.as_ref(), &everything).await != before {
                // All of it, then: what died is the reading of the result, not a second transaction.
                let changing = fate.changing.load(Ordering::SeqCst);
                assert!(
                    !changing,
                    "{} left a half after {crashes} statements",
                    change.name
                );
                break;
            }
            crashes += 1;
            assert!(crashes < STATEMENTS_MAX, "{} never ends", change.name);
        }
        assert!(crashes >= 2, "{} was never interrupted", change.name);
        let after = dump(watcher.as_ref(), &everything).await;
        assert_ne!(before, after, "{} changed nothing", change.name);
        is_whole(watcher.as_ref(), &store).await;
    }

    for change in changes(2).into_iter().filter(|change| change.repeatable) {
        let before = dump(watcher.as_ref(), &TABLES).await;
        let mut once = before.clone();
        fate.unanswered.store(true, Ordering::SeqCst);
        // What is new to the dictionary has a commit of its own, whose answer is lost first.
        for _ in 0..=NEW_NAMES {
            let lost = (change.run)(&store).await.unwrap_err();
            assert!(
                matches!(lost, Error::Unavailable { .. }),
                "{}: {lost}",
                change.name
            );
            once = dump(watcher.as_ref(), &TABLES).await;
            if once != before {
                break;
            }
        }
        fate.unanswered.store(false, Ordering::SeqCst);
        match (change.run)(&store).await {
            Ok(()) | Err(Error::Stale { .. } | Error::Applied { .. } | Error::Unknown { .. }) => {}
            Err(other) => panic!("{}, said again: {other}", change.name),
        }
        let twice = dump(watcher.as_ref(), &TABLES).await;
        assert_eq!(once, twice, "{} was done twice", change.name);
        is_whole(watcher.as_ref(), &store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_statements_leaves_nothing_or_all_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db").display().to_string();
    let mortal = crate::sqlite::backend(&file, Some("r1")).await.unwrap();
    let watcher = crate::sqlite::backend(&file, Some("r1")).await.unwrap();
    nothing_or_all(Box::new(mortal), Box::new(watcher)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_statements_leaves_nothing_or_all_on_postgres() {
    let url = server::Server::shared().database().await;
    let mortal = crate::postgres::backend(&url).await.unwrap();
    let watcher = crate::postgres::backend(&url).await.unwrap();
    nothing_or_all(Box::new(mortal), Box::new(watcher)).await;
}
