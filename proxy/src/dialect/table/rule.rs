//! The rule of one operation: what it is and where its keys sit.
//!
//! Owns the rule column of the route table. Must not see a request.

use super::members::{Dictionary, Members};
use super::shared::SharedRule;
use crate::dialect::{Body, Resend};
use homing_mapping_store::Kind;
use http::Method;

/// What an operation is. A `usize` is the number of a path parameter.
#[derive(Debug)]
pub(in crate::dialect) enum Rule {
    /// Sticky on an id in the path.
    KeyedPath(Kind, usize),
    /// The same; the body is a plan that names copies.
    KeyedPlan(Kind, usize),
    /// Sticky on an id in the body.
    KeyedBody(Members),
    /// Makes a process or case instance out of the path and the body.
    Start(Kind, Definition),
    /// Makes a process or case instance; the body says which.
    StartBody(Kind),
    /// Makes a task that belongs to what the body says, or to nothing.
    StartTask,
    /// Any site; the tenant may be in the path.
    Any(Option<usize>),
    /// All sites; perhaps about one definition.
    Gather(Option<(Kind, usize)>, Members),
    /// By owner.
    Split(Members),
    /// Every site, all or none.
    Deploy,
    /// Every site, the same.
    Broadcast(Members),
    /// Every site, about its copy.
    Aliased(Kind, usize),
    /// A message or signal.
    Correlate(Members),
    /// A worker asks for work.
    WorkerFetch,
    /// Identity data and the like.
    Shared(SharedRule),
    /// One engine's own business.
    Local,
}

/// How a start names its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Definition {
    Id(usize),
    Key(usize),
    KeyOfTenant(usize, usize),
}

impl Rule {
    /// Reads the rule column. `None`: it makes no sense.
    pub(in crate::dialect) fn parse(
        text: &str,
        pattern: &str,
        dictionary: &Dictionary,
    ) -> Option<Rule> {
        let mut words: Vec<&str> = text.split(' ').filter(|word| *word != "read").collect();
        let verb = words.remove(0);
        let params: Vec<&str> = pattern
            .split('/')
            .filter(|segment| segment.starts_with('{'))
            .collect();
        let param = |word: &str| params.iter().position(|param| *param == word);
        let members = |names: &[&str]| dictionary.compile(names.iter().copied());
        let on_path = |words: &[&str]| match words {
            [kind, place, ..] if place.starts_with('{') => {
                Some((Kind::known(kind)?, param(place)?))
            }
            _ => None,
        };
        Some(match (verb, words.as_slice()) {
            ("keyed", [_, place]) if place.starts_with('{') => {
                let (kind, place) = on_path(&words)?;
                Rule::KeyedPath(kind, place)
            }
            ("keyed", [_, place, "plan"]) if place.starts_with('{') => {
                let (kind, place) = on_path(&words)?;
                Rule::KeyedPlan(kind, place)
            }
            ("keyed", [_, names @ ..]) => Rule::KeyedBody(members(names)?),
            ("start", ["task", "body"]) => Rule::StartTask,
            ("start", [what, "body"]) => Rule::StartBody(made(what)?),
            ("start", [what, places @ ..]) => Rule::Start(made(what)?, definition(places, param)?),
            ("any", []) => Rule::Any(None),
            ("any", [tenant]) => Rule::Any(Some(param(tenant)?)),
            ("gather", [_, place, names @ ..]) if place.starts_with('{') => {
                Rule::Gather(Some(on_path(&words)?), members(names)?)
            }
            ("gather", names) => Rule::Gather(None, members(names)?),
            ("split", names) => Rule::Split(members(names)?),
            ("broadcast", ["deploy"]) => Rule::Deploy,
            ("broadcast", [_, place]) if place.starts_with('{') => {
                let (kind, place) = on_path(&words)?;
                Rule::Aliased(kind, place)
            }
            ("broadcast", names) => Rule::Broadcast(members(names)?),
            ("correlate", names) => Rule::Correlate(members(names)?),
            ("worker-fetch", []) => Rule::WorkerFetch,
            ("shared", words) => Rule::Shared(SharedRule::parse(words, param)?),
            ("local", []) => Rule::Local,
            _ => return None,
        })
    }

    /// The class, unless a key in the request says otherwise.
    pub(in crate::dialect) fn class(&self) -> &'static str {
        match self {
            Rule::KeyedPath(..) | Rule::KeyedPlan(..) | Rule::KeyedBody(_) => "keyed",
            Rule::Start(..) | Rule::StartBody(_) | Rule::StartTask => "create",
            Rule::Any(_) => "any",
            Rule::Gather(..) => "gather",
            Rule::Split(_) => "split",
            Rule::Deploy | Rule::Broadcast(_) | Rule::Aliased(..) => "broadcast",
            Rule::Correlate(_) => "correlate",
            Rule::WorkerFetch => "worker-fetch",
            Rule::Shared(_) => "shared",
            Rule::Local => "local",
        }
    }

    /// Whether the body may hold what routing needs.
    pub(in crate::dialect) fn body(&self, method: &Method) -> Body {
        let sniff = match self {
            Rule::KeyedBody(_) | Rule::Start(..) | Rule::StartBody(_) | Rule::StartTask => true,
            Rule::Gather(..) => method == Method::POST,
            Rule::Split(members) | Rule::Broadcast(members) => !members.is_empty(),
            Rule::Correlate(_) | Rule::KeyedPlan(..) => true,
            Rule::KeyedPath(..) | Rule::Any(_) | Rule::Deploy | Rule::Aliased(..) => false,
            Rule::WorkerFetch => true,
            Rule::Shared(shared) => shared.is_write(),
            Rule::Local => false,
        };
        if sniff { Body::Sniff } else { Body::Ignore }
    }

    /// Reads may be sent again; the table marks the reads among the POSTs.
    pub(in crate::dialect) fn resend(&self, method: &Method, text: &str) -> Resend {
        let is_read =
            method.is_safe() || matches!(self, Rule::Gather(..)) || text.ends_with(" read");
        if is_read { Resend::Safe } else { Resend::Never }
    }
}

fn made(what: &str) -> Option<Kind> {
    match what {
        "process" => Some(Kind::PROCESS_INSTANCE),
        "case" => Some(Kind::CASE_INSTANCE),
        _ => None,
    }
}

fn definition(places: &[&str], param: impl Fn(&str) -> Option<usize>) -> Option<Definition> {
    Some(match places {
        ["{id}"] => Definition::Id(param("{id}")?),
        ["{key}"] => Definition::Key(param("{key}")?),
        ["{key}", tenant] => Definition::KeyOfTenant(param("{key}")?, param(tenant)?),
        _ => return None,
    })
}
