//! A rule and a request -> [`Class`].
//!
//! Owns the decision; the rule comes from the table, the request as it is on the wire. Pure.

use super::members::{Members, Named, is_copied};
use super::rule::{Definition, Rule};
use super::shared::{Other, SharedRule, member, named};
use crate::classify::{Any, Broadcast, Class, Create, Gather, Keyed, Refusal, Unknown};
use crate::dialect::deploys::Part;
use crate::dialect::message::CONDITIONS;
use crate::dialect::pointers::{Pointers, Seen};
use crate::dialect::shares::{Shared, Write};
use crate::dialect::split::names_definition;
use crate::dialect::{Head, Matched, batch, path};
use homing_mapping_store::key::ID_LENGTH_MAX;
use homing_mapping_store::{Engine, Kind, RoutingKey};
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A request and where its operation was found.
pub(in crate::dialect) struct Request<'r> {
    pub(in crate::dialect) found: &'r Matched<'r>,
    pub(in crate::dialect) head: &'r Head<'r>,
    /// `None`: longer than what is sniffed.
    pub(in crate::dialect) body: Option<&'r [u8]>,
}

/// What the bodies of starts hold.
#[derive(Debug)]
pub(in crate::dialect) struct Bodies(Pointers<Member>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Member {
    BusinessKey,
    Tenant,
    Id,
    ParentTask,
    CaseInstance,
    Definition,
    DefinitionKey,
    Task,
}

/// The same, as one request has it.
#[derive(Debug, Default)]
struct Start {
    business_key: Option<String>,
    tenant: Option<String>,
    id: Option<String>,
    parent_task: Option<String>,
    case_instance: Option<String>,
    definition: Option<String>,
    definition_key: Option<String>,
    task: Option<String>,
}

impl Bodies {
    /// Where a dialect's bodies hold what.
    pub(in crate::dialect) fn new(places: &[(&str, Member)]) -> Bodies {
        let mut members = Pointers::new();
        for (pointer, member) in places {
            members.add(pointer, *member);
        }
        Bodies(members)
    }

    /// A body that is no JSON names nothing: the engine refuses it in its own words.
    fn read(&self, body: &[u8]) -> Start {
        let mut start = Start::default();
        let walked = self.0.walk_first(body, |seen| {
            let Seen::Scalar(member, text) = seen else {
                return;
            };
            let place = match member {
                Member::BusinessKey => &mut start.business_key,
                Member::Tenant => &mut start.tenant,
                Member::Id => &mut start.id,
                Member::ParentTask => &mut start.parent_task,
                Member::CaseInstance => &mut start.case_instance,
                Member::Definition => &mut start.definition,
                Member::DefinitionKey => &mut start.definition_key,
                Member::Task => &mut start.task,
            };
            *place = Some(text.to_owned()).filter(|text| !text.is_empty());
        });
        if walked.is_err() {
            Start::default()
        } else {
            start
        }
    }
}

/// Says what the request is.
pub(in crate::dialect) fn of(rule: &Rule, bodies: &Bodies, request: &Request<'_>) -> Class {
    let decided = match rule {
        Rule::KeyedPath(kind, param) => request.key(*kind, *param).map(|key| {
            if is_of_several(&key) {
                Class::Split
            } else {
                keyed(key)
            }
        }),
        Rule::KeyedPlan(kind, param) => request.key(*kind, *param).map(keyed),
        Rule::KeyedBody(members) => Ok(request.keyed_body(members)),
        Rule::Start(kind, definition) => request.start(*kind, *definition, bodies),
        Rule::StartBody(kind) => Ok(request.start_by_body(*kind, bodies)),
        Rule::StartTask => Ok(request.start_task(bodies)),
        Rule::Any(None) => Ok(Class::Any(Any::default())),
        Rule::Any(Some(tenant)) => request.text(*tenant).map(|tenant| {
            Class::Any(Any {
                tenant: Some(tenant),
                ..Any::default()
            })
        }),
        Rule::Gather(copy, members) => request.gather(*copy, members),
        Rule::Split(members) => Ok(request.split(members)),
        Rule::Deploy => Ok(Class::Broadcast(Broadcast::Deploy)),
        Rule::Broadcast(members) => Ok(request.broadcast(members)),
        Rule::Aliased(kind, param) => request.key(*kind, *param).map(|key| {
            let is_deployment = Part::of(*kind).is_some();
            Class::Broadcast(if is_deployment && request.head.method == Method::DELETE {
                Broadcast::Remove(key)
            } else if is_deployment && request.head.method == Method::POST {
                Broadcast::Redeploy(key)
            } else {
                Broadcast::Aliased(key)
            })
        }),
        Rule::Correlate(members) => Ok(request.correlate(members)),
        Rule::WorkerFetch => Ok(Class::WorkerFetch),
        Rule::Shared(shared) => request
            .shared(*shared)
            .map(|shared| Class::Shared(request.engine(), shared)),
        Rule::Local => Ok(Class::Local),
    };
    decided.unwrap_or_else(Class::Refuse)
}

fn keyed(key: RoutingKey) -> Class {
    if is_of_several(&key) {
        return if key.kind == Kind::BATCH {
            Class::Split
        } else {
            not_alone(&key)
        };
    }
    Class::Keyed(Keyed {
        key,
        unknown: Unknown::Locate,
    })
}

/// A batch that is several sites' batches together, or a job definition of such a batch.
fn is_of_several(key: &RoutingKey) -> bool {
    matches!(key.kind, Kind::BATCH | Kind::JOB_DEFINITION)
        && !batch::parts_of(&key.id.to_string()).is_empty()
}

/// A job definition of several sites stands where each of them would have to be told its own.
fn not_alone(key: &RoutingKey) -> Class {
    Class::Refuse(Refusal::OfSeveral(format!(
        "{key} is several sites' job definitions together, which are understood in the path only: /job-definition/ID/..."
    )))
}

/// The body was longer than what is sniffed, and only it says where the request belongs.
fn unread(what: &str) -> Class {
    Class::Refuse(Refusal::Unread(what.to_owned()))
}

impl Request<'_> {
    fn engine(&self) -> Engine {
        self.found.engine.clone()
    }

    /// A path parameter, decoded.
    fn text(&self, param: usize) -> Result<String, Refusal> {
        Ok(self.raw(param)?.into_owned())
    }

    fn key(&self, kind: Kind, param: usize) -> Result<RoutingKey, Refusal> {
        Ok(RoutingKey::of(self.engine(), kind, &self.raw(param)?))
    }

    fn raw(&self, param: usize) -> Result<std::borrow::Cow<'_, str>, Refusal> {
        let bad = |what: &str| {
            Refusal::BadKey(format!(
                "{} parameter {}: {what}",
                self.found.operation.path,
                param + 1
            ))
        };
        let raw = self
            .found
            .params
            .raw(self.head.path, param)
            .ok_or_else(|| bad("missing"))?;
        let text = path::decode(raw).ok_or_else(|| bad("broken percent-encoding"))?;
        if text.len() > ID_LENGTH_MAX {
            Err(bad("too long"))
        } else {
            Ok(text)
        }
    }

    /// What the body names, or the query of a read; nothing if it is no JSON.
    fn named(&self, members: &Members) -> Option<Named> {
        if self.head.method.is_safe() {
            return Some(
                self.head
                    .query
                    .map(|query| members.in_query(query))
                    .unwrap_or_default(),
            );
        }
        self.body
            .map(|body| members.in_body(body).unwrap_or_default())
    }

    fn keyed_body(&self, members: &Members) -> Class {
        let Some(named) = self.named(members) else {
            return unread("the owner");
        };
        let key = named
            .copies
            .first()
            .map(|(kind, id)| RoutingKey::of(self.engine(), *kind, id));
        // Without it any engine gives the same error.
        key.or_else(|| named.owner(&self.engine()))
            .map_or_else(|| Class::Any(Any::default()), keyed)
    }

    fn start(&self, kind: Kind, definition: Definition, bodies: &Bodies) -> Result<Class, Refusal> {
        let body = self.body.map(|body| bodies.read(body)).unwrap_or_default();
        let create = Create {
            engine: self.engine(),
            kind: Some(kind),
            business_key: body.business_key,
            ..Create::default()
        };
        Ok(Class::Create(match definition {
            Definition::Key(key) => Create {
                definition: Some(self.text(key)?),
                ..create
            },
            Definition::KeyOfTenant(key, tenant) => Create {
                definition: Some(self.text(key)?),
                tenant: Some(self.text(tenant)?),
                ..create
            },
            Definition::Id(id) => {
                let what = definition_kind(kind);
                let id = self.text(id)?;
                Create {
                    definition: definition_key(&id).map(str::to_owned),
                    beside: Some(RoutingKey::of(self.engine(), what, &id)),
                    ..create
                }
            }
        }))
    }

    fn start_by_body(&self, kind: Kind, bodies: &Bodies) -> Class {
        let Some(body) = self.body else {
            return unread("the definition");
        };
        let body = bodies.read(body);
        // A form belongs to a task that is there, or starts something.
        if let Some(task) = body.task.filter(|id| id.len() <= ID_LENGTH_MAX) {
            return keyed(RoutingKey::of(self.engine(), Kind::TASK, &task));
        }
        let beside = body.definition.filter(|id| id.len() <= ID_LENGTH_MAX);
        Class::Create(Create {
            engine: self.engine(),
            kind: Some(kind),
            definition: beside
                .as_deref()
                .and_then(definition_key)
                .map(str::to_owned)
                .or(body.definition_key),
            beside: beside.map(|id| RoutingKey::of(self.engine(), definition_kind(kind), &id)),
            tenant: body.tenant,
            business_key: body.business_key,
            event: is_condition(&self.found.operation.path).then(|| CONDITIONS.to_owned()),
            ..Create::default()
        })
    }

    fn start_task(&self, bodies: &Bodies) -> Class {
        let Some(body) = self.body else {
            return unread("the parent");
        };
        let body = bodies.read(body);
        let owner = match (body.parent_task, body.case_instance) {
            (Some(parent), _) => Some((Kind::TASK, parent)),
            (None, Some(case)) => Some((Kind::CASE_INSTANCE, case)),
            (None, None) => None,
        };
        if let Some((kind, id)) = owner.filter(|(_, id)| id.len() <= ID_LENGTH_MAX) {
            return keyed(RoutingKey::of(self.engine(), kind, &id));
        }
        let id = body.id.filter(|id| id.len() <= ID_LENGTH_MAX);
        Class::Create(Create {
            engine: self.engine(),
            kind: Some(Kind::TASK),
            tenant: body.tenant,
            named: id.map(|id| RoutingKey::of(self.engine(), Kind::TASK, &id)),
            ..Create::default()
        })
    }

    /// A body that cannot be read narrows nothing.
    fn gather(&self, copy: Option<(Kind, usize)>, members: &Members) -> Result<Class, Refusal> {
        let mut gather = Gather::default();
        if let Some((kind, param)) = copy {
            gather.aliases.push(self.key(kind, param)?);
        }
        let named = self.named(members).unwrap_or_default();
        gather.owner = named.owner(&self.engine());
        let is_list = matches!(
            &*self.found.operation.path,
            "/batch"
                | "/batch/count"
                | "/batch/statistics"
                | "/batch/statistics/count"
                | "/history/batch"
                | "/history/batch/count"
        );
        if is_list && gather.owner.as_ref().is_some_and(is_of_several) {
            return Ok(Class::Split);
        }
        gather.aliases.extend(
            named
                .copies
                .iter()
                .map(|(kind, id)| RoutingKey::of(self.engine(), *kind, id)),
        );
        gather.aliases.extend(
            self.alternatives(members)
                .map(|(kind, id)| RoutingKey::of(self.engine(), kind, &id)),
        );
        if let Some(several) = gather.aliases.iter().find(|key| is_of_several(key)) {
            return Ok(not_alone(several));
        }
        Ok(Class::Gather(gather))
    }

    /// Ids in the alternatives of a query (`orQueries`) of which each site has its own. They narrow nothing.
    fn alternatives(&self, members: &Members) -> impl Iterator<Item = (Kind, String)> {
        #[derive(Deserialize)]
        struct Query<'q> {
            #[serde(rename = "orQueries", borrow, default)]
            alternatives: Vec<&'q RawValue>,
        }
        let body = self.body.unwrap_or_default();
        let found = memchr::memmem::find(body, b"orQueries")
            .and_then(|_| serde_json::from_slice::<Query<'_>>(body).ok());
        let each = found.into_iter().flat_map(|query| query.alternatives);
        let named = each.filter_map(|one| members.in_body(one.get().as_bytes()).ok());
        named.flat_map(|named| named.copies)
    }

    /// Whether each site has something that this names under an id of its own.
    fn names_definition(&self) -> bool {
        let path = &self.found.operation.path;
        path.starts_with("/process-definition/{id}/") || self.body.is_some_and(names_definition)
    }

    /// One id and nothing else that widens the set, or has to be translated: the whole request belongs to its owner.
    fn split(&self, members: &Members) -> Class {
        let Some(named) = self.named(members) else {
            return Class::Split;
        };
        match (named.open, named.owners.as_slice(), named.copies.as_slice()) {
            // Every site has a copy of it.
            (false, [], [(Kind::DEPLOYMENT, _)]) => Class::Split,
            (false, [_], []) if self.names_definition() => Class::Split,
            (false, [(kind, id)], []) | (false, [], [(kind, id)]) => {
                keyed(RoutingKey::of(self.engine(), *kind, id))
            }
            _ => Class::Split,
        }
    }

    fn broadcast(&self, members: &Members) -> Class {
        if members.is_empty() {
            return Class::Broadcast(Broadcast::Same);
        }
        let Some(named) = self.named(members) else {
            return unread("the owner");
        };
        if let Some(owner) = named.owner(&self.engine()) {
            return keyed(owner);
        }
        match named.copies.first() {
            // A job definition belongs to one site's definition and is addressed there everywhere else, too.
            Some((Kind::JOB_DEFINITION, id)) => {
                keyed(RoutingKey::of(self.engine(), Kind::JOB_DEFINITION, id))
            }
            Some((kind, id)) => {
                debug_assert!(is_copied(*kind));
                Class::Broadcast(Broadcast::Aliased(RoutingKey::of(self.engine(), *kind, id)))
            }
            None => Class::Broadcast(Broadcast::Same),
        }
    }

    fn shared(&self, rule: SharedRule) -> Result<Shared, Refusal> {
        Ok(match rule {
            SharedRule::Read => Shared::Read(None),
            SharedRule::Get(thing, id) => Shared::Read(Some((thing, self.text(id)?))),
            SharedRule::Password(user) => Shared::Password(self.text(user)?),
            SharedRule::Once => Shared::Once,
            SharedRule::Write(verb, thing, id, other) => Shared::Write(Write {
                engine: self.found.engine.name().map(str::to_owned),
                verb,
                thing,
                id: match id {
                    Some(id) => Some(self.text(id)?),
                    None => named(thing, self.body.unwrap_or_default()),
                },
                other: match other {
                    Some((thing, Other::Path(id))) => Some((thing, self.text(id)?)),
                    Some((thing, Other::Body)) => {
                        member(self.body.unwrap_or_default()).map(|id| (thing, id))
                    }
                    None => None,
                },
            }),
        })
    }

    fn correlate(&self, members: &Members) -> Class {
        let named = self.named(members).unwrap_or_default();
        named.owner(&self.engine()).map_or(Class::Correlate, keyed)
    }
}

/// Whether it starts whatever a condition starts.
fn is_condition(path: &str) -> bool {
    path == "/condition"
}

/// What an instance of this kind is made of.
fn definition_kind(kind: Kind) -> Kind {
    if kind == Kind::CASE_INSTANCE {
        Kind::CASE_DEFINITION
    } else {
        Kind::PROCESS_DEFINITION
    }
}

/// The key in a definition id `KEY:VERSION:UNIQUE`; an id in another form does not tell.
fn definition_key(id: &str) -> Option<&str> {
    let (head, _) = id.rsplit_once(':')?;
    let (key, version) = head.rsplit_once(':')?;
    (!key.is_empty() && version.parse::<u64>().is_ok()).then_some(key)
}
