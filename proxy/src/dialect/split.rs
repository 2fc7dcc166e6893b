//! A write over things of several owners: its lists of ids cut by owner, its queries for every site.
//!
//! Owns the shape of such a body; what is not a list of ids stays letter by letter what the client wrote. Pure.

use super::batch;
use super::spelling::exchanged;
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
    /// Members in which a site's own id of a copy stands.
    naming: Vec<String>,
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
    /// A paging object each, with a row for each of the site's own.
    Data,
}

/// Whom a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Whom it lists.
    Listed,
    /// Whom it lists, and whoever its queries find, at any site.
    Queried,
}

/// Whether a write names the copy of a definition, or of a deployment, that one site has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definition {
    /// Every site understands it alike.
    None,
    /// These copies.
    Named(Vec<RoutingKey>),
    /// It does, and it cannot be told which.
    Untold,
}

impl Definition {
    /// A further copy that is named; `None`: it cannot be told which.
    pub fn add(&mut self, copy: Option<RoutingKey>) {
        match (copy, &mut *self) {
            (Some(copy), Definition::None) => *self = Definition::Named(vec![copy]),
            (Some(copy), Definition::Named(copies)) if !copies.contains(&copy) => copies.push(copy),
            (Some(_), Definition::Named(_) | Definition::Untold) => {}
            (None, _) => *self = Definition::Untold,
        }
    }
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
        let mut naming = Vec::new();
        let mut look = |name: &str| {
            let raw = members.get(name).map(|raw| raw.get()).unwrap_or_default();
            let value: Value =
                serde_json::from_str(raw).map_err(|_| format!("{name} cannot be read"))?;
            let mut copies = Definition::None;
            copy_in(engine, name, &value, &mut copies);
            match copies {
                Definition::None => return Ok(()),
                Definition::Named(copies) => {
                    copies
                        .into_iter()
                        .for_each(|copy| definition.add(Some(copy)));
                }
                Definition::Untold => definition.add(None),
            }
            naming.push(name.to_owned());
            Ok::<(), String>(())
        };
        for name in queries.filter(|name| is_there(name)) {
            about = About::Queried;
            look(name)?;
        }
        for name in DEFINITIONS.into_iter().filter(|name| is_there(name)) {
            look(name)?;
        }
        Ok(Split {
            answers,
            about,
            definition,
            lists: read,
            naming,
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

    /// The body for a site that owns these ids. A list of which it owns nothing is left out. `pairs`: ids of copies, each
    /// with the site's own.
    pub fn body<'p>(
        &self,
        own: &[Place],
        pairs: impl Iterator<Item = (&'p str, &'p str)>,
    ) -> Option<Bytes> {
        let mut members: BTreeMap<&str, Box<RawValue>> = self
            .members
            .iter()
            .map(|(name, raw)| (name.as_str(), raw.clone()))
            .collect();
        for (id, own) in pairs {
            for name in &self.naming {
                if let Some(raw) = members.get_mut(name.as_str()) {
                    let text = exchanged(raw.get(), id, own);
                    *raw = RawValue::from_string(text).ok()?;
                }
            }
        }
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

/// Whether a body names a definition beside whom it lists.
pub fn names_definition(body: &[u8]) -> bool {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
    let mut members = members.iter();
    members.any(|(name, raw)| DEFINITIONS.contains(&&**name) && raw.get() != "null")
}

/// What a member of this name holds, if every site has it under an id of its own. `None`: it is one of those, but it
/// cannot be told which.
fn copied(name: &str) -> Option<Option<Kind>> {
    let name = name.to_ascii_lowercase();
    if name.starts_with("deploymentid") {
        return Some(Some(Kind::DEPLOYMENT));
    }
    let kinds = [
        ("processdefinitionid", Kind::PROCESS_DEFINITION),
        ("casedefinitionid", Kind::CASE_DEFINITION),
        ("decisiondefinitionid", Kind::DECISION_DEFINITION),
        (
            "decisionrequirementsdefinitionid",
            Kind::DECISION_REQUIREMENTS_DEFINITION,
        ),
    ];
    let kind = kinds.into_iter().find(|(word, _)| name.contains(word));
    match kind {
        Some((_, kind)) => Some(Some(kind)),
        None => name.contains("definitionid").then_some(None),
    }
}

/// The copies that a value names, queries inside of queries included.
fn copy_in(engine: &Engine, name: &str, value: &Value, copies: &mut Definition) {
    match (value, copied(name)) {
        (Value::Object(members), _) => {
            for (name, value) in members {
                copy_in(engine, name, value, copies);
            }
        }
        (Value::Array(values), _) => {
            for value in values {
                copy_in(engine, name, value, copies);
            }
        }
        (Value::Null, _) | (_, None) => {}
        (Value::String(id), Some(Some(kind))) if id.len() <= ID_LENGTH_MAX => {
            copies.add(Some(RoutingKey::of(engine.clone(), kind, id)));
        }
        (Value::String(_) | Value::Bool(_) | Value::Number(_), Some(_)) => copies.add(None),
    }
}

/// A batch's own id, or those of the batches that it stands for.
fn alone(id: &str) -> Vec<String> {
    let parts = batch::parts_of(id);
    if parts.is_empty() {
        vec![id.to_owned()]
    } else {
        parts
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
        let own = split
            .body(&[places[0], places[2]], std::iter::empty())
            .unwrap();
        assert_eq!(own, r#"{"n":1.50,"processInstanceIds":["x","z"]}"#);
        assert_eq!(
            split.body(&[], std::iter::empty()).unwrap(),
            r#"{"n":1.50}"#
        );
    }

    #[test]
    fn a_query_is_for_every_site() {
        let split = read(r#"{"processInstanceIds":null,"processInstanceQuery":{}}"#).unwrap();
        assert_eq!(split.about, About::Queried);
        assert!(split.ids().is_empty());
        let closed = read(r#"{"processInstanceIds":[],"processInstanceQuery":null}"#).unwrap();
        assert_eq!(closed.about, About::Listed);
        assert_eq!(
            closed.body(&[], std::iter::empty()).unwrap(),
            r#"{"processInstanceIds":[],"processInstanceQuery":null}"#
        );
        assert!(read(r#"{"processInstanceIds":[1]}"#).is_err());
    }

    fn named(body: &str) -> Vec<String> {
        match read(body).unwrap().definition {
            Definition::None => Vec::new(),
            Definition::Named(copies) => copies.iter().map(ToString::to_string).collect(),
            Definition::Untold => vec!["?".into()],
        }
    }

    #[test]
    fn copies_that_one_site_has_are_found_wherever_they_are_named() {
        let plan = r#"{"migrationPlan":{"sourceProcessDefinitionId":"o:1:7","targetProcessDefinitionId":"o:2:8","instructions":[]}}"#;
        assert_eq!(
            named(plan),
            ["process-definition:o:1:7", "process-definition:o:2:8"]
        );
        for (query, expected) in [
            (
                r#"{"processDefinitionId":"order:1:7"}"#,
                "process-definition:order:1:7",
            ),
            (
                r#"{"orQueries":[{"processDefinitionIdIn":["order:1:7"]}]}"#,
                "process-definition:order:1:7",
            ),
            (r#"{"deploymentId":"7"}"#, "deployment:7"),
            (r#"{"someDefinitionId":"7"}"#, "?"),
            (r#"{"processDefinitionId":7}"#, "?"),
        ] {
            let body = format!(r#"{{"processInstanceQuery":{query}}}"#);
            assert_eq!(named(&body), [expected], "{body}");
        }
        let by_key =
            r#"{"processInstanceQuery":{"processDefinitionKey":"order","deploymentId":null}}"#;
        assert!(named(by_key).is_empty());
        assert!(named("{}").is_empty());
    }

    #[test]
    fn a_copy_is_translated_where_it_is_named_and_nowhere_else() {
        let body =
            r#"{"processInstanceQuery":{"processDefinitionId":"o:1:7"},"variables":{"x":"o:1:7"}}"#;
        let pairs = || [("o:1:7", "o:1:\"9")].into_iter();
        let told = read(body).unwrap().body(&[], pairs()).unwrap();
        assert_eq!(
            told,
            r#"{"processInstanceQuery":{"processDefinitionId":"o:1:\"9"},"variables":{"x":"o:1:7"}}"#
        );
    }
}
