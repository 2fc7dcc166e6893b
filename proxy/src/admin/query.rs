//! Query parameters that nobody would read are refused: a filter with a slip in its name must not answer with everything.
//!
//! Owns the look at names. Must not read values: handlers do. Relies on the document, which names what each call takes.
//! Health and metrics are not looked at: who probes them adds parameters of his own.

use super::error::Error;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

/// The query parameters of each call.
pub(super) type Known = HashMap<(Method, String), Vec<String>>;

/// What the document says.
pub(super) fn known(document: &OpenApi) -> Known {
    let mut known = Known::new();
    for (path, item) in &document.paths.paths {
        let calls = [
            (Method::GET, &item.get),
            (Method::PUT, &item.put),
            (Method::POST, &item.post),
            (Method::DELETE, &item.delete),
        ];
        for (method, operation) in calls {
            if let Some(operation) = operation {
                known.insert((method, path.clone()), names(operation));
            }
        }
    }
    known
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    let parameters = parameters.filter_map(|one| match one {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    let in_query = parameters.filter(|one| one.parameter_in == ParameterIn::Query);
    in_query.map(|one| one.name.clone()).collect()
}

/// Refuses the first name that the call does not know.
pub(super) async fn check(
    State(known): State<Arc<Known>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    match unknown(
        &known,
        request.method(),
        path.as_str(),
        request.uri().query(),
    ) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

fn unknown(known: &Known, method: &Method, path: &str, query: Option<&str>) -> Option<Error> {
    if !path.starts_with("/v1/") {
        return None;
    }
    let names = known.get(&(method.clone(), path.to_owned()))?;
    let mut given = url::form_urlencoded::parse(query?.as_bytes());
    let (name, _) = given.find(|(name, _)| !names.iter().any(|one| one == name))?;
    let takes = match names.as_slice() {
        [] => "it takes none".to_owned(),
        names => format!("it takes {}", names.join(", ")),
    };
    Some(Error::bad(format!(
        "{method} {path} has no query parameter \"{name}\"; {takes}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_reads_is_refused_with_those_that_are_read() {
        let call = (Method::GET, "/v1/mappings".to_owned());
        let none = (Method::GET, "/v1/routers".to_owned());
        let known = Known::from([
            (call, vec!["site".to_owned(), "limit".to_owned()]),
            (none, vec![]),
        ]);
        let said = |path: &str, query| {
            unknown(&known, &Method::GET, path, query).map(|error| error.detail)
        };
        assert_eq!(said("/v1/mappings", Some("site=a&limit=3")), None);
        assert_eq!(said("/v1/mappings", None), None);
        assert_eq!(said("/metrics", Some("x=1")), None);
        let slip = said("/v1/mappings", Some("limit=3&sites=a")).unwrap();
        assert!(slip.contains("\"sites\"; it takes site, limit"), "{slip}");
        let none = said("/v1/routers", Some("x")).unwrap();
        assert!(none.contains("\"x\"; it takes none"), "{none}");
    }
}
