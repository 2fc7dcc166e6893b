//! The border of a site whose engine counts its ids: everything that crosses it is rewritten, so that nothing on this side
//! ever sees a bare counted id.
//!
//! Owns which requests and answers are rewritten. Must not know where ids stand. Relies on the dialect for that, and on
//! every exchange with a site passing here; probes on connections of their own name no ids.

use super::body::Body;
use super::payload::Payload;
use super::send::{Answer, Outgoing};
use crate::dialect::virtual_ids::{Own, Rewriter, Way};
use crate::topology::Site;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, LOCATION,
};
use http::{HeaderValue, Uri};
use std::sync::Arc;

/// What is to be done with the answer to a request that has been rewritten.
pub struct Crossing {
    site: Arc<Site>,
    own: Arc<Own>,
    /// Path and query below the base path, as the client's side has it.
    target: String,
}

impl Crossing {
    /// Rewrites a request on its way to the site. `None`: the site's ids stay as they are, or the request is none of its
    /// API's.
    pub fn of(site: &Arc<Site>, outgoing: &mut Outgoing) -> Option<Crossing> {
        let own = Arc::clone(site.own_ids.as_ref()?);
        let ids = site.dialect.virtual_ids()?;
        let whole = outgoing.target.path_and_query()?.as_str();
        let target = own.below(whole)?.to_owned();
        if let Some(native) = ids.target(&target, &own, Way::In)
            && let Ok(native) = format!("{}{native}", site.base_path).parse::<Uri>()
        {
            outgoing.target = native;
        }
        // What is compressed cannot be read.
        outgoing.headers.remove(ACCEPT_ENCODING);
        let crossing = Crossing {
            site: Arc::clone(site),
            own,
            target,
        };
        crossing.request(outgoing);
        Some(crossing)
    }

    fn rewriter(&self, way: Way) -> Option<Box<Rewriter>> {
        let dialect = &self.site.dialect;
        let top = dialect.virtual_ids()?.body(&self.target, way)?;
        let rewriter = Rewriter::new(Arc::clone(dialect), Arc::clone(&self.own), way, top)?;
        Some(Box::new(rewriter))
    }

    fn request(&self, outgoing: &mut Outgoing) {
        if !is_json(&outgoing.headers) || matches!(outgoing.payload, Payload::Empty) {
            return;
        }
        let Some(mut rewriter) = self.rewriter(Way::In) else {
            return;
        };
        outgoing.headers.remove(CONTENT_LENGTH);
        match outgoing.payload.bytes() {
            Some(body) => {
                let mut native = rewriter.feed(&body);
                native.extend(rewriter.end());
                outgoing.payload = Payload::from(Bytes::from(native));
            }
            None => outgoing.payload.rewritten_by(rewriter),
        }
    }

    /// Rewrites the answer on its way from the site.
    pub fn answer(&self, mut answer: Answer) -> Answer {
        let location = answer.headers().get(LOCATION).map(|value| value.to_str());
        if let Some(Ok(location)) = location
            && let Some(ids) = self.site.dialect.virtual_ids()
            && let Ok(outside) = HeaderValue::try_from(&*self.own.link(ids, location, Way::Out))
        {
            answer.headers_mut().insert(LOCATION, outside);
        }
        if !is_json(answer.headers()) {
            return answer;
        }
        let Some(rewriter) = self.rewriter(Way::Out) else {
            return answer;
        };
        answer.headers_mut().remove(CONTENT_LENGTH);
        answer.headers_mut().remove(ETAG);
        if let Body::Streaming(streaming) = answer.body_mut() {
            streaming.rewritten_by(rewriter);
        }
        answer
    }
}

/// `application/json`, `application/hal+json`, readable as it is.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
    let kind = kind.unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let is_plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|coding| coding == "identity");
    is_plain && (kind == b"application/json" || kind.ends_with(b"+json"))
}
