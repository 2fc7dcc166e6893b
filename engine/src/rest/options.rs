//! `OPTIONS`: which methods a path takes, as the table of operations has them. Any other method that a path does not take is
//! refused.

use super::answer::{Answer, bytes};
use super::error;
use super::operations::OPERATIONS;
use axum::extract::MatchedPath;
use http::{HeaderValue, Method, header};

/// Methods in the order in which the real engine names them.
const METHODS: [&str; 4] = ["DELETE", "POST", "GET", "PUT"];

/// A path that is there is asked with a method that it does not take.
pub(super) async fn wrong_method(method: Method, path: Option<MatchedPath>) -> Answer {
    let taken = path.map(|path| taken(path.as_str())).unwrap_or_default();
    if method != Method::OPTIONS || taken.is_empty() {
        return Err(error::wrong_method());
    }
    let has = |method: &str| taken.contains(&method);
    let mut all = Vec::new();
    all.extend(has("GET").then_some("HEAD"));
    all.extend(METHODS[..3].iter().copied().filter(|method| has(method)));
    all.push("OPTIONS");
    all.extend(METHODS[3..].iter().copied().filter(|method| has(method)));
    let mut answer = bytes("text/plain", None, all.join(", ").into_bytes());
    if let Ok(allowed) = HeaderValue::from_str(&all.join(",")) {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    Ok(answer)
}

/// Methods of the operations at a path.
fn taken(path: &str) -> Vec<&'static str> {
    let path = path.strip_prefix(super::BASE).unwrap_or(path);
    let path = path.strip_prefix("/engine/default").unwrap_or(path);
    let here = OPERATIONS.iter().filter(|it| alike(it.path, path));
    here.map(|it| it.method).collect()
}

/// The same path, whatever the names in it are.
fn alike(one: &str, other: &str) -> bool {
    let named = |part: &str| part.starts_with('{');
    let (one, other) = (one.split('/'), other.split('/'));
    one.clone().count() == other.clone().count()
        && one.zip(other).all(|(a, b)| a == b || named(a) && named(b))
}
