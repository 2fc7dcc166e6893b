//! The durable mapping table and everything that routers share: keys, mappings, registry, assignments, pins, states,
//! leases, intents, audit; the two store backends; each router's own journal; the in-memory table.
//!
//! Owns what is true across restarts. Must not know HTTP or what a workflow is.

pub mod agent;
pub mod armed;
pub mod assignment;
pub mod audit;
pub mod cache;
mod change;
mod clock;
pub mod deployment;
pub mod drift;
pub mod drill;
pub mod feed;
mod intent;
pub mod journal;
pub mod key;
pub mod lease;
pub mod loss;
pub mod mapping;
mod open;
pub mod operation;
mod postgres;
pub mod promote;
pub mod shared;
pub mod simulated;
mod site;
mod sql;
mod sqlite;
pub mod store;
pub mod switch;
pub mod table;
pub mod timing;
pub mod witness;

pub use key::{Engine, Id, Kind, RoutingKey};
pub use mapping::{Generation, Mapping, Source, State, Timestamp};
pub use open::{open, open_as};
pub use postgres::ANSWER_TIMEOUT;
pub use site::SiteId;
pub use sql::{FACTS_BYTES_MAX, INCARNATION_MAX, SHIPMENT_MAX};
pub use store::{Handle, Store};
