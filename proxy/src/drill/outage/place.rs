//! One place of an unplanned drill: taken away by its agent, and given back where no failover has begun.
//!
//! Owns the two orders to the agent. Must not switch anything. The agent gives the place back by itself after a time, whoever
//! dies; so does any later assignment.

use crate::clock;
use crate::drill::course::{Course, Leg};
use crate::drill::load;
use crate::drill::run::{Driller, Watched};
use crate::drill::tally::Read;
use homing_mapping_store::agent::{NewOrder, Order, OrderKind, OrderState};
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Generation, SiteId};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// What is measured begins with an answer of the place; it is taken away without one after this.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Driller {
    /// As long as the place serves: its assignment.
    async fn serves(&self, leg: &Leg) -> Result<Option<Assignment>, Error> {
        let all = self.executor.store.assignments().await?;
        let held = all.into_iter().find(|one| one.site.name() == leg.site);
        Ok(held.filter(|one| one.pending.is_none() && one.installation == leg.from))
    }

    /// `None`: the site has another assignment by now, which the next look sees.
    async fn order(
        &self,
        id: Uuid,
        course: &Course,
        leg: &Leg,
        what: OrderKind,
        at: Generation,
    ) -> Result<Option<Order>, Error> {
        let order = NewOrder {
            id: order_id(id, leg, what),
            site: SiteId::named(&leg.site),
            installation: leg.from.clone(),
            generation: at,
            what,
        };
        let detail = json!({ "drill": id.to_string(), "installation": leg.from });
        let entry = course
            .actor(id)
            .entry(&format!("order.{what}"), &leg.site, &detail);
        match self.executor.store.order(&order, &entry).await {
            Ok(order) => Ok(Some(order)),
            Err(Error::Stale { .. } | Error::Busy(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn take_away(
        &self,
        id: Uuid,
        course: &mut Course,
        watched: &Watched,
        at: usize,
    ) -> Result<(), Error> {
        let leg = course.legs[at].clone();
        let Some(held) = self.serves(&leg).await? else {
            return self.serves_no_more(id, course, at).await;
        };
        watched.tally.loses(leg.subject(), &leg.from, &leg.to);
        if !course.probes.is_empty()
            && !watched.tally.has_answered(leg.subject(), &leg.from)
            && clock::now().saturating_duration_since(watched.since) < FIRST_ANSWER_WITHIN
        {
            return Ok(());
        }
        let asked = self.order(id, course, &leg, OrderKind::Stop, held.generation);
        let Some(order) = asked.await? else {
            return Ok(());
        };
        match order.state {
            OrderState::Done => taken(&mut course.legs[at], &order),
            OrderState::Failed => {
                let why = format!("{} could not be taken away: {}", leg.from, order.detail);
                course.legs[at].state.clone_from(&why);
                course.end_early(why);
            }
            OrderState::Asked | OrderState::Running => {}
        }
        Ok(())
    }

    /// Failed over already, after another router had it taken away and died; or it is no longer the drill's.
    async fn serves_no_more(&self, id: Uuid, course: &mut Course, at: usize) -> Result<(), Error> {
        let leg = &mut course.legs[at];
        let own = order_id(id, leg, OrderKind::Stop);
        let orders = self.executor.store.orders(SiteId::named(&leg.site)).await?;
        let own = orders.into_iter().find(|one| one.order.id == own);
        if let Some(order) = own.filter(|one| one.state == OrderState::Done) {
            taken(leg, &order);
            return Ok(());
        }
        let why = format!("{} does not serve any more", leg.from);
        leg.state.clone_from(&why);
        leg.given_back = true;
        course.end_early(why);
        Ok(())
    }

    /// Nothing fails over from it: the place is opened again, and serves before anything is judged.
    pub(super) async fn give_back(
        &self,
        id: Uuid,
        course: &mut Course,
        at: usize,
    ) -> Result<(), Error> {
        let leg = course.legs[at].clone();
        course.legs[at].asked_back = true;
        let held = match leg.operation {
            // What was taken back has a new assignment, which opens the place.
            Some(_) => None,
            None => self.serves(&leg).await?,
        };
        if let Some(held) = held {
            let asked = self.order(id, course, &leg, OrderKind::Start, held.generation);
            let Some(order) = asked.await? else {
                return Ok(());
            };
            course.legs[at].state = format!("given back: {}", order.state);
            if !matches!(order.state, OrderState::Done | OrderState::Failed) {
                return Ok(());
            }
        }
        let mut probes = course.probes.iter();
        let probe = probes.find(|probe| probe.subject() == leg.subject());
        let probe = probe.cloned().into_iter().collect();
        let reads = load::each(&self.pipeline, probe).await.unwrap_or_default();
        course.legs[at].given_back = reads.iter().any(|read| matches!(read, Read::Good { .. }));
        Ok(())
    }
}

fn taken(leg: &mut Leg, order: &Order) {
    leg.taken_ms = Some(order.updated_at.0);
    leg.state = format!("{} is taken away: {}", leg.from, order.detail);
}

/// The same after a router's death.
fn order_id(drill: Uuid, leg: &Leg, what: OrderKind) -> Uuid {
    let mut digest = Sha256::new();
    digest.update(drill.as_bytes());
    digest.update(leg.site.as_bytes());
    digest.update(what.as_str().as_bytes());
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes)
}
