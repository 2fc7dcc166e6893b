//! The words after `shared` in a route table: what an operation does about users and their like, and where their ids sit.
//!
//! Owns these words. Must not see a request, but for the id in a body.

use crate::dialect::shares::Thing;
use homing_mapping_store::shared::SharedVerb;
use serde_json::Value;

/// What an operation about shared data does. A `usize` is the number of a path parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum SharedRule {
    Read,
    Get(Thing, usize),
    Write(SharedVerb, Thing, Option<usize>, Option<(Thing, Other)>),
    Password(usize),
    Once,
}

/// Where it stands who joins or leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Other {
    Path(usize),
    Body,
}

impl SharedRule {
    /// Reads the words after `shared`. `None`: they make no sense.
    pub(in crate::dialect) fn parse(
        words: &[&str],
        param: impl Fn(&str) -> Option<usize>,
    ) -> Option<Self> {
        Some(match words {
            [] => SharedRule::Read,
            ["once"] => SharedRule::Once,
            ["password", place] => SharedRule::Password(param(place)?),
            ["get", thing, place] => SharedRule::Get(Thing::parse(thing)?, param(place)?),
            ["make", thing] => {
                SharedRule::Write(SharedVerb::Make, Thing::parse(thing)?, None, None)
            }
            [verb @ ("set" | "drop"), thing, place] => {
                let verb = if *verb == "set" {
                    SharedVerb::Set
                } else {
                    SharedVerb::Drop
                };
                SharedRule::Write(verb, Thing::parse(thing)?, Some(param(place)?), None)
            }
            [verb @ ("join" | "leave"), thing, place, other, its] => {
                let verb = if *verb == "join" {
                    SharedVerb::Join
                } else {
                    SharedVerb::Leave
                };
                let its = match *its {
                    "body" => Other::Body,
                    its => Other::Path(param(its)?),
                };
                let other = (Thing::parse(other)?, its);
                SharedRule::Write(verb, Thing::parse(thing)?, Some(param(place)?), Some(other))
            }
            _ => return None,
        })
    }

    /// Whether every site gets it.
    pub(in crate::dialect) fn is_write(self) -> bool {
        !matches!(self, SharedRule::Read | SharedRule::Get(..))
    }
}

/// The user in a body that makes one a member.
pub(in crate::dialect) fn member(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = body.get("userId")?.as_str();
    id.filter(|id| !id.is_empty()).map(str::to_owned)
}

/// The id that the client gives to what it makes.
pub(in crate::dialect) fn named(thing: Thing, body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = match thing {
        Thing::User => body.pointer("/profile/id").or_else(|| body.get("id"))?,
        Thing::Group | Thing::Tenant => body.get("id")?,
        Thing::Filter | Thing::Authorization => return None,
    };
    id.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}
