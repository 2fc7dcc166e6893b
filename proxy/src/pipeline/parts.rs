//! A request about a batch whose parts lie at several sites.
//!
//! Owns asking or telling every part and making one answer of theirs. A part that has ended is read from history, so
//! that its jobs still count.

use super::several::{self, Done, Order, Outcome, Part};
use super::{Asked, Pipeline};
use crate::classify::{Keyed, Unknown};
use crate::context::Context;
use crate::dialect::Dialect;
use crate::dialect::batch;
use crate::dialect::parts::{Parts, Wanted};
use crate::forward::body::Body;
use crate::forward::gather;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::resolve::route::Purpose;
use crate::topology::{Group, Topology};
use http::{Response, StatusCode, Uri};
use std::sync::Arc;

/// A part and where it lives.
type Place = (String, Target);

impl Pipeline {
    pub(super) async fn parts(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        asked: Asked<'_>,
        parts: Parts,
    ) -> Result<Response<Body>, Problem> {
        let places = match self
            .places(topology, asked.group, &parts, Purpose::Send)
            .await
        {
            // A list that nobody stands in.
            Err(problem) if problem.reason == Reason::UnknownId => match parts.wanted {
                Wanted::Rows => return Ok(gather::answer("[]".into(), &[])),
                Wanted::Count => return Ok(counted(0)),
                Wanted::One | Wanted::Done => return Err(problem),
            },
            places => places?,
        };
        let whole = asked.outgoing.target.clone();
        let of_part = |(id, _): &Place| parts.target(&whole, id);
        let done = self.each(context, &asked, &places, of_part).await?;
        if parts.wanted == Wanted::Done {
            return told(done, &*asked.group.dialect);
        }
        let (mut bodies, mut ended, mut none) = (Vec::new(), Vec::new(), None);
        for (place, Done { whole, .. }) in places.into_iter().zip(done) {
            let (head, body) = whole?;
            match batch::row_in(&body) {
                Some(row) if head.status.is_success() => bodies.push(row),
                None if head.status.is_success() => {
                    ended.push(place);
                    none.get_or_insert((head, body));
                }
                Some(_) | None if head.status == StatusCode::NOT_FOUND => {
                    ended.push(place);
                    none.get_or_insert((head, body));
                }
                Some(_) | None => return Ok(several::passed(head, body)),
            }
        }
        if let (true, Some((head, body))) = (bodies.is_empty(), none) {
            return Ok(match parts.wanted {
                Wanted::Count => counted(0),
                Wanted::One | Wanted::Rows | Wanted::Done => several::passed(head, body),
            });
        }
        if !parts.is_remembered() {
            ended.clear();
        }
        let in_history = |(id, target): &Place| parts.history(&target.site.base_path, id);
        for Done { whole, .. } in self.each(context, &asked, &ended, in_history).await? {
            let (head, body) = whole?;
            bodies.extend(batch::ended(&body).filter(|_| head.status.is_success()));
        }
        let malformed = |_| {
            let detail = "the sites' answers cannot be merged: they are not what is asked for";
            Problem::new(Reason::UpstreamBroke, detail)
        };
        let one = batch::together(&parts.id, &bodies).map_err(malformed)?;
        let stands = parts.holds(&one);
        Ok(match parts.wanted {
            Wanted::Count => counted(u8::from(stands)),
            Wanted::Rows if stands => gather::answer([b"[", &*one, b"]"].concat().into(), &[]),
            Wanted::Rows => gather::answer("[]".into(), &[]),
            Wanted::One | Wanted::Done => gather::answer(one, &[]),
        })
    }

    /// Where the parts live. A batch's part that nobody has ever known makes the whole unknown; what has ended without a
    /// trace, as the job definitions of a batch do, is left out.
    pub(super) async fn places(
        &self,
        topology: &Topology,
        group: &Group,
        parts: &Parts,
        purpose: Purpose,
    ) -> Result<Vec<Place>, Problem> {
        let mut places = Vec::new();
        let mut unknown = Problem::new(Reason::BadRequest, "the id names no batch");
        for id in &parts.ids {
            let keyed = Keyed {
                key: parts.key(id),
                unknown: Unknown::Locate,
            };
            match self.resolver.keyed(topology, group, &keyed, purpose).await {
                Ok(target) => places.push((id.clone(), target)),
                Err(problem) if problem.reason == Reason::UnknownId && !parts.is_remembered() => {
                    unknown = problem;
                }
                Err(problem) => return Err(problem),
            }
        }
        if places.is_empty() {
            return Err(unknown);
        }
        Ok(places)
    }

    async fn each(
        self: &Arc<Self>,
        context: &mut Context,
        asked: &Asked<'_>,
        places: &[Place],
        target_of: impl Fn(&Place) -> Option<Uri>,
    ) -> Result<Vec<Done>, Problem> {
        let bad = || Problem::new(Reason::BadRequest, "the batch's id is not written plainly");
        let parts = places.iter().map(|place| {
            let mut outgoing = asked.outgoing.copy().ok_or_else(bad)?;
            outgoing.target = target_of(place).ok_or_else(bad)?;
            Ok(Part {
                target: place.1.clone(),
                outgoing,
            })
        });
        let parts = parts.collect::<Result<Vec<Part>, Problem>>()?;
        let what = (asked.found.operation, &asked.found.engine);
        self.several(context, what, parts, Order::Together).await
    }
}

fn counted(count: u8) -> Response<Body> {
    let answer = serde_json::json!({ "count": count }).to_string();
    gather::answer(answer.into(), &[])
}

/// A part that is not there any more has nothing to be done to.
fn told(done: Vec<Done>, dialect: &dyn Dialect) -> Result<Response<Body>, Problem> {
    match several::outcome(done, |status, body| dialect.batch_is_over(status, body)) {
        Outcome::Some(problem) => Err(*problem),
        Outcome::Nothing(head, body) => Ok(several::passed(head, body)),
        Outcome::All(mut answers) => {
            let (head, body) = answers.swap_remove(0);
            Ok(several::passed(head, body))
        }
    }
}
