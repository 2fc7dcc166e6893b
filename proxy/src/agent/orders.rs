//! Orders: the side effects of a re-homing, carried out here one after the other.
//!
//! Owns taking an order, re-checking its generation before and after, and saying what became of it. Must not choose what
//! is done. Relies on the store to refuse progress of an order whose generation is over, and on every deed being safe to
//! do twice: an order that a former life of this agent had begun is begun again.

mod deed;

pub use deed::Deeds;

use super::enforcer::Standing;
use super::fence::Evidence;
use super::keeper::Identity;
use super::metrics::metrics;
use crate::telemetry::chain;
use homing_mapping_store::agent::{Order, OrderState};
use homing_mapping_store::store::{Error, Handle};
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// What the keeper found for this installation.
#[derive(Clone, Default)]
pub struct Inbox {
    pub store: Option<Handle>,
    /// Oldest first; none is finished.
    pub orders: Vec<Order>,
}

/// The worker.
pub struct Orders {
    pub identity: Identity,
    pub inbox: watch::Receiver<Inbox>,
    pub evidence: watch::Receiver<Evidence>,
    pub standing: watch::Receiver<Standing>,
    pub deeds: Deeds,
    /// Asks the keeper for a round.
    pub bell: Arc<Notify>,
}

impl Orders {
    /// Works until nobody brings orders any more.
    pub async fn run(mut self) {
        // What was brought may have been read before an order ended here.
        let mut ended = Vec::new();
        while self.inbox.changed().await.is_ok() {
            let mut inbox = self.inbox.borrow_and_update().clone();
            ended.retain(|id| inbox.orders.iter().any(|order| order.order.id == *id));
            inbox
                .orders
                .retain(|order| !ended.contains(&order.order.id));
            let (Some(store), Some(order)) = (inbox.store, self.next(inbox.orders)) else {
                continue;
            };
            match self.carry_out(&store, &order).await {
                Ok(()) => ended.push(order.order.id),
                Err(error) => {
                    metrics().ordered("dropped");
                    tracing::warn!(order = %order.order.id, what = %order.order.what, "an order was dropped: {}", chain(&error));
                }
            }
            self.bell.notify_one();
        }
    }

    /// The oldest that is new, or that this very agent had begun.
    fn next(&self, orders: Vec<Order>) -> Option<Order> {
        orders.into_iter().find(|order| match order.state {
            OrderState::Asked => true,
            OrderState::Running => order.detail == self.begun(),
            OrderState::Done | OrderState::Failed => false,
        })
    }

    fn begun(&self) -> String {
        format!("begun by agent {}", self.identity.holder)
    }

    async fn carry_out(&mut self, store: &Handle, order: &Order) -> Result<(), Error> {
        let (id, what) = (order.order.id, order.order.what);
        // The store itself compares the generation in this step: nothing is begun for one that is over.
        store
            .order_progress(id, order.state, OrderState::Running, &self.begun())
            .await?;
        tracing::info!(order = %id, %what, generation = order.order.generation.0, "an order begins");
        let result = self.deed_or_overtaken(order).await;
        let (state, detail) = match &result {
            Ok(proof) => (OrderState::Done, proof.clone()),
            Err(error) => (OrderState::Failed, chain(error)),
        };
        metrics().ordered(state.as_str());
        tracing::info!(order = %id, %what, %state, detail, "an order ended");
        // Compared again: what was done for a generation that is over by now is not done.
        store
            .order_progress(id, OrderState::Running, state, &detail)
            .await
            .map(drop)
    }

    /// Gives the deed up, with everything that it started, when its generation is over.
    async fn deed_or_overtaken(&mut self, order: &Order) -> Result<String, deed::Error> {
        let at = order.order.generation;
        let mut evidence = self.evidence.clone();
        let overtaken = evidence.wait_for(|evidence| evidence.highest > at);
        let standing = self.standing.clone();
        tokio::select! {
            biased;
            _ = overtaken => Err(deed::Error::Overtaken),
            result = self.deeds.carry_out(order.order.what, at, standing) => result,
        }
    }
}
