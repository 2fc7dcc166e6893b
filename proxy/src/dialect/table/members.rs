//! Members of a query or a body that name something with a home.
//!
//! Owns reading them the way the engines do: of members that are repeated in a body the last counts, a repeated query
//! parameter proves nothing. Only top-level members: what stands inside `orQueries` never narrows.

use super::TableError;
use crate::dialect::pointers::{NotJson, Pointers, Seen};
use crate::dialect::query;
use homing_mapping_store::key::ID_LENGTH_MAX;
use homing_mapping_store::{Engine, Kind, RoutingKey};
use std::collections::HashMap;

/// What one member names.
#[derive(Clone, Debug)]
pub(in crate::dialect) struct Member {
    name: Box<str>,
    kind: Kind,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    One,
    List,
    /// Only that it is there matters: with it, a listed id is not all that the request is about.
    Presence,
}

/// The members that matter to one operation.
#[derive(Debug)]
pub(in crate::dialect) struct Members {
    list: Vec<Member>,
    pointers: Pointers<usize>,
}

/// Ids that a request names, in the order of the operation's members.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Named {
    /// Things with one home.
    pub(in crate::dialect) owners: Vec<(Kind, String)>,
    /// Things of which every site has its own copy under its own id.
    pub(in crate::dialect) copies: Vec<(Kind, String)>,
    /// A list with several ids, or a member that stands for an unknown set.
    pub(in crate::dialect) open: bool,
}

/// The dictionary of all members.
pub(in crate::dialect) struct Dictionary(HashMap<Box<str>, (Kind, Shape)>);

impl Dictionary {
    /// Reads `NAME KIND one|list` lines.
    pub(in crate::dialect) fn read(table: &str) -> Result<Dictionary, TableError> {
        let mut known = HashMap::new();
        for (number, line) in super::lines(table) {
            let wrong = || TableError::Line {
                table: "members",
                number,
                what: line.to_owned(),
            };
            let mut columns = line.split('\t');
            let (Some(name), Some(kind), Some(shape)) =
                (columns.next(), columns.next(), columns.next())
            else {
                return Err(wrong());
            };
            let shape = match shape {
                "one" => Shape::One,
                "list" => Shape::List,
                _ => return Err(wrong()),
            };
            known.insert(name.into(), (Kind::known(kind).ok_or_else(wrong)?, shape));
        }
        Ok(Dictionary(known))
    }

    /// Compiles the members of one operation; `!NAME` only by presence, `NAME:KIND` where this operation means another
    /// kind than the others.
    pub(in crate::dialect) fn compile<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
    ) -> Option<Members> {
        let mut members = Members {
            list: Vec::new(),
            pointers: Pointers::new(),
        };
        for name in names {
            let member = match name.strip_prefix('!') {
                Some(name) => Member {
                    name: name.into(),
                    kind: Kind::PROCESS_INSTANCE,
                    shape: Shape::Presence,
                },
                None => {
                    let (name, other) = match name.split_once(':') {
                        Some((name, kind)) => (name, Some(Kind::known(kind)?)),
                        None => (name, None),
                    };
                    let (kind, shape) = *self.0.get(name)?;
                    let kind = other.unwrap_or(kind);
                    Member {
                        name: name.into(),
                        kind,
                        shape,
                    }
                }
            };
            let pointer = format!(
                "/{}{}",
                member.name,
                if member.shape == Shape::List {
                    "/[]"
                } else {
                    ""
                }
            );
            members.pointers.add(&pointer, members.list.len());
            members.list.push(member);
        }
        Some(members)
    }
}

impl Members {
    pub(in crate::dialect) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Members that list ids.
    pub(in crate::dialect) fn lists(&self) -> impl Iterator<Item = (&str, Kind)> {
        let lists = self.list.iter().filter(|of| of.shape == Shape::List);
        lists.map(|of| (&*of.name, of.kind))
    }

    /// Members that stand for an unknown set.
    pub(in crate::dialect) fn queries(&self) -> impl Iterator<Item = &str> {
        let queries = self.list.iter().filter(|of| of.shape == Shape::Presence);
        queries.map(|of| &*of.name)
    }

    /// What the query names.
    pub(in crate::dialect) fn in_query(&self, query: &str) -> Named {
        let mut values: Vec<(usize, Vec<String>)> = Vec::new();
        for (name, value) in query::pairs(query) {
            let Some(at) = self.list.iter().position(|member| *member.name == *name) else {
                continue;
            };
            let parts = match self.list[at].shape {
                Shape::List => value
                    .split(',')
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect(),
                Shape::One | Shape::Presence => vec![value.into_owned()],
            };
            match values.iter_mut().find(|(known, _)| *known == at) {
                // Which of the two an engine takes is its own business.
                Some((_, known)) => known.clear(),
                None => values.push((at, parts)),
            }
        }
        self.named(values)
    }

    /// What the body names.
    pub(in crate::dialect) fn in_body(&self, body: &[u8]) -> Result<Named, NotJson> {
        let mut values: Vec<(usize, Vec<String>)> = Vec::new();
        self.pointers.walk_first(body, |seen| {
            let (at, text) = match seen {
                Seen::Scalar(at, text) => (at, text),
                Seen::Compound(at) if self.list[at].shape == Shape::Presence => (at, ""),
                Seen::Compound(_) | Seen::Close => return,
            };
            let slot = match values.iter().position(|(known, _)| *known == at) {
                Some(slot) => slot,
                None => {
                    values.push((at, Vec::new()));
                    values.len() - 1
                }
            };
            let parts = &mut values[slot].1;
            if self.list[at].shape != Shape::List {
                parts.clear();
            }
            parts.push(text.to_owned());
        })?;
        Ok(self.named(values))
    }

    fn named(&self, mut values: Vec<(usize, Vec<String>)>) -> Named {
        values.sort_by_key(|(at, _)| *at);
        let mut named = Named::default();
        for (at, mut parts) in values {
            let member = &self.list[at];
            if member.shape == Shape::Presence {
                named.open = true;
                continue;
            }
            parts.sort_unstable();
            parts.dedup();
            named.open |= parts.len() > 1;
            let several = parts.len() > 1;
            let usable = parts
                .into_iter()
                .filter(|id| !id.is_empty() && id.len() <= ID_LENGTH_MAX);
            if is_copied(member.kind) {
                named.copies.extend(usable.map(|id| (member.kind, id)));
            } else if !several {
                named.owners.extend(usable.map(|id| (member.kind, id)));
            }
        }
        named
    }
}

impl Named {
    /// The owner that is most likely to be known: what has a row of its own goes first.
    pub(in crate::dialect) fn owner(&self, engine: &Engine) -> Option<RoutingKey> {
        let (kind, id) = self.owners.iter().min_by_key(|(kind, _)| rank(*kind))?;
        Some(RoutingKey::of(engine.clone(), *kind, id))
    }
}

/// Every site has its own copy of these, under its own id.
pub(in crate::dialect) fn is_copied(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::PROCESS_DEFINITION
            | Kind::CASE_DEFINITION
            | Kind::DECISION_DEFINITION
            | Kind::DECISION_REQUIREMENTS_DEFINITION
            | Kind::DEPLOYMENT
            | Kind::CASE_DEPLOYMENT
            | Kind::DECISION_DEPLOYMENT
            | Kind::JOB_DEFINITION
    )
}

fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::PROCESS_INSTANCE | Kind::CASE_INSTANCE | Kind::BATCH => 0,
        Kind::TASK => 1,
        _ => 2,
    }
}
