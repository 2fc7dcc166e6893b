//! What Java names in models stand for here.
//!
//! Owns the kinds, the topic under which a call of a name waits, and what a call's URL may be. Must not call anything.

use crate::expr::{Error, Template};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Class and bean names, and what they stand for.
pub type Delegates = BTreeMap<String, Delegate>;

/// What follows is the name that a call stands for.
const TOPIC: &str = "homing-http:";
/// What a request line cannot carry of what somebody wrote there.
const WRITTEN: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'#');
/// What must not mean anything in what a variable fills in.
const FILLED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a Java name in a model stands for here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delegate {
    /// An external task of this topic.
    Topic(String),
    /// A script, in JavaScript.
    Script(String),
    /// A call over HTTP, which engines of the site make.
    Http(Box<HttpCall>),
    /// Nothing is done.
    Nothing,
}

/// A call over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// Where: scheme, host and port.
    pub origin: String,
    /// Path and query, with expressions; begins with `/`.
    pub path: String,
    /// How.
    pub method: http::Method,
    /// Headers that go with it.
    pub headers: Vec<(String, String)>,
    /// The `Authorization` header: never shown.
    pub authorization: Option<String>,
    /// Certificates (PEM) that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
    /// How long the whole call may take, with its answer.
    pub timeout: Duration,
    /// Variables that are sent; `None`: all that the element sees.
    pub send: Option<Vec<String>>,
    /// The variable for the whole body of the answer; `None`: the members of a JSON object become variables.
    pub result: Option<String>,
    /// Tries and pauses where the model says none: `R3/PT10S`.
    pub retry: String,
    /// Statuses of answers that are BPMN errors, with the code.
    pub errors: BTreeMap<u16, String>,
}

impl HttpCall {
    /// A `POST` to this path of the URL's scheme, host and port, with everything else as it is built in.
    pub fn to(url: &Url, path: &str) -> HttpCall {
        HttpCall {
            origin: url.origin().ascii_serialization(),
            path: path.to_owned(),
            method: http::Method::POST,
            headers: Vec::new(),
            authorization: None,
            ca: None,
            timeout: Duration::from_secs(10),
            send: None,
            result: None,
            retry: "R3/PT10S".to_owned(),
            errors: BTreeMap::new(),
        }
    }

    /// The path in pieces: texts that stand as they are, and expressions.
    pub fn pieces(&self) -> Result<Vec<Template>, Error> {
        Template::pieces(&self.path)
    }

    /// The URL, with what the pieces came to. A variable fills a piece of a path or query and is nothing else there.
    pub fn target(&self, pieces: &[Template], values: &[String]) -> Result<String, String> {
        let mut path = String::new();
        for (piece, value) in pieces.iter().zip(values) {
            let encoded = match piece.literal() {
                Some(text) => utf8_percent_encode(text, WRITTEN),
                None => utf8_percent_encode(value, FILLED),
            };
            path.extend(encoded);
        }
        let before = path.split('?').next().unwrap_or_default();
        if before.split('/').any(|part| part == "." || part == "..") {
            return Err(format!("the path {before} leads elsewhere"));
        }
        Ok(format!("{}{path}", self.origin))
    }
}

impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCall")
            .field("origin", &self.origin)
            .field("path", &self.path)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The name without its `${}`.
pub(super) fn bare(name: &str) -> &str {
    name.trim()
        .trim_start_matches(['$', '#'])
        .trim_start_matches('{')
        .trim_end_matches('}')
}

/// The topic under which calls of this name wait.
pub fn topic(name: &str) -> String {
    format!("{TOPIC}{}", bare(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str) -> HttpCall {
        HttpCall::to(&Url::parse("http://host:8/ignored").unwrap(), path)
    }

    #[test]
    fn a_variable_names_no_other_host_and_no_other_place() {
        let filled = |path: &str, value: &str| {
            let count = call(path).pieces().unwrap().len();
            let values = vec![value.to_owned(); count];
            call(path).target(&call(path).pieces().unwrap(), &values)
        };
        let good = "http://host:8/orders/a%2Fb%3F%23%20%C3%BC?x=1";
        assert_eq!(filled("/orders/${id}?x=1", "a/b?# ü").unwrap(), good);
        assert_eq!(
            filled("/a b/${id}", "@evil:80/").unwrap(),
            "http://host:8/a%20b/%40evil%3A80%2F"
        );
        assert_eq!(filled("/x?y=${id}", "..").unwrap(), "http://host:8/x?y=..");
        for away in ["/orders/${id}", "/orders/${id}?x=1", "/orders/.${id}/a"] {
            for value in [".", ".."] {
                let stays = away.contains("/.$") && value == "..";
                assert_eq!(filled(away, value).is_err(), !stays, "{away} {value}");
            }
        }
        assert!(call("/${").pieces().is_err());
    }

    #[test]
    fn a_call_never_shows_what_it_authorises_itself_with() {
        let mut call = call("/");
        call.authorization = Some("Bearer geheim".to_owned());
        assert!(!format!("{:?}", Delegate::Http(Box::new(call))).contains("geheim"));
        assert_eq!(topic("${mailer}"), topic("mailer"));
    }
}
