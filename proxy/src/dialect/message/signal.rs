//! A signal for all who wait for it: what its body says, who is asked, and who gets what so that it starts once.
//!
//! Owns the shape of `POST /signal`. A signal to one execution starts nothing; so one site gets the signal as it is, and
//! with it its start events, and at the others each execution that waits gets it by itself.

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

/// One signal.
#[derive(Debug)]
pub struct Signal {
    /// The engine inside the site.
    pub engine: Engine,
    /// Its name.
    pub name: String,
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

impl Signal {
    /// Reads a request.
    pub fn read(engine: &Engine, body: &[u8]) -> Result<Signal, Unread> {
        let members = Members::read(body)?;
        Ok(Signal {
            engine: engine.clone(),
            name: members.name("name")?,
            tenant: members.text("tenantId")?,
            is_without_tenant: members.truth("withoutTenantId")?,
            members,
        })
    }

    /// As something that starts: what it starts, its answer does not name.
    pub fn create(&self, starts_at: Vec<SiteId>) -> Create {
        Create {
            starts_at: Some(starts_at),
            engine: self.engine.clone(),
            tenant: self.tenant.clone(),
            ..Create::default()
        }
    }

    /// Who waits at a site.
    pub fn question(&self) -> Ask {
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

    /// Executions that wait; `None` if the answer to [`Signal::question`] proves nothing.
    pub fn waiting(&self, status: StatusCode, body: &[u8]) -> Option<Fits> {
        if !status.is_success() {
            return None;
        }
        let rows: Vec<Candidate> = serde_json::from_slice(body).ok()?;
        Some(fitting(rows, self.is_without_tenant))
    }

    /// The body for one execution. The engines take no tenant beside it.
    pub fn to_one(&self, execution: &str) -> Option<Bytes> {
        let execution = to_raw_value(execution).ok()?;
        let mut members: BTreeMap<&str, &RawValue> = self
            .members
            .raw()
            .filter(|(name, _)| !matches!(*name, "tenantId" | "withoutTenantId"))
            .collect();
        members.insert("executionId", &execution);
        serde_json::to_vec(&members).ok().map(Bytes::from)
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
        let signal = Signal::read(&Engine::DEFAULT, body).unwrap();
        assert_eq!(
            signal.to_one("e").unwrap(),
            r#"{"executionId":"e","name":"s","variables":{"n":{"value":1.50}}}"#
        );
        let nameless = Signal::read(&Engine::DEFAULT, b"{}");
        assert_eq!(nameless.unwrap_err(), Unread::Nameless);
    }

    #[test]
    fn one_execution_gets_what_only_engines_can_read() {
        let body = br#"{"name":"s","variables":{"t":{"value":"\ud83d"},"n":{"value":1e999}}}"#;
        let signal = Signal::read(&Engine::DEFAULT, body).unwrap();
        assert_eq!(
            signal.to_one("e").unwrap(),
            r#"{"executionId":"e","name":"s","variables":{"t":{"value":"\ud83d"},"n":{"value":1e999}}}"#
        );
    }
}
