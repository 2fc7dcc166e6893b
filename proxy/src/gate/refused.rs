//! How a refusal of the tap reaches the pipeline: the bad head is replaced by a marked one that names the rule.
//!
//! Owns the mark. Must not judge. Relies on `!` being a token, and on the gate refusing it from clients.

use super::rule::Rule;
use crate::problem::{Problem, Reason};
use http::{Method, Uri};

/// The method of a replaced head.
const MARK: &str = "!";

/// The head that stands for a refused one.
pub fn mark(rule: Rule) -> String {
    format!(
        "{MARK} /{} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n",
        rule.number()
    )
}

/// The rule that a marked head names.
pub(super) fn marked(method: &Method, uri: &Uri) -> Option<Rule> {
    if method.as_str() != MARK {
        return None;
    }
    uri.path()
        .strip_prefix('/')
        .and_then(|number| number.parse().ok())
        .and_then(Rule::numbered)
}

/// The refusal, for the caller.
pub fn problem(rule: Rule) -> Problem {
    let detail = if rule.is_limit() {
        rule.detail().to_owned()
    } else {
        format!("{} (rule {})", rule.detail(), rule.as_str())
    };
    if rule.is_limit() {
        crate::telemetry::metrics::limit_hit(rule.as_str());
    }
    let reason = if rule.is_limit() {
        Reason::LimitExceeded
    } else {
        Reason::BadRequest
    };
    Problem::new(reason, detail)
        .with_status(rule.status())
        .proxy_error("http_request_error")
}
