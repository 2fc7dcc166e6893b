//! Errors in the engine's shape: `{"type", "message", "code"}`.

use crate::error::Error;
use crate::lists;
use crate::machine::Refusal;
use crate::model::Problem;
use crate::store::Failure;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{Method, Response, StatusCode, Uri};
use serde_json::{Value as Json, json};

/// A request that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    kind: &'static str,
    message: String,
    /// Set by the engine; an error of the HTTP layer has none.
    code: Option<i64>,
    details: Option<Json>,
}

/// Code of a transaction that met another.
const OPTIMISTIC_LOCKING: i64 = 1;

/// Code of a value that is larger than the database takes.
const TOO_LARGE: i64 = 10_002;

/// Type of the answer of an engine whose transaction was refused because the site is served by others.
const NOT_SERVING: &str = "NotServingException";

/// Type of the answer when something that is needed is missing.
const NULL_VALUE: &str = "NullValueException";

/// On an answer that says that something is not there: nothing was done.
#[derive(Clone, Copy)]
pub(super) struct Absent;

/// All that a client is told of the database's own words: the rest is in the log.
const DATABASE: &str = "An exception occurred in the persistence layer. Please check the server logs for a detailed message and \
                        the entire exception stack trace.";

fn is_large(error: &Error) -> bool {
    match error {
        Error::At { error, .. } => is_large(error),
        Error::Refused(refusal) => matches!(refusal.cause(), Refusal::Large { .. }),
        _ => false,
    }
}

/// An error in words for clients.
fn told(error: &Error) -> String {
    if let Error::Store(failure @ (Failure::Database(_) | Failure::Record { .. })) = error {
        tracing::warn!(%failure, "the database did not do what a request needs");
        return DATABASE.to_owned();
    }
    error.to_string()
}

impl Refused {
    fn new(
        status: StatusCode,
        kind: &'static str,
        message: impl Into<String>,
        code: Option<i64>,
    ) -> Refused {
        Refused {
            status,
            kind,
            message: message.into(),
            code,
            details: None,
        }
    }

    /// The request makes no sense to the HTTP layer.
    pub(super) fn invalid(message: impl Into<String>) -> Refused {
        Refused::new(
            StatusCode::BAD_REQUEST,
            "InvalidRequestException",
            message,
            None,
        )
    }

    /// The body could not be read; one that is too large names the limit.
    pub(super) fn body(why: String, status: StatusCode) -> Refused {
        let message = if status == StatusCode::PAYLOAD_TOO_LARGE {
            "limit body_bytes reached: the request's body is larger than this engine takes"
                .to_owned()
        } else {
            why
        };
        Refused::invalid(message).status(status)
    }

    /// What the path names is not there.
    pub(super) fn missing(message: impl Into<String>) -> Refused {
        Refused::new(
            StatusCode::NOT_FOUND,
            "InvalidRequestException",
            message,
            None,
        )
    }

    /// The same, where the engine itself found that it is not there.
    pub(super) fn missing_in_engine(message: impl Into<String>) -> Refused {
        let (status, kind) = (StatusCode::NOT_FOUND, "InvalidRequestException");
        Refused::new(status, kind, message, Some(0))
    }

    /// No definition has the key that a path names.
    pub(super) fn no_key(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::NOT_FOUND, "RestException", message, None)
    }

    /// The body is not of the kind that the path takes.
    pub(super) fn media_type() -> Refused {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let message = "HTTP 415 Unsupported Media Type";
        Refused::new(status, "NotSupportedException", message, None)
    }

    /// Something that the operation needs is missing, as the engine says it.
    pub(super) fn null(what: &str) -> Refused {
        Error::Null(format!("{what} is null")).into()
    }

    /// The engine does not take such a value.
    pub(super) fn bad_user(message: impl Into<String>) -> Refused {
        Refused::new(
            StatusCode::BAD_REQUEST,
            "BadUserRequestException",
            message,
            Some(0),
        )
    }

    /// The engine is told not to do this.
    pub(super) fn not_allowed(message: impl Into<String>) -> Refused {
        Refused::new(
            StatusCode::BAD_REQUEST,
            "NotAllowedException",
            message,
            Some(0),
        )
    }

    /// The engine found nothing of that id.
    pub(super) fn unknown(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::NOT_FOUND, "RestException", message, Some(0))
    }

    /// The engine failed; the operation that was tried comes first.
    pub(super) fn failed(what: &str, error: &Error) -> Refused {
        let mut refused = Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "RestException",
            format!("{what}: {}", told(error)),
            Some(0),
        );
        if matches!(error, Error::Store(Failure::Fenced { .. })) {
            refused.kind = NOT_SERVING;
        }
        if matches!(error, Error::Store(Failure::Conflict)) {
            refused.code = Some(OPTIMISTIC_LOCKING);
        }
        if is_large(error) {
            refused.code = Some(TOO_LARGE);
        }
        refused
    }

    /// A parameter that is no number, as JAX-RS says it.
    pub(super) fn parameter(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::NOT_FOUND, "QueryParamException", message, None)
    }

    /// Not built, by name.
    pub(super) fn not_built(what: impl std::fmt::Display) -> Refused {
        let message = format!("{what} is not built in Homing's engine");
        Refused::new(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplementedException",
            message,
            None,
        )
    }

    /// The same, with what was tried in front, where the request was wrong.
    #[must_use]
    pub(super) fn within(mut self, tried: &str) -> Refused {
        if self.status == StatusCode::BAD_REQUEST {
            self.message = format!("{tried}: {}", self.message);
        }
        self
    }

    /// What the engine said, as the resources give it that take every word of it for a wrong request.
    #[must_use]
    pub(super) fn into_invalid(mut self, status: StatusCode) -> Refused {
        if self.kind != NOT_SERVING {
            self.kind = "InvalidRequestException";
            self.code = None;
            self.status = status;
        }
        self
    }

    /// What the engine did not find, as the resources give it that take it for a wrong request.
    #[must_use]
    pub(super) fn not_found(mut self) -> Refused {
        if self.kind == NULL_VALUE {
            self.kind = "NotFoundException";
            self.status = StatusCode::BAD_REQUEST;
        }
        self
    }

    /// Whether it says that something is not there. Never a fault of the engine, which may come after a commit.
    fn is_absence(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
            || matches!(self.kind, NULL_VALUE | "NotFoundException")
    }

    /// The same with another status.
    #[must_use]
    pub(super) fn status(mut self, status: StatusCode) -> Refused {
        self.status = status;
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        if self.kind == NOT_SERVING {
            return super::homing::not_serving(&self.message);
        }
        let absence = self.is_absence();
        let mut body = json!({ "type": self.kind, "message": self.message, "code": self.code });
        if let (Some(details), Some(map)) = (self.details, body.as_object_mut()) {
            map.insert("details".to_owned(), details);
        }
        let mut response = super::answer::with_status(self.status, &body);
        if absence {
            response.extensions_mut().insert(Absent);
        }
        response
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        let message = told(&error);
        let of = |status, kind, code| Refused::new(status, kind, message.clone(), Some(code));
        match error.into_cause() {
            Error::NotFound(_) => of(StatusCode::NOT_FOUND, "RestException", 0),
            Error::Bad(_) => of(StatusCode::BAD_REQUEST, "InvalidRequestException", 0),
            Error::Rejected(_) | Error::Mismatch(_) => {
                of(StatusCode::BAD_REQUEST, "RestException", 0)
            }
            Error::Busy(_) | Error::Store(Failure::Busy(_)) => {
                of(StatusCode::CONFLICT, "InvalidRequestException", 0)
            }
            Error::Claimed(_) => of(
                StatusCode::INTERNAL_SERVER_ERROR,
                "TaskAlreadyClaimedException",
                0,
            ),
            Error::Suspended(_) => of(
                StatusCode::BAD_REQUEST,
                "SuspendedEntityInteractionException",
                0,
            ),
            Error::Null(_) => of(StatusCode::INTERNAL_SERVER_ERROR, NULL_VALUE, 0),
            Error::Engine(_) | Error::Refused(Refusal::Missing { .. }) => {
                of(StatusCode::INTERNAL_SERVER_ERROR, "RestException", 0)
            }
            Error::Refused(ref refusal) if matches!(refusal.cause(), Refusal::Large { .. }) => of(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ProcessEngineException",
                TOO_LARGE,
            ),
            Error::Refused(_) | Error::Wrong(_) | Error::Limit { .. } => of(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ProcessEngineException",
                0,
            ),
            Error::Store(Failure::Conflict) => of(
                StatusCode::INTERNAL_SERVER_ERROR,
                "OptimisticLockingException",
                OPTIMISTIC_LOCKING,
            ),
            Error::Store(Failure::Fenced { .. }) => {
                of(StatusCode::SERVICE_UNAVAILABLE, NOT_SERVING, 0)
            }
            Error::Store(_) => of(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ProcessEnginePersistenceException",
                0,
            ),
            // It is the cause of nothing.
            Error::At { .. } => of(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ProcessEngineException",
                0,
            ),
            Error::NotBuilt(what) => Refused::not_built(what),
            Error::Parse { resource, problems } => {
                let mut refused =
                    Refused::new(StatusCode::BAD_REQUEST, "ParseException", message, Some(0));
                refused.details = Some(details(&resource, &problems));
                refused
            }
        }
    }
}

fn details(resource: &str, problems: &[Problem]) -> Json {
    let errors: Vec<Json> = problems
        .iter()
        .map(|p| {
            let ids: Vec<&String> = p.element.iter().collect();
            json!({ "message": p.message, "line": p.line, "column": p.column, "mainElementId": p.element, "elementIds": ids })
        })
        .collect();
    json!({ resource: { "errors": errors, "warnings": [] } })
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Error::Store(failure).into()
    }
}

impl From<lists::Error> for Refused {
    fn from(error: lists::Error) -> Refused {
        match error {
            lists::Error::Parameters(lists::Problem::Invalid(message)) => Refused::invalid(message),
            lists::Error::Parameters(lists::Problem::Forbidden(message)) => {
                Refused::bad_user(message)
            }
            lists::Error::Parameters(lists::Problem::Usage(message)) => Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ProcessEngineException",
                message,
                Some(0),
            ),
            lists::Error::Parameters(problem @ lists::Problem::NotBuilt(_)) => Refused::new(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplementedException",
                problem.to_string(),
                None,
            ),
            lists::Error::Store(failure) => failure.into(),
        }
    }
}

/// No such route.
pub(super) async fn no_route(_method: Method, _uri: Uri) -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "NotFoundException",
        "HTTP 404 Not Found",
        None,
    )
}

/// The route is there, but not with this method.
pub(super) fn wrong_method() -> Refused {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "NotAllowedException",
        "HTTP 405 Method Not Allowed",
        None,
    )
}
