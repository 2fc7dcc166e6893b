//! Evaluates a tree.

use super::coerce::{to_boolean, to_long, to_text};
use super::environment::{Environment, Member};
use super::operand::{Known, Operand};
use super::parser::{Node, Part, Template};
use super::{Error, MAX_RESULT, methods, operators, spin};
use crate::value::Value;

impl Template {
    /// The template's value; one expression alone keeps its type, anything else is text.
    pub fn evaluate(&self, env: &mut dyn Environment) -> Result<Operand, Error> {
        self.value(env).map_err(|e| e.within(&self.text))
    }

    fn value(&self, env: &mut dyn Environment) -> Result<Operand, Error> {
        match self.parts() {
            [Part::Text(text)] => Ok(Operand::text(text.as_str())),
            [Part::Expression(node)] => evaluate(node, env),
            parts => {
                let mut out = String::new();
                for part in parts {
                    match part {
                        Part::Text(text) => out.push_str(text),
                        Part::Expression(node) => out.push_str(&to_text(&evaluate(node, env)?)),
                    }
                    if out.len() > MAX_RESULT {
                        return Err(Error::failed(format!(
                            "the text is longer than {MAX_RESULT} bytes"
                        )));
                    }
                }
                Ok(Operand::text(out))
            }
        }
    }
}

fn evaluate(node: &Node, env: &mut dyn Environment) -> Result<Operand, Error> {
    match node {
        Node::Literal(value) => Ok(Operand::Scalar(value.clone())),
        Node::Name(name) => named(name, env),
        Node::Property(base, name) => property(&evaluate(base, env)?, name, env),
        Node::Index(base, index) => {
            let base = evaluate(base, env)?;
            let index = evaluate(index, env)?;
            at(&base, &index, env)
        }
        Node::Method(base, name, arguments) => {
            let base = evaluate(base, env)?;
            let arguments = all(arguments, env)?;
            methods::call(&base, name, &arguments, env)
        }
        Node::Function(name, arguments) => {
            let arguments = all(arguments, env)?;
            methods::function(name, &arguments, env)
        }
        Node::Unary(operator, operand) => {
            let operand = evaluate(operand, env)?;
            match *operator {
                "!" => Ok(Operand::bool(!to_boolean(&operand)?)),
                "-" => operators::negate(&operand),
                _ => Ok(Operand::bool(is_empty(&operand))),
            }
        }
        Node::Binary(operator, left, right) => binary(operator, left, right, env),
        Node::Choice(condition, yes, no) => {
            let chosen = if to_boolean(&evaluate(condition, env)?)? {
                yes
            } else {
                no
            };
            evaluate(chosen, env)
        }
    }
}

fn all(nodes: &[Node], env: &mut dyn Environment) -> Result<Vec<Operand>, Error> {
    nodes.iter().map(|node| evaluate(node, env)).collect()
}

fn binary(
    operator: &str,
    left: &Node,
    right: &Node,
    env: &mut dyn Environment,
) -> Result<Operand, Error> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let left = evaluate(left, env)?;
    // The short cuts come first: the right side may be an error that the left side guards against.
    match operator {
        "&&" => {
            return Ok(Operand::bool(
                to_boolean(&left)? && to_boolean(&evaluate(right, env)?)?,
            ));
        }
        "||" => {
            return Ok(Operand::bool(
                to_boolean(&left)? || to_boolean(&evaluate(right, env)?)?,
            ));
        }
        _ => {}
    }
    let right = evaluate(right, env)?;
    Ok(match operator {
        "==" => Operand::bool(operators::equal(&left, &right)?),
        "!=" => Operand::bool(!operators::equal(&left, &right)?),
        "<" => Operand::bool(operators::compare(&left, &right)? == Some(Less)),
        ">" => Operand::bool(operators::compare(&left, &right)? == Some(Greater)),
        "<=" if left.is_null() && right.is_null() => Operand::bool(true),
        ">=" if left.is_null() && right.is_null() => Operand::bool(true),
        "<=" => Operand::bool(matches!(
            operators::compare(&left, &right)?,
            Some(Less | Equal)
        )),
        ">=" => Operand::bool(matches!(
            operators::compare(&left, &right)?,
            Some(Greater | Equal)
        )),
        _ => return operators::arithmetic(operator, &left, &right),
    })
}

fn named(name: &str, env: &mut dyn Environment) -> Result<Operand, Error> {
    let known = match name {
        "execution" => Some(Known::Execution),
        "task" => Some(Known::Task),
        "externalTask" => Some(Known::ExternalTask),
        _ => None,
    };
    if let Some(known) = known.filter(|known| env.knows(*known)) {
        return Ok(Operand::Known(known));
    }
    match env.variable(name) {
        Some(value) => Ok(Operand::from_value(&value)),
        None => Err(Error::UnknownName {
            text: String::new(),
            name: name.to_owned(),
        }),
    }
}

fn property(base: &Operand, name: &str, env: &dyn Environment) -> Result<Operand, Error> {
    let unknown = || Error::UnknownProperty {
        text: String::new(),
        name: name.to_owned(),
        on: base.kind(),
    };
    match base {
        Operand::Map(map) => Ok(map.get(name).cloned().unwrap_or(Operand::NULL)),
        Operand::Json(json) => Ok(json.get(name).map_or(Operand::NULL, spin::unwrap)),
        Operand::Known(known) => env.member(member(*known, name)).ok_or_else(unknown),
        Operand::List(_) => at(base, &Operand::text(name), env),
        Operand::Scalar(Value::Date(ms)) | Operand::DateTime(ms)
            if matches!(name, "time" | "millis") =>
        {
            Ok(Operand::Scalar(Value::Long(*ms)))
        }
        // JUEL gives nothing for a property of nothing.
        Operand::Scalar(Value::Null) => Ok(Operand::NULL),
        Operand::Scalar(Value::String(s)) if name == "empty" => Ok(Operand::bool(s.is_empty())),
        Operand::Scalar(_) | Operand::DateTime(_) | Operand::Xml(_) | Operand::Attribute(_) => {
            Err(unknown())
        }
    }
}

pub(super) fn member(known: Known, name: &str) -> Member<'_> {
    match known {
        Known::Execution => Member::Execution(name),
        Known::Task => Member::Task(name),
        Known::ExternalTask => Member::ExternalTask(name),
    }
}

fn at(base: &Operand, index: &Operand, env: &dyn Environment) -> Result<Operand, Error> {
    let found = match base {
        Operand::List(items) => usize::try_from(to_long(index)?)
            .ok()
            .and_then(|i| items.get(i))
            .cloned(),
        Operand::Json(serde_json::Value::Array(items)) => usize::try_from(to_long(index)?)
            .ok()
            .and_then(|i| items.get(i))
            .map(spin::unwrap),
        other => return property(other, &to_text(index), env),
    };
    // Java's lists answer an index outside them with nothing when asked by an expression.
    Ok(found.unwrap_or(Operand::NULL))
}

fn is_empty(operand: &Operand) -> bool {
    match operand {
        Operand::Scalar(Value::Null) => true,
        Operand::Scalar(Value::String(s)) => s.is_empty(),
        Operand::Scalar(Value::Bytes(b)) => b.is_empty(),
        Operand::List(items) => items.is_empty(),
        Operand::Map(map) => map.is_empty(),
        Operand::Json(serde_json::Value::Array(items)) => items.is_empty(),
        Operand::Json(serde_json::Value::Object(map)) => map.is_empty(),
        Operand::Json(serde_json::Value::Null) => true,
        Operand::Scalar(_)
        | Operand::Json(_)
        | Operand::Xml(_)
        | Operand::Attribute(_)
        | Operand::DateTime(_)
        | Operand::Known(_) => false,
    }
}
