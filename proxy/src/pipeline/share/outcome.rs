//! What becomes of a shared write when every site has said what it does, and what the client is told.
//!
//! Owns that: what one site refuses is taken back at the others where that can be done, and stays recorded where it
//! cannot.

use super::{Sent, Sharing, at, with};
use crate::deployments::outcome::Outcome;
use crate::dialect::shares::LeftOut;
use crate::forward::body::Body;
use crate::forward::gather::name_missing;
use crate::pipeline::deploy::{Answered, missing};
use crate::pipeline::every::told;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use bytes::Bytes;
use homing_mapping_store::SiteId;
use homing_mapping_store::deployment::{AtSite, Standing};
use http::response::Parts;
use http::{Response, StatusCode};

/// Most characters of an engine's refusal that are kept.
const DETAIL_CHARS_MAX: usize = 2_000;

impl Sharing {
    pub(super) async fn finish(
        &self,
        number: u64,
        first: (Target, Option<String>),
        following: Vec<(Target, Outcome)>,
        away: Vec<(SiteId, Problem)>,
        (target, head, body): (Target, Parts, Bytes),
    ) -> Answered {
        let mut sent = Sent {
            done: vec![first],
            refused: Vec::new(),
            open: away.iter().map(|(site, why)| missing(*site, why)).collect(),
        };
        let mut refusal = None;
        for (target, outcome) in following {
            match outcome {
                Outcome::Done(_, body) => {
                    let id = self.own(&target, &body);
                    sent.done.push((target, id));
                }
                Outcome::Missing(why) => sent.open.push(missing(target.site.id, &why)),
                Outcome::Unknown(_, why) => {
                    sent.open.push(with(target.site.id, Standing::Unknown, why));
                }
                Outcome::Refused(head, body) => {
                    let why = format!("{}: {}", head.status, String::from_utf8_lossy(&body));
                    sent.refused
                        .push((target.clone(), why.chars().take(DETAIL_CHARS_MAX).collect()));
                    refusal = refusal.or(Some((target, head, body)));
                }
            }
        }
        let Some((refusing, head_of, body_of)) = refusal else {
            return self.accepted(number, sent, (target, head, body)).await;
        };
        let kept = self.take_back(number, sent).await;
        (told(Ok((head_of, body_of)), &kept), Some(refusing))
    }

    /// Nobody has refused it.
    async fn accepted(
        &self,
        number: u64,
        sent: Sent,
        (target, head, body): (Target, Parts, Bytes),
    ) -> Answered {
        self.note(number, &noted(&sent)).await;
        let without: Vec<SiteId> = sent.open.iter().map(|at| at.site).collect();
        if self.kept.left_out == LeftOut::Password
            && let Some(open) = sent.open.first()
        {
            let detail = format!(
                "site {} may not have got the password, which is not kept: set it again when the site answers ({})",
                open.site, open.detail
            );
            let problem = Problem::new(Reason::OutcomeUnknown, detail)
                .at(open.site)
                .maybe_sent();
            return (Err(problem), Some(target));
        }
        let mut answer = Response::from_parts(head, Body::from(body));
        name_missing(answer.headers_mut(), &without);
        (Ok(answer), Some(target))
    }

    /// Answers the sites that keep what they had done.
    async fn take_back(&self, number: u64, sent: Sent) -> Vec<&'static str> {
        if self.write.inverse(None).is_none() {
            // It stays what every site is to have; who refuses it is asked again.
            self.note(number, &noted(&sent)).await;
            let done = sent.done.iter();
            return done.map(|(target, _)| target.site.id.name()).collect();
        }
        self.withdraw(number).await;
        let mut kept = Vec::new();
        for (target, own) in &sent.done {
            if !self.undone(target, own.as_deref()).await {
                kept.push(target.site.id.name());
            }
        }
        kept
    }

    async fn undone(&self, target: &Target, own: Option<&str>) -> bool {
        let Some(inverse) = self.write.inverse(own) else {
            return false;
        };
        let shares = target.site.dialect.shares();
        let Some(ask) = shares.and_then(|shares| shares.ask(&inverse, own, b"", "")) else {
            return false;
        };
        let answered = self.every.send_as(target, &ask).await;
        answered
            .is_ok_and(|(head, _)| head.status.is_success() || head.status == StatusCode::NOT_FOUND)
    }
}

fn noted(sent: &Sent) -> Vec<AtSite> {
    let done = sent.done.iter().map(|(target, id)| AtSite {
        id: id.clone(),
        ..at(target.site.id, Standing::Done)
    });
    let refused = sent
        .refused
        .iter()
        .map(|(target, why)| with(target.site.id, Standing::Failed, why.clone()));
    done.chain(refused)
        .chain(sent.open.iter().cloned())
        .collect()
}
