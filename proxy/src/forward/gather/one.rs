//! One site's part of a read over all sites.
//!
//! Owns what the site is asked instead of the client's request, and what counts as its answer. Must not merge.

use super::Read;
use super::budget::Held;
use super::pieces::{self, Piece};
use crate::dialect::merge::{self, Plan, Row, Rows, Shape, Unmerged, Window};
use crate::forward::body::Body;
use crate::forward::send::{self, Outgoing};
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::topology::Site;
use bytes::{Bytes, BytesMut};
use homing_mapping_store::{Generation, SiteId};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;

/// What one site said.
pub struct Told {
    /// The site.
    pub target: Target,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
    /// Held for its end: what it counts is free again when this goes.
    held: Vec<Held>,
}

impl Told {
    /// An answer whose bytes are counted elsewhere.
    pub fn new(target: Target, status: StatusCode, headers: HeaderMap, body: Bytes) -> Told {
        Told {
            target,
            status,
            headers,
            body,
            held: Vec::new(),
        }
    }

    /// The answer as the site gave it.
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response.headers_mut().remove(CONTENT_LENGTH);
        response
    }
}

/// An answer, the rows in it if it is to have any, and how many were asked for.
pub(super) struct Asked {
    pub(super) told: Told,
    pub(super) rows: Vec<Row>,
    pub(super) asked: Option<usize>,
}

/// What became of asking one site.
pub(super) enum Outcome {
    Told(Asked),
    /// An error of the engine's own.
    Refused(Told),
    Missing(SiteId, Problem),
}

/// Asks one site within its deadline.
pub(super) async fn ask(read: &Read<'_>, site: &Arc<Site>) -> Outcome {
    let target = match Target::of(site, RouteSource::Default, Generation::default()) {
        Ok(target) => target,
        Err(problem) => return Outcome::Missing(site.id, problem),
    };
    let within = read.settings.within;
    match tokio::time::timeout(within, within_deadline(read, &target)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(problem)) => Outcome::Missing(site.id, problem),
        Err(_) => Outcome::Missing(site.id, late(site, within)),
    }
}

/// A site was silent for too long.
pub(super) fn late(site: &Site, within: Duration) -> Problem {
    let detail = format!("site {} did not answer within {within:?}", site.id);
    Problem::new(Reason::SiteUnreachable, detail).at(site.id)
}

async fn within_deadline(read: &Read<'_>, target: &Target) -> Result<Outcome, Problem> {
    let Plan::Rows(plan) = read.plan else {
        let told = told(read, target, None).await?;
        if !told.status.is_success() {
            return Ok(Outcome::Refused(told));
        }
        if !merge::promised(read.plan, &told.body) {
            return Err(malformed(target));
        }
        return Ok(Outcome::Told(Asked {
            told,
            rows: Vec::new(),
            asked: None,
        }));
    };
    let mut asked = plan.ask();
    loop {
        let told = told(read, target, asked).await?;
        if !told.status.is_success() {
            return Ok(Outcome::Refused(told));
        }
        let rows = rows(plan, &told)?;
        match asked.and_then(|asked| plan.ask_again(&rows, asked)) {
            Some(more) => asked = Some(more),
            None => return Ok(Outcome::Told(Asked { told, rows, asked })),
        }
    }
}

/// Some rows of one site's list. `Err`: there are none to be had in this way.
pub(super) async fn window(
    read: &Read<'_>,
    plan: &Rows,
    site: &Arc<Site>,
    piece: Piece,
) -> Result<(Told, Window), Option<Problem>> {
    let target = Target::of(site, RouteSource::Default, Generation::default()).map_err(Some)?;
    let outgoing = request(read, site.id, Some(piece)).map_err(Some)?;
    let told = whole(read, &target, outgoing).await.map_err(Some)?;
    if !told.status.is_success() {
        return Err(None);
    }
    let rows = rows(plan, &told).map_err(Some)?;
    let window = Window {
        first: piece.first,
        is_last: rows.len() < piece.max,
        rows,
    };
    Ok((told, window))
}

/// What the site says to a request for so many rows. One that gives fewer at a time is asked piece by piece.
async fn told(read: &Read<'_>, target: &Target, rows: Option<usize>) -> Result<Told, Problem> {
    let all = rows.map(|max| Piece { first: 0, max });
    let told = whole(read, target, request(read, target.site.id, all)?).await?;
    let (Plan::Rows(plan), Some(rows), false) = (read.plan, rows, told.status.is_success()) else {
        return Ok(told);
    };
    let Some(limit) = pieces::limit(&told, plan, rows) else {
        return Ok(told);
    };
    let mut told: Vec<Told> = Vec::new();
    for piece in pieces::cut(rows, limit) {
        let more = whole(read, target, request(read, target.site.id, Some(piece))?).await?;
        if !more.status.is_success() {
            return Ok(more);
        }
        let count = self::rows(plan, &more)?.len();
        told.push(more);
        if count < piece.max {
            break;
        }
    }
    let bodies: Vec<Bytes> = told.iter().map(|told| told.body.clone()).collect();
    let body = merge::concat(&bodies).map_err(|_| malformed(target))?;
    let held = told
        .iter_mut()
        .flat_map(|told| told.held.drain(..))
        .collect();
    let last = told.pop().ok_or_else(|| malformed(target))?;
    Ok(Told { body, held, ..last })
}

fn rows(plan: &Rows, told: &Told) -> Result<Vec<Row>, Problem> {
    let target = &told.target;
    let habits = target.site.live.habits().unwrap_or_default();
    plan.read(&told.body, habits.casing)
        .map_err(|why| match why {
            Unmerged::Malformed(_) => malformed(target),
            Unmerged::Unclear { by } => unclear(target, &by),
        })
}

/// The order of the whole list is not known, so that no part of it stands for the rest.
fn unclear(target: &Target, by: &str) -> Problem {
    let detail = format!(
        "this list of several sites cannot be sorted by {by} without regard to case: it has letters beyond ASCII in upper case, and whether the database of site {} folds them is not known; sort by {by} with regard to case, or narrow the list to one process instance",
        target.site.id
    );
    Problem::new(Reason::BadRequest, detail)
}

fn malformed(target: &Target) -> Problem {
    let detail = format!(
        "site {} answers what this operation does not promise",
        target.site.id
    );
    Problem::new(Reason::UpstreamBroke, detail).at(target.site.id)
}

/// The client's request, as one site gets it.
fn request(read: &Read<'_>, site: SiteId, rows: Option<Piece>) -> Result<Outgoing, Problem> {
    let too_long = || {
        crate::telemetry::metrics::limit_hit("spool_bytes");
        let detail = "limit spool_bytes reached: a body that goes to every site is kept in memory and this one is too long";
        Problem::new(Reason::LimitExceeded, detail).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    let mut outgoing = read.outgoing.copy().ok_or_else(too_long)?;
    if outgoing.method == Method::HEAD {
        outgoing.method = Method::GET;
    }
    match read.plan {
        Plan::Rows(plan) => {
            outgoing.target = paged(&outgoing.target, rows, plan.shape)?;
            if let Some(body) = &plan.body {
                outgoing.payload = crate::forward::payload::Payload::from(body.clone());
            }
        }
        Plan::Sum(_) => outgoing.target = paged(&outgoing.target, None, Shape::List)?,
        Plan::SumCount(_) => {
            outgoing.target = beside(&paged(&outgoing.target, None, Shape::List)?, None)?
        }
        Plan::Durations(durations) => {
            outgoing.target = beside(&outgoing.target, Some(&durations.query))?;
        }
        Plan::Count | Plan::Union | Plan::Concat | Plan::Single(_) | Plan::Add => {}
        Plan::Copies | Plan::Saved | Plan::Words(_) | Plan::Refused(_) => {}
    }
    if !read.swap.is_empty() {
        read.swap.at(site, &mut outgoing);
        read.swap.in_body(site, &mut outgoing);
    }
    // The length is the new body's, and what is merged has to be readable.
    outgoing.headers.remove(CONTENT_LENGTH);
    outgoing.headers.remove(ACCEPT_ENCODING);
    let shape = if let Plan::Rows(rows) = read.plan {
        rows.shape
    } else {
        Shape::List
    };
    outgoing
        .headers
        .insert(ACCEPT, HeaderValue::from_static(shape.media_type()));
    Ok(outgoing)
}

/// The same target for these rows.
fn paged(target: &Uri, rows: Option<Piece>, shape: Shape) -> Result<Uri, Problem> {
    let (first_name, max_name) = shape.paging();
    let mut text = target.path().to_owned();
    let kept = target
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_paging(pair, shape));
    let page = rows.map(|Piece { first, max }| format!("{first_name}={first}&{max_name}={max}"));
    for (number, pair) in kept.chain(page.as_deref()).enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(pair);
    }
    text.parse().map_err(|_| {
        Problem::new(
            Reason::BadRequest,
            "the query cannot be sent to several sites",
        )
    })
}

/// The list that a count or report stands below. `query`: instead of the one that is there.
fn beside(target: &Uri, query: Option<&str>) -> Result<Uri, Problem> {
    let path = target.path().trim_end_matches('/');
    let list = path.rsplit_once('/').map_or(path, |(list, _)| list);
    let text = match query.or_else(|| target.query()) {
        Some(query) => format!("{list}?{query}"),
        None => list.to_owned(),
    };
    text.parse().map_err(|_| {
        Problem::new(
            Reason::BadRequest,
            "the query cannot be sent to several sites",
        )
    })
}

fn is_paging(pair: &str, shape: Shape) -> bool {
    let (first, max) = shape.paging();
    let name = pair.split('=').next().unwrap_or_default();
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    name == first || name == max
}

/// Sends and reads the whole answer.
async fn whole(read: &Read<'_>, target: &Target, mut outgoing: Outgoing) -> Result<Told, Problem> {
    let (head, mut body) = send::exchange(target, &mut outgoing, read.settings.times)
        .await?
        .into_parts();
    let mut taking = read.budget.taking();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let detail = format!(
                "site {} broke off while answering: {}",
                target.site.id,
                crate::telemetry::chain(&error)
            );
            Problem::new(Reason::UpstreamBroke, detail).at(target.site.id)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if !taking.take(data.len(), read.settings.bytes) {
            crate::telemetry::metrics::limit_hit("gather_bytes");
            let detail = format!(
                "limit gather_bytes reached: answers of all sites that are being merged hold {} bytes; ask for a page (maxResults) or narrow the list",
                read.settings.bytes
            );
            return Err(Problem::new(Reason::LimitExceeded, detail)
                .retry_after(std::time::Duration::from_secs(1)));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Told {
        target: target.clone(),
        status: head.status,
        headers: head.headers,
        body: bytes.freeze(),
        held: vec![taking.keep()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_a_count_or_report_is_one_level_up() {
        let of = |target: &str, query: Option<&str>| {
            beside(&target.parse().unwrap(), query).unwrap().to_string()
        };
        assert_eq!(of("/x/report/count?a=b", None), "/x/report?a=b");
        assert_eq!(of("/x/report/count/", None), "/x/report");
        assert_eq!(of("/task/report?a=b", Some("c=d")), "/task?c=d");
    }

    #[test]
    fn only_the_paging_of_a_query_is_rewritten() {
        let of = |target: &str, rows: Option<usize>| {
            let rows = rows.map(|max| Piece { first: 0, max });
            paged(&target.parse().unwrap(), rows, Shape::List)
                .unwrap()
                .to_string()
        };
        let piece = Piece { first: 20, max: 10 };
        let target = paged(
            &"/task?firstResult=3".parse().unwrap(),
            Some(piece),
            Shape::List,
        )
        .unwrap();
        assert_eq!(target, "/task?firstResult=20&maxResults=10");
        let target = "/runtime/tasks?start=3&firstResult=1&size=2";
        let target = paged(&target.parse().unwrap(), Some(piece), Shape::Data).unwrap();
        assert_eq!(target, "/runtime/tasks?firstResult=1&start=20&size=10");
        assert_eq!(
            of("/task?name=a%26b&firstResult=20&maxResults=10&x", Some(30)),
            "/task?name=a%26b&x&firstResult=0&maxResults=30"
        );
        assert_eq!(of("/task?maxResult%73=5", None), "/task");
        assert_eq!(of("/task", Some(3)), "/task?firstResult=0&maxResults=3");
        assert_eq!(
            of("/task?firstResultX=1&maxResults=2&maxResults=3", Some(4)),
            "/task?firstResultX=1&firstResult=0&maxResults=4"
        );
    }
}
