//! Claims of external tasks by workers. Whoever claims gets it alone.
//!
//! Fetches for the same tasks that wait at the same time are one claim, dealt out in the order they came: a crowd of
//! workers would otherwise look through each other's locked rows.

use super::Store;
use super::cell::{Cell, Row};
use super::database::Failure;
use super::statement::{Expect, Statement};
use crate::clock::Millis;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// What a worker asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct Fetch {
    /// Who asks.
    pub worker: String,
    /// How many at most.
    pub max: i64,
    /// Of what, and which of it first.
    pub wanted: Wanted,
}

/// Which external tasks are asked for. Workers that ask for the same are served together.
#[derive(Clone, PartialEq, Debug)]
pub struct Wanted {
    /// The urgent ones first?
    pub by_priority: bool,
    /// The oldest (`Some(false)`) or youngest (`Some(true)`) first.
    pub by_age: Option<bool>,
    /// Of which kinds.
    pub topics: Vec<Topic>,
}

/// One kind of work that a worker asks for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// For how long it is locked.
    pub lock_ms: i64,
    /// Only instances with this business key.
    pub business_key: Option<String>,
    /// Only instances of these definitions.
    pub definition_ids: Vec<String>,
    /// Only instances of definitions with these keys.
    pub definition_keys: Vec<String>,
    /// Only instances of definitions with this version tag.
    pub version_tag: Option<String>,
    /// Only of these tenants.
    pub tenants: Vec<String>,
    /// Only of no tenant.
    pub without_tenant: bool,
    /// Only instances with these variables: name, type, text form.
    pub variables: Vec<(String, Cell, &'static str)>,
}

/// One fetch that waits.
#[derive(Debug)]
struct Waiting {
    worker: String,
    max: i64,
    now: Millis,
    answer: oneshot::Sender<Result<Vec<String>, Failure>>,
}

/// Those that wait for the same, while a task serves them.
#[derive(Debug)]
struct Line {
    number: u64,
    wanted: Wanted,
    waiting: Vec<Waiting>,
}

#[derive(Debug, Default)]
struct Lines {
    last: u64,
    all: Vec<Line>,
}

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    lines: Mutex<Lines>,
}

/// Serves a line; when it ends, however it ends, nobody is left waiting in it.
struct Serving {
    fetches: Arc<Fetches>,
    number: u64,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.fetches.lines().all.retain(|l| l.number != self.number);
    }
}

impl Fetches {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the line for this; a number, if it is a new one that somebody must serve.
    fn join(&self, wanted: &Wanted, waiting: Waiting) -> Option<u64> {
        let mut lines = self.lines();
        if let Some(line) = lines.all.iter_mut().find(|line| line.wanted == *wanted) {
            line.waiting.push(waiting);
            return None;
        }
        lines.last += 1;
        let number = lines.last;
        lines.all.push(Line {
            number,
            wanted: wanted.clone(),
            waiting: vec![waiting],
        });
        Some(number)
    }

    /// Those who wait now; nobody: the line is gone.
    fn next(&self, number: u64) -> Vec<Waiting> {
        let mut lines = self.lines();
        let line = lines.all.iter_mut().find(|line| line.number == number);
        let waiting = line.map(|line| std::mem::take(&mut line.waiting));
        let waiting = waiting.unwrap_or_default();
        if waiting.is_empty() {
            lines.all.retain(|line| line.number != number);
        }
        waiting
    }
}

const FREE: &str = "w.suspended = 0 AND (w.retries IS NULL OR w.retries > 0) AND (w.lock_until IS NULL OR w.lock_until <= ?)";
const LOCK: &str = "UPDATE work SET worker = x.column2, lock_until = x.column3 FROM {rows} WHERE work.id = x.column1";

impl Store {
    /// Claims external tasks; gives their ids, in the order asked for.
    pub async fn fetch_and_lock(&self, fetch: &Fetch, now: Millis) -> Result<Vec<String>, Failure> {
        if fetch.wanted.topics.is_empty() || fetch.max <= 0 {
            return Ok(Vec::new());
        }
        let (answer, wait) = oneshot::channel();
        let waiting = Waiting {
            worker: fetch.worker.clone(),
            max: fetch.max,
            now,
            answer,
        };
        if let Some(number) = self.fetches.join(&fetch.wanted, waiting) {
            let (store, wanted) = (self.clone(), fetch.wanted.clone());
            let fetches = Arc::clone(&self.fetches);
            // Not within this request: others rely on it when its client has left.
            tokio::spawn(async move {
                let serving = Serving { fetches, number };
                loop {
                    let waiting = serving.fetches.next(number);
                    if waiting.is_empty() {
                        return;
                    }
                    store.serve(&wanted, waiting).await;
                }
            });
        }
        wait.await.map_err(|_| Failure::Closed)?
    }

    /// One claim for all of them.
    async fn serve(&self, wanted: &Wanted, mut waiting: Vec<Waiting>) {
        // What is dealt to a client that has left is locked for nobody.
        waiting.retain(|one| !one.answer.is_closed());
        let Some(now) = waiting.iter().map(|one| one.now).max() else {
            return;
        };
        let most = waiting
            .iter()
            .fold(0_i64, |sum, one| sum.saturating_add(one.max));
        let workers: Vec<(String, i64)> = waiting
            .iter()
            .map(|one| (one.worker.clone(), one.max))
            .collect();
        let (keep, kept) = oneshot::channel();
        let (order, topics) = (wanted.clone(), wanted.topics.clone());
        let then = move |mut answers: Vec<Vec<Row>>| {
            let mut rows = answers.pop().unwrap_or_default();
            order.sort(&mut rows);
            let hands = deal(&rows, &workers);
            let locks = locks(&rows, &hands, &workers, &topics, now);
            drop(keep.send(hands));
            Ok(locks.into_iter().collect())
        };
        let choose = self.choose(wanted, now, most);
        let done = self
            .db
            .claim(vec![choose], self.known.get(), Box::new(then))
            .await;
        if matches!(done, Err(Failure::Fenced { .. })) {
            self.known.bell.notify_one();
        }
        let mut hands = kept.await.unwrap_or_default().into_iter();
        for one in waiting {
            let hand = hands.next().unwrap_or_default();
            let answer = match &done {
                Ok(()) => Ok(hand),
                Err(failure) => Err(failure.again()),
            };
            drop(one.answer.send(answer));
        }
    }

    /// Finds what is free, and keeps others from finding it. Where nothing is free, nothing is written.
    fn choose(&self, wanted: &Wanted, now: Millis, most: i64) -> Statement {
        let mut cells: Vec<Cell> = vec![now.into()];
        let filters: Vec<String> = wanted
            .topics
            .iter()
            .map(|topic| topic_filter(topic, &mut cells))
            .collect();
        cells.push(most.into());
        let order = match (wanted.by_priority, wanted.by_age) {
            (true, Some(true)) => "w.prio DESC, w.created DESC",
            (true, _) => "w.prio DESC, w.created",
            (false, Some(true)) => "w.created DESC",
            (false, _) => "w.created",
        };
        let (filters, skip) = (filters.join(" OR "), self.db.skip_locked());
        let sql = format!(
            "SELECT w.id, w.prio, w.created, w.topic FROM work w WHERE {FREE} AND ({filters}) ORDER BY {order} LIMIT ?{skip}"
        );
        Statement::new(sql, cells).expecting(Expect::Rows)
    }
}

impl Wanted {
    fn sort(&self, rows: &mut [Row]) {
        rows.sort_by_key(|row| {
            let age = if self.by_age == Some(true) {
                -row.int(2)
            } else {
                row.int(2)
            };
            let urgency = if self.by_priority { -row.int(1) } else { 0 };
            (urgency, age, row.text(0))
        });
    }
}

/// The ids that each gets, first come, first served.
fn deal(rows: &[Row], workers: &[(String, i64)]) -> Vec<Vec<String>> {
    let mut ids = rows.iter().map(|row| row.text(0));
    let hand = |(_, max): &(String, i64)| {
        let max = usize::try_from(*max).unwrap_or(usize::MAX);
        ids.by_ref().take(max).collect()
    };
    workers.iter().map(hand).collect()
}

fn locks(
    rows: &[Row],
    hands: &[Vec<String>],
    workers: &[(String, i64)],
    topics: &[Topic],
    now: Millis,
) -> Option<Statement> {
    let owners = hands
        .iter()
        .zip(workers)
        .flat_map(|(hand, (worker, _))| hand.iter().map(move |_| worker));
    let lock = |(row, worker): (&Row, &String)| {
        let name = row.text(3);
        let topic = topics.iter().find(|topic| topic.name == name);
        let until = now.saturating_add(topic.map_or(0, |topic| topic.lock_ms));
        vec![row.text(0).into(), worker.into(), until.into()]
    };
    let locks: Vec<Vec<Cell>> = rows.iter().zip(owners).map(lock).collect();
    (!locks.is_empty()).then(|| Statement::each(LOCK, locks).expecting(Expect::One))
}

fn topic_filter(topic: &Topic, cells: &mut Vec<Cell>) -> String {
    let mut sql = String::from("(w.topic = ?");
    cells.push((&topic.name).into());
    if let Some(key) = &topic.business_key {
        sql.push_str(" AND w.inst IN (SELECT id FROM inst WHERE bkey = ?)");
        cells.push(key.into());
    }
    let mut one_of = |column: &str, values: &[String], cells: &mut Vec<Cell>| {
        if !values.is_empty() {
            sql.push_str(&format!(
                " AND {column} IN {}",
                super::statement::marks(values.len())
            ));
            cells.extend(values.iter().map(Cell::from));
        }
    };
    one_of("w.def", &topic.definition_ids, cells);
    one_of(
        "(SELECT key FROM definition d WHERE d.id = w.def)",
        &topic.definition_keys,
        cells,
    );
    one_of("w.tenant", &topic.tenants, cells);
    if let Some(tag) = &topic.version_tag {
        sql.push_str(" AND (SELECT tag FROM definition d WHERE d.id = w.def) = ?");
        cells.push(tag.into());
    }
    if topic.without_tenant {
        sql.push_str(" AND w.tenant IS NULL");
    }
    for (name, value, column) in &topic.variables {
        sql.push_str(&format!(" AND EXISTS (SELECT 1 FROM var v WHERE v.inst = w.inst AND v.scope = w.inst AND v.name = ? AND v.{column} = ?)"));
        cells.extend([name.into(), value.clone()]);
    }
    sql.push(')');
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_dealt_in_the_order_that_workers_came() {
        let row = |id: &str| Row(vec![id.into(), 0.into(), 0.into(), "t".into()]);
        let rows = [row("1"), row("2"), row("3")];
        let workers = [
            ("a".to_owned(), 2),
            ("b".to_owned(), 5),
            ("c".to_owned(), 1),
        ];
        let hands = deal(&rows, &workers);
        assert_eq!(hands, [vec!["1", "2"], vec!["3"], vec![]]);
        let topic = Topic {
            name: "t".to_owned(),
            lock_ms: 10,
            ..Topic::default()
        };
        let locks = locks(&rows, &hands, &workers, &[topic], 5).unwrap();
        let text = format!("{:?}", locks.parameters);
        let of = |id: &str, worker: &str| {
            text.contains(&format!(
                "{:?}",
                vec![Cell::from(id), worker.into(), 15.into()]
            ))
        };
        assert!(of("1", "a") && of("2", "a") && of("3", "b"), "{text}");
    }
}
