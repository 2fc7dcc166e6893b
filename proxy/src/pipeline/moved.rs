//! An engine's word that what a request names has left it for another site, or is just leaving.
//!
//! Owns reading that word and what memory makes of it. Such a refusal changed nothing, so the request may be sent again, to
//! where it belongs now. Only sites that the configuration lets hand instances over are believed.

use super::Pipeline;
use crate::classify::Class;
use crate::forward::body::Body;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use homing_mapping_store::SiteId;
use http::{Response, StatusCode};
use std::time::Duration;

/// Which instance is being handed over.
const MOVING: &str = "homing-moving";
/// The site that has it.
const MOVED: &str = "homing-moved";
/// Before something that is just leaving is asked for again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What an engine says of something that it had.
pub(super) enum Moved {
    /// It is between two sites.
    Leaving,
    /// It lives at this site.
    To(SiteId),
}

impl Moved {
    pub(super) fn told(target: &Target, answer: &Response<Body>) -> Option<Moved> {
        if !target.site.hands_over {
            return None;
        }
        match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE if answer.headers().contains_key(MOVING) => {
                Some(Moved::Leaving)
            }
            StatusCode::GONE => {
                let site = answer.headers().get(MOVED)?.to_str().ok()?;
                SiteId::known(site).map(Moved::To)
            }
            _ => None,
        }
    }
}

impl Pipeline {
    /// Takes the engine's word; answers the refusal for a request that cannot be sent again.
    pub(super) async fn follow(&self, target: &Target, class: &Class, moved: Moved) -> Problem {
        let (from, known) = (target.site.id, &self.resolver.known);
        let mut problem = Problem::new(
            Reason::SiteSwitching,
            format!("what is asked for is being handed from site {from} to another site; nothing was changed"),
        )
        .at(from)
        .retry_after(Duration::from_secs(1))
        .maybe_sent();
        let key = match class {
            Class::Keyed(keyed) => Some(&keyed.key),
            Class::Gather(gather) => gather.owner.as_ref(),
            Class::Create(create) => create.beside.as_ref(),
            Class::Any(_)
            | Class::Split
            | Class::Broadcast(_)
            | Class::Correlate
            | Class::WorkerFetch
            | Class::Shared(..)
            | Class::Local
            | Class::Refuse(_) => None,
        };
        if let Some(key) = key {
            problem = problem.about(key);
            self.resolver.refresh(key).await;
            match moved {
                Moved::To(site) if known.table.get(key).is_none() => known.cache.put(key, site),
                Moved::To(_) | Moved::Leaving => {}
            }
        }
        let left = |home: SiteId| home != from;
        let found = key
            .and_then(|key| known.home(key))
            .is_some_and(|home| left(home.site));
        if !found {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        problem
    }
}
