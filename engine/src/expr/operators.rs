//! The binary operators, with JUEL's rules of which type an operation is done in.

use super::coerce::{is_floating, is_integer, to_boolean, to_double, to_long, to_text};
use super::{Error, Operand};
use crate::value::Value;
use std::cmp::Ordering;

/// Applies an arithmetic operator.
pub(super) fn arithmetic(
    operator: &str,
    left: &Operand,
    right: &Operand,
) -> Result<Operand, Error> {
    if left.is_null() && right.is_null() {
        return Ok(long(0));
    }
    if operator == "/" {
        return Ok(double(to_double(left)? / to_double(right)?));
    }
    if is_floating(left) || is_floating(right) {
        let (a, b) = (to_double(left)?, to_double(right)?);
        return Ok(double(match operator {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => a % b,
        }));
    }
    let (a, b) = (to_long(left)?, to_long(right)?);
    Ok(long(match operator {
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        _ if b == 0 => return Err(Error::failed("/ by zero")),
        _ => a.wrapping_rem(b),
    }))
}

/// `-x`
pub(super) fn negate(operand: &Operand) -> Result<Operand, Error> {
    Ok(match operand {
        Operand::Scalar(Value::Short(n)) => Operand::Scalar(Value::Short(n.wrapping_neg())),
        Operand::Scalar(Value::Integer(n)) => Operand::Scalar(Value::Integer(n.wrapping_neg())),
        Operand::Scalar(Value::Null | Value::Long(_)) => long(to_long(operand)?.wrapping_neg()),
        _ if is_floating(operand) => double(-to_double(operand)?),
        _ => long(to_long(operand)?.wrapping_neg()),
    })
}

/// `x == y`
pub(super) fn equal(left: &Operand, right: &Operand) -> Result<bool, Error> {
    if left.is_null() || right.is_null() {
        return Ok(left.is_null() && right.is_null());
    }
    if matches!(left, Operand::Scalar(Value::Double(_)))
        || matches!(right, Operand::Scalar(Value::Double(_)))
    {
        #[expect(clippy::float_cmp, reason = "the language compares doubles exactly")]
        return Ok(to_double(left)? == to_double(right)?);
    }
    if is_integer(left) || is_integer(right) {
        return Ok(to_long(left)? == to_long(right)?);
    }
    if is_boolean(left) || is_boolean(right) {
        return Ok(to_boolean(left)? == to_boolean(right)?);
    }
    if is_text(left) || is_text(right) {
        return Ok(to_text(left) == to_text(right));
    }
    Ok(left == right)
}

/// How two operands stand to each other; `None` if either is nothing.
pub(super) fn compare(left: &Operand, right: &Operand) -> Result<Option<Ordering>, Error> {
    if left.is_null() || right.is_null() {
        return Ok(None);
    }
    if matches!(left, Operand::Scalar(Value::Double(_)))
        || matches!(right, Operand::Scalar(Value::Double(_)))
    {
        return Ok(to_double(left)?.partial_cmp(&to_double(right)?));
    }
    if is_integer(left) || is_integer(right) {
        return Ok(Some(to_long(left)?.cmp(&to_long(right)?)));
    }
    if is_text(left) || is_text(right) {
        return Ok(Some(to_text(left).cmp(&to_text(right))));
    }
    match (moment(left), moment(right)) {
        (Some(a), Some(b)) => Ok(Some(a.cmp(&b))),
        _ => Err(Error::failed(format!(
            "Cannot compare '{}' and '{}'",
            left.kind(),
            right.kind()
        ))),
    }
}

fn moment(operand: &Operand) -> Option<i64> {
    match operand {
        Operand::Scalar(Value::Date(ms)) | Operand::DateTime(ms) => Some(*ms),
        _ => None,
    }
}

fn is_boolean(operand: &Operand) -> bool {
    matches!(operand, Operand::Scalar(Value::Boolean(_)))
}

fn is_text(operand: &Operand) -> bool {
    matches!(operand, Operand::Scalar(Value::String(_)))
}

fn long(n: i64) -> Operand {
    Operand::Scalar(Value::Long(n))
}

fn double(n: f64) -> Operand {
    Operand::Scalar(Value::Double(n))
}
