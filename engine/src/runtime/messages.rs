//! Messages and signals from outside.

use super::Handle;
use super::assembly::Assembly;
use crate::error::Error;
use crate::machine::{Command, Document, Values, Variables};
use crate::store::{Statement, SubscriptionRow};
use crate::value::Value;

/// A message and whom it is for.
#[derive(Clone, Debug, Default)]
pub struct Correlation {
    /// Its name.
    pub name: String,
    /// Only instances with this business key; a started one gets it.
    pub business_key: Option<String>,
    /// Only this instance.
    pub instance: Option<String>,
    /// Only instances with these variables.
    pub keys: Values,
    /// Only executions with these variables of their own.
    pub local_keys: Values,
    /// Only this tenant; `Some(None)`: only without tenant.
    pub tenant: Option<Option<String>>,
    /// Everyone who matches?
    pub all: bool,
    /// What comes with it.
    pub variables: Values,
    /// What comes with it, for the execution alone.
    pub local: Values,
}

/// Who got a message.
#[derive(Clone, Debug)]
pub struct Correlated {
    /// The execution; `None`: an instance was started.
    pub execution: Option<String>,
    /// The instance, afterwards.
    pub document: Document,
    /// Its variables, as the transaction left them.
    pub variables: Variables,
}

impl Handle {
    /// Delivers a message.
    pub async fn correlate(&self, message: &Correlation) -> Result<Vec<Correlated>, Error> {
        self.correlate_with(message, &[]).await
    }

    /// The same with statements of the caller in the transaction.
    pub(super) async fn correlate_with(
        &self,
        message: &Correlation,
        with: &[Statement],
    ) -> Result<Vec<Correlated>, Error> {
        let chosen = self.choose(message).await?;
        let chosen = &chosen;
        let finished = self
            .unit(|handle| async move {
                let mut assembly = Assembly::new(&handle);
                assembly.unit.before.extend_from_slice(with);
                for row in chosen {
                    match &row.instance {
                        Some(instance) => {
                            let deliver = Command::Deliver {
                                subscription: row.id.clone(),
                                variables: message.variables.clone(),
                                local: message.local.clone(),
                            };
                            assembly.ask(instance, deliver).await?;
                        }
                        None => {
                            let mut variables = message.variables.clone();
                            variables.extend(message.keys.iter().cloned());
                            assembly
                                .begin_at(row, message.business_key.clone(), variables)
                                .await?;
                        }
                    }
                }
                assembly.finish().await
            })
            .await?;
        let mut fresh = finished.instances.iter();
        let mut out = Vec::new();
        for row in chosen {
            let found = match &row.instance {
                Some(instance) => finished
                    .instances
                    .iter()
                    .find(|(doc, _)| doc.id == *instance),
                None => fresh
                    .by_ref()
                    .find(|(doc, _)| doc.definition == row.definition && doc.parent.is_none()),
            };
            let Some((document, variables)) = found else {
                continue;
            };
            out.push(Correlated {
                execution: row.execution.clone(),
                document: document.clone(),
                variables: variables.clone(),
            });
        }
        Ok(out)
    }

    /// Who gets the message.
    async fn choose(&self, message: &Correlation) -> Result<Vec<SubscriptionRow>, Error> {
        let (mut waiting, starts) = self.matching(message).await?;
        let name = &message.name;
        if message.all {
            waiting.extend(starts);
            return Ok(waiting);
        }
        match (waiting.len(), starts.len()) {
            (0, 0) => Err(mismatch(
                name,
                "No process definition or execution matches the parameters",
            )),
            (0, 1) => Ok(starts),
            (0, _) => Err(mismatch(
                name,
                "More than one process definition matches the parameters",
            )),
            (1, _) => Ok(waiting),
            (n, _) => Err(mismatch(
                name,
                &format!("{n} executions match the correlation keys"),
            )),
        }
    }

    async fn matching(
        &self,
        message: &Correlation,
    ) -> Result<(Vec<SubscriptionRow>, Vec<SubscriptionRow>), Error> {
        let rows = self
            .inner
            .store
            .subscriptions("message", &message.name)
            .await?;
        let mut waiting = Vec::new();
        let mut starts = Vec::new();
        for row in rows {
            if message
                .tenant
                .as_ref()
                .is_some_and(|tenant| *tenant != row.tenant)
            {
                continue;
            }
            match &row.instance {
                None => starts.push(row),
                Some(instance) => {
                    if self.fits(message, instance, &row).await? {
                        waiting.push(row);
                    }
                }
            }
        }
        Ok((waiting, starts))
    }

    async fn fits(
        &self,
        message: &Correlation,
        instance: &str,
        row: &SubscriptionRow,
    ) -> Result<bool, Error> {
        if message
            .instance
            .as_deref()
            .is_some_and(|wanted| wanted != instance)
        {
            return Ok(false);
        }
        if message.business_key.is_none()
            && message.keys.is_empty()
            && message.local_keys.is_empty()
        {
            return Ok(self.is_suspended(instance).await? == Some(false));
        }
        let Some(loaded) = self.inner.store.load(instance).await? else {
            return Ok(false);
        };
        if loaded.document.suspended
            || message
                .business_key
                .as_ref()
                .is_some_and(|key| Some(key) != loaded.document.business_key.as_ref())
        {
            return Ok(false);
        }
        let has = |scope: &str, (name, value): &(String, Value)| {
            loaded
                .variables
                .get(scope, name)
                .is_some_and(|v| v.value == *value)
        };
        let execution = row.execution.as_deref().unwrap_or(instance);
        Ok(message.keys.iter().all(|key| has(instance, key))
            && message.local_keys.iter().all(|key| has(execution, key)))
    }

    /// Whether an instance is suspended; `None`: there is none.
    pub(crate) async fn is_suspended(&self, instance: &str) -> Result<Option<bool>, Error> {
        let rows = self
            .inner
            .store
            .rows(
                "SELECT suspended FROM inst WHERE id = ?",
                vec![instance.into()],
            )
            .await?;
        Ok(rows.first().map(|row| row.flag(0)))
    }

    /// Raises a signal: for everyone, or for one execution.
    pub async fn signal(
        &self,
        name: &str,
        execution: Option<&str>,
        variables: &Values,
        tenant: Option<&[Option<String>]>,
    ) -> Result<(), Error> {
        let Some(execution) = execution else {
            self.unit(|handle| async move {
                let mut assembly = Assembly::new(&handle);
                assembly.broadcast(name, variables, tenant).await?;
                assembly.finish().await
            })
            .await?;
            return Ok(());
        };
        let rows = self.inner.store.subscriptions("signal", name).await?;
        let row = rows
            .into_iter()
            .find(|row| row.execution.as_deref() == Some(execution));
        let row = row.ok_or_else(|| {
            Error::Engine(format!(
                "Execution '{execution}' has not subscribed to a signal event with name '{name}'."
            ))
        })?;
        self.deliver(&row, variables.clone()).await
    }

    /// Delivers an event to one subscription.
    pub async fn deliver(&self, row: &SubscriptionRow, variables: Values) -> Result<(), Error> {
        let deliver = Command::Deliver {
            subscription: row.id.clone(),
            variables,
            local: Vec::new(),
        };
        let instance = row.instance.clone().unwrap_or_default();
        if self.command(&instance, &deliver).await? {
            Ok(())
        } else {
            Err(Error::Engine(format!("the instance {instance} has ended")))
        }
    }

    /// The message subscription of an execution.
    pub async fn message_subscription(
        &self,
        execution: &str,
        name: &str,
    ) -> Result<Option<SubscriptionRow>, Error> {
        let rows = self.inner.store.subscriptions("message", name).await?;
        Ok(rows
            .into_iter()
            .find(|row| row.execution.as_deref() == Some(execution)))
    }
}

fn mismatch(name: &str, why: &str) -> Error {
    let class = "org.operaton.bpm.engine.MismatchingMessageCorrelationException";
    Error::Mismatch(format!("{class}: Cannot correlate message '{name}': {why}"))
}
