//! A message for whoever waits for it: what its body says, and how a site is asked who waits there.
//!
//! Owns the shape of `POST /message` and of those questions. Sites answer with what may fit, which is never less than
//! what fits: numbers are compared by value there, by type and value when a message is delivered. Pure.

mod keys;
mod members;
mod signal;

pub use keys::{Fits, Key};
pub use members::Unread;
pub use signal::{Signal, Single, Spread, Thrown, spread};

use super::names::prefix;
use super::{Ask, Role};
use crate::classify::{Create, Makes};
use bytes::Bytes;
use homing_mapping_store::{Engine, Kind, SiteId};
use http::{Method, StatusCode};
pub(in crate::dialect) use members::Members;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a row is called that says where all conditions start.
pub const CONDITIONS: &str = "conditions:";

/// Most executions of one site that are looked at for one message.
pub const CANDIDATES_MAX: usize = 200;

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// The engine inside the site.
    pub engine: Engine,
    /// Its name.
    pub name: String,
    /// To how many.
    pub reach: Reach,
    /// Whether the client wants to be told what it did.
    pub results: Results,
    /// What the receiver's variables have to be.
    pub keys: Vec<Key>,
    business_key: Option<String>,
    tenant: Option<String>,
    is_without_tenant: bool,
}

/// To how many a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To exactly one.
    One,
    /// To all that fit.
    All,
}

/// Whether the client wants to be told what a message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// 204.
    Unwanted,
    /// A list of what it reached.
    Wanted,
}

/// An execution that may be meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its process instance.
    pub process_instance_id: String,
    tenant_id: Option<String>,
}

impl Candidate {
    /// One of which no tenant is asked.
    pub(in crate::dialect) fn new(id: String, process_instance_id: String) -> Candidate {
        Candidate {
            id,
            process_instance_id,
            tenant_id: None,
        }
    }
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It starts something, at a site that is still to be chosen.
    Place,
    /// To this site, which may start something.
    StartAt(usize),
    /// To this site, where somebody waits.
    To(usize),
    /// To these sites, and nothing can start.
    ToAll(Vec<usize>),
    /// Nobody waits: a site says so in its own words.
    Nobody,
    /// More than one waits, at these sites.
    Ambiguous(Vec<usize>),
    /// It would start something, and is waited for at several sites or at one that cannot start it.
    StartsAndWaits(Vec<usize>),
}

/// What is to be done, by what the name does, which sites can start it and where how many wait.
pub fn deliver(reach: Reach, role: Role, able: &[usize], waiting: &[usize]) -> Delivery {
    let at: Vec<usize> = (0..waiting.len())
        .filter(|site| waiting[*site] > 0)
        .collect();
    match (at.as_slice(), reach) {
        ([], _) if role.starts => Delivery::Place,
        ([], _) => Delivery::Nobody,
        // It would have to start at another one.
        ([only], Reach::All) if role.starts && !able.contains(only) => Delivery::StartsAndWaits(at),
        ([only], _) if role.starts => Delivery::StartAt(*only),
        ([only], _) => Delivery::To(*only),
        (_, Reach::One) => Delivery::Ambiguous(at),
        (_, Reach::All) if role.starts => Delivery::StartsAndWaits(at),
        (_, Reach::All) => Delivery::ToAll(at),
    }
}

/// Who waits, out of one page of them. One that was cut before it was looked at may lack those that are meant.
fn fitting(rows: Vec<Candidate>, is_without_tenant: bool) -> Fits {
    let listed = rows.len();
    let fits = |row: &Candidate| !is_without_tenant || row.tenant_id.is_none();
    let fitting: Vec<Candidate> = rows.into_iter().filter(fits).collect();
    if listed >= CANDIDATES_MAX && fitting.len() < listed {
        return Fits::Unclear;
    }
    Fits::These(fitting)
}

impl Message {
    /// Reads a request.
    pub fn read(engine: &Engine, body: &[u8]) -> Result<Message, Unread> {
        let members = Members::read(body)?;
        let name = members.name("messageName")?;
        let keys = keys::read(
            members.object("correlationKeys")?,
            members.object("localCorrelationKeys")?,
        );
        Ok(Message {
            engine: engine.clone(),
            name,
            reach: if members.truth("all")? {
                Reach::All
            } else {
                Reach::One
            },
            results: if members.truth("resultEnabled")? {
                Results::Wanted
            } else {
                Results::Unwanted
            },
            keys,
            business_key: members.text("businessKey")?,
            tenant: members.text("tenantId")?,
            is_without_tenant: members.truth("withoutTenantId")?,
        })
    }

    /// As a start, at a site that can make something of it. One for all that finds nobody is answered with an empty list.
    pub fn create(&self, starts_at: Vec<SiteId>) -> Create {
        Create {
            starts_at: Some(starts_at),
            makes: match self.reach {
                Reach::One => Makes::Something,
                Reach::All => Makes::MaybeNothing,
            },
            engine: self.engine.clone(),
            kind: Some(Kind::PROCESS_INSTANCE),
            tenant: self.tenant.clone(),
            business_key: self.business_key.clone(),
            ..Create::default()
        }
    }

    /// Who may wait at a site.
    pub fn question(&self) -> Ask {
        let mut query = Map::new();
        query.insert(
            "messageEventSubscriptionName".into(),
            self.name.clone().into(),
        );
        query.insert("active".into(), true.into());
        if let Some(business_key) = &self.business_key {
            query.insert("businessKey".into(), business_key.clone().into());
        }
        if let Some(tenant) = &self.tenant {
            query.insert("tenantIdIn".into(), json!([tenant]));
        }
        for (member, scope) in [
            ("processVariables", keys::Scope::Instance),
            ("variables", keys::Scope::Execution),
        ] {
            let of_scope = self.keys.iter().filter(|key| key.scope == scope);
            let filters: Vec<Value> = of_scope.filter_map(Key::filter).collect();
            query.insert(member.into(), filters.into());
        }
        Ask {
            method: Method::POST,
            path: format!(
                "{}/execution?firstResult=0&maxResults={CANDIDATES_MAX}",
                prefix(&self.engine)
            ),
            body: Some(Value::Object(query)),
        }
    }

    /// Who may wait; `None` if the answer to [`Message::question`] proves nothing.
    pub fn candidates(&self, status: StatusCode, body: &[u8]) -> Option<Fits> {
        if !status.is_success() {
            return None;
        }
        let rows: Vec<Candidate> = serde_json::from_slice(body).ok()?;
        Some(fitting(rows, self.is_without_tenant))
    }

    /// What an engine says of a message that several wait for.
    pub fn ambiguous(&self, count: usize) -> Value {
        let name = &self.name;
        json!({
            "type": "RestException",
            "message": format!("MismatchingMessageCorrelationException: Cannot correlate a message with name '{name}' to a single execution. {count} executions match the correlation keys"),
            "code": 0,
        })
    }
}

/// The body with `resultEnabled`, and nothing else changed: of members that are repeated the last one counts.
pub fn with_results(body: &[u8]) -> Option<Bytes> {
    let open = body.trim_ascii_end().strip_suffix(b"}")?;
    let mut told = Vec::with_capacity(body.len() + 24);
    told.extend_from_slice(open);
    told.extend_from_slice(b",\"resultEnabled\":true}");
    // An empty object names no message and was not read as one.
    Members::read(&told).ok()?;
    Some(told.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: Role = Role {
        starts: true,
        catches: false,
    };
    const CATCHES: Role = Role {
        starts: false,
        catches: true,
    };

    #[test]
    fn one_message_goes_where_one_engine_would_deliver_it() {
        let one = |role, waiting: &[usize]| deliver(Reach::One, role, &[0, 1], waiting);
        assert_eq!(one(STARTS, &[0, 0]), Delivery::Place);
        assert_eq!(one(CATCHES, &[0, 0]), Delivery::Nobody);
        assert_eq!(one(CATCHES, &[0, 1]), Delivery::To(1));
        // The engine there says that it is not one.
        assert_eq!(one(CATCHES, &[2, 0]), Delivery::To(0));
        assert_eq!(one(Role::UNKNOWN, &[1, 0]), Delivery::StartAt(0));
        assert_eq!(one(Role::UNKNOWN, &[1, 1]), Delivery::Ambiguous(vec![0, 1]));
    }

    #[test]
    fn a_message_for_all_starts_nothing_twice() {
        let all = |role, waiting: &[usize]| deliver(Reach::All, role, &[0, 2], waiting);
        assert_eq!(all(CATCHES, &[1, 0, 3]), Delivery::ToAll(vec![0, 2]));
        assert_eq!(
            all(Role::UNKNOWN, &[1, 0, 3]),
            Delivery::StartsAndWaits(vec![0, 2])
        );
        assert_eq!(all(Role::UNKNOWN, &[0, 0]), Delivery::Place);
        assert_eq!(all(Role::UNKNOWN, &[0, 0, 1]), Delivery::StartAt(2));
    }

    #[test]
    fn a_message_for_all_does_not_lose_what_it_starts_at_another_site() {
        let all = |role| deliver(Reach::All, role, &[0], &[0, 1]);
        assert_eq!(all(Role::UNKNOWN), Delivery::StartsAndWaits(vec![1]));
        assert_eq!(all(CATCHES), Delivery::To(1));
    }

    #[test]
    fn only_a_message_for_all_may_make_nothing() {
        let makes = |body: &[u8]| {
            Message::read(&Engine::DEFAULT, body)
                .unwrap()
                .create(vec![])
                .makes
        };
        assert_eq!(makes(br#"{"messageName":"m"}"#), Makes::Something);
        assert_eq!(
            makes(br#"{"messageName":"m","all":true}"#),
            Makes::MaybeNothing
        );
    }

    #[test]
    fn asking_for_the_result_changes_nothing_else() {
        let told = with_results(b"{\"a\":1.0, \"resultEnabled\":false}\n").unwrap();
        assert_eq!(
            told,
            Bytes::from_static(b"{\"a\":1.0, \"resultEnabled\":false,\"resultEnabled\":true}")
        );
        assert_eq!(with_results(b"[]"), None);
        assert_eq!(with_results(b"{}"), None);
    }

    #[test]
    fn sites_are_asked_for_what_may_fit() {
        let body = br#"{"messageName":"m","businessKey":"k","tenantId":"t",
            "correlationKeys":{"n":{"value":5},"d":{"value":"2020-01-01T00:00:00"}},
            "localCorrelationKeys":{"s":{"value":"x","type":"String"}}}"#;
        let asked = Message::read(&Engine::DEFAULT, body).unwrap().question();
        assert_eq!(
            asked.body.unwrap(),
            json!({
                "messageEventSubscriptionName": "m", "active": true, "businessKey": "k", "tenantIdIn": ["t"],
                "processVariables": [{"name": "n", "operator": "eq", "value": 5}],
                "variables": [{"name": "s", "operator": "eq", "value": "x"}],
            })
        );
        let nameless = Message::read(&Engine::DEFAULT, b"{\"messageName\":\"\"}");
        assert_eq!(nameless.unwrap_err(), Unread::Nameless);
    }

    #[test]
    fn members_are_read_as_liberally_as_the_engines_do() {
        let body = br#"{"messageName":"m","all":"true","resultEnabled":1,"businessKey":5}"#;
        let message = Message::read(&Engine::DEFAULT, body).unwrap();
        assert_eq!(message.reach, Reach::All);
        assert_eq!(message.results, Results::Wanted);
        assert_eq!(message.business_key.as_deref(), Some("5"));
        let unclear = Message::read(&Engine::DEFAULT, br#"{"messageName":"m","all":[]}"#);
        assert!(matches!(unclear, Err(Unread::Unclear(_))));
    }

    #[test]
    fn who_lies_beyond_a_page_that_was_thinned_out_is_not_overlooked() {
        let row = |tenant: Option<&str>| Candidate {
            id: "e".into(),
            process_instance_id: "p".into(),
            tenant_id: tenant.map(str::to_owned),
        };
        let mut rows = vec![row(None); CANDIDATES_MAX - 1];
        rows.push(row(Some("t")));
        assert_eq!(fitting(rows.clone(), true), Fits::Unclear);
        assert_eq!(fitting(rows.clone(), false), Fits::These(rows.clone()));
        let shorter = rows.split_off(1);
        assert_eq!(
            fitting(shorter, true),
            Fits::These(vec![row(None); CANDIDATES_MAX - 2])
        );
    }

    #[test]
    fn a_message_with_what_only_engines_can_read_still_asks_for_its_result() {
        let told =
            with_results(br#"{"messageName":"m","processVariables":{"v":{"value":"\ud83d"}}}"#);
        assert!(told.is_some());
    }
}
