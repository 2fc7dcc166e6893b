//! The audit trail shows whoever changed it.

use crate::on_both;
use crate::support::{Fresh, audit, fresh_postgres, postgres::Server};
use homing_mapping_store::audit::{Broken, verify};
use homing_mapping_store::{Handle, open};
use sqlx::Connection;

on_both!(a_chain_that_nobody_touched_is_whole);

async fn fill(store: &Handle) {
    for number in 0..20 {
        let record = store
            .audit_append(&audit(&format!("verb.{number}")))
            .await
            .unwrap();
        assert_eq!(record.number, number + 1);
    }
}

async fn a_chain_that_nobody_touched_is_whole(fresh: Fresh) {
    assert_eq!(verify(fresh.store.as_ref()).await.unwrap(), 0);
    fill(&fresh.store).await;
    assert_eq!(verify(fresh.store.as_ref()).await.unwrap(), 20);
    let page = fresh.store.audit(Some(18), 10).await.unwrap();
    assert_eq!(
        page.iter().map(|one| one.number).collect::<Vec<_>>(),
        [19, 20]
    );
    assert_eq!(page[0].entry, audit("verb.18"));
}

/// Each statement is something that a person with access to the database could do.
const TAMPERING: [&str; 6] = [
    "UPDATE audit SET actor = 'somebody else' WHERE number = 7",
    "UPDATE audit SET reason = NULL WHERE number = 7",
    "UPDATE audit SET at = at + 1 WHERE number = 20",
    "DELETE FROM audit WHERE number = 7",
    "DELETE FROM audit WHERE number = 20",
    "UPDATE audit SET number = number + 100 WHERE number >= 7",
];

fn assert_found(verdict: Result<u64, Broken>, statement: &str) {
    let found = match verdict {
        Err(Broken::Changed(_) | Broken::Missing { .. } | Broken::Cut { .. }) => true,
        Err(Broken::Store(error)) => panic!("{error}"),
        Ok(_) => false,
    };
    assert!(found, "{statement}");
}

#[tokio::test]
async fn tampering_is_found_in_postgres() {
    for statement in TAMPERING {
        let fresh = fresh_postgres().await;
        fill(&fresh.store).await;
        let mut connection = Server::shared()
            .connect(fresh.url.rsplit('/').next().unwrap())
            .await;
        assert!(
            sqlx::query(statement)
                .execute(&mut connection)
                .await
                .unwrap()
                .rows_affected()
                > 0
        );
        assert_found(verify(fresh.store.as_ref()).await, statement);
    }
}

#[tokio::test]
async fn tampering_is_found_in_sqlite() {
    for statement in TAMPERING {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/store.db", folder.path().display());
        let store = open(&url).await.unwrap();
        fill(&store).await;
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        assert!(
            sqlx::query(statement)
                .execute(&mut connection)
                .await
                .unwrap()
                .rows_affected()
                > 0
        );
        assert_found(verify(store.as_ref()).await, statement);
    }
}
