//! Forms: what they hold to begin with, and whether what people say fits.
//!
//! Owns the rules of form fields. What comes of a submitted form is a completed task or a started instance.

use super::Handle;
use super::deploy::Outside;
use super::instances::{Start, Started};
use crate::error::Error;
use crate::expr::{Template, to_text};
use crate::ids::At;
use crate::machine::{Context, Definition, FormRef, Values, text_at};
use crate::model::{Field, FieldKind, FormBinding, Kind, Page, Rule, Trigger};
use crate::store::{DefinitionRow, Loaded, LoggedField};
use crate::time::pattern;
use crate::value::Value;
use std::sync::Arc;

/// A form of a task or a start, with what its fields see.
pub struct Form {
    definition: Arc<Definition>,
    /// The element that has the fields.
    element: Option<String>,
    /// The instance and execution of a task.
    at: Option<(Loaded, String)>,
}

impl Handle {
    /// The form of a task; none if it stands alone.
    pub async fn task_form(&self, id: &str) -> Result<Option<Form>, Error> {
        let row = self.existing_task(id).await?;
        let (Some(definition), Some(instance)) = (&row.definition, &row.instance) else {
            return Ok(None);
        };
        let Some(loaded) = self.inner.store.load(instance).await? else {
            return Ok(None);
        };
        Ok(Some(Form {
            definition: self.definition(definition).await?,
            element: row.element,
            at: Some((loaded, row.execution.unwrap_or_default())),
        }))
    }

    /// The form of a start.
    pub async fn start_form(&self, row: &DefinitionRow) -> Result<Form, Error> {
        let definition = self.parsed(row).await?;
        let plain = definition.process.children(None).find(|(_, element)| {
            matches!(
                element.kind,
                Kind::Start {
                    trigger: Trigger::None,
                    ..
                }
            )
        });
        let element = plain.map(|(_, element)| element.id.clone());
        Ok(Form {
            definition,
            element,
            at: None,
        })
    }

    /// Completes a task with what its form was filled with.
    pub async fn submit_task_form(&self, id: &str, values: &Values) -> Result<Values, Error> {
        let checked = match self.task_form(id).await? {
            Some(form) => form.checked(self, values)?,
            None => values.clone(),
        };
        let logs = self.inner.store.writing(self.inner.clock.now());
        let log = logs.task_form(id, &self.logged(values));
        self.complete_task_with(id, &checked, log.as_slice()).await
    }

    /// What of a form goes into the log: as in the real engine, what was submitted as text.
    fn logged(&self, values: &Values) -> Vec<LoggedField> {
        let texts = values.iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((self.new_id(), name.clone(), text.clone())),
            Value::Null
            | Value::Boolean(_)
            | Value::Short(_)
            | Value::Integer(_)
            | Value::Long(_)
            | Value::Double(_)
            | Value::Date(_)
            | Value::Bytes(_)
            | Value::File(_)
            | Value::Object(_)
            | Value::Json(_)
            | Value::Xml(_) => None,
        });
        texts.collect()
    }

    /// Starts an instance with what its form was filled with.
    pub async fn submit_start_form(
        &self,
        row: &DefinitionRow,
        mut start: Start,
    ) -> Result<Started, Error> {
        let form = self.start_form(row).await?;
        let fields = self.logged(&start.variables);
        start.variables = form.checked(self, &start.variables)?;
        let id = self.new_id();
        let logs = self.inner.store.writing(self.inner.clock.now());
        let log = logs.start_form(&id, (&row.id, row.tenant.clone()), &fields);
        self.start_as(id, row, &start, log.as_slice()).await
    }
}

impl Form {
    /// Its fields.
    pub fn fields(&self) -> &[Field] {
        let element = self.element.as_deref();
        let element = element.and_then(|id| self.definition.process.get(id));
        element.map_or(&[], |element| element.form.as_slice())
    }

    /// What a field holds to begin with: its variable, or its default.
    pub fn first(&self, handle: &Handle, field: &Field) -> Result<Value, Error> {
        if let Some(value) = self.variable(&field.id) {
            return Ok(match (&field.kind, value) {
                (FieldKind::Date(form), Value::Date(ms)) => {
                    pattern::write(form, *ms).map_or(Value::Null, Value::String)
                }
                (_, other) => other.clone(),
            });
        }
        let Some(template) = &field.default else {
            return Ok(Value::Null);
        };
        let text = self.text(handle, template)?;
        match &field.kind {
            FieldKind::Date(_) => Ok(Value::String(text)),
            kind => converted(kind, Value::String(text)),
        }
    }

    /// Where it is, as a start without variables sees it.
    pub(super) fn page(&self, handle: &Handle) -> Result<(Option<String>, Option<FormRef>), Error> {
        let element = self.element.as_deref();
        let element = element.and_then(|id| self.definition.process.get(id));
        let (key, binding) = match element.and_then(|element| element.page.as_ref()) {
            None => return Ok((None, None)),
            Some(Page::Key(key)) => {
                let key = self.text(handle, key)?;
                return Ok((Some(key).filter(|key| !key.is_empty()), None));
            }
            Some(Page::Form { key, binding }) => (self.text(handle, key)?, binding),
        };
        let (binding, version) = match binding {
            FormBinding::Latest => ("latest", None),
            FormBinding::Deployment => ("deployment", None),
            FormBinding::Version(number) => {
                let text = self.text(handle, number)?;
                let number = text.trim().parse().map_err(|_| {
                    Error::Wrong(format!(
                        "the version of the form '{key}' is no number: '{text}'"
                    ))
                });
                ("version", Some(number?))
            }
        };
        let binding = binding.to_owned();
        let form = FormRef {
            key,
            binding,
            version,
        };
        Ok((None, Some(form)))
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        let (loaded, execution) = self.at.as_ref()?;
        let document = &loaded.document;
        let around = document.ancestry(document.execution(execution)?);
        around.into_iter().find_map(|key| {
            let scope = document.nodes.get(&key)?;
            Some(&loaded.variables.get(&scope.id, name)?.value)
        })
    }

    fn text(&self, handle: &Handle, template: &Template) -> Result<String, Error> {
        let now = handle.inner.clock.now();
        let Some((loaded, execution)) = &self.at else {
            let value = template.evaluate(&mut Outside(now));
            let value = value.map_err(|e| Error::Engine(e.to_string()));
            let spot = template.spot().cloned();
            return Ok(to_text(&value.map_err(|error| error.at(spot))?));
        };
        let mut ids = At(&handle.inner.ids, now);
        let context = Context {
            definition: &self.definition,
            now,
            ids: &mut ids,
            scripts: &*handle.inner.scripts,
        };
        let (document, variables) = (loaded.document.clone(), loaded.variables.clone());
        Ok(text_at(document, variables, execution, template, context)?)
    }

    /// The values as the fields want them; what is no field passes.
    fn checked(&self, handle: &Handle, values: &Values) -> Result<Values, Error> {
        let mut out = values.clone();
        for field in self.fields() {
            let at = out.iter().position(|(name, _)| *name == field.id);
            let said = at.map(|at| out[at].1.clone());
            for rule in &field.rules {
                self.check(field, rule, said.as_ref().unwrap_or(&Value::Null))?;
            }
            let value = match (said, &field.default) {
                (Some(said), _) => converted(&field.kind, said)?,
                (None, Some(template)) => {
                    converted(&field.kind, Value::String(self.text(handle, template)?))?
                }
                (None, None) => continue,
            };
            match at {
                Some(at) => out[at].1 = value,
                None => out.push((field.id.clone(), value)),
            }
        }
        Ok(out)
    }

    fn check(&self, field: &Field, rule: &Rule, said: &Value) -> Result<(), Error> {
        let nothing = *said == Value::Null;
        let there = || self.variable(&field.id).is_some_and(|v| *v != Value::Null);
        let (name, holds) = match rule {
            Rule::Required => (
                "required".to_owned(),
                !nothing || field.default.is_some() || there(),
            ),
            Rule::ReadOnly => ("readonly".to_owned(), nothing),
            Rule::Min(least) => (
                format!("min({least})"),
                nothing || number(said).is_some_and(|n| n >= as_real(*least)),
            ),
            Rule::Max(most) => (
                format!("max({most})"),
                nothing || number(said).is_some_and(|n| n <= as_real(*most)),
            ),
            Rule::MinLength(least) => (
                format!("minlength({least})"),
                nothing || length(said, "MinLengthValidator")? >= *least,
            ),
            Rule::MaxLength(most) => (
                format!("maxlength({most})"),
                nothing || length(said, "MaxLengthValidator")? <= *most,
            ),
        };
        if holds {
            return Ok(());
        }
        Err(Error::Engine(format!(
            "Invalid value submitted for form field '{}': validation of {name} failed.",
            field.id
        )))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "compared with what may have a fraction"
)]
fn as_real(n: i64) -> f64 {
    n as f64
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Short(n) => Some(f64::from(*n)),
        Value::Integer(n) => Some(f64::from(*n)),
        Value::Long(n) => Some(as_real(*n)),
        Value::Double(n) => Some(*n),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn length(value: &Value, who: &str) -> Result<usize, Error> {
    match value {
        // As Java counts.
        Value::String(text) => Ok(text.encode_utf16().count()),
        other => Err(Error::Engine(format!(
            "String validator {who} cannot be used on non-string value of type {}",
            other.type_name()
        ))),
    }
}

fn shown(value: &Value) -> String {
    to_text(&crate::expr::Operand::Scalar(value.clone()))
}

/// A value as a kind of field holds it.
fn converted(kind: &FieldKind, value: Value) -> Result<Value, Error> {
    let cannot = |message: String| Err(Error::Engine(message));
    match (kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (FieldKind::Text, value) => Ok(Value::String(shown(&value))),
        (FieldKind::Long, value) => {
            let text = shown(&value);
            match text.parse() {
                Ok(n) => Ok(Value::Long(n)),
                Err(_) => cannot(format!("For input string: \"{text}\"")),
            }
        }
        (FieldKind::Boolean, Value::Boolean(b)) => Ok(Value::Boolean(b)),
        (FieldKind::Boolean, Value::String(text)) => {
            Ok(Value::Boolean(text.eq_ignore_ascii_case("true")))
        }
        (FieldKind::Boolean, other) => {
            cannot(format!("Value '{}' is not of type Boolean.", shown(&other)))
        }
        (FieldKind::Date(_), Value::Date(ms)) => Ok(Value::Date(ms)),
        (FieldKind::Date(form), Value::String(text)) => {
            if text.trim().is_empty() {
                return Ok(Value::Null);
            }
            match pattern::read(form, &text) {
                Some(ms) => Ok(Value::Date(ms)),
                None => cannot(format!(
                    "Could not parse value '{text}' as date using date format '{form}'."
                )),
            }
        }
        (FieldKind::Date(_), other) => cannot(format!(
            "Value '{}' cannot be transformed into a Date.",
            shown(&other)
        )),
        (FieldKind::OneOf(ids), Value::String(text)) if ids.contains(&text) => {
            Ok(Value::String(text))
        }
        (FieldKind::OneOf(_), other) => cannot(format!(
            "Invalid value for enum form property: {}",
            shown(&other)
        )),
    }
}
