//! A password is tried at one site before a request that carries it goes to all of them.
//!
//! Owns who has been let in lately. Must not judge a password, nor keep one: a site judges, and what is kept is a number
//! made of it with a salt of this process, until a site says otherwise or a password is changed here. Relies on all sites
//! knowing the same users; where they do not, the others refuse by themselves. Only HTTP Basic (RFC 7617) is tried so:
//! engines count wrong passwords, not wrong tokens. Whoever asks for an id that nobody knows is tried whatever he carries:
//! which ids there are is told to those only whom a site lets in.

use super::{Asked, Pipeline};
use crate::classify::Class;
use crate::clock;
use crate::context::Context;
use crate::deployments::picture::scope;
use crate::dialect::shares::{Shared, Thing};
use crate::forward::ask;
use crate::forward::body::Body;
use crate::forward::gather::Told;
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::telemetry::metrics;
use homing_mapping_store::Generation;
use homing_mapping_store::shared::SharedVerb;
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
    fn number(&self, scope: &str, credentials: Option<&HeaderValue>) -> u64 {
        self.salt
            .hash_one((scope, credentials.map(HeaderValue::as_bytes)))
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

    fn forget(&self, caller: u64) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.remove(&caller);
    }

    fn forget_all(&self) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.clear();
    }
}

/// What an answer may change in what is known of callers.
pub(super) enum Heard {
    /// The request of a caller: a site may refuse him.
    Caller(u64),
    /// A password changes, or a user goes.
    UsersChange,
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
        self.let_in(context, asked, Some(credentials)).await
    }

    /// The refusal of the site that was asked about who asks for an id that nobody knows. `None`: he may know that.
    pub(super) async fn unsaid(
        &self,
        context: &mut Context,
        asked: &Asked<'_>,
        problem: &Problem,
    ) -> Option<Response<Body>> {
        if !matches!(problem.reason, Reason::UnknownId | Reason::LocateIncomplete) {
            return None;
        }
        let credentials = asked.outgoing.headers.get(AUTHORIZATION);
        self.let_in(context, asked, credentials).await
    }

    /// Who asks, before the request is sent.
    pub(super) fn heard(&self, asked: &Asked<'_>) -> Option<Heard> {
        if changes_users(&asked.class) {
            return Some(Heard::UsersChange);
        }
        let credentials = asked.outgoing.headers.get(AUTHORIZATION)?;
        if asked.group.sites.len() < 2 || !is_basic(credentials) {
            return None;
        }
        let scope = scope(asked.group, &asked.found.engine);
        Some(Heard::Caller(
            self.callers.number(&scope, Some(credentials)),
        ))
    }

    /// Who was refused, or may have another password now, is tried again.
    pub(super) fn heed(&self, heard: Option<Heard>, answered: &Result<Response<Body>, Problem>) {
        let is_refused = |answer: &Response<Body>| answer.status() == StatusCode::UNAUTHORIZED;
        match heard {
            Some(Heard::UsersChange) => self.callers.forget_all(),
            Some(Heard::Caller(caller)) if answered.as_ref().is_ok_and(is_refused) => {
                self.callers.forget(caller);
            }
            Some(Heard::Caller(_)) | None => {}
        }
    }

    async fn let_in(
        &self,
        context: &mut Context,
        asked: &Asked<'_>,
        credentials: Option<&HeaderValue>,
    ) -> Option<Response<Body>> {
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

fn changes_users(class: &Class) -> bool {
    let Class::Shared(_, shared) = class else {
        return false;
    };
    match shared {
        Shared::Password(_) => true,
        Shared::Write(write) => write.thing == Thing::User && write.verb == SharedVerb::Drop,
        Shared::Read(_) | Shared::Once => false,
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
        let number = |scope, value| callers.number(scope, Some(&HeaderValue::from_static(value)));
        callers.remember(number("rest default", "Basic a"));
        assert!(callers.is_known(number("rest default", "Basic a")));
        assert!(!callers.is_known(number("rest default", "Basic b")));
        assert!(!callers.is_known(number("rest other", "Basic a")));
        assert!(!callers.is_known(callers.number("rest default", None)));
    }

    #[test]
    fn who_is_refused_is_asked_about_again() {
        let callers = Callers::default();
        callers.remember(1);
        callers.remember(2);
        callers.forget(1);
        assert!(!callers.is_known(1) && callers.is_known(2));
        callers.forget_all();
        assert!(!callers.is_known(2));
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
