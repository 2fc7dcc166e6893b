//! Deployments: what every site of a scope is to have, in order, and how far each site is.
//!
//! Owns these records. Must not know what a deployment says: `what` and `holds` are JSON of whoever wrote them, the
//! content is bytes.

use crate::SiteId;
use crate::mapping::Timestamp;

/// Most bytes of one deployment's content.
pub const DEPLOYMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most deployments that are recorded at a time, removals included.
pub const DEPLOYMENTS_MAX: usize = 10_000;

/// What is to be done at every site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// The content is to be there.
    Deploy,
    /// What earlier deployments made is to go.
    Remove,
}

impl Verb {
    /// The text in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Deploy => "deploy",
            Verb::Remove => "remove",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Verb> {
        [Verb::Deploy, Verb::Remove]
            .into_iter()
            .find(|verb| verb.as_str() == text)
    }
}

/// How far one site is with one deployment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A router is about it.
    Sending,
    /// It may have reached the site.
    Unknown,
    /// The site does not have it yet.
    Missing,
    /// The site has it behind it.
    Done,
    /// The site's engine refuses it.
    Failed,
}

impl Standing {
    const ALL: [Standing; 5] = [
        Standing::Sending,
        Standing::Unknown,
        Standing::Missing,
        Standing::Done,
        Standing::Failed,
    ];

    /// The text in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Sending => "sending",
            Standing::Unknown => "unknown",
            Standing::Missing => "missing",
            Standing::Done => "done",
            Standing::Failed => "failed",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Standing> {
        Standing::ALL
            .into_iter()
            .find(|standing| standing.as_str() == text)
    }
}

/// A deployment that is about to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDeployment {
    /// Sites of one scope are to have the same; order means something within it only.
    pub scope: String,
    pub verb: Verb,
    /// The deployments that a removal removes.
    pub of: Vec<u64>,
    pub tenant: Option<String>,
    pub name: String,
    /// Of everything that tells this content from another.
    pub hash: String,
    pub what: String,
    pub content: Vec<u8>,
    pub sites: Vec<SiteId>,
}

/// One site's part of a deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtSite {
    pub site: SiteId,
    pub standing: Standing,
    /// What the site calls it.
    pub id: Option<String>,
    /// What the site has made of it, in JSON.
    pub holds: String,
    /// Why it is not done.
    pub detail: String,
    /// By the store's clock; ignored in what is written.
    pub updated_at: Timestamp,
}

/// A deployment as the store keeps it, without its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentRecord {
    /// Its place in the order.
    pub number: u64,
    pub scope: String,
    pub verb: Verb,
    /// The removal that is to take it away.
    pub removed_by: Option<u64>,
    pub tenant: Option<String>,
    pub name: String,
    pub hash: String,
    pub what: String,
    /// Length of the content.
    pub length: u64,
    pub recorded_at: Timestamp,
    pub sites: Vec<AtSite>,
}

impl DeploymentRecord {
    /// This site's part.
    pub fn at(&self, site: SiteId) -> Option<&AtSite> {
        self.sites.iter().find(|at| at.site == site)
    }
}
