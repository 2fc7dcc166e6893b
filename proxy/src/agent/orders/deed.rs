//! What each kind of order does here, and when it counts as done.
//!
//! Owns the deeds. Must not talk to the mapping store. Every deed looks at what is there first, so doing it twice does no
//! harm, and ends with a proof in words or with what is missing.

use crate::agent::enforcer::Standing;
use crate::agent::fence::{Decision, OUTAGE_MAX, Outage};
use crate::agent::hooks::{self, Hooks};
use crate::agent::patroni;
use crate::agent::replica::{Role, Watcher};
use crate::clock;
use homing_config::settings::Promotion;
use homing_mapping_store::Generation;
use homing_mapping_store::agent::OrderKind;
use std::time::Duration;
use tokio::sync::watch;

/// Pause before a database that is still a replica is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a later generation overtook this order")]
    Overtaken,
    #[error("not within {0:?}: {1}")]
    Late(Duration, String),
    #[error("there is nothing to promote with: set `agent.promote`")]
    NoPromotion,
    #[error("there is nothing to verify with: set `agent.lag` or `agent.verify_start`")]
    NothingToVerify,
    #[error("the promotion ended well, but the database is {0}")]
    NotPromoted(String),
    #[error("the database does not take a write")]
    Write(#[source] sqlx::Error),
    #[error(transparent)]
    Command(#[from] hooks::Error),
    #[error(transparent)]
    Patroni(#[from] patroni::Error),
}

/// What deeds are done with.
pub struct Deeds {
    pub hooks: Hooks,
    pub promotion: Option<Promotion>,
    /// The database here, if it may be asked.
    pub database: Option<Watcher>,
    /// For each deed.
    pub limit: Duration,
    /// A drill takes the installation away by it.
    pub outage: watch::Sender<Option<Outage>>,
}

type Heard = watch::Receiver<Standing>;

impl Deeds {
    /// Does it, within the limit.
    pub async fn carry_out(
        &mut self,
        what: OrderKind,
        at: Generation,
        standing: Heard,
    ) -> Result<String, Error> {
        match what {
            OrderKind::Fence => self.fenced(at, standing).await,
            OrderKind::Promote => self.promote(at, standing).await,
            OrderKind::Start => self.start(at, standing).await,
            OrderKind::Stop => self.stop(at, standing).await,
            OrderKind::Verify => self.verify(at, standing).await,
        }
    }

    /// The enforcer fences by itself as soon as the generation is known; this waits for the proof.
    async fn fenced(&self, at: Generation, standing: Heard) -> Result<String, Error> {
        let proven = |standing: &Standing| standing.fenced_at().is_some_and(|fenced| fenced >= at);
        self.until(standing, "the fence is not proven", proven)
            .await
    }

    async fn open(&self, at: Generation, standing: Heard) -> Result<String, Error> {
        let open = |standing: &Standing| standing.open_at() == Some(at);
        self.until(standing, "the installation is not open", open)
            .await
    }

    /// May serve; whether the means could let it is another question, as a role of a replica can not be changed.
    async fn entitled(&self, at: Generation, standing: Heard) -> Result<String, Error> {
        let may = |standing: &Standing| matches!(standing.decision, Decision::Open { generation, .. } if generation == at);
        self.until(standing, "this installation is not entitled", may)
            .await
    }

    async fn until(
        &self,
        mut standing: Heard,
        what: &str,
        condition: impl Fn(&Standing) -> bool,
    ) -> Result<String, Error> {
        let waited = tokio::time::timeout(self.limit, async {
            let now = standing.wait_for(|now| condition(now)).await;
            now.map(|now| now.outcome.clone())
        });
        match waited.await {
            Ok(Ok(outcome)) => Ok(either(outcome)),
            Ok(Err(_)) => Err(Error::Late(self.limit, "the agent ends".into())),
            Err(_) => {
                let now = standing.borrow().clone();
                let text = format!("{what}: {:?}, {}", now.decision, either(now.outcome));
                Err(Error::Late(self.limit, text))
            }
        }
    }

    async fn promote(&mut self, at: Generation, standing: Heard) -> Result<String, Error> {
        self.entitled(at, standing).await?;
        if let Some(Role::Primary { .. }) = self.role().await {
            return Ok("the database takes writes already".into());
        }
        let said = match &self.promotion {
            None => return Err(Error::NoPromotion),
            Some(Promotion::Command(command)) => {
                let run = self.hooks.run("promote", command);
                within(self.limit, "promote", run).await??
            }
            Some(Promotion::Patroni(endpoint)) => {
                within(self.limit, "Patroni", patroni::promote(endpoint)).await??
            }
        };
        if self.database.is_none() {
            return Ok(format!("by the word of the promotion alone: {said}"));
        }
        self.promoted().await
    }

    /// Asks the database itself until it is no replica any more.
    async fn promoted(&mut self) -> Result<String, Error> {
        let mut last = String::new();
        let limit = self.limit;
        let asking = async {
            loop {
                match self.role().await {
                    Some(Role::Primary { position, .. }) => return position,
                    Some(Role::Unknown(why)) => last = why,
                    Some(Role::Replica(_)) => last = "still a replica".into(),
                    Some(Role::NotAsked) | None => last = "not asked".into(),
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        match tokio::time::timeout(limit, asking).await {
            Ok(position) => Ok(format!(
                "the database is a primary at {}",
                position.as_deref().unwrap_or("an unknown position")
            )),
            Err(_) => Err(Error::NotPromoted(last)),
        }
    }

    async fn start(&mut self, at: Generation, standing: Heard) -> Result<String, Error> {
        self.outage.send_replace(None);
        let open = self.open(at, standing).await?;
        if self.hooks.start.is_some() {
            return Ok(format!("{open}; {}", self.hooks.start().await?));
        }
        match self.hooks.serves().await {
            Some(served) => Ok(format!("{open}; {}", served?)),
            None => Ok(format!("{open}; nothing is to be started")),
        }
    }

    async fn stop(&mut self, at: Generation, standing: Heard) -> Result<String, Error> {
        let decision = standing.borrow().decision;
        if matches!(decision, Decision::Open { generation, .. } if generation == at) {
            return self.take_away(at, standing).await;
        }
        if self.hooks.stop.is_some() {
            return Ok(self.hooks.stop().await?);
        }
        // Without a command the fence is all there is.
        self.fenced(at, standing).await
    }

    /// Of an installation that serves: for a drill, until another assignment or the time ends it.
    async fn take_away(&self, at: Generation, standing: Heard) -> Result<String, Error> {
        self.outage.send_replace(Some(Outage {
            generation: at,
            until: clock::moment().plus(OUTAGE_MAX),
        }));
        let fenced = self.fenced(at, standing).await;
        if fenced.is_err() {
            self.outage.send_replace(None);
        }
        fenced
    }

    async fn verify(&mut self, at: Generation, standing: Heard) -> Result<String, Error> {
        let mut proof = vec![self.open(at, standing).await?];
        if let Some(database) = &mut self.database {
            let written = within(self.limit, "the write", database.write()).await?;
            let position = written.map_err(Error::Write)?;
            proof.push(format!("a write is durable at {position}"));
        }
        if let Some(served) = self.hooks.serves().await {
            proof.push(served?);
        }
        match proof.len() {
            1 => Err(Error::NothingToVerify),
            _ => Ok(proof.join("; ")),
        }
    }

    async fn role(&mut self) -> Option<Role> {
        match &mut self.database {
            Some(database) => Some(database.ask().await.role),
            None => None,
        }
    }
}

async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| Error::Late(limit, format!("{what} does not end")))
}

fn either(outcome: Result<String, String>) -> String {
    outcome.unwrap_or_else(|missing| missing)
}
