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

use super::Sql;
use super::session::{Access, Arg, Backend, Ledger, Row, Session, StoredMapping};
use crate::assignment::{InstallationRecord, SiteRecord, SiteState};
use crate::audit::AuditEntry;
use crate::mapping::{Generation, Source, State, Timestamp};
use crate::sql::key::StoredKey;
use crate::store::{
    Error, Handle, MappingChange, NewMapping, OpenIntent, RouterRecord, Seq, Shipment,
};
use crate::{Kind, RoutingKey, SiteId};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use uuid::Uuid;

/// Commits of the dictionary before one change, at most.
const NEW_NAMES: usize = 2;
/// More statements than any change has.
const STATEMENTS_MAX: i64 = 64;
/// Every table but the dictionary `names`, whose entries are committed before a change uses them and mean nothing
/// without it. Those of the second list keep times that a repetition renews.
const TABLES: [&str; 11] = [
    "SELECT * FROM store",
    "SELECT * FROM mappings ORDER BY seq",
    "SELECT * FROM events ORDER BY seq",
    "SELECT * FROM history ORDER BY kind, engine, id, generation",
    "SELECT * FROM pins ORDER BY kind, engine, id",
    "SELECT * FROM sites ORDER BY site",
    "SELECT * FROM installations ORDER BY site, position",
    "SELECT * FROM assignments ORDER BY site",
    "SELECT * FROM intents ORDER BY id",
    "SELECT * FROM suffixes ORDER BY suffix, site",
    "SELECT * FROM audit ORDER BY number",
];
const TIMED: [&str; 2] = [
    "SELECT * FROM routers ORDER BY name",
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

    async fn made(&mut self, after: i64, to: i64) -> Result<Vec<StoredMapping>, Error> {
        self.fate.alive(self.access)?;
        self.inner.made(after, to).await
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

/// A change that is tried.
struct Change {
    name: &'static str,
    /// Said again after a lost answer, it changes nothing.
    repeatable: bool,
    run: Box<dyn for<'s> Fn(&'s Handle) -> BoxFuture<'s, Result<(), Error>>>,
}

fn change<F>(name: &'static str, run: F) -> Change
where
    F: for<'s> Fn(&'s Handle) -> BoxFuture<'s, Result<(), Error>> + 'static,
{
    Change {
        name,
        repeatable: true,
        run: Box::new(run),
    }
}

fn site(name: &str) -> SiteId {
    SiteId::named(name)
}

fn key(number: u128) -> RoutingKey {
    RoutingKey::new(Kind::PROCESS_INSTANCE, &Uuid::from_u128(number).to_string())
}

fn audit() -> AuditEntry {
    AuditEntry {
        actor: "uid:0".into(),
        action: "test".into(),
        subject: "it".into(),
        reason: Some("a test".into()),
        detail: "{}".into(),
        request_id: None,
        at: Timestamp(2_000),
    }
}

fn record(name: &str) -> SiteRecord {
    let installation = |name: &str| InstallationRecord {
        name: name.to_owned(),
        zone: None,
        endpoints: vec![format!("http://{name}:8080/engine-rest")],
    };
    SiteRecord {
        site: site(name),
        dialect: "engine-rest".into(),
        installations: vec![
            installation(&format!("{name}-1")),
            installation(&format!("{name}-2")),
        ],
        identity: None,
        state: SiteState::Ready,
        generation: Generation(0),
        revision: 0,
        reason: None,
        updated_at: Timestamp(0),
    }
}

fn shipment(round: u128) -> Shipment {
    let mapping = |number| NewMapping {
        key: key(number),
        home: site("a"),
        state: State::Homed,
        source: Source::Started,
        at: Timestamp(1_000),
    };
    Shipment {
        router: "r1".into(),
        mappings: (0..3).map(|n| mapping(round * 100 + n)).collect(),
        intents_opened: vec![OpenIntent {
            id: Uuid::from_u128(round),
            router: "r1".into(),
            site: site("a"),
            what: "{}".into(),
            at: Timestamp(1_000),
        }],
        intents_closed: vec![Uuid::from_u128(round.saturating_sub(1))],
    }
}

fn router(round: u128) -> RouterRecord {
    RouterRecord {
        name: format!("r{round}"),
        registry_acknowledged: 1,
        applied: Seq(1),
        address: "127.0.0.1:1".into(),
        version: "1".into(),
        config_hash: "x".into(),
        seen_at: Timestamp(0),
        live: true,
    }
}

/// Every change, in an order in which each has what it needs. Each round ends with another incarnation.
fn changes(round: u128) -> Vec<Change> {
    let first = Generation::first(u16::from(round > 1));
    let name = format!("site-{round}");
    let named = move || name.clone();
    let (n1, n2, n3, n4, n5) = (
        named.clone(),
        named.clone(),
        named.clone(),
        named.clone(),
        named.clone(),
    );
    let moved = key(round * 100);
    let pinned = moved.clone();
    vec![
        change("ship", move |store| {
            Box::pin(async move { store.ship(&shipment(round)).await.map(drop) })
        }),
        change("register", move |store| {
            let records = [record("a"), record("b"), record(&n1())];
            Box::pin(async move { store.register("r1", &records).await.map(drop) })
        }),
        change("change a mapping", move |store| {
            let change = MappingChange {
                key: moved.clone(),
                expected: Some(first),
                to: Some((site("b"), State::Homed)),
                source: Source::Operator,
                audit: audit(),
            };
            Box::pin(async move { store.change(&change).await.map(drop) })
        }),
        change("pin", move |store| {
            let key = pinned.clone();
            Box::pin(async move {
                store
                    .pin(&key, Some(site("a")), None, &audit())
                    .await
                    .map(drop)
            })
        }),
        change("identify a site", move |store| {
            let site = site(&n2());
            Box::pin(async move { store.set_identity(site, None, "one", &audit()).await })
        }),
        change("drain a site", move |store| {
            let site = site(&n3());
            Box::pin(async move {
                let state = SiteState::Draining;
                store
                    .set_site_state(site, state, Some(first), &audit())
                    .await
                    .map(drop)
            })
        }),
        change("assign", move |store| {
            let name = n4();
            Box::pin(async move {
                let to = format!("{name}-2");
                let expected = first;
                store
                    .assign(site(&name), &to, expected, &audit())
                    .await
                    .map(drop)
            })
        }),
        change("unregister", move |store| {
            let site = site(&n5());
            Box::pin(async move { store.unregister(site, &audit()).await })
        }),
        change("learn a suffix", move |store| {
            let suffix = format!("suffix-{round}");
            Box::pin(async move { store.learn_suffix(&suffix, site("a")).await })
        }),
        change("heartbeat", move |store| {
            Box::pin(async move { store.heartbeat(&router(round), 1_000).await })
        }),
        change("lease", move |store| {
            let name = format!("lease-{round}");
            Box::pin(async move { store.lease(&name, "r1", 60_000).await.map(drop) })
        }),
        change("release", move |store| {
            let name = format!("lease-{round}");
            Box::pin(async move { store.release(&name, "r1").await })
        }),
        change("forget a router", move |store| {
            let name = format!("r{round}");
            Box::pin(async move { store.forget_router(&name, &audit()).await })
        }),
        Change {
            repeatable: false,
            ..change("append to the trail", move |store| {
                Box::pin(async move { store.audit_append(&audit()).await.map(drop) })
            })
        },
        Change {
            repeatable: false,
            ..change("begin an incarnation", move |store| {
                Box::pin(async move { store.begin_incarnation(0, &audit()).await.map(drop) })
            })
        },
    ]
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

/// `mappings` and `events` together are 1, 2, 3 ... head, and the audit chain is whole.
async fn is_whole(watcher: &dyn Backend, store: &Handle) {
    let sql = "SELECT seq FROM mappings UNION ALL SELECT seq FROM events ORDER BY 1";
    let mut session = watcher.session(Access::Read, "look").await.unwrap();
    let rows = session.rows(sql, Vec::new()).await.unwrap();
    session.commit().await.unwrap();
    let sequence: Vec<u64> = rows.iter().map(|row| row.number(0).unwrap()).collect();
    let head = store.head().await.unwrap().0;
    assert_eq!(sequence, (1..=head).collect::<Vec<_>>());
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
            Ok(()) | Err(Error::Stale { .. } | Error::Unknown { .. }) => {}
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
