//! The router's own refusals: a closed list of reasons, each with its status.
//!
//! Owns reasons and what is known with them. Must not render them; `forward::rescue` is the one place that does.

use homing_mapping_store::{RoutingKey, SiteId};
use http::StatusCode;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $title:literal;)*) => {
        /// Why the router answered itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name),* }
        impl Reason {
            /// The text in problem bodies, logs and metrics.
            pub fn as_str(self) -> &'static str { match self { $(Reason::$name => $text),* } }
            /// The status that goes with the reason, unless the problem names another.
            pub fn status(self) -> StatusCode { match self { $(Reason::$name => StatusCode::$status),* } }
            /// One line for humans.
            pub fn title(self) -> &'static str { match self { $(Reason::$name => $title),* } }
        }
    };
}

reasons! {
    /// Every site was asked and said "absent".
    UnknownId = "unknown-id", NOT_FOUND, "No site knows this id";
    /// Not found, but at least one site that could hold it could not be asked.
    LocateIncomplete = "locate-incomplete", SERVICE_UNAVAILABLE, "Not every site that could know this id could be asked";
    /// The key's site does not answer.
    SiteUnreachable = "site-unreachable", SERVICE_UNAVAILABLE, "A site that is needed does not answer";
    /// The key's site is out of service on purpose.
    SiteParked = "site-parked", SERVICE_UNAVAILABLE, "A site that is needed is parked";
    /// The key's site is being switched to another installation.
    SiteSwitching = "site-switching", SERVICE_UNAVAILABLE, "A site that is needed is being switched";
    /// No site may take this request now.
    NoSiteAvailable = "no-site-available", SERVICE_UNAVAILABLE, "No site may take this request now";
    /// A request that is not idempotent may have reached the site.
    OutcomeUnknown = "outcome-unknown", GATEWAY_TIMEOUT, "The request may or may not have been carried out";
    /// The site's answer was cut or malformed.
    UpstreamBroke = "upstream-broke", BAD_GATEWAY, "The site's answer was cut or malformed";
    /// Two homes claim one key.
    MappingConflict = "mapping-conflict", CONFLICT, "Two sites claim this key";
    /// The instance lay in the tail that a failover lost.
    LostInFailover = "lost-in-failover", GONE, "Lost in a failover";
    /// Neither journal nor store can take a durable write that is needed.
    StoreUnavailable = "store-unavailable", SERVICE_UNAVAILABLE, "A durable write that is needed cannot be made";
    /// Back from the dead and not released.
    SiteQuarantined = "site-quarantined", SERVICE_UNAVAILABLE, "The site is quarantined";
    /// A hard constraint leaves no site.
    Constraint = "constraint", FORBIDDEN, "A constraint leaves no site";
    /// A named limit was reached.
    LimitExceeded = "limit-exceeded", SERVICE_UNAVAILABLE, "A limit was reached";
    /// The request is malformed or ambiguous.
    BadRequest = "bad-request", BAD_REQUEST, "Bad request";
    /// The request has passed this router before.
    Loop = "loop", LOOP_DETECTED, "The request came back to this router";
    /// No rule routes this path.
    NotRoutable = "not-routable", NOT_FOUND, "No rule routes this request";
    /// The operation merges or splits over sites in a way that is not built.
    NotImplemented = "not-implemented", NOT_IMPLEMENTED, "Not built";
}

/// A refusal. What is known about it lies behind a pointer: every step of a request that goes well moves a `Result` with
/// room for one.
#[derive(Clone, Debug)]
pub struct Problem(Box<Facts>);

/// What is known about a refusal.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Why.
    pub reason: Reason,
    /// Sentence for the caller: the thing, the place, the cure.
    pub detail: String,
    /// Another status than the reason's own (limits: 413, 429, 431).
    pub status: Option<StatusCode>,
    /// The site concerned.
    pub site: Option<SiteId>,
    /// The key concerned.
    pub key: Option<RoutingKey>,
    /// Whether it is proven that no site got the request.
    pub not_sent: Sent,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// RFC 9209 error type.
    pub proxy_error: Option<&'static str>,
}

/// What is known about a request having reached a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Proven: no byte of it reached a site.
    Never,
    /// It may have.
    Maybe,
}

impl Deref for Problem {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Facts {
        &mut self.0
    }
}

impl Problem {
    /// A refusal before anything was sent.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Facts {
            reason,
            detail: detail.into(),
            status: None,
            site: None,
            key: None,
            not_sent: Sent::Never,
            retry_after: None,
            proxy_error: None,
        }))
    }

    /// Names the site.
    #[must_use]
    pub fn at(mut self, site: SiteId) -> Problem {
        self.site = Some(site);
        self
    }

    /// Names the key.
    #[must_use]
    pub fn about(mut self, key: &RoutingKey) -> Problem {
        self.key = Some(key.clone());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Problem {
        self.retry_after = Some(after);
        self
    }

    /// Answers with another status than the reason's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Problem {
        self.status = Some(status);
        self
    }

    /// Says that the request may have reached a site.
    #[must_use]
    pub fn maybe_sent(mut self) -> Problem {
        self.not_sent = Sent::Maybe;
        self
    }

    /// Names the RFC 9209 error type.
    #[must_use]
    pub fn proxy_error(mut self, error: &'static str) -> Problem {
        self.proxy_error = Some(error);
        self
    }

    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.reason.status())
    }

    /// Whether the same request may succeed later without harm.
    pub fn retryable(&self) -> bool {
        self.not_sent == Sent::Never && matches!(self.status().as_u16(), 429 | 503)
    }
}
