//! What clients were answered, what routers have kept of it, what engines wrote, and whom the store named when: each with its
//! time, and the judgement over all of them together.
//!
//! Owns the tasks that write the first and the third. All clocks are this machine's one.

use anyhow::{Context as _, Result, ensure};
use homing_harness::clock::{eventually, wall_millis};
use homing_mapping_store::{Kind, RoutingKey, SiteId};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

use super::world::{PATIENCE, PLACES, World};

const PAUSE: Duration = Duration::from_millis(20);
/// A client that hears nothing for so long goes on with the next request.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Fewer lines prove nothing.
const ENOUGH: usize = 20;

/// A new order that a router has given to a client.
#[derive(Clone, Debug)]
struct Given {
    router: usize,
    place: String,
    order: String,
    sent_ms: i64,
    answered_ms: i64,
}

/// Running clients and engines.
pub(super) struct Journals {
    given: Arc<Mutex<Vec<Given>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Journals {
    pub(super) fn begin(world: &World) -> Journals {
        let given = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (number, router) in world.routers.iter().enumerate() {
            let (client, given) = (router.client(""), Arc::clone(&given));
            tasks.push(tokio::spawn(async move {
                loop {
                    let sent_ms = wall_millis();
                    let body = json!({});
                    let asked = client.post("/orders", &body);
                    let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
                    if let Ok(Ok(answer)) = answer
                        && answer.status == 200
                        && let Some(place) = answer.header("homing-installation")
                        && let Ok(body) = answer.json()
                    {
                        let one = Given {
                            router: number,
                            place: place.to_owned(),
                            order: body["id"].as_str().unwrap_or_default().to_owned(),
                            sent_ms,
                            answered_ms: wall_millis(),
                        };
                        given
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(one);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        for (place, port) in PLACES.into_iter().zip(world.relays) {
            let url = world.database.url_through(port);
            tasks.push(tokio::spawn(async move {
                loop {
                    // Like an engine: it never gives up.
                    let _ = engine(&url, place).await;
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        Journals { given, tasks }
    }

    /// Never two places at a time, in the database or towards clients; and so many changes of place.
    pub(super) async fn judge(self, world: &World, changes: usize) -> Result<()> {
        for task in &self.tasks {
            task.abort();
        }
        let rows = "SELECT place || ' ' || at_ms FROM work ORDER BY id";
        let rows = world.database.column(rows).await?;
        let mut terms: Vec<Term> = Vec::new();
        for row in &rows {
            let (place, at) = row.split_once(' ').unwrap_or_default();
            let at: i64 = at.parse()?;
            match terms.last_mut().filter(|term| term.place == place) {
                Some(term) => term.last_ms = at,
                None => terms.push(Term {
                    place: place.to_owned(),
                    first_ms: at,
                    last_ms: at,
                }),
            }
        }
        ensure!(
            rows.len() > ENOUGH,
            "engines wrote {} rows only",
            rows.len()
        );
        ensure!(terms.len() == changes + 1, "places in turn: {terms:?}");
        let given = self
            .given
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        ensure!(given.len() > ENOUGH, "{} orders only", given.len());
        for one in &given {
            let by = one.router + 1;
            ensure!(may_have(&terms, one), "r{by}: {one:?} in {terms:?}");
            let made_by = world.made_by(&one.order);
            ensure!(
                made_by == Some(one.place.as_str()),
                "r{by}: {one:?} was made by {made_by:?}"
            );
        }
        named(&terms, &assigned(world).await?)?;
        kept(world, &given).await
    }
}

/// A place's time of writing.
#[derive(Clone, Debug)]
struct Term {
    place: String,
    first_ms: i64,
    last_ms: i64,
}

/// Whom the store has named, and when each switch began.
async fn assigned(world: &World) -> Result<Vec<(String, i64)>> {
    let rows = "SELECT installation || ' ' || since FROM assignment_history ORDER BY generation";
    let mut assigned: Vec<(String, i64)> = Vec::new();
    for row in world.records.column(rows).await? {
        let (place, since) = row.split_once(' ').unwrap_or_default();
        if assigned.last().is_none_or(|(last, _)| last != place) {
            assigned.push((place.to_owned(), since.parse()?));
        }
    }
    Ok(assigned)
}

/// The places that wrote are those that the store named, in this order, and none wrote before it was named.
fn named(terms: &[Term], assigned: &[(String, i64)]) -> Result<()> {
    ensure!(
        terms
            .iter()
            .map(|term| &term.place)
            .eq(assigned.iter().map(|(place, _)| place)),
        "{assigned:?} were named, and {terms:?} wrote"
    );
    for (at, (place, since)) in assigned.iter().enumerate().skip(1) {
        ensure!(
            *since <= terms[at].first_ms,
            "{place} was named at {since} only; {terms:?}"
        );
    }
    Ok(())
}

/// Every start that was acknowledged has come from its router's journal into the store, with its home.
async fn kept(world: &World, given: &[Given]) -> Result<()> {
    let kind = Kind::declare("order").context("no more kinds")?;
    let keys: Vec<RoutingKey> = given
        .iter()
        .map(|one| RoutingKey::new(kind, &one.order))
        .collect();
    eventually("every acknowledged start is kept", PATIENCE, async || {
        let rows = world.store.get_many(&keys).await?;
        for (row, one) in rows.iter().zip(given) {
            let home = row.as_ref().map(|row| row.home);
            ensure!(
                home == Some(SiteId::named("b")),
                "{one:?} is lost: {home:?}"
            );
        }
        Ok(Some(()))
    })
    .await
}

/// Whether the place that gave it may have served at some moment between question and answer: after the place before it had written
/// for the last time, and before the one after it wrote for the first time.
fn may_have(terms: &[Term], one: &Given) -> bool {
    terms.iter().enumerate().any(|(at, term)| {
        let before = at.checked_sub(1).map(|at| terms[at].last_ms);
        let after = terms.get(at + 1).map(|term| term.first_ms);
        term.place == one.place
            && before.is_none_or(|ended| one.answered_ms >= ended)
            && after.is_none_or(|began| one.sent_ms <= began)
    })
}

async fn engine(url: &str, place: &str) -> Result<()> {
    let mut session = PgConnection::connect(url).await?;
    let insert = format!("INSERT INTO work (place) VALUES ('{place}')");
    loop {
        session.execute(sqlx::AssertSqlSafe(insert.clone())).await?;
        tokio::time::sleep(PAUSE).await;
    }
}

#[test]
fn an_answer_of_a_place_that_had_been_replaced_is_found() {
    let term = |place: &str, first_ms, last_ms| Term {
        place: place.to_owned(),
        first_ms,
        last_ms,
    };
    let terms = [term("b-one", 0, 10), term("b-two", 20, 30)];
    let given = |place: &str, sent_ms, answered_ms| Given {
        router: 0,
        place: place.to_owned(),
        order: String::new(),
        sent_ms,
        answered_ms,
    };
    assert!(may_have(&terms, &given("b-one", 5, 6)));
    assert!(may_have(&terms, &given("b-one", 15, 40)));
    assert!(!may_have(&terms, &given("b-one", 21, 40)));
    assert!(!may_have(&terms, &given("b-two", 5, 9)));
    let at = |since| [("b-one".to_owned(), 0), ("b-two".to_owned(), since)];
    assert!(named(&terms, &at(15)).is_ok());
    assert!(named(&terms, &at(21)).is_err());
    assert!(named(&terms[..1], &at(15)).is_err());
}
