//! Multi-instance activities: a body that holds the counters, and one inner execution for each instance.

use super::MAX_INSTANCES;
use super::agenda::{Operation, Run};
use super::document::{Document, NodeKey, Role};
use super::refusal::Refusal;
use crate::expr::Operand;
use crate::model::Multi;
use crate::value::Value;

const TOTAL: &str = "nrOfInstances";
const ACTIVE: &str = "nrOfActiveInstances";
const COMPLETED: &str = "nrOfCompletedInstances";
pub(super) const COUNTER: &str = "loopCounter";

impl Run<'_> {
    /// Goes into the body.
    pub(super) fn enter_body(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let element = self.element(node)?;
        let Some(multi) = &element.multi else {
            return Ok(());
        };
        self.node_mut(node)?.role = Role::Body;
        self.begin_activity(
            node,
            &format!("{}#multiInstanceBody", element.id),
            "multiInstanceBody",
        )?;
        let total = self.instances(node, multi)?;
        self.listen_at_border(node)?;
        if total == 0 {
            self.plan(Operation::Complete(node));
            return Ok(());
        }
        let active = if multi.sequential { 1 } else { total };
        self.set_in(node, TOTAL, count(total));
        self.set_in(node, COMPLETED, count(0));
        self.set_in(node, ACTIVE, count(active));
        let mut inner = Vec::with_capacity(active);
        for index in 0..active {
            inner.push(self.add_inner(node, multi, index)?);
        }
        for key in inner.into_iter().rev() {
            self.plan(Operation::Arrive(key));
        }
        Ok(())
    }

    /// How many instances there are to be.
    fn instances(&mut self, node: NodeKey, multi: &Multi) -> Result<usize, Refusal> {
        let total = if let Some(cardinality) = &multi.cardinality {
            let n = self.number(node, cardinality)?;
            usize::try_from(n).map_err(|_| self.value_error(node, &format!("Invalid number of instances: must be non-negative integer value, but was {n}")))?
        } else {
            self.items(node, multi)?.len()
        };
        if total > MAX_INSTANCES {
            let element = self.element(node)?.id.clone();
            return Err(Refusal::TooMany {
                name: "multi_instances",
                element,
                count: total,
                limit: MAX_INSTANCES,
            });
        }
        Ok(total)
    }

    fn items(&mut self, node: NodeKey, multi: &Multi) -> Result<Vec<Operand>, Refusal> {
        let Some(collection) = &multi.collection else {
            return Ok(Vec::new());
        };
        match self.evaluate(node, collection)? {
            Operand::List(items) => Ok(items),
            Operand::Map(map) => Ok(map.into_values().collect()),
            Operand::Json(serde_json::Value::Array(items)) => {
                Ok(items.iter().map(Operand::from_json).collect())
            }
            other => Err(self.value_error(
                node,
                &format!(
                    "collection '{}' is no list but {}",
                    collection.text,
                    other.kind()
                ),
            )),
        }
    }

    fn add_inner(
        &mut self,
        body: NodeKey,
        multi: &Multi,
        index: usize,
    ) -> Result<NodeKey, Refusal> {
        let id = self.element(body)?.id.clone();
        let inner = self.spawn(body, &id, Role::Inner)?;
        self.set_item(body, inner, multi, index)?;
        Ok(inner)
    }

    /// The counter and the item of an instance.
    fn set_item(
        &mut self,
        body: NodeKey,
        inner: NodeKey,
        multi: &Multi,
        index: usize,
    ) -> Result<(), Refusal> {
        self.set_in(inner, COUNTER, count(index));
        if let Some(name) = &multi.element {
            // The list is read for each instance, so that a sequential body sees it as it is by then.
            if let Some(item) = self.items(body, multi)?.into_iter().nth(index) {
                self.set_in(inner, name, item.into_value());
            }
        }
        Ok(())
    }

    /// One instance is done.
    pub(super) fn leave_inner(&mut self, inner: NodeKey) -> Result<(), Refusal> {
        let body = self.node(inner)?.parent.unwrap_or(Document::ROOT);
        let element = self.element(body)?;
        let Some(multi) = &element.multi else {
            return Ok(());
        };
        let completed = self.counter(body, COMPLETED) + 1;
        let total = self.counter(body, TOTAL);
        self.set_in(body, COMPLETED, count(completed));
        if !multi.sequential {
            let active = self.counter(body, ACTIVE).saturating_sub(1);
            self.set_in(body, ACTIVE, count(active));
        }
        let enough = match &multi.completion {
            // It sees the item and the counter of the instance that is done.
            Some(condition) => self.truth(inner, condition)?,
            None => false,
        };
        if enough || completed >= total {
            let why = "Multi instance completion condition satisfied.";
            self.calls_end_why = Some(why.to_owned());
            for other in self.doc.children(body) {
                self.cancel(other)?;
            }
            self.plan(Operation::Complete(body));
        } else if multi.sequential {
            // The same execution goes round again.
            self.set_item(body, inner, multi, completed)?;
            self.plan(Operation::Arrive(inner));
        } else {
            self.drop_scope(inner);
            self.doc.nodes.remove(&inner);
        }
        Ok(())
    }

    fn counter(&self, body: NodeKey, name: &str) -> usize {
        let scope = self
            .doc
            .nodes
            .get(&body)
            .map(|n| n.id.as_str())
            .unwrap_or_default();
        match self.vars.get(scope, name).map(|v| &v.value) {
            Some(Value::Integer(n)) => usize::try_from(*n).unwrap_or(0),
            _ => 0,
        }
    }
}

fn count(n: usize) -> Value {
    Value::Integer(i32::try_from(n).unwrap_or(i32::MAX))
}
