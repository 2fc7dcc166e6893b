//! Joins.
//!
//! A parallel join counts tokens, not flows. An inclusive join opens when no other execution of its scope can still
//! reach it.

use super::agenda::{Operation, Run};
use super::document::{Document, NodeKey, Wait};
use super::effect::Outcome;
use super::refusal::Refusal;
use crate::model::{ElementIndex, Kind};
use std::collections::{BTreeMap, HashSet};

impl Run<'_> {
    /// Executions of one scope that wait at the same gateway, this one included.
    fn waiting(&self, node: NodeKey) -> Result<Vec<NodeKey>, Refusal> {
        let here = self.node(node)?;
        let same = |k: &NodeKey| {
            self.doc
                .nodes
                .get(k)
                .is_some_and(|n| n.at == here.at && (n.wait == Wait::Join || *k == node))
        };
        Ok(self
            .doc
            .children(here.parent.unwrap_or(Document::ROOT))
            .into_iter()
            .filter(same)
            .collect())
    }

    pub(super) fn join_parallel(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let needed = self.element(node)?.incoming.len();
        if needed <= 1 {
            // A fork: there is nobody to look for.
            self.plan(Operation::Complete(node));
            return Ok(());
        }
        let waiting = self.waiting(node)?;
        if waiting.len() >= needed {
            self.merge(node, &waiting)
        } else {
            self.node_mut(node)?.wait = Wait::Join;
            Ok(())
        }
    }

    /// Inclusive joins open only when everything else has come to rest.
    pub(super) fn join_inclusive(&mut self, node: NodeKey) -> Result<(), Refusal> {
        if self.element(node)?.incoming.len() <= 1 {
            self.plan(Operation::Complete(node));
        } else {
            self.node_mut(node)?.wait = Wait::Join;
        }
        Ok(())
    }

    /// The others end, this one goes on.
    fn merge(&mut self, node: NodeKey, waiting: &[NodeKey]) -> Result<(), Refusal> {
        for other in waiting.iter().filter(|other| **other != node) {
            self.end_activity(*other, Outcome::Completed)?;
            self.doc.nodes.remove(other);
        }
        self.plan(Operation::Complete(node));
        Ok(())
    }

    /// Opens inclusive joins that nothing can reach any more; says whether one opened.
    pub(super) fn open_inclusive_joins(&mut self) -> Result<bool, Refusal> {
        let mut joins: BTreeMap<(Option<NodeKey>, String), Vec<NodeKey>> = BTreeMap::new();
        for (key, node) in &self.doc.nodes {
            let inclusive = |at: &String| {
                let element = self.process().get(at);
                element.is_some_and(|e| matches!(e.kind, Kind::Inclusive))
            };
            if let (Wait::Join, Some(at)) =
                (&node.wait, node.at.as_ref().filter(|at| inclusive(at)))
            {
                joins
                    .entry((node.parent, at.clone()))
                    .or_default()
                    .push(*key);
            }
        }
        for ((scope, gateway), waiting) in joins {
            let Some(target) = self.process().find(&gateway) else {
                continue;
            };
            let others = self.doc.children(scope.unwrap_or(Document::ROOT));
            let mut places = Vec::new();
            for other in others.iter().filter(|other| !waiting.contains(other)) {
                places.extend(self.place(*other)?);
            }
            if places.iter().all(|place| !self.reaches(*place, target)) {
                if let Some(last) = waiting.last() {
                    self.merge(*last, &waiting)?;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Can a path go from one element to another inside their scope?
    fn reaches(&self, from: ElementIndex, to: ElementIndex) -> bool {
        let process = self.process();
        let mut seen = HashSet::from([from]);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            let along = process
                .element(at)
                .outgoing
                .iter()
                .map(|f| process.flow(*f).target);
            let borders = process.boundaries(at).map(|(index, _)| index);
            for next in along.chain(borders) {
                if next == to {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}
