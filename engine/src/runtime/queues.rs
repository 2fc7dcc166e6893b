//! Operations on work queues.
//!
//! Owns what becomes of a message when a try of it ends. A try by the engine itself commits its effect and the end of
//! the message in one transaction, or neither.

use super::{CONFLICT_TRIES, Correlation, Handle, Start};
use crate::clock::Millis;
use crate::cluster::bells::Bell;
use crate::error::Error;
use crate::queue::{Deliver, Effect};
use crate::store::{
    Failure, LeaseWish, Message, NewMessage, QueueSettings, Statement, message_died, message_done,
    message_extended, message_failed, message_released, message_removed, message_revived,
};
use serde_json::Value as Json;
use tokio::sync::watch;

/// Longest error message that is kept, in characters.
const ERROR_MAX: usize = 666;
/// Most dead letters that one request brings back.
const REVIVE_MAX: i64 = 1_000;

/// How a try of a message failed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FailedTry {
    /// Why.
    pub error: String,
    /// More of it.
    pub details: Option<String>,
    /// The pause until the next try; `None`: as the queue says.
    pub pause_ms: Option<Millis>,
    /// Is any further try in vain?
    pub last: bool,
}

impl Handle {
    /// A bell that rings when messages may be there to be leased.
    pub(crate) fn queue_bell(&self) -> watch::Receiver<u64> {
        self.inner.bells.queues()
    }

    pub(crate) fn ring_queues(&self) {
        self.inner.bells.ring(Bell::Queues);
    }

    /// The settings of a queue that is there.
    pub async fn existing_queue(&self, name: &str) -> Result<QueueSettings, Error> {
        let found = self.inner.store.queue(name).await?;
        found.ok_or_else(|| no_queue(name))
    }

    /// Puts messages, all or none, together with statements of the caller; says of each whether its key was new.
    pub(crate) async fn put(
        &self,
        queue: &str,
        messages: &[NewMessage],
        with: &[Statement],
    ) -> Result<Vec<bool>, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let now = self.inner.clock.now();
            let put = self
                .inner
                .store
                .put_messages(queue, messages, with.to_vec(), now);
            match put.await {
                Ok(Some(new)) => {
                    self.ring_queues();
                    return Ok(new);
                }
                Ok(None) => return Err(no_queue(queue)),
                // A statement of the caller found nothing: that does not change by itself.
                Err(Failure::Conflict) => return Err(Failure::Conflict.into()),
                Err(failure) if failure.lost_race() && tries < CONFLICT_TRIES => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Leases messages; those that were lost at their last try go to the dead letters first.
    pub(crate) async fn lease(
        &self,
        queue: &str,
        settings: &QueueSettings,
        owner: &str,
        most: i64,
        for_ms: Millis,
    ) -> Result<Vec<Message>, Failure> {
        if settings.paused || most <= 0 {
            return Ok(Vec::new());
        }
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        let (ready, spent) = store
            .look_for_messages(queue, settings.attempts, now)
            .await?;
        if spent {
            for message in store.spent_messages(queue, settings.attempts, now).await? {
                let lost = format!(
                    "the lease of {} ran out at try {} of {}",
                    message.owner.as_deref().unwrap_or("its worker"),
                    message.attempts,
                    settings.attempts
                );
                let lease = message.lease.as_deref().unwrap_or_default();
                let died = message_died(&message.id, lease, &lost, None, &self.new_id(), now);
                store.once(died).await?;
            }
        }
        if !ready {
            return Ok(Vec::new());
        }
        let wish = LeaseWish {
            owner: owner.to_owned(),
            lease: self.new_id(),
            most,
            for_ms,
        };
        store.lease_messages(queue, &wish, settings, now).await
    }

    /// Carries out what only the holder of a message's lease may.
    async fn as_holder(&self, queue: &str, id: &str, out: Vec<Statement>) -> Result<(), Error> {
        if self.inner.store.once(out).await? {
            self.ring_queues();
            return Ok(());
        }
        self.existing_queue(queue).await?;
        match self.inner.store.message(queue, id).await? {
            None => Err(no_message(queue, id)),
            Some(message) => Err(Error::Busy(format!(
                "the lease shown does not hold message {id} of queue '{queue}' any more: it is {}",
                message.state
            ))),
        }
    }

    /// A worker has done a message.
    pub async fn complete_message(&self, queue: &str, id: &str, lease: &str) -> Result<(), Error> {
        let done = message_done(id, lease, None, self.inner.clock.now());
        self.as_holder(queue, id, vec![done]).await
    }

    /// A worker keeps a message longer; gives until when.
    pub async fn extend_message(
        &self,
        queue: &str,
        id: &str,
        lease: &str,
        for_ms: Millis,
    ) -> Result<Millis, Error> {
        let until = self.inner.clock.now().saturating_add(for_ms);
        let extended = message_extended(id, lease, until);
        self.as_holder(queue, id, vec![extended]).await?;
        Ok(until)
    }

    /// A worker gives a message back untried.
    pub async fn release_message(&self, queue: &str, id: &str, lease: &str) -> Result<(), Error> {
        let released = message_released(id, lease, self.inner.clock.now());
        self.as_holder(queue, id, vec![released]).await
    }

    /// A try failed; gives when the next one may be, or `None` if that was the last.
    pub async fn fail_message(
        &self,
        queue: &str,
        id: &str,
        lease: &str,
        failed: &FailedTry,
    ) -> Result<Option<Millis>, Error> {
        let settings = self.existing_queue(queue).await?;
        let message = self.inner.store.message(queue, id).await?;
        let message = message.ok_or_else(|| no_message(queue, id))?;
        let now = self.inner.clock.now();
        let error: String = failed.error.chars().take(ERROR_MAX).collect();
        let details = failed.details.as_deref();
        if failed.last || message.attempts >= settings.attempts {
            let died = message_died(id, lease, &error, details, &self.new_id(), now);
            self.as_holder(queue, id, died).await?;
            return Ok(None);
        }
        let pause = failed
            .pause_ms
            .unwrap_or_else(|| settings.pause(message.attempts));
        let again = now.saturating_add(pause);
        let statement = message_failed(id, lease, &error, details, again);
        self.as_holder(queue, id, vec![statement]).await?;
        Ok(Some(again))
    }

    /// Tries dead letters again: one, or the oldest [`REVIVE_MAX`]; says how many.
    pub async fn revive_messages(&self, queue: &str, id: Option<&str>) -> Result<usize, Error> {
        self.existing_queue(queue).await?;
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        let ids: Vec<String> = match id {
            Some(id) => vec![id.to_owned()],
            None => {
                let dead = store.messages(queue, Some("dead"), 0, REVIVE_MAX).await?;
                dead.into_iter().map(|message| message.id).collect()
            }
        };
        let mut revived = 0;
        for id in &ids {
            revived += usize::from(store.once(message_revived(queue, id, now)).await?);
        }
        if id.is_some() && revived == 0 {
            return Err(Error::NotFound(format!(
                "queue '{queue}' has no dead letter with id {}",
                id.unwrap_or_default()
            )));
        }
        self.ring_queues();
        Ok(revived)
    }

    /// Removes a message that nobody has, and forgets its key.
    pub async fn remove_message(&self, queue: &str, id: &str) -> Result<(), Error> {
        let removed = message_removed(queue, id, self.inner.clock.now());
        if self.inner.store.once(removed).await? {
            return Ok(());
        }
        self.existing_queue(queue).await?;
        match self.inner.store.message(queue, id).await? {
            None => Err(no_message(queue, id)),
            Some(message) => Err(Error::Busy(format!(
                "message {id} of queue '{queue}' is leased by {}",
                message.owner.unwrap_or_default()
            ))),
        }
    }

    /// Tries a message that this engine has leased, and says to the store how it went.
    pub(crate) async fn deliver_message(
        &self,
        queue: &str,
        settings: &QueueSettings,
        message: &Message,
    ) {
        let lease = message.lease.as_deref().unwrap_or_default();
        let failed = match self.effect(settings, message, lease).await {
            Ok(()) => {
                self.ring_queues();
                return;
            }
            Err(failed) => failed,
        };
        tracing::debug!(
            queue,
            message = message.id,
            error = failed.error,
            "a message was not delivered"
        );
        match self.fail_message(queue, &message.id, lease, &failed).await {
            // Whoever has it now tries it.
            Ok(_) | Err(Error::Busy(_) | Error::NotFound(_)) => {}
            Err(error) => {
                tracing::warn!(queue, message = message.id, %error, "a failed try could not be noted; its lease runs out")
            }
        }
    }

    async fn effect(
        &self,
        settings: &QueueSettings,
        message: &Message,
        lease: &str,
    ) -> Result<(), FailedTry> {
        let never = |error: String| FailedTry {
            error,
            last: true,
            ..FailedTry::default()
        };
        let json = settings.deliver.as_deref().unwrap_or_default();
        let json = serde_json::from_str::<Json>(json).map_err(|e| never(e.to_string()))?;
        let deliver = Deliver::parse(&json).map_err(never)?;
        let body = message.body.as_deref().unwrap_or_default();
        let read = deliver.read(&message.key, &message.media, body);
        let (business_key, variables) = read.map_err(never)?;
        let now = self.inner.clock.now();
        let done = match &deliver.effect {
            Effect::Start(key) => {
                let start = Start {
                    business_key: Some(business_key),
                    variables,
                    instructions: Vec::new(),
                };
                self.start_by_message(key, &deliver, &start, |instance| {
                    message_done(&message.id, lease, Some(instance), now)
                })
                .await
            }
            Effect::Correlate(name) => {
                let correlation = Correlation {
                    name: name.clone(),
                    business_key: Some(business_key),
                    tenant: deliver.tenant.clone().map(Some),
                    variables,
                    ..Correlation::default()
                };
                let done = message_done(&message.id, lease, None, now);
                self.correlate_with(&correlation, &[done]).await.map(drop)
            }
        };
        done.map_err(|error| FailedTry {
            error: error.to_string(),
            ..FailedTry::default()
        })
    }

    async fn start_by_message(
        &self,
        key: &str,
        deliver: &Deliver,
        start: &Start,
        done: impl FnOnce(&str) -> Statement,
    ) -> Result<(), Error> {
        let definition = self
            .inner
            .store
            .latest(key, deliver.tenant.as_deref())
            .await?;
        let definition = definition.ok_or_else(|| {
            Error::Engine(format!(
                "no process definition with key '{key}' is deployed"
            ))
        })?;
        let id = self.new_id();
        let with = [done(&id)];
        self.start_as(id, &definition, start, &with).await.map(drop)
    }
}

fn no_queue(name: &str) -> Error {
    Error::NotFound(format!(
        "there is no queue '{name}'; PUT /homing/queues/{name} makes it"
    ))
}

fn no_message(queue: &str, id: &str) -> Error {
    Error::NotFound(format!("queue '{queue}' has no message with id {id}"))
}
