//! A signal for all who wait for it: what its body says, who is asked, and who gets what so that it starts once.
//!
//! Owns the face of a signal and the shape of `POST /signal`. A signal to one execution starts nothing; so one site gets
//! the signal as it is, and with it its start events, and at the others each execution that waits gets it by itself.

use super::members::Members;
use super::{CANDIDATES_MAX, Candidate, Fits, Unread, fitting};
use crate::classify::Create;
use crate::dialect::names::prefix;
use crate::dialect::{Ask, Role};
use bytes::Bytes;
use homing_mapping_store::{Engine, SiteId};
use http::{Method, StatusCode};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// One signal.
pub trait Signal: Debug + Send + Sync {
    /// The engine inside the site.
    fn engine(&self) -> &Engine;
    /// Its name.
    fn name(&self) -> &str;
    /// Only for this tenant.
    fn tenant(&self) -> Option<&str>;
    /// What tells whether a site starts something by it. `None`: only the deployed models do.
    fn starts(&self) -> Option<Ask> {
        None
    }
    /// Whether it does; `None` if the answer to [`Signal::starts`] proves nothing.
    fn read_starts(&self, status: StatusCode, body: &[u8]) -> Option<bool> {
        let _ = (status, body);
        None
    }
    /// Who waits at a site.
    fn question(&self) -> Ask;
    /// Executions that wait; `None` if the answer to [`Signal::question`] proves nothing.
    fn waiting(&self, status: StatusCode, body: &[u8]) -> Option<Fits>;
    /// Why [`Signal::waiting`] could not tell them.
    fn unclear(&self) -> String;
    /// What one execution is told. `None`: it cannot be told.
    fn to_one(&self, execution: &str) -> Option<Single>;

    /// As something that starts: what it starts, its answer does not name.
    fn create(&self, starts_at: Vec<SiteId>) -> Create {
        Create {
            starts_at: Some(starts_at),
            engine: self.engine().clone(),
            tenant: self.tenant().map(str::to_owned),
            ..Create::default()
        }
    }
}

/// A signal to one execution.
#[derive(Debug, PartialEq, Eq)]
pub struct Single {
    /// Method and path below the base path, if they are not the signal's own.
    pub at: Option<(Method, String)>,
    /// The body.
    pub body: Bytes,
}

/// A signal in `engine-rest`.
#[derive(Debug)]
pub struct Thrown {
    engine: Engine,
    name: String,
    members: Members,
    tenant: Option<String>,
    is_without_tenant: bool,
}

/// Who gets a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Every site, as it is: nothing starts.
    ToAll,
    /// One site that is still to be chosen: nobody waits.
    Place,
    /// One site as it is, and at these others each execution that waits.
    StartAt(usize, Vec<usize>),
    /// Somebody waits, and no site can start what it starts.
    Nowhere,
}

/// Who gets it, by what the name does, which sites can start it and where how many wait.
pub fn spread(role: Role, able: &[usize], waiting: &[usize]) -> Spread {
    if !role.starts {
        return Spread::ToAll;
    }
    let at: Vec<usize> = (0..waiting.len())
        .filter(|site| waiting[*site] > 0)
        .collect();
    if at.is_empty() {
        return Spread::Place;
    }
    // Where most wait, least has to be sent.
    let most = able
        .iter()
        .copied()
        .max_by_key(|site| (waiting[*site], std::cmp::Reverse(*site)));
    match most {
        None => Spread::Nowhere,
        Some(most) => Spread::StartAt(most, at.into_iter().filter(|site| *site != most).collect()),
    }
}

impl Thrown {
    /// Reads a request.
    pub fn read(engine: &Engine, body: &[u8]) -> Result<Thrown, Unread> {
        let members = Members::read(body)?;
        Ok(Thrown {
            engine: engine.clone(),
            name: members.name("name")?,
            tenant: members.text("tenantId")?,
            is_without_tenant: members.truth("withoutTenantId")?,
            members,
        })
    }
}

impl Signal for Thrown {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    fn question(&self) -> Ask {
        let mut query = json!({"signalEventSubscriptionName": self.name, "active": true});
        if let Some(tenant) = &self.tenant {
            query["tenantIdIn"] = json!([tenant]);
        }
        Ask {
            method: Method::POST,
            path: format!(
                "{}/execution?firstResult=0&maxResults={CANDIDATES_MAX}",
                prefix(&self.engine)
            ),
            body: Some(query),
        }
    }

    fn waiting(&self, status: StatusCode, body: &[u8]) -> Option<Fits> {
        if !status.is_success() {
            return None;
        }
        let rows: Vec<Candidate> = serde_json::from_slice(body).ok()?;
        Some(fitting(rows, self.is_without_tenant))
    }

    fn unclear(&self) -> String {
        format!(
            "who of those that wait there has no tenant is told apart among the first {CANDIDATES_MAX} only; that is not built for more"
        )
    }

    /// The engines take no tenant beside it.
    fn to_one(&self, execution: &str) -> Option<Single> {
        let execution = to_raw_value(execution).ok()?;
        let mut members: BTreeMap<&str, &RawValue> = self
            .members
            .raw()
            .filter(|(name, _)| !matches!(*name, "tenantId" | "withoutTenantId"))
            .collect();
        members.insert("executionId", &execution);
        Some(Single {
            at: None,
            body: serde_json::to_vec(&members).ok()?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_is_told_to_one_site_only() {
        let starts = Role::UNKNOWN;
        let catches = Role {
            starts: false,
            catches: true,
        };
        let all = |waiting: &[usize]| spread(starts, &[0, 1, 2], waiting);
        assert_eq!(spread(catches, &[], &[]), Spread::ToAll);
        assert_eq!(all(&[0, 0, 0]), Spread::Place);
        assert_eq!(all(&[1, 3, 1]), Spread::StartAt(1, vec![0, 2]));
        assert_eq!(all(&[2, 2, 0]), Spread::StartAt(0, vec![1]));
        assert_eq!(all(&[0, 2, 0]), Spread::StartAt(1, vec![]));
    }

    #[test]
    fn a_signal_starts_where_it_can_and_not_where_most_wait() {
        let at = |able: &[usize]| spread(Role::UNKNOWN, able, &[3, 0, 1]);
        assert_eq!(at(&[1]), Spread::StartAt(1, vec![0, 2]));
        assert_eq!(at(&[1, 2]), Spread::StartAt(2, vec![0]));
        assert_eq!(at(&[]), Spread::Nowhere);
    }

    #[test]
    fn one_execution_gets_the_signal_without_its_tenant() {
        let body =
            br#"{"name":"s","tenantId":"t","executionId":null,"variables":{"n":{"value":1.50}}}"#;
        let signal = Thrown::read(&Engine::DEFAULT, body).unwrap();
        assert_eq!(
            signal.to_one("e").unwrap().body,
            r#"{"executionId":"e","name":"s","variables":{"n":{"value":1.50}}}"#
        );
        let nameless = Thrown::read(&Engine::DEFAULT, b"{}");
        assert_eq!(nameless.unwrap_err(), Unread::Nameless);
    }

    #[test]
    fn one_execution_gets_what_only_engines_can_read() {
        let body = br#"{"name":"s","variables":{"t":{"value":"\ud83d"},"n":{"value":1e999}}}"#;
        let signal = Thrown::read(&Engine::DEFAULT, body).unwrap();
        assert_eq!(
            signal.to_one("e").unwrap().body,
            r#"{"executionId":"e","name":"s","variables":{"t":{"value":"\ud83d"},"n":{"value":1e999}}}"#
        );
    }
}
