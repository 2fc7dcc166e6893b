//! Shared data: what was written of users, groups, tenants and their like, which every site of a scope is to have.
//!
//! Owns these records. Must not know what a write says: `what` is JSON of whoever wrote it, the content is bytes. Relies
//! on `deployment` for how far a site is.

use crate::SiteId;
use crate::deployment::AtSite;
use crate::mapping::Timestamp;
use crate::store::Error;
use async_trait::async_trait;

/// Most writes that are kept at a time.
pub const SHARED_MAX: usize = 100_000;
/// Most bytes of one write's content.
pub const SHARED_BYTES_MAX: usize = 1024 * 1024;

/// What a write does to its subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SharedVerb {
    /// The subject is to be there.
    Make,
    /// Its content is to be this.
    Set,
    /// It is to go, with whatever names it.
    Drop,
    /// The other one is to belong to it.
    Join,
    /// The other one is no longer to belong to it.
    Leave,
}

impl SharedVerb {
    const ALL: [SharedVerb; 5] = [
        SharedVerb::Make,
        SharedVerb::Set,
        SharedVerb::Drop,
        SharedVerb::Join,
        SharedVerb::Leave,
    ];

    /// The text in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            SharedVerb::Make => "make",
            SharedVerb::Set => "set",
            SharedVerb::Drop => "drop",
            SharedVerb::Join => "join",
            SharedVerb::Leave => "leave",
        }
    }

    /// The other way round.
    pub fn parse(text: &str) -> Option<SharedVerb> {
        SharedVerb::ALL
            .into_iter()
            .find(|verb| verb.as_str() == text)
    }
}

/// A write that is about to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewShared {
    /// Sites of one scope are to have the same; order means something within it only.
    pub scope: String,
    pub verb: SharedVerb,
    /// What it is about: the same text in each write about it.
    pub subject: String,
    /// Of a membership: what joins or leaves.
    pub other: Option<String>,
    pub what: String,
    pub content: Vec<u8>,
    pub sites: Vec<SiteId>,
}

/// A write as the store keeps it, without its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedRecord {
    /// Its place in the order.
    pub number: u64,
    pub scope: String,
    pub verb: SharedVerb,
    pub subject: String,
    pub other: Option<String>,
    pub what: String,
    pub recorded_at: Timestamp,
    pub sites: Vec<AtSite>,
}

impl SharedRecord {
    /// This site's part.
    pub fn at(&self, site: SiteId) -> Option<&AtSite> {
        self.sites.iter().find(|at| at.site == site)
    }
}

/// How far one site is with all that is kept of one scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedAt {
    pub scope: String,
    pub site: SiteId,
    /// Writes that this site is to have behind it.
    pub listed: u64,
    /// Of them, those that it has not behind it, whoever else has.
    pub open: u64,
    /// Of these, those that another site has behind it, and that this one has not refused.
    pub behind: u64,
    /// Those that it has refused, or has only in part.
    pub flawed: u64,
}

/// What one site calls one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedId {
    pub scope: String,
    pub subject: String,
    pub site: SiteId,
    pub id: String,
}

/// All that a router has to know at any time.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct SharedState {
    /// Writes kept, by scope.
    pub kept: Vec<(String, u64)>,
    pub sites: Vec<SharedAt>,
    pub ids: Vec<SharedId>,
}

/// The part of the store that keeps it. Every method is one transaction.
#[async_trait]
pub trait SharedStore {
    /// Recorded before it is sent, every site `Sending`. Answers its number, which is its place in the order.
    async fn record_shared(&self, new: &NewShared) -> Result<u64, Error>;
    async fn shared_state(&self) -> Result<SharedState, Error>;
    /// The first writes that this site has not behind it, in order; those that it has refused or has only in part come last.
    async fn open_shared(
        &self,
        scope: &str,
        site: SiteId,
        limit: usize,
    ) -> Result<Vec<SharedRecord>, Error>;
    async fn shared_content(&self, number: u64) -> Result<Vec<u8>, Error>;
    /// What was found at sites. What a site has done takes the place of older writes that decide the same; a removal that
    /// every site has behind it goes, and with it what it removed.
    async fn note_shared(&self, number: u64, sites: &[AtSite]) -> Result<(), Error>;
    /// It was never promised to anybody.
    async fn withdraw_shared(&self, number: u64) -> Result<(), Error>;
    /// A site that joins is to have all that the others have; answers how many it lacked.
    async fn enlist_for_shared(&self, scope: &str, site: SiteId) -> Result<u64, Error>;
}
