//! What is known of shared data in an API that has it: users, groups, tenants, filters and authorizations.
//!
//! Owns the face for it. Pure, as every dialect is: it says what to ask and reads what was answered.

use crate::dialect::Ask;
use homing_mapping_store::Engine;
use homing_mapping_store::shared::SharedVerb;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A kind of shared thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thing {
    User,
    Group,
    Tenant,
    Filter,
    Authorization,
}

impl Thing {
    const ALL: [Thing; 5] = [
        Thing::User,
        Thing::Group,
        Thing::Tenant,
        Thing::Filter,
        Thing::Authorization,
    ];

    /// The text in the store, the API and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Thing::User => "user",
            Thing::Group => "group",
            Thing::Tenant => "tenant",
            Thing::Filter => "filter",
            Thing::Authorization => "authorization",
        }
    }

    /// The other way round.
    pub fn parse(text: &str) -> Option<Thing> {
        Thing::ALL.into_iter().find(|thing| thing.as_str() == text)
    }

    /// Whether each site makes an id of its own for it.
    pub fn is_copied(self) -> bool {
        matches!(self, Thing::Filter | Thing::Authorization)
    }
}

/// A request about shared data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Changes nothing. It may name something that has another id at each site.
    Read(Option<(Thing, String)>),
    /// Every site is to do the same, now or later.
    Write(Write),
    /// Every site is to give this user a password now: it must not be kept.
    Password(String),
    /// Every site is to do the same now: later it would mean nothing.
    Once,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The engine inside of each site; none: the default one.
    pub engine: Option<String>,
    /// What is done.
    #[serde(with = "verb")]
    pub verb: SharedVerb,
    /// To what kind of thing.
    pub thing: Thing,
    /// To which one; none: each site names it, or nobody could read it.
    pub id: Option<String>,
    /// Of a membership: who joins or leaves.
    pub other: Option<(Thing, String)>,
}

impl Write {
    /// The engine inside of each site.
    pub fn engine(&self) -> Engine {
        self.engine
            .as_deref()
            .map_or(Engine::DEFAULT, Engine::named)
    }

    /// What would take it back. `None`: nothing does.
    pub fn inverse(&self, own: Option<&str>) -> Option<Write> {
        let verb = match self.verb {
            SharedVerb::Make => SharedVerb::Drop,
            SharedVerb::Join => SharedVerb::Leave,
            SharedVerb::Set | SharedVerb::Drop | SharedVerb::Leave => return None,
        };
        let id = own.map(str::to_owned).or_else(|| self.id.clone());
        Some(Write {
            verb,
            id,
            ..self.clone()
        })
    }
}

/// Verbs as the store spells them.
mod verb {
    use super::SharedVerb;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(verb: &SharedVerb, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(verb.as_str())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<SharedVerb, D::Error> {
        let text = String::deserialize(from)?;
        SharedVerb::parse(&text).ok_or_else(|| D::Error::custom("no verb of a shared write"))
    }
}

/// What may be kept of a write's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepable {
    /// Without any secret.
    pub content: Vec<u8>,
    /// What had to be left out.
    pub left_out: LeftOut,
}

/// What had to be left out of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    Nothing,
    Password,
}

/// What a site has of a write's subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is there as the write has it, under this id if each site has its own.
    There(Option<String>),
    /// It is there, and is something else.
    Other(Option<String>),
    /// It is not there.
    Absent,
    /// The answer proves nothing.
    Unclear,
}

/// How an API shares.
pub trait Shares: Send + Sync {
    /// What may be kept of this body. `None`: it is not understood; a site has to say what it thinks of it.
    fn keepable(&self, write: &Write, body: &[u8]) -> Option<Keepable>;
    /// What of a thing a `Set` is about, if it does not set all of it: a later one about the same makes it needless.
    fn facet(&self, write: &Write, content: &[u8]) -> Option<String> {
        let _ = (write, content);
        None
    }
    /// The id in the answer to a `Make`.
    fn read_id(&self, body: &[u8]) -> Option<String>;
    /// The write as this site gets it later. `own`: what it calls its copy. `None`: it has nothing that this is about.
    fn ask(&self, write: &Write, own: Option<&str>, content: &[u8], password: &str) -> Option<Ask>;
    /// What tells whether the site has done it already. `None`: it has nothing that this is about.
    fn look(&self, write: &Write, own: Option<&str>, content: &[u8]) -> Option<Ask>;
    /// Reads the answer. `taken`: ids at this site that are known to be something else's.
    fn seen(
        &self,
        write: &Write,
        content: &[u8],
        taken: &HashSet<String>,
        status: StatusCode,
        body: &[u8],
    ) -> Seen;
    /// What tells whether the site has something of this id.
    fn probe(&self, engine: &Engine, thing: Thing, id: &str) -> Ask;
}
