//! Drift: what the last comparison of a site with the table has found, and how far one has got that is not over.
//!
//! Owns these records, and how they are kept. Must not know what is compared: bodies are JSON of whoever wrote them.

use crate::SiteId;
use crate::mapping::Timestamp;
use crate::store::Error;
use async_trait::async_trait;

/// The last comparison of one site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DriftRecord {
    pub site: SiteId,
    /// The router that compared.
    pub router: String,
    /// When it ended, by the store's clock.
    pub at: Timestamp,
    pub body: String,
}

/// A comparison that is not over: what goes on where it stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnfinishedRecord {
    pub site: SiteId,
    /// What it is for; one of a sort is under way at a site.
    pub purpose: String,
    /// The router that compared.
    pub router: String,
    /// When it stood there, by the store's clock.
    pub at: Timestamp,
    pub body: String,
}

/// The part of the store that keeps them. Every method is one transaction.
#[async_trait]
pub trait DriftStore {
    async fn note_drift(&self, site: SiteId, router: &str, body: &str) -> Result<(), Error>;
    async fn drift(&self) -> Result<Vec<DriftRecord>, Error>;
    /// How far a comparison has got; `None`: it is over.
    async fn note_unfinished(
        &self,
        site: SiteId,
        purpose: &str,
        router: &str,
        body: Option<&str>,
    ) -> Result<(), Error>;
    async fn unfinished(&self) -> Result<Vec<UnfinishedRecord>, Error>;
}
