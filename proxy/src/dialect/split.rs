//! A write over things of several owners: its lists of ids cut by owner, its queries for every site.
//!
//! Owns the shape of such a body; what is not a list of ids stays letter by letter what the client wrote. Pure.

use super::batch;
use bytes::Bytes;
use homing_mapping_store::key::ID_LENGTH_MAX;
use homing_mapping_store::{Engine, Kind, RoutingKey};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// Members that hold the id of a definition, which every site has under another id.
const DEFINITIONS: [&str; 3] = [
    "processDefinitionId",
    "migrationPlan",
    "processDefinitionIds",
];

/// One write.
#[derive(Debug)]
pub struct Split {
    /// What the sites' answers are.
    pub answers: Answers,
    /// Whom it is about.
    pub about: About,
    /// Whether it names the copy of a definition that one site has.
    pub definition: Definition,
    members: BTreeMap<String, Box<RawValue>>,
    lists: Vec<(String, Kind, Vec<String>)>,
    engine: Engine,
}

/// What the sites' answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Nothing.
    Nothing,
    /// A batch each.
    Batch,
}

/// Whom a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Whom it lists.
    Listed,
    /// Whom it lists, and whoever its queries find, at any site.
    Queried,
}

/// Whether a write names the copy of a definition that one site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// It does.
    Named,
    /// Every site understands it alike.
    None,
}

/// A listed id: the list, its place in it.
pub type Place = (usize, usize);

impl Split {
    /// Reads a body. `lists`: members that list ids; `queries`: members that stand for an unknown set.
    pub fn read<'m>(
        engine: &Engine,
        body: &[u8],
        lists: impl Iterator<Item = (&'m str, Kind)>,
        queries: impl Iterator<Item = &'m str>,
        answers: Answers,
    ) -> Result<Split, String> {
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(body).map_err(|_| "the body is no JSON object".to_owned())?;
        let is_there = |name: &str| {
            members
                .get(name)
                .is_some_and(|raw| raw.get().trim() != "null")
        };
        let mut read = Vec::new();
        for (name, kind) in lists.filter(|(name, _)| is_there(name)) {
            let raw = members.get(name).map(|raw| raw.get()).unwrap_or_default();
            let ids: Vec<String> =
                serde_json::from_str(raw).map_err(|_| format!("{name} is no list of texts"))?;
            if ids.iter().any(|id| id.len() > ID_LENGTH_MAX) {
                return Err(format!("{name} holds an id that is too long"));
            }
            let ids = if kind == Kind::BATCH {
                ids.iter().flat_map(|id| alone(id)).collect()
            } else {
                ids
            };
            read.push((name.to_owned(), kind, ids));
        }
        let (mut about, mut definition) = (About::Listed, Definition::None);
        for name in queries.filter(|name| is_there(name)) {
            about = About::Queried;
            let raw = members.get(name).map(|raw| raw.get()).unwrap_or_default();
            let query: Value =
                serde_json::from_str(raw).map_err(|_| format!("{name} cannot be read"))?;
            if names_a_copy(&query) {
                definition = Definition::Named;
            }
        }
        if DEFINITIONS.into_iter().any(is_there) {
            definition = Definition::Named;
        }
        Ok(Split {
            answers,
            about,
            definition,
            lists: read,
            members,
            engine: engine.clone(),
        })
    }

    /// All listed ids.
    pub fn ids(&self) -> Vec<(Place, RoutingKey)> {
        let mut ids = Vec::new();
        for (list, (_, kind, listed)) in self.lists.iter().enumerate() {
            for (at, id) in listed.iter().enumerate() {
                ids.push(((list, at), RoutingKey::of(self.engine.clone(), *kind, id)));
            }
        }
        ids
    }

    /// Whether it lists things of this kind.
    pub fn lists(&self, kind: Kind) -> bool {
        let mut lists = self.lists.iter();
        lists.any(|(_, of, ids)| *of == kind && !ids.is_empty())
    }

    /// The body for a site that owns these ids. A list of which it owns nothing is left out.
    pub fn body(&self, own: &[Place]) -> Option<Bytes> {
        let mut members: BTreeMap<&str, Box<RawValue>> = self
            .members
            .iter()
            .map(|(name, raw)| (name.as_str(), raw.clone()))
            .collect();
        for (list, (name, _, listed)) in self.lists.iter().enumerate() {
            let ids: Vec<&str> = own
                .iter()
                .filter(|(of, _)| *of == list)
                .filter_map(|(_, at)| listed.get(*at).map(String::as_str))
                .collect();
            if ids.is_empty() && !listed.is_empty() {
                members.remove(name.as_str());
            } else {
                members.insert(name, to_raw_value(&ids).ok()?);
            }
        }
        serde_json::to_vec(&members).ok().map(Bytes::from)
    }
}

/// Whether a query, or one inside it, asks by an id that every site has under another name.
fn names_a_copy(query: &Value) -> bool {
    match query {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let is_copied = name.contains("DefinitionId") || name.starts_with("deploymentId");
            is_copied && !value.is_null() || names_a_copy(value)
        }),
        Value::Array(queries) => queries.iter().any(names_a_copy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A batch's own id, or those of the batches that it stands for.
fn alone(id: &str) -> Vec<String> {
    match batch::parts_of(id).as_slice() {
        [] => vec![id.to_owned()],
        parts => parts.iter().map(|part| (*part).to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Split, String> {
        Split::read(
            &Engine::DEFAULT,
            body.as_bytes(),
            [("processInstanceIds", Kind::PROCESS_INSTANCE)].into_iter(),
            ["processInstanceQuery"].into_iter(),
            Answers::Batch,
        )
    }

    #[test]
    fn every_owner_gets_its_own_ids_and_all_else_as_it_was_written() {
        let split = read(r#"{"n":1.50,"processInstanceIds":["x","y","z"]}"#).unwrap();
        assert_eq!(split.about, About::Listed);
        let places: Vec<Place> = split.ids().into_iter().map(|(place, _)| place).collect();
        let own = split.body(&[places[0], places[2]]).unwrap();
        assert_eq!(own, r#"{"n":1.50,"processInstanceIds":["x","z"]}"#);
        assert_eq!(split.body(&[]).unwrap(), r#"{"n":1.50}"#);
    }

    #[test]
    fn a_query_is_for_every_site() {
        let split = read(r#"{"processInstanceIds":null,"processInstanceQuery":{}}"#).unwrap();
        assert_eq!(split.about, About::Queried);
        assert!(split.ids().is_empty());
        let closed = read(r#"{"processInstanceIds":[],"processInstanceQuery":null}"#).unwrap();
        assert_eq!(closed.about, About::Listed);
        assert_eq!(
            closed.body(&[]).unwrap(),
            r#"{"processInstanceIds":[],"processInstanceQuery":null}"#
        );
        assert!(read(r#"{"processInstanceIds":[1]}"#).is_err());
    }

    #[test]
    fn the_id_of_a_definition_is_one_sites_own() {
        assert_eq!(
            read(r#"{"migrationPlan":{}}"#).unwrap().definition,
            Definition::Named
        );
        for query in [
            r#"{"processDefinitionId":"order:1:7"}"#,
            r#"{"orQueries":[{"processDefinitionIdIn":["order:1:7"]}]}"#,
            r#"{"deploymentId":"7"}"#,
        ] {
            let body = format!(r#"{{"processInstanceQuery":{query}}}"#);
            assert_eq!(read(&body).unwrap().definition, Definition::Named, "{body}");
        }
        let by_key =
            r#"{"processInstanceQuery":{"processDefinitionKey":"order","deploymentId":null}}"#;
        assert_eq!(read(by_key).unwrap().definition, Definition::None);
        assert_eq!(read("{}").unwrap().definition, Definition::None);
    }
}
