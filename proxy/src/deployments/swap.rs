//! Ids of copies, translated on the way in: what a client read at one site is asked of another under that site's own id.
//!
//! Owns where such an id may stand: a segment of the path, a value of the query, a text of a query's body. Answers are
//! never rewritten. Pure.

use super::picture::{Copies, Picture};
use crate::dialect::spelling::exchanged;
use crate::forward::payload::Payload;
use crate::forward::send::Outgoing;
use bytes::Bytes;
use homing_mapping_store::{RoutingKey, SiteId};
use http::Uri;
use http::header::CONTENT_LENGTH;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The ids that a request names, and what each site calls the same.
#[derive(Clone, Debug, Default)]
pub struct Swap(Vec<(String, Copies)>);

impl Swap {
    /// Of these keys.
    pub fn of(picture: &Picture, keys: &[RoutingKey]) -> Swap {
        let known = keys.iter().filter_map(|key| {
            let copies = picture.copies(key)?.clone();
            Some((key.id.to_string(), copies))
        });
        Swap(known.collect())
    }

    /// Of one thing.
    pub fn between(id: &str, copies: Copies) -> Swap {
        Swap(vec![(id.to_owned(), copies)])
    }

    /// Whether there is nothing to translate.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Path and query as this site has to be asked. A site without a copy is asked as the client wrote it: it finds
    /// nothing.
    pub fn at(&self, site: SiteId, outgoing: &mut Outgoing) {
        for (id, own) in self.pairs(site) {
            if let Some(target) = swapped(&outgoing.target, id, own) {
                outgoing.target = target;
            }
        }
    }

    /// The same in the body of a query.
    pub fn in_body(&self, site: SiteId, outgoing: &mut Outgoing) {
        let pairs: Vec<(&str, &str)> = self.pairs(site).collect();
        let Some(body) = outgoing.payload.bytes() else {
            return;
        };
        let Ok(mut text) = String::from_utf8(body.to_vec()) else {
            return;
        };
        if body.is_empty() || pairs.is_empty() {
            return;
        }
        for (id, own) in pairs {
            text = exchanged(&text, id, own);
        }
        outgoing.headers.remove(CONTENT_LENGTH);
        outgoing.payload = Payload::from(Bytes::from(text));
    }

    /// The ids that a site has under another one, with its own.
    pub fn pairs(&self, site: SiteId) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(move |(id, copies)| {
            let own = copies.get(&site)?;
            (own != id).then_some((id.as_str(), own.as_str()))
        })
    }
}

fn swapped(target: &Uri, id: &str, own: &str) -> Option<Uri> {
    let own = utf8_percent_encode(own, NON_ALPHANUMERIC).to_string();
    let is_it = |raw: &str| {
        percent_decode_str(raw)
            .decode_utf8()
            .is_ok_and(|text| text == id)
    };
    let in_path = |segment: &str| {
        if is_it(segment) {
            own.clone()
        } else {
            segment.to_owned()
        }
    };
    let path: Vec<String> = target.path().split('/').map(in_path).collect();
    let mut text = path.join("/");
    if let Some(query) = target.query() {
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| value(pair, &is_it, &own))
            .collect();
        text = format!("{text}?{}", pairs.join("&"));
    }
    text.parse().ok()
}

/// A value may be a list.
fn value(pair: &str, is_it: &impl Fn(&str) -> bool, own: &str) -> String {
    let Some((name, value)) = pair.split_once('=') else {
        return pair.to_owned();
    };
    let spelt = value.replace("%2C", ",").replace("%2c", ",");
    if !spelt.split(',').any(is_it) {
        return pair.to_owned();
    }
    let parts: Vec<&str> = spelt
        .split(',')
        .map(|part| if is_it(part) { own } else { part })
        .collect();
    format!("{name}={}", parts.join(","))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a target that cannot be read fails the test"
    )]
    use super::*;

    fn asked(target: &str) -> String {
        let target: Uri = target.parse().unwrap();
        let swapped = swapped(&target, "order:1:aa", "order:2:bb").unwrap();
        percent_decode_str(&swapped.to_string())
            .decode_utf8()
            .unwrap()
            .into_owned()
    }

    #[test]
    fn an_id_is_translated_wherever_it_stands_whole() {
        assert_eq!(
            asked("/e/process-definition/order:1:aa/start"),
            "/e/process-definition/order:2:bb/start"
        );
        assert_eq!(
            asked("/e/process-definition/order%3A1%3Aaa"),
            "/e/process-definition/order:2:bb"
        );
        assert_eq!(
            asked("/e/task?x=1&processDefinitionId=order%3A1%3Aaa"),
            "/e/task?x=1&processDefinitionId=order:2:bb"
        );
        assert_eq!(
            asked("/e/task?in=z%2Corder:1:aa"),
            "/e/task?in=z,order:2:bb"
        );
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for target in [
            "/e/order:1:aab?y=order:1:aab",
            "/e/xorder:1:aa",
            "/e/task?order:1:aa",
        ] {
            assert_eq!(asked(target), target);
        }
    }
}
