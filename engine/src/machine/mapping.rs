//! Inputs and outputs of activities, and what crosses the border of a call.

use super::agenda::Run;
use super::command::Values;
use super::document::{Document, NodeKey};
use super::refusal::Refusal;
use crate::clock::Millis;
use crate::expr::{Environment, Known, Member, Operand};
use crate::model::{Element, InOut, Parameter, Variables};
use crate::value::Value;

impl Run<'_> {
    /// Inputs become variables of the activity alone.
    pub(super) fn map_inputs(&mut self, node: NodeKey, element: &Element) -> Result<(), Refusal> {
        for mapping in &element.inputs {
            let value = self.parameter(node, &mapping.value)?.into_value();
            self.set_in(node, &mapping.name, value);
        }
        Ok(())
    }

    /// Outputs become variables of the scope around the activity, or where they already are.
    pub(super) fn map_outputs(&mut self, node: NodeKey, element: &Element) -> Result<(), Refusal> {
        let scope = self.node(node)?.parent.unwrap_or(Document::ROOT);
        for mapping in &element.outputs {
            let value = self.parameter(node, &mapping.value)?.into_value();
            self.set(scope, &mapping.name, value);
        }
        Ok(())
    }

    fn parameter(&mut self, node: NodeKey, parameter: &Parameter) -> Result<Operand, Refusal> {
        match parameter {
            Parameter::Null => Ok(Operand::NULL),
            Parameter::Text(template) => self.evaluate(node, template),
            Parameter::Script(source) => Ok(Operand::from_value(&self.run_script(node, source)?)),
            Parameter::List(items) => {
                let items = items.iter().map(|item| self.parameter(node, item));
                Ok(Operand::List(items.collect::<Result<_, _>>()?))
            }
            Parameter::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.parameter(node, value)?)));
                Ok(Operand::Map(entries.collect::<Result<_, Refusal>>()?))
            }
        }
    }

    /// What goes into a call or with a signal.
    pub(super) fn hand_over(
        &mut self,
        node: NodeKey,
        mappings: &[InOut],
    ) -> Result<Values, Refusal> {
        let mut out = Values::new();
        for mapping in mappings {
            match &mapping.variables {
                Variables::All if mapping.local => {
                    let scope = self.node(node)?.id.clone();
                    for (name, variable) in self.vars.of_scope(&scope) {
                        put(&mut out, name, variable.value.clone());
                    }
                }
                Variables::All => {
                    for (name, value) in self.visible(node) {
                        put(&mut out, &name, value);
                    }
                }
                Variables::One { source, target } => {
                    let value = self.variable(node, source).cloned().unwrap_or(Value::Null);
                    put(&mut out, target, value);
                }
                Variables::Expression { source, target } => {
                    let value = self.evaluate(node, source)?.into_value();
                    put(&mut out, target, value);
                }
            }
        }
        Ok(out)
    }

    /// What comes back from a call.
    pub(super) fn map_back(
        &mut self,
        node: NodeKey,
        mappings: &[InOut],
        from: &Values,
    ) -> Result<(), Refusal> {
        let scope = if self.node(node)?.role == super::Role::Inner {
            node
        } else {
            self.node(node)?.parent.unwrap_or(Document::ROOT)
        };
        for mapping in mappings {
            let mut given = Values::new();
            match &mapping.variables {
                Variables::All => given.extend(from.iter().cloned()),
                Variables::One { source, target } => {
                    let found = from
                        .iter()
                        .find(|(name, _)| name == source)
                        .map(|(_, value)| value.clone());
                    given.push((target.clone(), found.unwrap_or(Value::Null)));
                }
                Variables::Expression { source, target } => {
                    let value = source.evaluate(&mut There {
                        values: from,
                        now: self.context.now,
                    });
                    let value =
                        value.map_err(|error| Refusal::from(error).at(source.spot().cloned()))?;
                    given.push((target.clone(), value.into_value()));
                }
            }
            for (name, value) in given {
                if mapping.local {
                    self.set_in(node, &name, value)
                } else {
                    self.set(scope, &name, value)
                }
            }
        }
        Ok(())
    }
}

fn put(out: &mut Values, name: &str, value: Value) {
    match out.iter_mut().find(|(n, _)| n == name) {
        Some(entry) => entry.1 = value,
        None => out.push((name.to_owned(), value)),
    }
}

/// The variables of a called instance, as its caller sees them.
struct There<'v> {
    values: &'v Values,
    now: Millis,
}

impl Environment for There<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        self.values
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    }
    fn local_variable(&self, name: &str) -> Option<Value> {
        self.variable(name)
    }
    fn variables(&self) -> Vec<(String, Value)> {
        self.values.clone()
    }
    fn set_variable(&mut self, _name: &str, _value: Value) {}
    fn set_local_variable(&mut self, _name: &str, _value: Value) {}
    fn remove_variable(&mut self, _name: &str) {}
    fn member(&self, _member: Member<'_>) -> Option<Operand> {
        None
    }
    fn knows(&self, _known: Known) -> bool {
        false
    }
    fn now(&self) -> Millis {
        self.now
    }
}
