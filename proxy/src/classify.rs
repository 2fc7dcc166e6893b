//! Request head (and a bounded part of its body) -> [`Class`]: what kind of request this is and which key it carries.
//!
//! Owns the vocabulary of classes. Must not do I/O, read the clock, or know which sites exist. Relies on a dialect's
//! compiled route table.

use crate::dialect::shares::Shared;
use homing_mapping_store::{Engine, Kind, RoutingKey, SiteId};

pub mod credentials;
pub mod refuse;

/// What a request is, with all that later steps need from the raw request. No later step looks at it again.
#[derive(Clone, Debug, PartialEq)]
pub enum Class {
    /// Sticky on a key.
    Keyed(Keyed),
    /// Makes something new; a site has to be chosen for it.
    Create(Create),
    /// Any site that can answer.
    Any(Any),
    /// Read from all sites and merge.
    Gather(Gather),
    /// Write cut by owner.
    Split,
    /// Write to all sites.
    Broadcast(Broadcast),
    /// A message or signal whose receiver is not named by a key.
    Correlate,
    /// A worker asks for work.
    WorkerFetch,
    /// Identity data and the like, the same at every site.
    Shared(Engine, Shared),
    /// About one engine process only, not about the fleet (metrics, cleanup, schema log).
    Local,
    /// Refused by rule.
    Refuse(Refusal),
}

impl Class {
    /// The class in logs, metrics and the API.
    pub fn name(&self) -> &'static str {
        match self {
            Class::Keyed(_) => "keyed",
            Class::Create(_) => "create",
            Class::Any(_) => "any",
            Class::Gather(_) => "gather",
            Class::Split => "split",
            Class::Broadcast(_) => "broadcast",
            Class::Correlate => "correlate",
            Class::WorkerFetch => "worker-fetch",
            Class::Shared(..) => "shared",
            Class::Local => "local",
            Class::Refuse(_) => "refuse",
        }
    }
}

/// A request that belongs to the home of `key`.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyed {
    /// The key.
    pub key: RoutingKey,
    /// What to do when nobody knows the key.
    pub unknown: Unknown,
}

/// What an unknown key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// A fact about a database: ask the sites.
    Locate,
    /// A placed key (session, user): choose a home for it now.
    Place,
}

/// A request that makes something new.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Create {
    /// The engine inside the site.
    pub engine: Engine,
    /// The kind of the thing made, if rows are kept for it.
    pub kind: Option<Kind>,
    /// Definition key (name), for placement by definition and for resolving an unknown outcome.
    pub definition: Option<String>,
    /// Id of a definition, deployment or parent: the new thing can only be made where that lives.
    pub beside: Option<RoutingKey>,
    /// Tenant named by the request.
    pub tenant: Option<String>,
    /// Business key named by the request.
    pub business_key: Option<String>,
    /// The id that the client itself gives to the new thing; the answer will not repeat it.
    pub named: Option<RoutingKey>,
    /// The only sites that make anything of it, where that differs from site to site.
    pub starts_at: Option<Vec<SiteId>>,
    /// The start event that makes it, as the row of the site says that may be armed for it.
    pub event: Option<String>,
    /// What its answer is to name.
    pub makes: Makes,
}

/// What a request that makes something new has made when it was answered well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Makes {
    /// One thing or more, and the answer names them if their kind has rows.
    #[default]
    Something,
    /// Nothing, if the answer names nothing.
    MaybeNothing,
}

/// A request that any available site can answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Any {
    /// Tenant named by the request, for constraints.
    pub tenant: Option<String>,
    /// Whether it matters who asks.
    pub stays: Stays,
}

/// Whether requests that any site can answer stay together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stays {
    /// They do not: every site has the same.
    #[default]
    Nowhere,
    /// A user's stay at his home, where placement is sticky by user: each site has its own.
    WithUser,
}

/// A read over all sites.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Gather {
    /// Narrowing: if a filter names an owner, only its home need be asked. If no site knows it, all are asked.
    pub owner: Option<RoutingKey>,
    /// Ids of definitions and deployments in the request. Each site has its own id for its copy; a site that is asked
    /// with another's id finds nothing.
    pub aliases: Vec<RoutingKey>,
}

/// A write that every site gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// `POST /deployment/create`: all or none; what was done is undone when one refuses.
    Deploy,
    /// Anything else that is the same on every site.
    Same,
    /// A write about the copies of one definition or deployment: every site, each under its own id for its copy.
    /// The key is the id that the request names; until the ids of the copies are known it belongs to its owner alone.
    Aliased(RoutingKey),
    /// Files of a deployment are deployed once more.
    Redeploy(RoutingKey),
    /// A deployment is taken away at every site, each under its own id for it.
    Remove(RoutingKey),
}

/// Why a request is refused before any site is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// No route of the dialect has this path.
    NoRoute,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// A rule in configuration says so.
    ByRule,
    /// The key that the operation needs is missing or malformed; says which.
    BadKey(String),
    /// The key that the operation needs is in a body that is longer than what is read of it; says which.
    Unread(String),
    /// It names what several sites have each a part of, where only one can be named; says what.
    OfSeveral(String),
}
