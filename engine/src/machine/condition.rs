//! Conditional events: looked at when listening begins and whenever a variable changed.

use super::agenda::Run;
use super::document::SubscriptionKind;
use super::refusal::Refusal;
use crate::expr::Error;
use crate::model::{Condition, Element, Kind, Process, Trigger};

impl Run<'_> {
    /// Fires the conditional events whose conditions hold.
    pub(super) fn check_conditions(&mut self) -> Result<(), Refusal> {
        let open: Vec<_> = self
            .doc
            .nodes
            .iter()
            .flat_map(|(key, node)| {
                let conditional = node
                    .subscriptions
                    .iter()
                    .filter(|s| s.kind == SubscriptionKind::Condition);
                conditional.map(|s| (*key, s.clone()))
            })
            .collect();
        let process = self.process();
        for (node, subscription) in open {
            // An earlier one may have ended this execution.
            let still = self
                .doc
                .nodes
                .get(&node)
                .is_some_and(|n| n.subscriptions.contains(&subscription));
            let Some(condition) = condition_of(process, &subscription.event).filter(|_| still)
            else {
                continue;
            };
            let evaluated = self.condition(node, condition);
            let spot = process.get(&subscription.event).map(Element::spot);
            if holds(evaluated).map_err(|refusal| refusal.at(spot))? {
                self.fire(node, &subscription)?;
            }
        }
        Ok(())
    }
}

/// What a condition speaks of may not be there yet: then it does not hold, as in the real engine.
fn holds(evaluated: Result<bool, Refusal>) -> Result<bool, Refusal> {
    match evaluated.as_ref().map_err(Refusal::cause) {
        Err(
            Refusal::Expression(Error::UnknownName { .. } | Error::UnknownProperty { .. })
            | Refusal::Script { .. },
        ) => Ok(false),
        _ => evaluated,
    }
}

fn condition_of<'m>(process: &'m Process, event: &str) -> Option<&'m Condition> {
    let trigger = match &process.get(event)?.kind {
        Kind::Start { trigger, .. } | Kind::Boundary { trigger, .. } => trigger,
        Kind::Catch(catch) => &catch.trigger,
        _ => return None,
    };
    match trigger {
        Trigger::Condition(condition) => Some(condition),
        _ => None,
    }
}
