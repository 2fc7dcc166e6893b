//! One operation of the script, the same for every side.
//!
//! Owns the words. Must not know who carries it out. Relies on nothing.

use hyper::Method;
use serde_json::Value;

/// What is sent, with symbols in place of ids.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Body,
    pub(super) check: Check,
    /// Where the answer names something new (a JSON pointer), and what that is called.
    pub(super) names: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    /// A text that need not be JSON.
    Raw(String),
    /// A deployment: its name and its files.
    Files(String, Vec<(&'static str, String)>),
}

/// What must be equal.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// Everything; a list is compared without regard to order.
    All,
    /// A list in this order, or a page of it.
    List(Order),
    /// The rows of an unscoped list that are the script's own.
    Mine,
    /// Only that it is answered alike.
    Status,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Member of a row, how it is compared, whether it descends.
    pub(super) by: Vec<(String, Kind, bool)>,
    /// First row and number of rows.
    pub(super) page: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Folded,
    Number,
    Time,
    /// Ids: different on each side, so that each must be in order by itself.
    Id,
    /// Durations, likewise.
    Measured,
    /// Rows do not hold it.
    Absent,
}

impl Step {
    fn new(method: Method, path: impl Into<String>, body: Body) -> Step {
        Step {
            method,
            path: path.into(),
            body,
            check: Check::All,
            names: Vec::new(),
        }
    }

    pub(super) fn get(path: impl Into<String>) -> Step {
        Step::new(Method::GET, path, Body::None)
    }

    pub(super) fn delete(path: impl Into<String>) -> Step {
        Step::new(Method::DELETE, path, Body::None)
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Step {
        Step::new(Method::POST, path, Body::Json(body))
    }

    pub(super) fn put(path: impl Into<String>, body: Value) -> Step {
        Step::new(Method::PUT, path, Body::Json(body))
    }

    pub(super) fn raw(method: Method, path: impl Into<String>, text: &str) -> Step {
        Step::new(method, path, Body::Raw(text.to_owned()))
    }

    pub(super) fn deploy(name: &str, files: &[(&'static str, &str)]) -> Step {
        let files = files.iter().map(|(file, text)| (*file, (*text).to_owned()));
        let body = Body::Files(name.to_owned(), files.collect());
        Step::new(Method::POST, "/deployment/create", body)
    }

    #[must_use]
    pub(super) fn check(mut self, check: Check) -> Step {
        self.check = check;
        self
    }

    #[must_use]
    pub(super) fn naming(mut self, pointer: &'static str, base: impl Into<String>) -> Step {
        self.names.push((pointer, base.into()));
        self
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        match &self.body {
            Body::None => Ok(()),
            Body::Json(value) => write!(f, " {value}"),
            Body::Raw(text) => write!(f, " {text}"),
            Body::Files(name, files) => write!(f, " ({name}: {} files)", files.len()),
        }
    }
}
