//! What expressions see: the variables from the execution outwards, and the known objects.

use super::agenda::Run;
use super::document::NodeKey;
use super::effect::Record;
use super::refusal::Refusal;
use crate::clock::Millis;
use crate::expr::{Environment, Known, Member, Operand, Template, to_boolean, to_text};
use crate::value::Value;

/// Where an expression of a step is evaluated.
pub(super) struct Here<'r, 'a> {
    run: &'r mut Run<'a>,
    node: NodeKey,
}

impl Run<'_> {
    /// The value of an expression at an execution.
    pub(super) fn evaluate(
        &mut self,
        node: NodeKey,
        template: &Template,
    ) -> Result<Operand, Refusal> {
        let value = template.evaluate(&mut Here { run: self, node });
        value.map_err(|error| Refusal::from(error).at(template.spot().cloned()))
    }

    /// The text of an expression.
    pub(super) fn text(&mut self, node: NodeKey, template: &Template) -> Result<String, Refusal> {
        Ok(to_text(&self.evaluate(node, template)?))
    }

    /// The text of an expression that may be there; nothing and empty text are nothing.
    pub(super) fn optional_text(
        &mut self,
        node: NodeKey,
        template: Option<&Template>,
    ) -> Result<Option<String>, Refusal> {
        let Some(template) = template else {
            return Ok(None);
        };
        let value = self.evaluate(node, template)?;
        Ok(if value.is_null() {
            None
        } else {
            Some(to_text(&value)).filter(|t| !t.is_empty())
        })
    }

    /// The truth of a condition.
    pub(super) fn truth(&mut self, node: NodeKey, template: &Template) -> Result<bool, Refusal> {
        let truth = self.truth_of(node, template);
        truth.map_err(|refusal| refusal.at(template.spot().cloned()))
    }

    fn truth_of(&mut self, node: NodeKey, template: &Template) -> Result<bool, Refusal> {
        let value = self.evaluate(node, template)?;
        match &value {
            Operand::Scalar(Value::Boolean(b)) => Ok(*b),
            other if other.is_null() => {
                Err(self.value_error(node, "condition expression returns null"))
            }
            other => to_boolean(other)
                .ok()
                .filter(|_| !matches!(other, Operand::Scalar(Value::String(_))))
                .map_or_else(
                    || {
                        Err(self.value_error(
                            node,
                            &format!(
                                "condition expression returns non-Boolean: {}",
                                to_text(other)
                            ),
                        ))
                    },
                    Ok,
                ),
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, node: NodeKey, template: &Template) -> Result<i64, Refusal> {
        let value = self.evaluate(node, template)?;
        crate::expr::to_long(&value).map_err(|error| {
            Refusal::Expression(error.within(&template.text)).at(template.spot().cloned())
        })
    }

    pub(super) fn value_error(&self, node: NodeKey, reason: &str) -> Refusal {
        let element = self
            .node(node)
            .ok()
            .and_then(|n| n.at.clone())
            .unwrap_or_default();
        Refusal::Value {
            element,
            reason: reason.to_owned(),
        }
    }

    /// The nearest variable of this name, seen from an execution.
    pub(super) fn variable(&self, node: NodeKey, name: &str) -> Option<&Value> {
        let mut around = self.doc.ancestry(node).into_iter();
        around.find_map(|key| {
            let scope = &self.doc.nodes.get(&key)?.id;
            self.vars.get(scope, name).map(|v| &v.value)
        })
    }

    /// All variables seen from an execution; inner ones hide outer ones.
    pub(super) fn visible(&self, node: NodeKey) -> Vec<(String, Value)> {
        let mut out: Vec<(String, Value)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for key in self.doc.ancestry(node) {
            let Some(scope) = self.doc.nodes.get(&key) else {
                continue;
            };
            for (name, variable) in self.vars.of_scope(&scope.id) {
                if seen.insert(name) {
                    out.push((name.to_owned(), variable.value.clone()));
                }
            }
        }
        out
    }

    /// Sets a variable where it is, else at the instance.
    pub(super) fn set(&mut self, node: NodeKey, name: &str, value: Value) {
        let around = self.doc.ancestry(node);
        let holds = |key: &NodeKey| {
            self.doc
                .nodes
                .get(key)
                .is_some_and(|n| self.vars.get(&n.id, name).is_some())
        };
        let scope = around
            .iter()
            .copied()
            .find(holds)
            .unwrap_or(super::Document::ROOT);
        self.set_in(scope, name, value);
    }

    /// Sets a variable in exactly this scope.
    pub(super) fn set_in(&mut self, scope: NodeKey, name: &str, value: Value) {
        let Some(execution) = self.doc.nodes.get(&scope).map(|n| n.id.clone()) else {
            return;
        };
        let fresh = self
            .vars
            .get(&execution, name)
            .map_or_else(|| self.context.ids.next(), |v| v.id.clone());
        self.vars
            .set(&execution, name, value.clone(), || fresh.clone());
        self.changed = true;
        let activity = self
            .doc
            .ancestry(scope)
            .iter()
            .find_map(|k| self.doc.nodes.get(k)?.activity.clone());
        let activity = activity.unwrap_or_else(|| self.doc.id.clone());
        self.record(Record::Set {
            id: fresh,
            execution,
            name: name.to_owned(),
            value,
            activity,
            by: self.current,
        });
    }

    /// Removes a variable where it is.
    pub(super) fn unset(&mut self, node: NodeKey, name: &str) {
        for key in self.doc.ancestry(node) {
            if self.unset_in(key, name) {
                return;
            }
        }
    }

    /// Removes a variable of exactly this scope.
    pub(super) fn unset_in(&mut self, scope: NodeKey, name: &str) -> bool {
        let Some(execution) = self.doc.nodes.get(&scope).map(|n| n.id.clone()) else {
            return false;
        };
        let Some(removed) = self.vars.remove(&execution, name) else {
            return false;
        };
        self.changed = true;
        self.record(Record::Removed { id: removed.id });
        true
    }

    /// Drops the variables of a scope that is left; their history stays.
    pub(super) fn drop_scope(&mut self, node: NodeKey) {
        let Some(scope) = self.doc.nodes.get(&node).map(|n| n.id.clone()) else {
            return;
        };
        if node == super::Document::ROOT {
            self.vars.end(&scope);
            return;
        }
        let names: Vec<String> = self
            .vars
            .of_scope(&scope)
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            self.vars.remove(&scope, &name);
        }
    }

    /// Properties of the execution, for expressions and scripts.
    pub(super) fn execution_member(&self, node: NodeKey, name: &str) -> Option<Option<String>> {
        let at = self.doc.nodes.get(&node)?;
        Some(match name {
            "id" => Some(at.id.clone()),
            "processInstanceId" => Some(self.doc.id.clone()),
            "rootProcessInstanceId" => Some(self.doc.root.clone()),
            "processDefinitionId" => Some(self.doc.definition.clone()),
            "businessKey" | "processBusinessKey" => self.doc.business_key.clone(),
            "tenantId" => self.doc.tenant.clone(),
            "currentActivityId" | "activityId" => at.at.clone(),
            "currentActivityName" => self.element(node).ok().and_then(|e| e.name.clone()),
            "activityInstanceId" => at.activity.clone(),
            "parentId" => at
                .parent
                .and_then(|p| self.doc.nodes.get(&p))
                .map(|n| n.id.clone()),
            "eventName" => None,
            _ => return None,
        })
    }
}

impl Environment for Here<'_, '_> {
    fn variable(&self, name: &str) -> Option<Value> {
        self.run.variable(self.node, name).cloned()
    }

    fn local_variable(&self, name: &str) -> Option<Value> {
        let scope = &self.run.doc.nodes.get(&self.node)?.id;
        self.run.vars.get(scope, name).map(|v| v.value.clone())
    }

    fn variables(&self) -> Vec<(String, Value)> {
        self.run.visible(self.node)
    }

    fn set_variable(&mut self, name: &str, value: Value) {
        self.run.set(self.node, name, value);
    }

    fn set_local_variable(&mut self, name: &str, value: Value) {
        self.run.set_in(self.node, name, value);
    }

    fn remove_variable(&mut self, name: &str) {
        self.run.unset(self.node, name);
    }

    fn member(&self, member: Member<'_>) -> Option<Operand> {
        let text = |t: Option<String>| t.map_or(Operand::NULL, Operand::text);
        match member {
            Member::Execution("processInstance") => Some(Operand::Known(Known::Execution)),
            Member::Execution(name) => self.run.execution_member(self.node, name).map(text),
            Member::Task("execution") => Some(Operand::Known(Known::Execution)),
            Member::Task("taskDefinitionKey") => {
                self.run.execution_member(self.node, "activityId").map(text)
            }
            Member::Task("name") => self
                .run
                .execution_member(self.node, "currentActivityName")
                .map(text),
            Member::Task("executionId") => self.run.execution_member(self.node, "id").map(text),
            Member::Task(name) if name != "id" => {
                self.run.execution_member(self.node, name).map(text)
            }
            Member::Task(_) | Member::ExternalTask(_) => None,
        }
    }

    fn knows(&self, known: Known) -> bool {
        match known {
            Known::Execution => true,
            Known::Task => {
                let here = self.run.element(self.node);
                here.is_ok_and(|e| matches!(e.kind, crate::model::Kind::UserTask(_)))
            }
            Known::ExternalTask => false,
        }
    }

    fn now(&self) -> Millis {
        self.run.context.now
    }
}
