//! Homing's own BPMN engine: a small, real, clustered engine that speaks `engine-rest`.
//!
//! Owns process definitions, running instances, their history, jobs and the REST face over them. Does not know that it
//! may sit behind a router. From the inside out: [`value`], [`expr`] and [`model`] say what a process is; `machine`
//! decides what happens next, as a pure function; `store` keeps it; `runtime` and `jobs` do it; `rest` shows it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an interpreter mostly asks 'is it one of these kinds?'; where a new kind must be thought of, arms are listed"
)]

pub mod backup;
mod bridge;
pub mod clock;
pub mod cluster;
mod error;
pub mod expr;
mod http_call;
pub mod ids;
mod jobs;
mod limits;
pub mod lists;
pub mod machine;
pub mod model;
mod node;
mod queue;
mod rest;
pub mod runtime;
mod script;
pub mod store;
pub mod time;
pub mod value;

pub use bridge::{Bridge, Broker, Kafka, KeyAt, RabbitMq, StartAt};
pub use cluster::branches::Branches;
pub use cluster::resource::Resource;
pub use error::Error;
pub use limits::Limits;
pub use model::{Delegate, HttpCall};
pub use node::{Node, Options, StartError};
pub use rest::{operations, router};
pub use runtime::{Cleaning, Window};
pub use store::{Executor, Level, Removal};
