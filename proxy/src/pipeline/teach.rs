//! What the answer of one site teaches on its way to the client.
//!
//! Owns when it is read: a head before it passes, a body as it passes. Must not judge what it means, nor change it.

use super::Pipeline;
use crate::dialect::{Answer, Learns, Matched};
use crate::forward::body::Body;
use crate::resolve::Target;
use crate::topology::Group;
use homing_mapping_store::Source;
use http::Response;
use std::sync::Arc;

impl Pipeline {
    /// What an answer's head names is learned before it passes; its body is copied aside and learned when it has passed.
    pub(super) async fn learn(
        self: &Arc<Self>,
        group: &Group,
        found: &Matched<'_>,
        target: &Target,
        answer: Response<Body>,
    ) -> Response<Body> {
        if answer.status().is_success() && found.operation.class == "broadcast" {
            self.models.deployed();
        }
        let (status, learns) = (answer.status(), found.operation.learns);
        // Who logs in with a form is sent on, with another cookie.
        let from_head = learns == Learns::Headers && status.is_redirection();
        if learns == Learns::Nothing || !(status.is_success() || from_head) {
            return answer;
        }
        let (head, mut body) = answer.into_parts();
        if learns == Learns::Headers {
            let answer = Answer {
                engine: &found.engine,
                status: head.status,
                headers: &head.headers,
                body: &[],
            };
            let facts = group.dialect.extract(found.operation, &answer);
            if !facts.is_empty() {
                Box::pin(self.learner.ahead(&facts, target.site.id)).await;
            }
            return Response::from_parts(head, body);
        }
        if let Body::Streaming(streaming) = &mut body {
            let (pipeline, dialect) = (Arc::clone(self), Arc::clone(&group.dialect));
            let (operation, engine, site) = (
                Arc::clone(found.operation),
                found.engine.clone(),
                target.site.id,
            );
            let (status, headers) = (head.status, head.headers.clone());
            streaming.tee(self.settings.load().answer_sniff_bytes, move |copy| {
                let answer = Answer {
                    engine: &engine,
                    status,
                    headers: &headers,
                    body: &copy,
                };
                let facts = dialect.extract(&operation, &answer);
                pipeline.learner.passing(&facts, site, Source::Learned);
            });
        }
        Response::from_parts(head, body)
    }
}
