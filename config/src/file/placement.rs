//! The `[placement]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which site gets new work.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PlacementFile {
    /// How a site is chosen when nothing else names one: `weighted` by `site.weight`; `least-loaded` by running
    /// requests over weight; `hash-business-key` and `hash-tenant` keep equal values together; `locality` prefers
    /// the sites of the router's own `zone`, then goes by weight.
    pub(crate) policy: PolicyFile,
    /// Keep each user at one site. Default: off.
    pub(crate) sticky_user: Option<StickyUserFile>,
    /// `hint`: a start prefers the site that already has its business key. `claim`: one home for each tenant,
    /// definition and business key, guarded by the store. `off`: business keys are not looked at.
    pub(crate) business_key: BusinessKeyFile,
    /// What several sites do with a definition that starts by a timer. `one-site`: one of them is armed, the timer's job
    /// definition is kept suspended at the others. `every-site`: nothing is suspended, each site starts by itself.
    pub(crate) start_timers: StartTimersFile,
    /// Where messages, signals and conditions that are sent through Homing start what they start. `placed`: each start at
    /// a site that is chosen like that of any other start. `one-site`: all of one message name, of one signal name and of
    /// all conditions at the site that a row in the store says is armed for it; while that site cannot be asked, they are
    /// refused.
    pub(crate) start_events: StartEventsFile,
    /// Hard rules where a tenant's work may be. They hold in a failover too.
    pub(crate) constraint: Vec<ConstraintFile>,
}

/// A placement policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PolicyFile {
    #[default]
    Weighted,
    LeastLoaded,
    HashBusinessKey,
    HashTenant,
    Locality,
}

/// What a business key means for placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BusinessKeyFile {
    #[default]
    Hint,
    Claim,
    Off,
}

/// Which sites start what a timer starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartTimersFile {
    #[default]
    OneSite,
    EverySite,
}

/// Where messages, signals and conditions start what they start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartEventsFile {
    #[default]
    Placed,
    OneSite,
}

/// Where the user's name is read.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StickyUserFile {
    /// `"basic"` (user of HTTP basic authentication), `"bearer:CLAIM"` (a claim of a JSON web token, which the router
    /// reads but does not verify), `"header:NAME"` or `"cookie:NAME"`.
    pub(crate) from: At<String>,
}

/// Where a tenant's work may be.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConstraintFile {
    /// Tenant; `*` stands for any run of characters, `?` for one. The first rule that matches a tenant counts.
    pub(crate) tenant: At<String>,
    /// The only sites allowed for it.
    pub(crate) sites: Vec<At<String>>,
}
