//! `Class` -> `Route`: which site, and why.
//!
//! Owns the order of authority: pin, mapping, cache, store, located, placed, default. Must not send the request itself,
//! read its body or write the store. Relies on the table, the store's primary key and the locator for keys nobody knows.

mod at;
pub mod choice;
mod deployed;
pub mod known;
mod left;
pub mod locate;
mod lost;
pub mod models;
pub mod place;
pub mod route;
mod shared;
pub mod target;
pub mod withheld;

pub use route::{Resolver, Route};
pub use target::{RouteSource, Target};
