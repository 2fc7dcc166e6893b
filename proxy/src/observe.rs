//! What is seen of the sites: probes and traffic become one inventory.
//!
//! Owns observation. Must not know policy and never writes the store, except a site's identity the first time it is
//! seen. Relies on the dialect for what a healthy answer looks like.

pub mod accrual;
pub mod inspect;
pub mod inventory;
pub mod judge;
pub mod probe;
pub mod standby;
pub mod tail;

pub use inventory::{Inventory, Live, SiteView};
pub use judge::{Evidence, Observed, Why};
