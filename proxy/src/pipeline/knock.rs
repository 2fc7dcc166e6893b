//! A password is tried at one site before a request that carries it goes to all of them.
//!
//! Owns who has been let in lately. Must not judge a password, nor keep one: a site judges, and what is kept is a number
//! made of it with a salt of this process. Relies on all sites knowing the same users; where they do not, the others
//! refuse by themselves. Only HTTP Basic (RFC 7617) is tried so: engines count wrong passwords, not wrong tokens.

use super::{Asked, Pipeline};
use crate::clock;
use crate::context::Context;
use crate::deployments::picture::scope;
use crate::forward::ask;
use crate::forward::body::Body;
use crate::forward::gather::Told;
use crate::resolve::{RouteSource, Target};
use crate::telemetry::metrics;
use homing_mapping_store::Generation;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Response, StatusCode};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long a caller whom a site has let in is not asked about again.
const LET_IN_FOR: Duration = Duration::from_secs(60);
/// Most callers remembered; at one more all are forgotten, and asked about again.
const CALLERS_MAX: usize = 10_000;

/// Callers whom a site has let in lately.
#[derive(Default)]
pub(super) struct Callers {
    salt: RandomState,
    until: Mutex<HashMap<u64, Instant>>,
}

impl Callers {
    fn number(&self, scope: &str, credentials: &HeaderValue) -> u64 {
        self.salt.hash_one((scope, credentials.as_bytes()))
    }

    fn is_known(&self, caller: u64) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until
            .get(&caller)
            .is_some_and(|until| clock::now() < *until)
    }

    fn remember(&self, caller: u64) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= CALLERS_MAX && !until.contains_key(&caller) {
            metrics::limit_hit("callers_let_in");
            until.clear();
        }
        until.insert(caller, clock::now() + LET_IN_FOR);
    }
}

impl Pipeline {
    /// The refusal of the one site that was asked whether it knows the caller. `None`: it does, or nobody could say.
    pub(super) async fn knock(
        &self,
        context: &mut Context,
        asked: &Asked<'_>,
    ) -> Option<Response<Body>> {
        let credentials = asked.outgoing.headers.get(AUTHORIZATION)?;
        if asked.group.sites.len() < 2 || !is_basic(credentials) {
            return None;
        }
        let engine = &asked.found.engine;
        let door = asked.group.dialect.door(engine)?;
        let caller = self
            .callers
            .number(&scope(asked.group, engine), credentials);
        if self.callers.is_known(caller) {
            return None;
        }
        let settings = self.settings.load().gather;
        for site in &asked.group.sites {
            let Ok(target) = Target::of(site, RouteSource::Default, Generation::default()) else {
                continue;
            };
            let asking = ask::as_caller(&target, &door, credentials, &self.via, settings.times);
            // A site that is silent, or not in time, says nothing about the password.
            let Ok(Ok((head, body))) = tokio::time::timeout(settings.within, asking).await else {
                continue;
            };
            if head.status == StatusCode::UNAUTHORIZED {
                context.routed(&target);
                return Some(Told::new(target, head.status, head.headers, body).response());
            }
            if head.status.is_success() || head.status == StatusCode::FORBIDDEN {
                self.callers.remember(caller);
                return None;
            }
        }
        None
    }
}

fn is_basic(credentials: &HeaderValue) -> bool {
    let scheme = credentials.as_bytes().get(..6);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_let_in_is_known_with_the_same_password_only() {
        let callers = Callers::default();
        let number = |scope, value| callers.number(scope, &HeaderValue::from_static(value));
        callers.remember(number("rest default", "Basic a"));
        assert!(callers.is_known(number("rest default", "Basic a")));
        assert!(!callers.is_known(number("rest default", "Basic b")));
        assert!(!callers.is_known(number("rest other", "Basic a")));
    }

    #[test]
    fn callers_do_not_pile_up() {
        let callers = Callers::default();
        for caller in 0..=CALLERS_MAX as u64 {
            callers.remember(caller);
        }
        assert!(callers.is_known(CALLERS_MAX as u64));
        assert!(!callers.is_known(0));
    }

    #[test]
    fn only_passwords_are_tried() {
        for (value, basic) in [
            ("Basic bWFyeTp4", true),
            ("basic bWFyeTp4", true),
            ("Bearer bWFyeTp4", false),
            ("Basi", false),
        ] {
            assert_eq!(is_basic(&HeaderValue::from_static(value)), basic, "{value}");
        }
    }
}
