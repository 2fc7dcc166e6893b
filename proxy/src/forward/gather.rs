//! A read over all sites: asked side by side, each within its deadline, merged as the plan says.
//!
//! Owns which answers are mixed and which sites are named as missing. Must not choose sites, and never fills a gap: a
//! site that did not answer, broke off, or answered something else than the operation promises is left out by name.

mod budget;
mod far;
mod one;
mod pieces;
mod report;
mod single;

pub use budget::Budget;
pub use one::Told;
pub use report::report;
pub use single::single;

use super::body::Body;
use super::headers::HOMING_MISSING_SITES;
use super::send::{Outgoing, Times};
use crate::deployments::swap::Swap;
use crate::dialect::merge::{self, Durations, Nulls, Plan, ReadClass, Rows, Shape};
use crate::problem::{Problem, Reason};
use crate::topology::Site;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use homing_config::settings::{self as config, OnMissing};
use homing_mapping_store::SiteId;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use one::{Asked, Outcome};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// When to ask again after a site has not answered.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How the engines name a report that is a file.
const REPORT_NAME: &str = "attachment; filename=\"process-instance-report.csv\"; filename*=UTF-8''process-instance-report.csv";

/// One read over all sites.
pub struct Read<'r> {
    /// How the answers become one.
    pub plan: &'r Plan,
    /// What kind of answer the client gets; on the way to it sites may be asked for another one.
    pub class: ReadClass,
    /// The client's request.
    pub outgoing: &'r Outgoing,
    /// The sites, in the order that breaks ties.
    pub sites: &'r [Arc<Site>],
    /// Limits and times.
    pub settings: Settings,
    /// What all reads of this router may hold.
    pub budget: &'r Arc<Budget>,
    /// Ids in the request of which each site has its own.
    pub swap: &'r Swap,
}

/// Limits and times of a read over all sites.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Times of one exchange.
    pub times: Times,
    /// Deadline of each site.
    pub within: Duration,
    /// Sites asked at a time.
    pub fanout: usize,
    /// Bytes that all reads over several sites may hold.
    pub bytes: usize,
    /// What each class of reads answers when a site could not be asked.
    pub on_missing: config::Gather,
}

/// The merged answer.
pub struct Gathered {
    /// What the client gets.
    pub answer: Response<Body>,
    /// What the sites said, to learn from.
    pub told: Vec<Told>,
    /// Sites that are not in the answer.
    pub missing: Vec<SiteId>,
}

/// Asks every site and merges.
pub async fn gather(read: &Read<'_>) -> Result<Gathered, Problem> {
    if let Plan::Rows(rows) = read.plan
        && let Some((page, found)) = Box::pin(far::look(read, rows)).await
    {
        return gathered(read, page, found);
    }
    let Heard {
        mut answers,
        refused,
        mut missing,
    } = hear(read).await?;
    if answers.is_empty() {
        return nothing(refused, &missing);
    }
    // A site that refuses what others do would leave a gap as well.
    missing.extend(refused.into_iter().map(|told| {
        let detail = format!("site {} answers {}", told.target.site.id, told.status);
        (
            told.target.site.id,
            Problem::new(Reason::UpstreamBroke, detail),
        )
    }));
    missing.extend(broken(read.plan, &mut answers));
    if answers.is_empty() {
        return nothing(Vec::new(), &missing);
    }
    let merged = merged(read.plan, &mut answers).map_err(|merge::Malformed| malformed())?;
    let told = answers.into_iter().map(|asked| asked.told).collect();
    gathered(read, merged, Found { told, missing })
}

/// What all sites said.
#[derive(Default)]
struct Heard {
    answers: Vec<Asked>,
    refused: Vec<Told>,
    missing: Vec<(SiteId, Problem)>,
}

/// Asks every site. `Err`: a limit of this router was reached.
async fn hear(read: &Read<'_>) -> Result<Heard, Problem> {
    let asking: Vec<BoxFuture<'_, Outcome>> = read
        .sites
        .iter()
        .map(|site| one::ask(read, site).boxed())
        .collect();
    let outcomes: Vec<Outcome> = futures_util::stream::iter(asking)
        .buffered(read.settings.fanout.max(1))
        .collect()
        .await;
    let mut heard = Heard::default();
    for outcome in outcomes {
        match outcome {
            Outcome::Told(asked) => heard.answers.push(asked),
            Outcome::Refused(told) => heard.refused.push(told),
            Outcome::Missing(_, problem) if is_ours(&problem) => return Err(problem),
            Outcome::Missing(site, problem) => heard.missing.push((site, problem)),
        }
    }
    Ok(heard)
}

fn malformed() -> Problem {
    Problem::new(
        Reason::UpstreamBroke,
        "the sites' answers cannot be merged: they are not what this operation promises",
    )
}

/// What the sites said, and those that are left out.
struct Found {
    told: Vec<Told>,
    missing: Vec<(SiteId, Problem)>,
}

/// The answer with its gaps named, unless there must be none.
fn gathered(read: &Read<'_>, merged: Bytes, found: Found) -> Result<Gathered, Problem> {
    let Found { told, missing } = found;
    for (site, problem) in &missing {
        tracing::info!(%site, "missing in a read over all sites: {}", problem.detail);
    }
    let wanted = on_missing(&read.settings.on_missing, read.class);
    if wanted == OnMissing::Fail && !missing.is_empty() {
        return Err(incomplete(read.class, &missing));
    }
    let names: Vec<SiteId> = read
        .sites
        .iter()
        .map(|site| site.id)
        .filter(|id| missing.iter().any(|(site, _)| site == id))
        .collect();
    let mut answer = answer(merged, &names);
    name_form(read.plan, &mut answer);
    Ok(Gathered {
        answer,
        told,
        missing: names,
    })
}

/// What a class of reads answers then.
fn on_missing(wanted: &config::Gather, class: ReadClass) -> OnMissing {
    match class {
        ReadClass::Lists => wanted.lists,
        ReadClass::Counts => wanted.counts,
        ReadClass::Statistics => wanted.statistics,
    }
}

/// A part is not to be taken for the whole.
fn incomplete(class: ReadClass, missing: &[(SiteId, Problem)]) -> Problem {
    let detail = format!(
        "gather.on_missing is \"fail\" for {}: not every site answered this read; {}",
        class.name(),
        why(missing)
    );
    let site = missing.first().map(|(site, _)| *site);
    let problem = silent(missing, detail);
    match site {
        Some(site) => problem.at(site),
        None => problem,
    }
}

fn why(missing: &[(SiteId, Problem)]) -> String {
    let why: Vec<String> = missing
        .iter()
        .map(|(site, problem)| format!("{site}: {}", problem.detail))
        .collect();
    why.join("; ")
}

/// Whether a limit of this router as a whole was reached, rather than one site's.
fn is_ours(problem: &Problem) -> bool {
    let ours = matches!(problem.reason, Reason::LimitExceeded | Reason::BadRequest);
    ours && problem.site.is_none()
}

/// Takes out what is not what the operation promises: it would spoil the others' answers. Rows were looked at when they came.
fn broken(plan: &Plan, answers: &mut Vec<Asked>) -> Vec<(SiteId, Problem)> {
    if matches!(plan, Plan::Rows(_)) {
        return Vec::new();
    }
    let wrong = answers
        .extract_if(.., |one| merged(plan, std::slice::from_mut(one)).is_err())
        .map(|Asked { told, .. }| {
            let site = told.target.site.id;
            let detail = format!("site {site} answers what this operation does not promise");
            (site, Problem::new(Reason::UpstreamBroke, detail).at(site))
        });
    wrong.collect()
}

fn merged(plan: &Plan, answers: &mut [Asked]) -> Result<Bytes, merge::Malformed> {
    if let Plan::Rows(rows) = plan {
        let nulls = nulls(answers.iter().map(|asked| &asked.told));
        let sites = answers.iter_mut().map(|asked| {
            let mut settled = std::mem::take(&mut asked.rows);
            rows.settle(&mut settled, asked.asked);
            settled
        });
        let page = rows.merge(sites.collect(), nulls);
        return shaped(rows, answers.iter().map(|asked| &asked.told), page);
    }
    let bodies = || -> Vec<Bytes> {
        answers
            .iter()
            .map(|asked| asked.told.body.clone())
            .collect()
    };
    match plan {
        Plan::Count => {
            let counts: Result<Vec<u64>, _> =
                bodies().iter().map(|body| merge::counted(body)).collect();
            let sum = counts?.into_iter().fold(0u64, u64::saturating_add);
            Ok(json!({ "count": sum }).to_string().into())
        }
        Plan::Sum(sum) => merge::summed(sum, &bodies()),
        Plan::SumCount(by) => merge::distinct(by, &bodies()),
        Plan::Durations(durations) => {
            merge::durations(durations, &bodies()).and_then(|report| durations.written(report))
        }
        Plan::Union => merge::union(&bodies()),
        Plan::Concat => merge::concat(&bodies()),
        Plan::Add => merge::added(&bodies()),
        Plan::Rows(_)
        | Plan::Single(_)
        | Plan::Copies
        | Plan::Saved
        | Plan::Words(_)
        | Plan::Refused(_) => Err(merge::Malformed),
    }
}

/// A page of rows in what the sites' rows came in.
fn shaped<'t>(
    rows: &Rows,
    told: impl Iterator<Item = &'t Told>,
    page: Bytes,
) -> Result<Bytes, merge::Malformed> {
    let bodies = || -> Vec<Bytes> { told.map(|told| told.body.clone()).collect() };
    match rows.shape {
        Shape::List => Ok(page),
        Shape::Hal(member) => merge::hal(member, &bodies(), &page),
        Shape::Data => merge::data(&bodies(), &page, rows.page.first),
    }
}

/// The order of rows without a value: the sites' own where they agree, else PostgreSQL's.
fn nulls<'t>(told: impl Iterator<Item = &'t Told>) -> Nulls {
    let habits = |told: &Told| told.target.site.live.habits().unwrap_or_default();
    let mut each = told.map(|told| habits(told).nulls);
    let low = each.next() == Some(Nulls::Low) && each.all(|nulls| nulls == Nulls::Low);
    if low { Nulls::Low } else { Nulls::High }
}

/// No site gave an answer that can be merged.
fn nothing(refused: Vec<Told>, missing: &[(SiteId, Problem)]) -> Result<Gathered, Problem> {
    // The caller's own mistake is told before the sites' trouble.
    let told = refused
        .into_iter()
        .min_by_key(|told| told.status.is_server_error());
    let names: Vec<SiteId> = missing.iter().map(|(site, _)| *site).collect();
    match told {
        Some(told) => {
            let mut answer = told.response();
            name_missing(answer.headers_mut(), &names);
            Ok(Gathered {
                answer,
                told: Vec::new(),
                missing: names,
            })
        }
        None => Err(silent(
            missing,
            format!("no site answered this read; {}", why(missing)),
        )),
    }
}

/// Sites that are all out of service for one reason are not called unreachable.
fn silent(missing: &[(SiteId, Problem)], detail: String) -> Problem {
    let mut reasons = missing.iter().map(|(_, problem)| problem.reason);
    let first = reasons.next().filter(|first| {
        matches!(
            first,
            Reason::SiteParked | Reason::SiteSwitching | Reason::SiteQuarantined
        )
    });
    let reason = first.filter(|first| reasons.all(|reason| reason == *first));
    let after = missing
        .iter()
        .filter_map(|(_, problem)| problem.retry_after);
    Problem::new(reason.unwrap_or(Reason::SiteUnreachable), detail)
        .retry_after(match reason {
            Some(_) => after.min().unwrap_or(AGAIN_AFTER),
            None => AGAIN_AFTER,
        })
        .proxy_error("destination_unavailable")
}

/// Says in which form the answer is, where it is not plain JSON.
fn name_form(plan: &Plan, answer: &mut Response<Body>) {
    let headers = answer.headers_mut();
    if let Plan::Rows(rows) = plan {
        let kind = HeaderValue::from_static(rows.shape.media_type());
        headers.insert(CONTENT_TYPE, kind);
    } else if let Plan::Durations(Durations { csv: Some(csv), .. }) = plan {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(csv));
        let name = HeaderValue::from_static(REPORT_NAME);
        headers.insert(CONTENT_DISPOSITION, name);
    }
}

/// An answer that the router built. Clients compare this content type letter by letter.
pub fn answer(body: Bytes, missing: &[SiteId]) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::OK;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name_missing(answer.headers_mut(), missing);
    answer
}

/// Names the sites that are not in the answer.
pub fn name_missing(headers: &mut HeaderMap, missing: &[SiteId]) {
    let names: Vec<&str> = missing.iter().map(|site| site.name()).collect();
    if !names.is_empty()
        && let Ok(names) = HeaderValue::try_from(names.join(", "))
    {
        headers.insert(&HOMING_MISSING_SITES, names);
    }
}

/// Asks one site after the other, for a thing that each has under an id of its own: the first that finds it answers.
pub async fn find(read: &Read<'_>) -> Result<Gathered, Problem> {
    let mut nothing_found = None;
    let mut missing = Vec::new();
    for site in read.sites {
        match one::ask(read, site).await {
            Outcome::Told(asked) if is_nothing(&asked.told.body) => {
                nothing_found.get_or_insert(asked.told);
            }
            Outcome::Told(Asked { told, .. }) => {
                return Ok(Gathered {
                    answer: told.response(),
                    told: vec![told],
                    missing: Vec::new(),
                });
            }
            Outcome::Refused(told) if told.status == StatusCode::NOT_FOUND => {
                nothing_found.get_or_insert(told);
            }
            Outcome::Refused(told) => {
                return Ok(Gathered {
                    answer: told.response(),
                    told: Vec::new(),
                    missing: Vec::new(),
                });
            }
            Outcome::Missing(site, problem) => missing.push((site, problem)),
        }
    }
    let found: Vec<Told> = nothing_found.into_iter().collect();
    nothing(found, &missing)
}

/// An empty list, an empty page, or a count of none.
fn is_nothing(body: &Bytes) -> bool {
    let text = body.trim_ascii();
    text.strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .is_some_and(|rows| rows.trim_ascii().is_empty())
        || merge::counted(text) == Ok(0)
        || merge::is_empty(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_that_are_all_parked_are_not_called_unreachable() {
        let away = |site: &str, reason| {
            let problem = Problem::new(reason, "it is away").retry_after(Duration::from_secs(30));
            (SiteId::named(site), problem)
        };
        let parked = [away("a", Reason::SiteParked), away("b", Reason::SiteParked)];
        let told = silent(&parked, String::new());
        assert_eq!(
            (told.reason, told.retry_after),
            (Reason::SiteParked, Some(Duration::from_secs(30)))
        );
        let mixed = [
            away("a", Reason::SiteParked),
            away("b", Reason::SiteUnreachable),
        ];
        assert_eq!(
            silent(&mixed, String::new()).reason,
            Reason::SiteUnreachable
        );
        assert_eq!(silent(&[], String::new()).reason, Reason::SiteUnreachable);
    }
}
