//! Bodies and query strings, read as leniently as the real engine reads them: unknown fields are ignored, null is
//! absent, numbers may come as text, an empty body is an empty object.

use super::error::Refused;
use crate::clock::Millis;
use crate::lists::Parameters;
use crate::store::Page;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::request::Parts;
use serde_json::{Map, Value as Json};

/// A JSON object.
pub(super) struct Body(pub(super) Map<String, Json>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Body, Refused> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|e| Refused::body(e.body_text(), e.status()))?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Body(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Json::Object(map)) => Ok(Body(map)),
            Ok(_) => Err(Refused::invalid("the body is no JSON object")),
            Err(e) => Err(Refused::invalid(e.to_string())),
        }
    }
}

impl Body {
    /// A field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
    }

    /// A whole number, also as text.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
            .or_else(|| value.as_f64().and_then(whole));
        number
            .map(Some)
            .ok_or_else(|| Refused::invalid(format!("'{name}' is no whole number: {value}")))
    }

    /// A whole number that fits into 32 bits.
    pub(super) fn int32(&self, name: &str) -> Result<Option<i64>, Refused> {
        let number = self.int(name)?;
        match number.filter(|n| i32::try_from(*n).is_err()) {
            None => Ok(number),
            Some(far) => Err(Refused::invalid(format!(
                "'{name}' is beyond 32 bits: {far}"
            ))),
        }
    }

    /// A date in the REST API's one form, or milliseconds since 1970.
    pub(super) fn date(&self, name: &str) -> Result<Option<Millis>, Refused> {
        let Some(value) = self.get(name).filter(|value| *value != "") else {
            return Ok(None);
        };
        let moment = value
            .as_i64()
            .or_else(|| value.as_str().and_then(crate::time::rest_date));
        moment
            .map(Some)
            .ok_or_else(|| Refused::invalid(format!("'{name}' is no date: {value}")))
    }

    /// True or false, also as text.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refused> {
        match self.get(name) {
            None => Ok(false),
            Some(Json::Bool(b)) => Ok(*b),
            Some(Json::String(text)) if text == "true" => Ok(true),
            Some(Json::String(text)) if text == "false" || text.is_empty() => Ok(false),
            Some(other) => Err(Refused::invalid(format!("'{name}' is no boolean: {other}"))),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let items = self
            .get(name)
            .and_then(Json::as_array)
            .into_iter()
            .flatten();
        items
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }

    /// The ids of a list that may be missing, and if it is there has ids and nothing else.
    pub(super) fn ids(&self, name: &str) -> Result<Vec<String>, Lack> {
        let Some(items) = self.get(name).and_then(Json::as_array) else {
            return Ok(Vec::new());
        };
        if items.is_empty() {
            return Err(Lack::None);
        }
        let ids = items.iter().map(|item| item.as_str().map(str::to_owned));
        ids.collect::<Option<_>>().ok_or(Lack::Null)
    }

    /// The parameters of a list.
    pub(super) fn parameters(self) -> Parameters {
        Parameters {
            values: self.0,
            from_query: false,
            any: false,
        }
    }
}

/// What is before the point of a number that is no whole one.
fn whole(number: f64) -> Option<i64> {
    // Written out and read again: what is out of reach is no number then.
    format!("{:.0}", number.trunc()).parse().ok()
}

/// What is missing in a list of ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lack {
    /// All of them.
    None,
    /// One.
    Null,
}

/// A query string.
pub(super) struct Asked(pub(super) Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked, Refused> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        query
            .map(|Query(pairs)| Asked(pairs))
            .map_err(|e| Refused::invalid(e.body_text()))
    }
}

impl Asked {
    /// A parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Is it said to be true?
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// Is it true unless it is said to be false?
    pub(super) fn unless_false(&self, name: &str) -> bool {
        self.get(name) != Some("false")
    }

    /// The page asked for.
    pub(super) fn page(&self) -> Result<Page, Refused> {
        let number = |name: &str| match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text
                .parse::<i64>()
                .map(Some)
                .map_err(|_| Refused::parameter("HTTP 404 Not Found")),
        };
        Ok(Page {
            first: number("firstResult")?.unwrap_or(0),
            most: number("maxResults")?,
        })
    }

    /// The parameters of a list.
    pub(super) fn parameters(self) -> Parameters {
        let mut values = Map::new();
        for (name, value) in self.0 {
            values.insert(name, Json::String(value));
        }
        Parameters {
            values,
            from_query: true,
            any: false,
        }
    }
}
