//! Whether a key may be said to live at a site.
//!
//! Owns the rule: a placed key may live anywhere, a held key only where the site itself says that it has it. Must not
//! change anything. Relies on the locator's questions, which are GETs.

use super::State;
use super::error::Error;
use crate::dialect::Presence;
use crate::topology::Site;
use homing_mapping_store::{Mapping, RoutingKey, State as MappingState};
use std::sync::Arc;

/// Why a key may be said to live at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its home is a choice.
    Placed,
    /// The site was asked and has it.
    Probed,
    /// The dialect has no question for keys of this kind: the operator says so.
    Operator,
}

impl Proof {
    /// The text in the audit trail.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Proof::Placed => "placed",
            Proof::Probed => "probed",
            Proof::Operator => "operator",
        }
    }
}

/// Whether a home of this key is a choice, not a fact.
pub(super) fn is_placed(key: &RoutingKey, before: Option<&Mapping>) -> bool {
    key.kind.is_placed() || before.is_some_and(|before| before.state == MappingState::Placed)
}

/// The proof, or the refusal for want of one.
pub(super) async fn prove(
    state: &State,
    key: &RoutingKey,
    before: Option<&Mapping>,
    site: &Arc<Site>,
) -> Result<Proof, Error> {
    if is_placed(key, before) {
        return Ok(Proof::Placed);
    }
    // Only a dialect made of rules has no questions at all; there nobody but the operator can know.
    if site.dialect.health().is_none() && site.dialect.locate(key).is_empty() {
        return Ok(Proof::Operator);
    }
    match state.pipeline.resolver.locator.ask(key, site).await {
        Presence::Present(_) => Ok(Proof::Probed),
        Presence::Absent => Err(Error::unsafe_now(
            "unproven",
            format!(
                "site {} was asked and does not have {key}; a held key is a fact about a database and can only be set where it lives",
                site.id
            ),
        )),
        Presence::Unclear => Err(Error::unsafe_now(
            "unproven",
            format!(
                "site {} could not tell whether it has {key}; a held key can only be set where a probe finds it (is the site up, out of maintenance, and its service_account allowed to read?)",
                site.id
            ),
        )),
    }
}
