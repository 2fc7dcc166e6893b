//! One suite of promises that both backends keep.

#![allow(clippy::unwrap_used, reason = "a promise that cannot be tried fails")]

#[path = "../support.rs"]
mod support;

mod agents;
mod armed;
mod audit;
mod deployments;
mod drift;
mod drills;
mod faults;
mod incarnations;
mod leases;
mod losses;
mod mappings;
mod operations;
mod processes;
mod promote;
mod quarantine;
mod registry;
mod sequence;
mod shared;
mod switch;

/// Makes each async function a test on SQLite and one on PostgreSQL.
macro_rules! on_both {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() { super::$promise(crate::support::fresh_sqlite().await).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() { super::$promise(crate::support::fresh_postgres().await).await })*
        }
    };
}
pub(crate) use on_both;
