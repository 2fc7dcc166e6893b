//! What the store does when what it stands on fails or is not what it was.

use crate::support::postgres::Server;
use crate::support::{instance, ship, shipment, started};
use homing_mapping_store::store::{Error, Seq};
use homing_mapping_store::{ANSWER_TIMEOUT, open, open_as};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest wait for something that must come.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stands_still_is_an_error_and_then_goes_on() {
    let server = Server::start();
    let store = open(&server.database().await).await.unwrap();
    ship(&store, vec![started(instance(1), "a")]).await;
    server.signal("STOP");
    let asked = Instant::now();
    let silent = store.get(&instance(1)).await.unwrap_err();
    assert!(matches!(silent, Error::Unavailable { .. }), "{silent}");
    assert!(
        asked.elapsed() < ANSWER_TIMEOUT * 3,
        "{:?}",
        asked.elapsed()
    );
    server.signal("CONT");
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = store.ship(&shipment(vec![started(instance(2), "a")])).await {
        assert!(Instant::now() < deadline, "{error:?}");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.head().await.unwrap(), Seq(2));
}

#[tokio::test]
async fn a_second_router_is_refused_an_sqlite_store() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/store.db", folder.path().display());
    let first = open_as(&url, "r1").await.unwrap();
    assert!(matches!(open_as(&url, "r2").await, Err(Error::Locked(_))));
    assert!(matches!(open(&url).await, Err(Error::Locked(_))));
    // A new binary of the same router takes over while the old one still drains.
    let second = open_as(&url, "r1").await.unwrap();
    ship(&first, vec![started(instance(1), "a")]).await;
    ship(&second, vec![started(instance(2), "a")]).await;
    assert_eq!(first.head().await.unwrap(), Seq(2));
    assert_eq!(second.incarnation().await.unwrap(), 0);
}

#[tokio::test]
async fn an_older_copy_of_an_sqlite_store_begins_an_incarnation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let url = format!("sqlite:{}", file.display());
    let reopen = async || {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match open(&url).await {
                Ok(store) => return store,
                Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    drop(reopen().await);
    drop(reopen().await);
    let copy = folder.path().join("copy.db");
    let whole = format!("VACUUM INTO '{}'", copy.display());
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap();
    sqlx::query(sqlx::AssertSqlSafe(whole))
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let store = reopen().await;
    assert_eq!(store.incarnation().await.unwrap(), 0);
    drop(store);
    for expected in 1..4 {
        // The same copy again and again: each time another incarnation.
        drop(reopen().await);
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", file.display()));
        }
        std::fs::copy(&copy, folder.path().join("next.db")).unwrap();
        std::fs::rename(folder.path().join("next.db"), &file).unwrap();
        let store = reopen().await;
        assert_eq!(store.incarnation().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn what_is_not_a_store_is_said() {
    for url in ["mysql://u:secret@h/d", "sqlite:", "sqlite::memory:"] {
        let Err(error) = open(url).await else {
            panic!("{url} opened")
        };
        assert!(matches!(error, Error::Url { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

static LEASES_TIMED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[tokio::test]
async fn the_time_of_what_a_store_does_is_told() {
    use std::sync::atomic::Ordering::SeqCst;
    homing_mapping_store::timing::observe_with(|doing, _| {
        if doing == "take a lease" {
            LEASES_TIMED.fetch_add(1, SeqCst);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let store = open(&url).await.unwrap();
    let before = LEASES_TIMED.load(SeqCst);
    store.lease("timed", "r1", 1_000).await.unwrap();
    assert!(LEASES_TIMED.load(SeqCst) > before);
}
