//! What every changing call brings: who, why, under which request id, at which generation.
//!
//! Owns the reading of `Homing-Reason`, `If-Match`, `If-None-Match` and `X-Request-Id`, and the audit entry made of them.
//! Must not change anything.

use super::actor::Actor;
use super::error::Error;
use crate::clock;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use homing_mapping_store::Generation;
use homing_mapping_store::audit::AuditEntry;
use serde_json::Value;

/// Why an operator does it.
pub const HOMING_REASON: HeaderName = HeaderName::from_static("homing-reason");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest reason that is kept, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;
/// Longest request id that is kept, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// A call, as the audit trail will show it.
pub(super) struct Call {
    actor: Actor,
    reason: Option<String>,
    request_id: Option<String>,
    /// What the thing has to be for the change to happen.
    pub(super) precondition: Precondition,
}

/// What the thing has to be for the change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Not said.
    None,
    /// `If-None-Match: *`: it must not exist.
    Absent,
    /// `If-Match: "GENERATION"`.
    At(Generation),
}

impl Call {
    /// Refuses a dangerous call that does not say why.
    pub(super) fn needs_reason(&self) -> Result<(), Error> {
        if self.reason.is_some() {
            return Ok(());
        }
        Err(Error::new(
            StatusCode::BAD_REQUEST,
            "reason-required",
            "this change is kept in the audit trail with its reason; send the header Homing-Reason",
        ))
    }

    /// Who calls, and why, for what goes on after the call.
    pub(super) fn actor(&self) -> crate::rehome::audit::Actor {
        crate::rehome::audit::Actor {
            name: self.actor.0.to_string(),
            reason: self.reason.clone(),
            request_id: self.request_id.clone(),
        }
    }

    /// The entry for a change that this call causes.
    pub(super) fn audit(&self, action: &str, subject: impl ToString, detail: &Value) -> AuditEntry {
        AuditEntry {
            actor: self.actor.0.to_string(),
            action: action.to_owned(),
            subject: subject.to_string(),
            reason: self.reason.clone(),
            detail: detail.to_string(),
            request_id: self.request_id.clone(),
            at: clock::wall(),
        }
    }
}

impl Precondition {
    /// Refuses if what is there is not what the caller saw.
    pub(super) fn check(self, what: &str, found: Option<Generation>) -> Result<(), Error> {
        let stale = match (self, found) {
            (Precondition::None, _) | (Precondition::Absent, None) => return Ok(()),
            (Precondition::At(expected), Some(found)) if expected == found => return Ok(()),
            (Precondition::Absent, Some(found)) => {
                format!("{what} exists, at generation {found}; read it and send If-Match")
            }
            (Precondition::At(expected), Some(found)) => {
                format!("{what} is at generation {found}, not at {expected}; read it again")
            }
            (Precondition::At(expected), None) => {
                format!("{what} does not exist, so it is not at generation {expected}")
            }
        };
        Err(Error::stale(stale).with("found", found.map(|found| found.0)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Call, Error> {
        let reason = text(&parts.headers, &HOMING_REASON)?;
        if let Some(reason) = &reason
            && reason.len() > REASON_BYTES_MAX
        {
            let detail = format!("Homing-Reason is longer than {REASON_BYTES_MAX} bytes");
            return Err(Error::bad(detail));
        }
        let request_id = text(&parts.headers, &X_REQUEST_ID)?;
        Ok(Call {
            actor: parts.extensions.get::<Actor>().cloned().unwrap_or_default(),
            reason: reason.filter(|reason| !reason.trim().is_empty()),
            request_id: request_id.filter(|id| id.len() <= REQUEST_ID_BYTES_MAX),
            precondition: precondition(&parts.headers)?,
        })
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(Error::bad(format!("the header {name} is not UTF-8"))),
    }
}

fn precondition(headers: &HeaderMap) -> Result<Precondition, Error> {
    let matches = text(headers, &header::IF_MATCH)?;
    let none = text(headers, &header::IF_NONE_MATCH)?;
    match (matches.as_deref(), none.as_deref()) {
        (None, None) => Ok(Precondition::None),
        (None, Some("*")) => Ok(Precondition::Absent),
        (Some(tag), None) => {
            let number = tag.trim().trim_start_matches("W/").trim_matches('"');
            let generation = number.parse().map_err(|_| {
                Error::bad(format!(
                    "If-Match takes one ETag, a generation as in \"42\"; not {tag}"
                ))
            })?;
            Ok(Precondition::At(Generation(generation)))
        }
        (None, Some(_)) => Err(Error::bad("If-None-Match takes only *")),
        (Some(_), Some(_)) => Err(Error::bad(
            "If-Match and If-None-Match contradict each other; send one of them",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Result<Precondition, Error> {
        let pairs = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                header::HeaderValue::from_static(value),
            )
        });
        precondition(&pairs.collect())
    }

    #[test]
    fn a_generation_is_read_in_every_usual_form() {
        for tag in ["\"42\"", "42", "W/\"42\""] {
            assert_eq!(
                of(&[("if-match", tag)]).unwrap(),
                Precondition::At(Generation(42))
            );
        }
        assert_eq!(of(&[("if-none-match", "*")]).unwrap(), Precondition::Absent);
        assert_eq!(of(&[]).unwrap(), Precondition::None);
    }

    #[test]
    fn what_is_no_generation_is_refused() {
        for headers in [
            &[("if-match", "*")][..],
            &[("if-match", "\"1\", \"2\"")],
            &[("if-none-match", "\"1\"")],
            &[("if-match", "1"), ("if-none-match", "*")],
        ] {
            assert_eq!(of(headers).unwrap_err().status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn a_lost_compare_and_set_says_what_is_there() {
        let at = Precondition::At(Generation(1));
        assert!(at.check("x", Some(Generation(1))).is_ok());
        let lost = at.check("x", Some(Generation(2))).unwrap_err();
        assert_eq!(lost.status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(lost.members["found"], 2);
        assert!(at.check("x", None).is_err());
        assert!(
            Precondition::Absent
                .check("x", Some(Generation(1)))
                .is_err()
        );
    }
}
