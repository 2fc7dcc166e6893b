//! The test harness: real parts, started on free ports and stopped by pid.
//!
//! Owns private PostgreSQL clusters, engine sites, router processes, an HTTP client, a TCP fault proxy and a
//! counting origin. It knows the public surface of the product only and must not link the router's internals.
//! Relies on PostgreSQL 15, Java and util-linux (`scripts/prerequisites`) and on the jars of `scripts/engines`.

pub mod agent;
pub mod campaign;
pub mod client;
pub mod clock;
pub mod crowd;
pub mod deploy;
pub mod engine;
pub mod fake_site;
pub mod faults;
pub mod hooks;
pub mod mariadb;
pub mod netns;
pub mod nursery;
pub mod outcome;
pub mod own_engine;
pub mod pair;
pub mod paths;
pub mod patroni;
pub mod places;
pub mod ports;
pub mod postgres;
pub mod router;
pub mod small_disk;
pub mod sql;
