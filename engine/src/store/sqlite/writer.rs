//! The one who writes: a transaction for all that waits, so that each waits for the sync of the disk once.
//!
//! Units that group are statements of all of them together; each other one has a savepoint of its own.

use super::bind::{bound, row};
use crate::store::cell::{Cell, Row};
use crate::store::database::{Failure, GENERATION, Mark, Then, Under};
use crate::store::group::{Answer, Attempt, Unit, Worker, settle};
use crate::store::merge::{Merged, What, apart, groups, merged};
use crate::store::statement::{Expect, ROWS_MAX};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor, Row as _};
use tokio::sync::oneshot;

/// A unit on its way to the writer.
pub(super) struct Request {
    pub(super) unit: Unit,
    pub(super) then: Option<Then>,
}

type Answers = Vec<(oneshot::Sender<Answer>, Answer)>;

/// The only one.
pub(super) struct Writer(SqliteConnection);

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Writer {
        Writer(connection)
    }
}

impl Worker<Request> for Writer {
    async fn work(&mut self, mut group: Vec<Request>) {
        let mut answers = Vec::with_capacity(group.len());
        let outcome = commit(&mut self.0, &mut group, &mut answers).await;
        if let Err(failure) = &outcome {
            tracing::warn!(%failure, "a group of units was not committed");
            // An error in the middle leaves a transaction open; without one this does nothing.
            drop(self.0.execute("ROLLBACK").await);
        }
        let committed = outcome.is_ok();
        for (to, answer) in answers {
            let answer = if committed {
                answer
            } else {
                answer.and(Err(Failure::Closed))
            };
            drop(to.send(answer));
        }
        for request in group {
            drop(request.unit.answer.send(Err(Failure::Closed)));
        }
    }

    fn rest(&mut self) {}
}

async fn commit(
    connection: &mut SqliteConnection,
    group: &mut Vec<Request>,
    answers: &mut Answers,
) -> Result<(), Failure> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let fenced = |request: &Request| matches!(request.unit.under, Under::Generation(_));
    let mut site = None;
    if group.iter().any(fenced) {
        site = Some(generation(connection).await?);
    }
    let together = |request: &mut Request| {
        site.is_some_and(|site| request.unit.under == Under::Generation(site))
            && request.then.is_none()
            && groups(&request.unit.statements)
    };
    let units: Vec<Unit> = group.extract_if(.., together).map(|r| r.unit).collect();
    answers.extend(settle(&mut Together(connection), units).await);
    for request in group.drain(..) {
        let (unit, then) = (request.unit, request.then);
        let answer = alone(connection, &unit, then, &mut site).await?;
        answers.push((unit.answer, answer));
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

/// One unit by itself. Only this connection writes, so the site is read again only where a unit may have changed it.
async fn alone(
    connection: &mut SqliteConnection,
    unit: &Unit,
    then: Option<Then>,
    site: &mut Option<Mark>,
) -> Result<Answer, Failure> {
    if let Under::Generation(known) = unit.under {
        let at = match *site {
            Some(at) => at,
            None => generation(connection).await?,
        };
        *site = Some(at);
        if at != known {
            return Ok(Err(Failure::Fenced { known, site: at }));
        }
    } else {
        *site = None;
    }
    connection.execute("SAVEPOINT unit").await?;
    let mut answer = run(connection, &apart(&unit.statements)).await;
    if let (Ok(rows), Some(then)) = (&mut answer, then) {
        answer = match then(std::mem::take(rows)) {
            Ok(statements) => run(connection, &apart(&statements)).await,
            Err(failure) => Err(failure),
        };
    }
    if answer.is_err() {
        connection.execute("ROLLBACK TO unit").await?;
    }
    connection.execute("RELEASE unit").await?;
    Ok(answer)
}

/// Units in one savepoint.
struct Together<'c>(&'c mut SqliteConnection);

impl Attempt for Together<'_> {
    async fn attempt(&mut self, units: &[Unit]) -> Result<(), Failure> {
        let statements = merged(units.iter().map(|unit| unit.statements.as_slice()))?;
        self.0.execute("SAVEPOINT units").await?;
        let done = run(self.0, &statements).await;
        if done.is_err() {
            self.0.execute("ROLLBACK TO units").await?;
        }
        self.0.execute("RELEASE units").await?;
        done.map(drop)
    }
}

async fn generation(connection: &mut SqliteConnection) -> Result<Mark, Failure> {
    let found = connection.fetch_one(GENERATION).await?;
    Ok(Mark {
        generation: found.try_get(0)?,
        restored: found.try_get(1)?,
    })
}

async fn run(connection: &mut SqliteConnection, statements: &[Merged<'_>]) -> Answer {
    let mut out = Vec::new();
    for statement in statements {
        let rows = match &statement.what {
            What::Values(values) => one(connection, statement, &What::Values(values)).await?,
            What::Rows(rows) => many(connection, statement, rows).await?,
        };
        if statement.expect == Expect::Rows {
            out.push(rows);
        }
    }
    Ok(out)
}

/// In parts whose sizes are powers of two: few texts, so that each is prepared once.
async fn many(
    connection: &mut SqliteConnection,
    statement: &Merged<'_>,
    mut rows: &[&[Cell]],
) -> Result<Vec<Row>, Failure> {
    let mut out = Vec::new();
    while !rows.is_empty() {
        let largest = 1 << rows.len().min(ROWS_MAX).ilog2();
        let (part, rest) = rows.split_at(largest);
        out.extend(one(connection, statement, &What::Rows(part.to_vec())).await?);
        rows = rest;
    }
    Ok(out)
}

async fn one(
    connection: &mut SqliteConnection,
    statement: &Merged<'_>,
    what: &What<'_>,
) -> Result<Vec<Row>, Failure> {
    let (sql, arguments) = bound(statement.sql, what)?;
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
    if statement.expect == Expect::Rows {
        let rows = connection.fetch_all(query).await?;
        return rows.iter().map(row).collect();
    }
    let must = match what {
        What::Values(_) => 1,
        What::Rows(rows) => rows.len() as u64,
    };
    let touched = connection.execute(query).await?.rows_affected();
    if statement.expect == Expect::One && touched != must {
        return Err(Failure::Conflict);
    }
    Ok(Vec::new())
}
