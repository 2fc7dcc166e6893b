//! A worker's request for work, over all sites: a fast pass over each, then at most one parked call per site and topic
//! filter for all workers that wait for the same.
//!
//! Owns who asks whom and when. Must not choose by load or priority of sites: they take turns. Every call runs as a task
//! of its own, and what it locks is given back when nobody takes it, up to the last byte of the answer: so a worker that
//! leaves strands nothing.

mod call;
mod held;
mod line;

pub use held::Held;

use super::body::{Body, Debt, Owed};
use super::gather::{self, Told};
use super::send::Times;
use crate::clock;
use crate::dialect::fetch::Fetch;
use crate::problem::{Problem, Reason};
use crate::topology::Site;
use bytes::Bytes;
use call::{Answered, Waiting};
use dashmap::DashMap;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use homing_mapping_store::SiteId;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Response, Uri};
use line::{Desk, Line};
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

/// One call is parked for no longer: a router that dies strands what is locked within this time only.
const PARKED_FOR_MAX: Duration = Duration::from_secs(2);
/// A worker is answered this much before its own time is up, so that it never sees a timeout.
const EARLY: Duration = Duration::from_millis(100);
/// A call that would be parked for less is not made.
const PARKED_FOR_MIN: Duration = Duration::from_millis(50);
/// Topic filters remembered (limit `worker_filters`). Over it: the least used is forgotten; its workers then wait in two lines.
const FILTERS_MAX: u64 = 10_000;
/// A site that takes longer is not waited for before the next one is asked.
const PATIENCE: Duration = Duration::from_millis(300);
/// A filter that nobody asks for is forgotten after this time.
const FILTER_IDLE: Duration = Duration::from_secs(600);

/// All workers of this router that ask for work.
pub struct Workers {
    lines: Cache<u64, Arc<Line>>,
    desks: DashMap<SiteId, Arc<Desk>>,
    parked_max: usize,
    under_way: TaskTracker,
}

/// One worker's request.
pub struct Job {
    /// What it asks for.
    pub fetch: Fetch,
    /// Method as the client wrote it.
    pub method: Method,
    /// Target as the client wrote it.
    pub target: Uri,
    /// Headers for the sites: the worker's own credentials.
    pub headers: HeaderMap,
    /// The sites.
    pub sites: Vec<Arc<Site>>,
    /// Times of an exchange.
    pub times: Times,
    /// How long a site may take that is not asked to wait.
    pub within: Duration,
}

/// What a worker gets. The locks are given back unless its answer is seen to leave.
pub struct Fetched {
    held: Vec<Held>,
    refused: Option<Told>,
    missing: Vec<SiteId>,
    answer: Bytes,
}

impl Workers {
    /// `in_flight_per_site`: parked calls take at most a quarter of it.
    pub fn new(in_flight_per_site: usize) -> Workers {
        let lines = Cache::builder()
            .max_capacity(FILTERS_MAX)
            .time_to_idle(FILTER_IDLE)
            .build();
        Workers {
            lines,
            desks: DashMap::new(),
            parked_max: (in_flight_per_site / 4).max(1),
            under_way: TaskTracker::new(),
        }
    }

    /// Returns when no call is out and nothing is to be given back. For a router that stops: what its parked calls still
    /// lock would be stranded otherwise.
    pub async fn settled(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }

    fn desk(&self, site: SiteId) -> Arc<Desk> {
        Arc::clone(
            &self
                .desks
                .entry(site)
                .or_insert_with(|| Arc::new(Desk::new(self.parked_max, self.under_way.clone()))),
        )
    }

    /// Asks for work until there is some or the worker's time is up. `draining`: parked workers are answered at once.
    pub async fn fetch(
        &self,
        job: Job,
        mut draining: watch::Receiver<bool>,
    ) -> Result<Fetched, Problem> {
        let began = clock::now();
        let line = self
            .lines
            .get_with(same_work(&job), || Arc::new(Line::default()));
        let mut worker = Worker {
            job: Arc::new(job),
            line,
            desks: self,
            refused: Vec::new(),
            failed: None,
            missing: Vec::new(),
            calls: FuturesUnordered::new(),
            under_way: Vec::new(),
        };
        let Some(wait) = worker.job.fetch.wait else {
            let mut held = worker.pass(Which::All).await;
            if held.is_empty() {
                held.extend(worker.late().await);
            }
            return worker.done(held);
        };
        let until = began + wait.saturating_sub(EARLY.min(wait / 10));
        let held = tokio::select! {
            held = worker.first(until) => held,
            _ = draining.wait_for(|draining| *draining) => Vec::new(),
        };
        worker.done(held)
    }
}

/// One worker while it asks.
struct Worker<'w> {
    job: Arc<Job>,
    line: Arc<Line>,
    desks: &'w Workers,
    /// Sites whose engine refuses this worker.
    refused: Vec<Told>,
    /// The last error of an engine in trouble.
    failed: Option<Told>,
    missing: Vec<Missing>,
    /// Calls that are not answered yet.
    calls: FuturesUnordered<BoxFuture<'static, Late>>,
    /// Sites with a call that was made without waiting and is not answered yet.
    under_way: Vec<SiteId>,
}

/// A site that could not be asked.
struct Missing {
    site: SiteId,
    problem: Problem,
    /// Monotonic milliseconds.
    since: u64,
}

impl Missing {
    fn now(site: SiteId, problem: Problem) -> Missing {
        let since = clock::monotonic_ms();
        Missing {
            site,
            problem,
            since,
        }
    }
}

/// Which sites a worker asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    /// Those at which no call is parked: where one is, there is no work, and who has parked it tells the others.
    Unwatched,
}

/// The same for all workers that want the same work and may see the same of it.
fn same_work(job: &Job) -> u64 {
    let account = job.headers.get(AUTHORIZATION);
    let account = account.map(HeaderValue::as_bytes).unwrap_or_default();
    xxhash_rust::xxh3::xxh3_64_with_seed(account, job.fetch.filter)
}

/// What became of a call that was not waited for.
struct Late {
    site: Arc<Site>,
    desk: Arc<Desk>,
    answered: Option<Answered>,
}

/// A call that is answered, or not in time, some time later.
fn later(
    site: Arc<Site>,
    desk: Arc<Desk>,
    asked: oneshot::Receiver<Answered>,
    within: Duration,
) -> BoxFuture<'static, Late> {
    async move {
        let answered = tokio::time::timeout(within, asked).await;
        Late {
            site,
            desk,
            answered: answered.ok().and_then(Result::ok),
        }
    }
    .boxed()
}

impl Worker<'_> {
    /// A pass, and then the wait until there is work or `until`.
    async fn first(&mut self, until: Instant) -> Vec<Held> {
        let line = Arc::clone(&self.line);
        let left = until.saturating_duration_since(clock::now());
        if let Ok(_turn) = tokio::time::timeout(left, line.pass()).await {
            let held = self.pass(Which::Unwatched).await;
            if !held.is_empty() {
                return held;
            }
        }
        self.wait(until).await
    }

    /// Each of these sites once, without waiting, until the worker has all that it asked for. A site that is slow does
    /// not keep the worker from the others' work.
    async fn pass(&mut self, which: Which) -> Vec<Held> {
        let mut held: Vec<Held> = Vec::new();
        let mut left = self.job.fetch.max;
        self.missing.clear();
        for site in self.line.turn(&self.job.sites) {
            if left == 0 {
                break;
            }
            if self.is_refused(site.id) || self.under_way.contains(&site.id) {
                continue;
            }
            let desk = self.desks.desk(site.id);
            if let Some(problem) = desk.avoided(site.id) {
                self.missing.push(Missing::now(site.id, problem));
                continue;
            }
            if which == Which::Unwatched && self.line.is_parked(site.id) {
                continue;
            }
            let mut asked = call::start(&self.job, &site, Arc::clone(&desk), left, Waiting::Not);
            // What a slow site locks for nobody, and what cannot be given back, would wait until its lock is over.
            let patience = if self.job.fetch.returns() {
                PATIENCE.min(self.job.within)
            } else {
                self.job.within
            };
            let Ok(answered) = tokio::time::timeout(patience, &mut asked).await else {
                self.under_way.push(site.id);
                let within = self.job.within.saturating_sub(patience);
                self.calls.push(later(site, desk, asked, within));
                continue;
            };
            if let Some(more) = self.take(&site, &desk, answered.ok()) {
                left = left.saturating_sub(more.count());
                held.push(more);
            }
        }
        if !held.is_empty() {
            // Where there was work there may be more.
            self.line.ring();
        }
        held
    }

    /// The first work of the calls that were not waited for, or nothing when all are answered.
    async fn late(&mut self) -> Option<Held> {
        while let Some(late) = self.calls.next().await {
            if let Some(held) = self.arrived(late) {
                return Some(held);
            }
        }
        None
    }

    fn arrived(&mut self, late: Late) -> Option<Held> {
        self.under_way.retain(|site| *site != late.site.id);
        self.take(&late.site, &late.desk, late.answered)
    }

    /// Takes one site's answer, or that there was none in time; gives what it locked, if anything.
    fn take(&mut self, site: &Site, desk: &Desk, answered: Option<Answered>) -> Option<Held> {
        self.missing.retain(|missing| missing.site != site.id);
        let problem = match answered {
            Some(Answered::Tasks(held)) => return Some(held).filter(|held| held.count() > 0),
            Some(Answered::Refused(told)) => {
                self.refused.push(told);
                return None;
            }
            Some(Answered::Failed(told)) => {
                let detail = format!("site {} answers {}", site.id, told.status);
                self.failed = Some(told);
                Problem::new(Reason::UpstreamBroke, detail).at(site.id)
            }
            Some(Answered::Missing(problem)) => problem,
            None => {
                desk.avoid();
                let detail = format!(
                    "site {} did not answer within {:?}",
                    site.id, self.job.within
                );
                Problem::new(Reason::SiteUnreachable, detail).at(site.id)
            }
        };
        self.missing.push(Missing::now(site.id, problem));
        None
    }

    fn is_refused(&self, site: SiteId) -> bool {
        self.refused.iter().any(|told| told.target.site.id == site)
    }

    /// Whether no site can give anything.
    fn is_hopeless(&self) -> bool {
        self.refused.len() + self.missing.len() >= self.job.sites.len()
    }

    /// Waits for work until `until`.
    async fn wait(&mut self, until: Instant) -> Vec<Held> {
        let line = Arc::clone(&self.line);
        loop {
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() || self.is_hopeless() {
                return Vec::new();
            }
            let slice = left.min(PARKED_FOR_MAX);
            if slice >= PARKED_FOR_MIN {
                self.park(slice);
            }
            tokio::select! {
                Some(late) = self.calls.next(), if !self.calls.is_empty() => {
                    if let Some(held) = self.arrived(late) {
                        return vec![held];
                    }
                }
                () = line.rung() => {
                    let held = self.pass(Which::All).await;
                    if !held.is_empty() {
                        return held;
                    }
                }
                // Slots that others hold are looked at again.
                () = tokio::time::sleep(slice) => {}
            }
        }
    }

    /// Parks a call at every site where none is parked for this filter.
    fn park(&mut self, slice: Duration) {
        for site in self.line.turn(&self.job.sites) {
            let desk = self.desks.desk(site.id);
            let is_asked = self.under_way.contains(&site.id);
            if is_asked || self.is_refused(site.id) || desk.avoided(site.id).is_some() {
                continue;
            }
            let Some(slot) = self.line.take(site.id) else {
                continue;
            };
            let (max, waiting) = (self.job.fetch.max, Waiting::Parked(slice, slot));
            let asked = call::start(&self.job, &site, Arc::clone(&desk), max, waiting);
            let within = slice + self.job.within;
            self.calls.push(later(site, desk, asked, within));
        }
    }

    fn done(mut self, held: Vec<Held>) -> Result<Fetched, Problem> {
        // What was in trouble when this worker asked may have answered since, to the one who asks for all of them.
        let line = &self.line;
        self.missing
            .retain(|missing| !line.has_answered_since(missing.site, missing.since));
        let answered = self.job.sites.len()
            - (self.refused.len() + self.missing.len()).min(self.job.sites.len());
        let nobody = held.is_empty() && answered == 0;
        if nobody {
            // The same trouble everywhere may be the worker's own mistake: the engine's words say it best.
            self.refused.extend(self.failed.take());
        }
        if nobody && self.refused.is_empty() {
            let why: Vec<String> = self
                .missing
                .iter()
                .map(|missing| format!("{}: {}", missing.site, missing.problem.detail))
                .collect();
            let detail = format!("no site can be asked for work; {}", why.join("; "));
            return Err(Problem::new(Reason::NoSiteAvailable, detail)
                .retry_after(Duration::from_secs(2))
                .proxy_error("destination_unavailable"));
        }
        let refused = if nobody {
            self.refused.drain(..).next()
        } else {
            None
        };
        let left_out = self
            .missing
            .iter()
            .map(|missing| missing.site)
            .chain(self.refused.iter().map(|told| told.target.site.id))
            // The worker's time was up before they could say anything.
            .chain(self.under_way.iter().copied());
        let mut missing: Vec<SiteId> = left_out.collect();
        for site in &self.job.sites {
            if self.line.is_late(site.id) && !missing.contains(&site.id) {
                missing.push(site.id);
            }
        }
        if refused.is_some() {
            // One site's words stand for all of them; nothing was put together that somebody could be missing from.
            missing.clear();
        }
        let answer = self
            .job
            .fetch
            .answer(held.iter().map(Held::tasks).collect());
        Ok(Fetched {
            held,
            refused,
            missing,
            answer,
        })
    }
}

impl Fetched {
    /// The answer, and what the sites said, to learn from. The tasks are the worker's when the answer has left; if it
    /// does not, they are given back.
    pub fn answer(mut self) -> (Response<Body>, Vec<Told>) {
        let mut answer = match &self.refused {
            Some(told) => told.response(),
            None => gather::answer(self.answer.clone(), &[]),
        };
        gather::name_missing(answer.headers_mut(), &self.missing);
        let told = self.held.iter_mut().filter_map(Held::told).collect();
        if !self.held.is_empty() {
            let owed = Owed::new(self.answer, Box::new(Locked(self.held)));
            *answer.body_mut() = Body::Owed(Box::new(owed));
        }
        (answer, told)
    }
}

/// What an answer on its way has locked.
struct Locked(Vec<Held>);

impl Debt for Locked {
    fn settle(self: Box<Self>) {
        self.0.into_iter().for_each(Held::deliver);
    }
}

/// Tasks given back so far by this process because nobody took them.
pub fn given_back() -> usize {
    GIVEN_BACK.load(Ordering::Relaxed)
}

static GIVEN_BACK: AtomicUsize = AtomicUsize::new(0);
