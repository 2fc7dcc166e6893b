//! Who or what a request's headers name: users, claims, cookies.
//!
//! Owns reading, not checking. A bearer token's claims are taken as they stand: its signature is the site's business. So
//! a forged token can choose a home, and nothing else; the site still refuses it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use serde_json::Value;
use std::str::FromStr;

/// Where a request names its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserSource {
    /// The user name of HTTP Basic.
    Basic,
    /// A claim of a bearer token.
    Bearer(String),
    /// A header.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
}

/// A text that names no source of users.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a source of users; write basic, bearer:CLAIM, header:NAME or cookie:NAME")]
pub struct NotASource(pub String);

impl FromStr for UserSource {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<UserSource, NotASource> {
        let wrong = || NotASource(text.to_owned());
        Ok(match text.split_once(':') {
            None if text == "basic" => UserSource::Basic,
            Some(("bearer", claim)) if !claim.is_empty() => UserSource::Bearer(claim.to_owned()),
            Some(("header", name)) => UserSource::Header(name.parse().map_err(|_| wrong())?),
            Some(("cookie", name)) if !name.is_empty() => UserSource::Cookie(name.to_owned()),
            _ => return Err(wrong()),
        })
    }
}

/// The user that a request names, if it names one.
pub fn user_of(from: &UserSource, headers: &HeaderMap) -> Option<String> {
    let user = match from {
        UserSource::Basic => basic_user(headers)?,
        UserSource::Bearer(claim) => bearer_claim(headers, claim)?,
        UserSource::Header(name) => header(headers, name)?.to_owned(),
        UserSource::Cookie(name) => cookie(headers, name)?.to_owned(),
    };
    Some(user).filter(|user| !user.is_empty())
}

/// A header that occurs once, as text. Of several nobody knows which one the site reads.
pub fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        None
    } else {
        value.to_str().ok().map(str::trim)
    }
}

/// The first cookie with this name, as it stands: browsers put the most specific one first.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// A claim of the bearer token (a name, or a JSON pointer into nested claims). Not verified.
pub fn bearer_claim(headers: &HeaderMap, claim: &str) -> Option<String> {
    let token = scheme(headers, "bearer")?;
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let found = if claim.starts_with('/') {
        payload.pointer(claim)?
    } else {
        payload.get(claim)?
    };
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn basic_user(headers: &HeaderMap) -> Option<String> {
    let encoded = scheme(headers, "basic")?;
    let decoded = STANDARD
        .decode(encoded)
        .or_else(|_| STANDARD_NO_PAD.decode(encoded))
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(user, _)| user.to_owned())
}

fn scheme<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let (scheme, rest) = header(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn user(from: &str, lines: &[(&'static str, &str)]) -> Option<String> {
        user_of(&from.parse().unwrap(), &headers(lines))
    }

    fn token(payload: &str) -> String {
        format!("Bearer x.{}.y", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn every_source_names_its_user() {
        assert_eq!(
            user("basic", &[("authorization", "Basic bWFyeTpzOmVjcmV0")]).as_deref(),
            Some("mary")
        );
        assert_eq!(
            user("header:X-User", &[("x-user", " mary ")]).as_deref(),
            Some("mary")
        );
        assert_eq!(
            user(
                "cookie:u",
                &[("cookie", "a=b; u=mary; u=eve"), ("cookie", "c=d")]
            )
            .as_deref(),
            Some("mary")
        );
        let authorization = token(r#"{"sub":"mary","realm":{"id":7}}"#);
        assert_eq!(
            user("bearer:sub", &[("authorization", &authorization)]).as_deref(),
            Some("mary")
        );
        assert_eq!(
            user("bearer:/realm/id", &[("authorization", &authorization)]).as_deref(),
            Some("7")
        );
    }

    #[test]
    fn what_is_broken_or_ambiguous_names_nobody() {
        assert_eq!(
            user("header:x-user", &[("x-user", "a"), ("x-user", "b")]),
            None
        );
        assert_eq!(user("header:x-user", &[("x-user", "")]), None);
        for value in [
            "Basic",
            "Basic %%%",
            "Basic bWFyeQ==",
            "Bearer x",
            "Digest bWFyeTp4",
        ] {
            assert_eq!(user("basic", &[("authorization", value)]), None, "{value}");
        }
        for value in [
            "Bearer a.b",
            "Bearer a.!.c",
            "Bearer a.e30.c",
            "Bearer a.e30.c.d",
            &token(r#"{"sub":["x"]}"#),
        ] {
            assert_eq!(
                user("bearer:sub", &[("authorization", value)]),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn a_source_that_does_not_exist_is_refused() {
        for text in [
            "",
            "basic:x",
            "bearer",
            "bearer:",
            "header:",
            "header:a b",
            "cookie:",
            "magic:x",
        ] {
            assert!(text.parse::<UserSource>().is_err(), "{text}");
        }
    }
}
