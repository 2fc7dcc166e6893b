//! What a site's answer to a deployment, or to its removal, means.
//!
//! Owns the line between refused, not done and not known. Pure.

use crate::dialect::Dialect;
use crate::problem::{Problem, Reason, Sent};
use bytes::Bytes;
use http::StatusCode;
use http::response::Parts;

/// A whole answer, or why there is none.
pub type Whole = Result<(Parts, Bytes), Problem>;

/// What it means.
pub enum Outcome {
    /// The site has done it.
    Done(Parts, Bytes),
    /// The site does not want it.
    Refused(Parts, Bytes),
    /// The site has not got it.
    Missing(Problem),
    /// It may have reached the site; says why.
    Unknown(Box<Whole>, String),
}

/// Judges it.
pub fn judge(dialect: &dyn Dialect, whole: Whole) -> Outcome {
    match whole {
        Ok((head, body)) if head.status.is_success() => Outcome::Done(head, body),
        Ok((head, body)) if dialect.not_executed(head.status, &body) => {
            let detail = format!(
                "the site did not look at it, having no database or no right to serve: {}",
                head.status
            );
            Outcome::Missing(Problem::new(Reason::SiteUnreachable, detail))
        }
        // What stands before an engine answers for it; it is not the engine that refuses.
        Ok((head, body))
            if dialect.unknown_outcome(head.status, &body)
                || matches!(
                    head.status,
                    StatusCode::BAD_GATEWAY
                        | StatusCode::SERVICE_UNAVAILABLE
                        | StatusCode::GATEWAY_TIMEOUT
                ) =>
        {
            let why = format!("the site answered {}", head.status);
            Outcome::Unknown(Box::new(Ok((head, body))), why)
        }
        Ok((head, body)) => Outcome::Refused(head, body),
        Err(problem) if problem.not_sent == Sent::Never => Outcome::Missing(problem),
        Err(problem) => {
            let why = problem.detail.clone();
            Outcome::Unknown(Box::new(Err(problem)), why)
        }
    }
}
