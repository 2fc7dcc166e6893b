//! Clients that count up a variable of their own order, read it back, and start further orders, through the router.
//!
//! Owns what was acknowledged and the judgement of each answer. Must not know that a place will be lost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use homing_harness::{
    client::{Answer, Client},
    clock::{Stopwatch, eventually},
};
use serde_json::json;
use sqlx::PgConnection;
use tokio::task::JoinSet;

const CLIENTS: usize = 6;
/// A client starts a further order each so many rounds.
const START_EVERY: u64 = 5;
/// Between two rounds of a client: the load is there to be judged, not to measure speed.
const PAUSE: Duration = Duration::from_millis(40);

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Tally {
    answered: AtomicU64,
    wrong: AtomicU64,
    wrong_site: AtomicU64,
    moved: AtomicBool,
    slowest_us: AtomicU64,
    first_us: AtomicU64,
    killed: Mutex<Option<Stopwatch>>,
    refused: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    /// From here on the first success at the other place is waited for.
    pub(crate) fn killed(&self, at: Stopwatch) {
        *self.killed.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    fn refuse(&self, why: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(why).or_default() += 1;
    }

    /// Whether the answer is one; anything else is counted under the reason that the router gives.
    fn judge(
        &self,
        answer: Result<Answer>,
        status: u16,
        moved_before: bool,
        took: Stopwatch,
    ) -> Option<Answer> {
        let answer = match answer {
            Ok(answer) if answer.status == status => answer,
            Ok(answer) => {
                let reason = answer
                    .member("reason")
                    .unwrap_or_else(|_| "without a reason".into());
                // An id that was acknowledged is never unknown.
                if answer.status == 404 {
                    self.wrong.fetch_add(1, Ordering::SeqCst);
                }
                self.refuse(format!("{} {reason}", answer.status));
                return None;
            }
            Err(_) => {
                self.refuse("no answer".into());
                return None;
            }
        };
        let took = u64::try_from(took.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(took, Ordering::SeqCst);
        match answer.header("homing-installation") {
            Some("b-two") => self.at_the_other_place(),
            // Asked after somebody had been answered by the other place.
            Some(_) | None if moved_before => {
                self.wrong_site.fetch_add(1, Ordering::SeqCst);
            }
            Some(_) | None => {}
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
        Some(answer)
    }

    fn at_the_other_place(&self) {
        if self.moved.swap(true, Ordering::SeqCst) {
            return;
        }
        let killed = *self.killed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(killed) = killed {
            let took = u64::try_from(killed.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.first_us.store(took, Ordering::SeqCst);
        }
    }
}

/// The clients.
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<Order>>,
}

/// What one client was promised.
struct Order {
    id: String,
    count: u64,
    writes: u64,
    started: Vec<String>,
}

/// What all were promised, and how it went.
pub(crate) struct Kept {
    orders: Vec<Order>,
    pub(crate) answered: u64,
    pub(crate) wrong: u64,
    pub(crate) wrong_site: u64,
    pub(crate) first_success: Duration,
    pub(crate) slowest: Duration,
    pub(crate) refused: BTreeMap<String, u64>,
}

/// Acknowledged, and not there.
pub(crate) struct Lost {
    pub(crate) starts: Vec<String>,
    pub(crate) writes: Vec<String>,
    pub(crate) starts_of: usize,
    pub(crate) writes_of: u64,
}

async fn start(client: &Client, key: &str) -> Result<Answer> {
    let body =
        json!({ "businessKey": key, "variables": { "amount": { "value": 7, "type": "Integer" } } });
    client
        .post("/process-definition/key/order/start", &body)
        .await
}

impl Load {
    pub(crate) async fn start(client: Client) -> Result<Load> {
        let (tally, stop) = (Arc::<Tally>::default(), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let made = eventually("an order starts", Duration::from_secs(60), async || {
                let answer = start(&client, &format!("client-{number}")).await?;
                Ok((answer.status == 200).then_some(answer))
            });
            let order = Order {
                id: made.await?.member("id")?,
                count: 0,
                writes: 0,
                started: Vec::new(),
            };
            let (client, tally, stop) = (client.clone(), Arc::clone(&tally), Arc::clone(&stop));
            clients.spawn(run(client, order, tally, stop));
        }
        Ok(Load {
            tally,
            stop,
            clients,
        })
    }

    /// Waits for so many more answers.
    pub(crate) async fn goes_on(&self, more: usize, patience: Duration) -> Result<()> {
        let wanted = self.tally.answered() + more as u64;
        eventually("the load goes on", patience, async || {
            Ok((self.tally.answered() >= wanted).then_some(()))
        })
        .await
    }

    pub(crate) async fn stop(mut self) -> Result<Kept> {
        self.stop.store(true, Ordering::SeqCst);
        let mut orders = Vec::new();
        while let Some(order) = self.clients.join_next().await {
            orders.push(order??);
        }
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let tally = &self.tally;
        let refused = tally.refused.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Kept {
            orders,
            answered: tally.answered(),
            wrong: read(&tally.wrong),
            wrong_site: read(&tally.wrong_site),
            first_success: Duration::from_micros(read(&tally.first_us)),
            slowest: Duration::from_micros(read(&tally.slowest_us)),
            refused: refused.clone(),
        })
    }
}

async fn run(
    client: Client,
    mut order: Order,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
) -> Result<Order> {
    let path = format!("/process-instance/{}/variables/n", order.id);
    for count in 1_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (moved, took) = (tally.moved.load(Ordering::SeqCst), Stopwatch::start());
        let put = client
            .put(&path, &json!({ "value": count, "type": "Long" }))
            .await;
        if tally.judge(put, 204, moved, took).is_some() {
            order.count = count;
            order.writes += 1;
        }
        let (moved, took) = (tally.moved.load(Ordering::SeqCst), Stopwatch::start());
        let read = client.get(&path).await;
        // A counter that was acknowledged once is there from then on.
        if order.count > 0
            && let Some(answer) = tally.judge(read, 200, moved, took)
        {
            let found = answer.json()?["value"].as_u64().context("no value")?;
            if !(order.count..=count).contains(&found) {
                tally.wrong.fetch_add(1, Ordering::SeqCst);
            }
        }
        if count % START_EVERY == 0 {
            let (moved, took) = (tally.moved.load(Ordering::SeqCst), Stopwatch::start());
            let begun = start(&client, &format!("{}-{count}", order.id)).await;
            if let Some(answer) = tally.judge(begun, 200, moved, took) {
                order.started.push(answer.member("id")?);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(order)
}

impl Kept {
    /// What the database that serves now does not have, asked past Homing and past the engine.
    pub(crate) async fn lost(&self, database: &mut PgConnection) -> Result<Lost> {
        let mut lost = Lost {
            starts: Vec::new(),
            writes: Vec::new(),
            starts_of: 0,
            writes_of: 0,
        };
        for order in &self.orders {
            lost.starts_of += order.started.len();
            lost.writes_of += order.writes;
            let sql = "SELECT long_ FROM act_ru_variable WHERE name_ = 'n' AND proc_inst_id_ = $1";
            let found: Option<i64> = sqlx::query_scalar(sql)
                .bind(&order.id)
                .fetch_optional(&mut *database)
                .await?;
            let found = u64::try_from(found.unwrap_or(0))?;
            if found < order.count {
                lost.writes
                    .push(format!("{}: {found} of {}", order.id, order.count));
            }
            let sql = "SELECT id_ FROM act_hi_procinst WHERE id_ = ANY($1)";
            let there: Vec<String> = sqlx::query_scalar(sql)
                .bind(&order.started)
                .fetch_all(&mut *database)
                .await?;
            let missing = order.started.iter().filter(|id| !there.contains(id));
            lost.starts.extend(missing.cloned());
        }
        Ok(lost)
    }
}
