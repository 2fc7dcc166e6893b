//! Where one request goes, with the reason.
//!
//! Owns the closed list of reasons and the check that a site may be used at all. Must not choose.

use crate::clock;
use crate::observe::inventory::Service;
use crate::observe::standby::Standby;
use crate::observe::{Evidence, Observed, SiteView, Why};
use crate::problem::{Problem, Reason};
use crate::topology::{Installation, Site};
use homing_mapping_store::Generation;
use homing_mapping_store::assignment::SiteState;
use http::{Method, StatusCode, Uri};
use std::sync::Arc;
use std::time::Duration;

macro_rules! sources {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Why a request goes where it goes, strongest authority first.
        // As wide as its neighbours in a `Target`: copied as one byte among padding, it makes every move of a route wait.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u64)]
        pub enum RouteSource { $($(#[$doc])* $name),* }
        impl RouteSource {
            /// The text in log, metrics and `explain`.
            pub fn as_str(self) -> &'static str { match self { $(RouteSource::$name => $text),* } }
            /// All, strongest first.
            pub const ALL: &[RouteSource] = &[$(RouteSource::$name),*];
        }
    };
}

sources! {
    /// A trusted peer addressed the site.
    Addressed = "addressed";
    /// An operator's override.
    Pin = "pin";
    /// The mapping table.
    Mapping = "mapping";
    /// The bounded cache of what lives below an instance.
    Cache = "cache";
    /// The store, by primary key.
    Store = "store";
    /// The id's suffix named the site and the site confirmed it.
    Hint = "hint";
    /// All candidate sites were asked.
    Located = "located";
    /// A home was chosen.
    Placed = "placed";
    /// Any site will do.
    Default = "default";
}

/// Where one request goes.
#[derive(Clone)]
pub struct Target {
    /// The site.
    pub site: Arc<Site>,
    /// Which of its installations is asked, by place: the one that serves, but for reads of a standby.
    pub serving: usize,
    /// Why this site.
    pub source: RouteSource,
    /// Generation of the mapping or pin, where one decided.
    pub generation: Generation,
    /// Generation of the assignment by which the installation serves.
    pub assignment: Generation,
    /// What the installation is there for.
    pub role: Role,
}

/// What an installation is asked as.
// As wide as its neighbours, for the reason above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Role {
    /// It serves.
    Serving,
    /// It does not, and may be read from.
    Standby,
}

impl Target {
    /// The site as a target, if it may be used now; else the named state that forbids it.
    pub fn of(
        site: &Arc<Site>,
        source: RouteSource,
        generation: Generation,
    ) -> Result<Target, Problem> {
        if !site.live.sure() {
            return Err(unsure(site));
        }
        site.live.read(|view| {
            if view.servable()
                && let Some(serving) = site.serving(view)
            {
                return Ok(Target {
                    site: Arc::clone(site),
                    serving,
                    source,
                    generation,
                    assignment: view.assignment,
                    role: Role::Serving,
                });
            }
            Err(refusal(site, view))
        })
    }

    /// A standby as a target of reads, while another installation serves, or is down; `None` if the site may not be asked or is
    /// being switched.
    pub fn at_standby(
        site: &Arc<Site>,
        standby: Standby,
        (source, generation): (RouteSource, Generation),
    ) -> Option<Target> {
        let usable = site.live.sure()
            && site.live.read(|view| {
                let wanted = matches!(view.state, SiteState::Ready | SiteState::Draining);
                let other = site.serving(view).is_some_and(|at| at != standby.place);
                wanted && other && view.assignment == standby.assignment
            });
        usable.then(|| Target {
            site: Arc::clone(site),
            serving: standby.place,
            source,
            generation,
            assignment: standby.assignment,
            role: Role::Standby,
        })
    }

    /// The installation that is asked.
    pub fn installation(&self) -> &Arc<Installation> {
        &self.site.installations[self.serving]
    }

    /// Refuses if the installation has lost its right to serve, or the site was stopped, since the target was chosen. To be asked last of all,
    /// when the request already counts as running: a router tells that it has stopped only when none runs.
    pub fn still_serves(&self) -> Result<(), Problem> {
        if !self.site.live.sure() {
            return Err(unsure(&self.site));
        }
        self.site.live.read(|view| {
            let stopped = matches!(view.state, SiteState::Maintenance | SiteState::Quarantined);
            if view.service == Service::Serves && view.assignment == self.assignment {
                return match stopped {
                    false => Ok(()),
                    true => Err(refusal(&self.site, view)),
                };
            }
            let site = self.site.id;
            let detail = format!("site {site} is being switched to another installation");
            Err(Problem::new(Reason::SiteSwitching, detail)
                .at(site)
                .retry_after(Duration::from_secs(1))
                .proxy_error("destination_unavailable"))
        })
    }

    /// Returns when it would be refused, with that.
    pub async fn displaced(&self) -> Problem {
        self.site.live.until(|| self.still_serves().err()).await
    }

    /// The line of a write that is noted once it is acknowledged; `None`, at once, for sites without a replica.
    pub fn notable(&self, method: &Method, target: &Uri) -> Option<(Method, Box<str>)> {
        let noted = self.site.live.tail.is_kept() && !method.is_safe();
        noted.then(|| (method.clone(), target.path().into()))
    }

    /// The site has said what became of a write, and nobody else has heard it yet.
    pub fn note(&self, line: Option<(Method, Box<str>)>, status: StatusCode) {
        if let Some((method, path)) = line.filter(|_| status.is_success()) {
            let tail = &self.site.live.tail;
            tail.note(clock::wall(), self.assignment, method, path);
        }
    }

    /// Passes evidence from traffic on to the observer.
    pub fn report(&self, evidence: Evidence) {
        // What a standby does says nothing of the place that serves.
        if self.role == Role::Serving {
            self.site.live.report(evidence);
        }
    }
}

/// With several installations another one may serve by now.
fn unsure(site: &Site) -> Problem {
    let detail = format!(
        "this router has not reached the store for longer than its lease, so it cannot know which installation serves site {}",
        site.id
    );
    Problem::new(Reason::SiteUnreachable, detail)
        .at(site.id)
        .retry_after(Duration::from_secs(2))
        .proxy_error("destination_unavailable")
}

fn refusal(site: &Site, view: &SiteView) -> Problem {
    let name = site.id;
    let observed = view.observed;
    let (reason, detail, after) = match (view.service, view.state, observed) {
        (_, SiteState::Quarantined, _) => (
            Reason::SiteQuarantined,
            format!("site {name} is in quarantine and not released"),
            30,
        ),
        (_, SiteState::Maintenance, _) => (
            Reason::SiteParked,
            format!("site {name} is in maintenance"),
            30,
        ),
        (Service::Switching, _, _) => (
            Reason::SiteSwitching,
            format!("site {name} is being switched to another installation"),
            1,
        ),
        (Service::Stranger, _, _) => (
            Reason::SiteUnreachable,
            format!("site {name} is served by an installation that this router does not know yet"),
            1,
        ),
        (Service::Serves, SiteState::Ready | SiteState::Draining, Observed::Down(why)) => (
            Reason::SiteUnreachable,
            format!("site {name} is down ({})", why.as_str()),
            2,
        ),
        (
            Service::Serves,
            SiteState::Ready | SiteState::Draining,
            Observed::Unknown | Observed::Healthy | Observed::Suspect(_),
        ) => (
            Reason::SiteUnreachable,
            format!("site {name} cannot be used"),
            2,
        ),
    };
    let error = match observed {
        Observed::Down(Why::Slow) => "connection_timeout",
        Observed::Down(Why::Untrusted) => "tls_certificate_error",
        Observed::Down(_) | Observed::Unknown | Observed::Healthy | Observed::Suspect(_) => {
            "destination_unavailable"
        }
    };
    Problem::new(reason, detail)
        .at(site.id)
        .retry_after(Duration::from_secs(after))
        .proxy_error(error)
}
