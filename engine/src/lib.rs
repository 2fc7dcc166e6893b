//! Homing's own BPMN engine: a small, real, clustered engine that speaks `engine-rest`.
//!
//! Owns process definitions, running instances, their history, jobs and the REST face over them. Does not know that it
//! may sit behind a router. From the inside out: [`value`], [`expr`] and [`model`] say what a process is; `machine`
//! decides what happens next, as a pure function; `store` keeps it; `runtime` and `jobs` do it; `rest` shows it.

pub mod clock;
pub mod expr;
pub mod ids;
pub mod model;
pub mod time;
pub mod value;
