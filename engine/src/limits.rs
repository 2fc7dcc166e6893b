//! What one engine takes at most, and how often somebody wanted more.
//!
//! Owns the values, their names and the refusal's text. Must not know HTTP or storage.

use crate::error::Error;
use crate::machine::{Effect, Record, Refusal};
use crate::model::ElementIndex;
use crate::value::Value;

/// How a refusal begins that names its limit.
pub(crate) const TOLD: &str = "limit ";

/// What one engine takes at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one variable, with its name; whoever sets it: a request, a message, a script, an expression.
    pub variable_bytes: usize,
    /// Bytes of one request body.
    pub body_bytes: usize,
    /// Bytes of the body of an answer to a call that the engine makes.
    pub http_answer_bytes: usize,
    /// Instances above one in its call hierarchy.
    pub call_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            variable_bytes: 16 * 1024 * 1024,
            body_bytes: 64 * 1024 * 1024,
            http_answer_bytes: 8 * 1024 * 1024,
            call_depth: 1_000,
        }
    }
}

impl Limits {
    /// How deep an instance is that one of this depth calls; refuses what is deeper than this engine takes.
    pub(crate) fn below(&self, depth: u32) -> Result<u32, Error> {
        let below = depth.saturating_add(1);
        if below <= self.call_depth {
            return Ok(below);
        }
        let limit = self.call_depth;
        Err(Error::Limit {
            name: "call_depth",
            why: format!(
                "{limit} instances have called each other; do processes call each other in a circle?"
            ),
        })
    }

    /// Refuses a step that sets a variable that is too large, or a number that none is, with the element that sets it: then nothing of the step is kept.
    pub(crate) fn check<'e>(
        &self,
        effects: impl IntoIterator<Item = &'e Effect>,
    ) -> Result<(), (Refusal, Option<ElementIndex>)> {
        for effect in effects {
            if let Effect::Record(Record::Set {
                name, value, by, ..
            }) = effect
            {
                let checked = self.check_variable(name, value);
                checked.map_err(|refusal| (refusal, *by))?;
            }
        }
        Ok(())
    }

    fn check_variable(&self, name: &str, value: &Value) -> Result<(), Refusal> {
        if let Value::Double(number) = value
            && !number.is_finite()
        {
            // No JSON can tell it, and the databases keep it each in its own way.
            return Err(Refusal::NotFinite {
                name: name.chars().take(NAME_SHOWN).collect(),
                number: number.to_string(),
            });
        }
        let bytes = name.len() + value.size();
        if bytes <= self.variable_bytes {
            return Ok(());
        }
        Err(Refusal::Large {
            // A name may be what is too long.
            name: name.chars().take(NAME_SHOWN).collect(),
            bytes,
            limit: self.variable_bytes,
        })
    }
}

/// So much of a variable's name is shown.
const NAME_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{File, Object};

    #[test]
    fn a_value_counts_with_all_that_it_brings() {
        let limits = Limits {
            variable_bytes: 10,
            ..Limits::default()
        };
        let file = |filename: &str, bytes: usize| {
            Value::File(File {
                filename: filename.to_owned(),
                mimetype: Some("a/b".to_owned()),
                encoding: None,
                bytes: vec![0; bytes],
            })
        };
        let object = |text: &str| {
            Value::Object(Object {
                type_name: "T".to_owned(),
                format: "f".to_owned(),
                text: text.to_owned(),
            })
        };
        for (value, fits) in [
            (Value::String("x".repeat(9)), true),
            (Value::String("x".repeat(10)), false),
            (Value::Bytes(vec![0; 9]), true),
            (Value::Bytes(vec![0; 10]), false),
            (file("f", 5), true),
            (file("f", 6), false),
            (file("name", 3), false),
            (object("1234567"), true),
            (object("12345678"), false),
            (Value::Xml("<abcdef/>".to_owned()), true),
            (Value::Json("[1,2,3,45]".to_owned()), false),
            (Value::Long(i64::MAX), true),
        ] {
            let checked = limits.check_variable("n", &value);
            assert_eq!(checked.is_ok(), fits, "{value:?}");
        }
        let name = "n".repeat(200);
        let refused = limits.check_variable(&name, &Value::Null).unwrap_err();
        assert!(refused.to_string().len() < 300, "{refused}");
    }
}
