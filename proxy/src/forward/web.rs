//! What a web application says about its own address, said anew: it is published below another path than its own.
//!
//! Owns `Location`, the paths of cookies, and the absolute paths in pages and scripts. Must not touch anything else of an
//! answer, nor links to other hosts. What it looks for was recorded from the web applications of Operaton and Camunda 7.

use super::body::Body;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::telemetry::metrics::limit_hit;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Longest page or script that is read to rewrite it (limit `web_page_bytes`); the largest one of Operaton has 3 MB.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One web application's two addresses, both without a `/` at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bases {
    /// Below which path clients see it.
    pub outside: String,
    /// Below which path it is at the site.
    pub inside: String,
}

impl Bases {
    /// The path as clients see it, if it is one of the web application.
    fn outwards(&self, path: &str) -> Option<String> {
        let below = path.strip_prefix(&self.inside)?;
        let is_below = below.is_empty() || below.starts_with(['/', '?', '#', ';']);
        is_below.then(|| format!("{}{below}", self.outside))
    }
}

/// Rewrites an answer's headers. `host`: as the client wrote it, because the site builds redirects with it.
pub fn rewrite(
    headers: &mut HeaderMap,
    bases: &Bases,
    host: Option<&HeaderValue>,
    target: &Target,
) {
    let host = host.and_then(|host| host.to_str().ok());
    let nodes = target.installation().endpoints.iter();
    let own: Vec<String> = nodes
        .map(|node| format!("{}:{}", node.host, node.port))
        .chain(host.map(str::to_owned))
        .collect();
    let there = headers.get(LOCATION).and_then(|there| there.to_str().ok());
    if let Some(there) = there.and_then(|there| location(there, bases, &own))
        && let Ok(there) = HeaderValue::try_from(there)
    {
        headers.insert(LOCATION, there);
    }
    if headers.contains_key(SET_COOKIE) {
        let cookies: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for line in cookies {
            let ours = line.to_str().ok().map(|line| cookie(line, bases));
            let ours = ours.and_then(|line| HeaderValue::try_from(line).ok());
            headers.append(SET_COOKIE, ours.unwrap_or(line));
        }
    }
}

/// A redirect within the web application; `None`: it leads elsewhere and stays as it is.
fn location(there: &str, bases: &Bases, own: &[String]) -> Option<String> {
    let scheme = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| there.strip_prefix(scheme));
    let path = match scheme {
        None => there,
        Some(rest) => {
            let (authority, _) = rest.split_once('/')?;
            let is_own = own.iter().any(|own| own.eq_ignore_ascii_case(authority));
            is_own.then(|| &rest[authority.len()..])?
        }
    };
    bases.outwards(path)
}

/// A cookie of one site's web application is for that one alone, whatever it says.
fn cookie(line: &str, bases: &Bases) -> String {
    let mut parts = line.split(';');
    let mut ours = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "domain" => {}
            "path" => {
                let path = bases.outwards(value.trim());
                let path = path.as_deref().unwrap_or(&bases.outside);
                ours.push_str("; Path=");
                ours.push_str(path);
            }
            _ => {
                ours.push(';');
                ours.push_str(part);
            }
        }
    }
    ours
}

/// Rewrites the absolute paths in a page or script; any other answer passes.
pub async fn page(
    answer: Response<Body>,
    bases: &Bases,
    target: &Target,
) -> Result<Response<Body>, Problem> {
    let headers = answer.headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    let length: Option<usize> = length.and_then(|length| length.parse().ok());
    let is_read = answer.status() != StatusCode::PARTIAL_CONTENT
        && bases.inside != bases.outside
        && is_text(headers)
        && !headers.contains_key(CONTENT_ENCODING);
    if !is_read {
        return Ok(answer);
    }
    if length.is_some_and(|length| length > PAGE_BYTES_MAX) {
        limit_hit("web_page_bytes");
        return Ok(answer);
    }
    let (mut head, body) = answer.into_parts();
    let Body::Streaming(streaming) = body else {
        return Ok(Response::from_parts(head, body));
    };
    let whole = streaming
        .read_whole(PAGE_BYTES_MAX)
        .await
        .map_err(|error| {
            let why = crate::telemetry::chain(&error);
            let detail = format!("site {} broke off while answering: {why}", target.site.id);
            Problem::new(Reason::UpstreamBroke, detail).at(target.site.id)
        })?;
    let page = rewritten(&whole, bases);
    // Of a HEAD the length is that of a page that was not sent; whoever asks for it gets it anew.
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(page)))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next();
    let kind = kind.unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        kind.as_str(),
        "text/html" | "text/javascript" | "application/javascript"
    )
}

/// The same text with the web application's own paths as clients see them: `"/operaton/...`, `'/operaton'`.
fn rewritten(text: &Bytes, bases: &Bases) -> Bytes {
    let inside = bases.inside.as_bytes();
    let mut ours = BytesMut::with_capacity(text.len());
    let mut done = 0;
    for at in memchr::memmem::find_iter(text, inside) {
        let before = at.checked_sub(1).map(|at| text[at]);
        let after = text.get(at + inside.len());
        let begins = before.is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        let ends =
            after.is_some_and(|byte| matches!(byte, b'/' | b'"' | b'\'' | b'`' | b'?' | b'#'));
        if begins && ends {
            ours.put_slice(&text[done..at]);
            ours.put_slice(bases.outside.as_bytes());
            done = at + inside.len();
        }
    }
    ours.put_slice(&text[done..]);
    ours.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases() -> Bases {
        Bases {
            outside: "/sites/a".into(),
            inside: "/operaton".into(),
        }
    }

    #[test]
    fn a_redirect_within_the_web_application_stays_in_it() {
        let own = ["10.0.1.7:8080".to_owned(), "homing.example".to_owned()];
        for (there, expected) in [
            ("/operaton/app/", Some("/sites/a/app/")),
            ("/operaton", Some("/sites/a")),
            (
                "http://10.0.1.7:8080/operaton/app/tasklist/",
                Some("/sites/a/app/tasklist/"),
            ),
            (
                "https://Homing.example/operaton/app/?x=1",
                Some("/sites/a/app/?x=1"),
            ),
            ("http://homing.example:9/operaton/app/", None),
            (
                "https://login.example/authorize?redirect_uri=/operaton/",
                None,
            ),
            ("/operaton-welcome/", None),
            ("../default/", None),
            ("http://homing.example", None),
        ] {
            assert_eq!(
                location(there, &bases(), &own).as_deref(),
                expected,
                "{there}"
            );
        }
    }

    #[test]
    fn a_cookie_is_for_the_one_site_alone() {
        for (line, expected) in [
            (
                "JSESSIONID=29; Path=/; HttpOnly;SameSite=Lax",
                "JSESSIONID=29; Path=/sites/a; HttpOnly;SameSite=Lax",
            ),
            (
                "XSRF-TOKEN=E7;Path=/operaton;SameSite=Lax",
                "XSRF-TOKEN=E7; Path=/sites/a;SameSite=Lax",
            ),
            (
                "X=1; path=/operaton/app; Domain=.example",
                "X=1; Path=/sites/a/app",
            ),
            (
                "X=\"a=b\"; Path=/other; Max-Age=0",
                "X=\"a=b\"; Path=/sites/a; Max-Age=0",
            ),
            ("X=1", "X=1"),
        ] {
            assert_eq!(cookie(line, &bases()), expected);
        }
    }

    #[test]
    fn paths_in_pages_are_rewritten_where_they_are_whole() {
        let of = |text: &'static str| {
            let text = rewritten(&Bytes::from_static(text.as_bytes()), &bases());
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert_eq!(
            of(r#"<base href="/operaton/app/cockpit/default/" app-root="/operaton" />"#),
            r#"<base href="/sites/a/app/cockpit/default/" app-root="/sites/a" />"#
        );
        assert_eq!(
            of("location: '/operaton/api/x'"),
            "location: '/sites/a/api/x'"
        );
        for untouched in [
            "see https://x.example/operaton/app",
            r#"href="/operaton-welcome""#,
            "/operaton/app",
            "\"/operaton",
            "",
        ] {
            assert_eq!(of(untouched), untouched);
        }
    }
}
