//! Refusals of classification as problems.
//!
//! Owns the sentences. Must not decide that something is refused.

use super::Refusal;
use crate::problem::{Problem, Reason};
use http::{Method, StatusCode};

/// No operation of the dialect has this path.
pub fn no_route(dialect: &str, path: &str) -> Problem {
    Problem::new(
        Reason::NotRoutable,
        format!("the dialect {dialect} has no operation at {path}"),
    )
}

/// The path is known, the method is not.
pub fn no_method(dialect: &str, method: &Method, path: &str) -> Problem {
    let detail = format!("the dialect {dialect} has no {method} at {path}");
    Problem::new(Reason::NotRoutable, detail).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// The class says no.
pub fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NoRoute => Problem::new(Reason::NotRoutable, "no rule routes this request"),
        Refusal::MethodNotAllowed => {
            Problem::new(Reason::NotRoutable, "this path has no such method")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
        }
        Refusal::ByRule => Problem::new(
            Reason::NotRoutable,
            "a rule of this dialect refuses this request",
        )
        .with_status(StatusCode::FORBIDDEN),
        Refusal::BadKey(why) => Problem::new(Reason::BadRequest, why.clone()),
        Refusal::Unread(what) => Problem::new(
            Reason::LimitExceeded,
            format!("limit sniff_bytes reached: {what} is in a body that is longer than what is read of it"),
        )
        .with_status(StatusCode::PAYLOAD_TOO_LARGE),
        Refusal::OfSeveral(what) => Problem::new(Reason::NotImplemented, what.clone()),
    }
}
