//! One unit of work: a command to one instance, and what follows from it in others, up to one transaction.
//!
//! Everything is computed in memory from what was read, then committed with the revisions checked. When someone else
//! was faster, it is read and computed again: the machine is pure, so nothing was done yet.

mod calls;

use super::scripts::{self, Place};
use super::{CONFLICT_PAUSE, CONFLICT_TRIES, Handle, MAX_UNIT_INSTANCES};
use crate::clock::Millis;
use crate::cluster::bells::Bell;
use crate::error::Error;
use crate::ids::At;
use crate::machine::{
    self, Command, Context, Definition, Document, Effect, Parent, Step, Values, Variables,
};
use crate::store::{DefinitionRow, InstanceChange, SubscriptionRow, Unit};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An instance in the unit.
struct Held {
    document: Document,
    variables: Variables,
    revision: Option<i64>,
    definition: Arc<Definition>,
    effects: Vec<Effect>,
}

/// A unit that is being computed.
pub(super) struct Assembly<'h> {
    handle: &'h Handle,
    now: Millis,
    held: HashMap<String, Held>,
    order: Vec<String>,
    queue: VecDeque<(String, Command)>,
    /// What is committed with it.
    pub(super) unit: Unit,
}

/// What became of a unit.
pub(super) struct Finished {
    /// Documents and variables of the instances it touched, in order.
    pub(super) instances: Vec<(Document, Variables)>,
}

impl Handle {
    /// Computes and commits a unit; again if someone else was faster.
    pub(super) async fn unit<F, Fut>(&self, compute: F) -> Result<Finished, Error>
    where
        F: Fn(Self) -> Fut,
        Fut: Future<Output = Result<(Unit, Vec<InstanceChange>), Error>>,
    {
        let mut tries = 0;
        let mut turn = None;
        loop {
            tries += 1;
            let computed = match compute(self.clone()).await {
                Ok((unit, instances)) => self.admit(&instances).map(|()| (unit, instances)),
                Err(error) => Err(error),
            };
            let (mut unit, instances) = computed.inspect_err(|error| self.count_limit(error))?;
            let instances_after = instances
                .iter()
                .map(|i| (i.document.clone(), i.variables.clone()))
                .collect();
            let rings = rings(&instances);
            let first = instances.first().map(|change| change.document.id.clone());
            unit.instances = instances;
            match self.inner.store.commit(unit).await {
                Ok(()) => {
                    self.inner.counters.units.fetch_add(1, Ordering::Relaxed);
                    self.ring(rings);
                    return Ok(Finished {
                        instances: instances_after,
                    });
                }
                Err(failure) if failure.lost_race() && tries < CONFLICT_TRIES => {
                    self.inner
                        .counters
                        .conflicts
                        .fetch_add(1, Ordering::Relaxed);
                    match (&turn, first) {
                        (None, Some(id)) => turn = Some(self.inner.turns.take(&id).await),
                        _ => tokio::time::sleep(CONFLICT_PAUSE.mul_f64(fastrand::f64())).await,
                    }
                }
                Err(failure) if tries < CONFLICT_TRIES && self.serves_by_now(&failure).await => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Refuses what is larger than this engine takes, before anything of it is written.
    fn admit(&self, instances: &[InstanceChange]) -> Result<(), Error> {
        for instance in instances {
            let checked = self.inner.limits.check(&instance.effects);
            checked.map_err(|(refusal, by)| {
                let definition = self.inner.definitions.get(&instance.definition);
                let spot = by.zip(definition);
                let spot = spot.map(|(at, definition)| definition.process.element(at).spot());
                Error::from(refusal).at(spot)
            })?;
        }
        Ok(())
    }

    /// Counts what was refused because of a limit.
    pub(crate) fn count_limit(&self, error: &Error) {
        if error.is_limit() {
            let hits = &self.inner.counters.limit_hits;
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn ring(&self, (work, job): (bool, bool)) {
        if work {
            self.inner.bells.ring(Bell::Work);
        }
        if job {
            self.inner.bells.ring(Bell::Jobs);
        }
    }
}

/// Does the unit make external tasks, or jobs?
fn rings(instances: &[InstanceChange]) -> (bool, bool) {
    let mut all = instances.iter().flat_map(|i| &i.effects);
    let (mut work, mut job) = (false, false);
    while let Some(effect) = all.next().filter(|_| !(work && job)) {
        work |= matches!(effect, Effect::CreateWork(_));
        job |= matches!(effect, Effect::CreateJob(_));
    }
    (work, job)
}

impl<'h> Assembly<'h> {
    pub(super) fn new(handle: &'h Handle) -> Assembly<'h> {
        let now = handle.inner.clock.now();
        let unit = Unit {
            now,
            ..Unit::default()
        };
        Assembly {
            handle,
            now,
            held: HashMap::new(),
            order: Vec::new(),
            queue: VecDeque::new(),
            unit,
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.now
    }

    /// Adds a new instance that begins with a command.
    pub(super) fn begin(
        &mut self,
        document: Document,
        (row, definition): (&DefinitionRow, Arc<Definition>),
        command: Command,
    ) -> Result<(), Error> {
        if self.order.len() >= MAX_UNIT_INSTANCES {
            return Err(Error::Limit {
                name: "unit_instances",
                why: format!(
                    "one transaction would touch more than {MAX_UNIT_INSTANCES} instances; do processes call each other in a circle?"
                ),
            });
        }
        if let Some(days) = row.ttl {
            self.unit.history_days.insert(row.id.clone(), days);
        }
        let id = document.id.clone();
        let held = Held {
            document,
            variables: Variables::default(),
            revision: None,
            definition,
            effects: Vec::new(),
        };
        self.held.insert(id.clone(), held);
        self.order.push(id.clone());
        self.queue.push_back((id, command));
        Ok(())
    }

    /// Adds a command to a stored instance; says whether it is there.
    pub(super) async fn ask(&mut self, instance: &str, command: Command) -> Result<bool, Error> {
        if !self.held.contains_key(instance) {
            let Some(loaded) = self.handle.inner.store.load(instance).await? else {
                return Ok(false);
            };
            let definition = self.handle.definition(&loaded.document.definition).await?;
            let held = Held {
                document: loaded.document,
                variables: loaded.variables,
                revision: Some(loaded.revision),
                definition,
                effects: Vec::new(),
            };
            self.held.insert(instance.to_owned(), held);
            self.order.push(instance.to_owned());
        }
        self.queue.push_back((instance.to_owned(), command));
        Ok(true)
    }

    /// Computes until nothing is left to do.
    pub(super) async fn finish(mut self) -> Result<(Unit, Vec<InstanceChange>), Error> {
        while let Some((instance, command)) = self.queue.pop_front() {
            let Some(held) = self.held.remove(&instance) else {
                continue;
            };
            if held.document.ended {
                self.held.insert(instance, held);
                continue;
            }
            let (held, effects) = self.step(held, command).await?;
            self.held.insert(instance.clone(), held);
            for effect in effects {
                self.follow(&instance, effect).await?;
            }
        }
        let mut out = Vec::with_capacity(self.order.len());
        for id in &self.order {
            let Some(held) = self.held.remove(id) else {
                continue;
            };
            if held.definition.process.calls {
                self.unit.callers.insert(held.definition.id.clone());
            }
            out.push(InstanceChange {
                document: held.document,
                variables: held.variables,
                revision: held.revision,
                definition: held.definition.id.clone(),
                effects: held.effects,
            });
        }
        Ok((self.unit, out))
    }

    async fn step(&self, held: Held, command: Command) -> Result<(Held, Vec<Effect>), Error> {
        let Held {
            document,
            variables,
            revision,
            definition,
            effects,
        } = held;
        let inner = Arc::clone(&self.handle.inner);
        let (now, of) = (self.now, Arc::clone(&definition));
        let step = move |place: Option<&Place>| {
            let mut ids = At(&inner.ids, now);
            let host = place.map(|place| scripts::At(&*inner.scripts, place));
            let context = Context {
                definition: &of,
                now,
                ids: &mut ids,
                scripts: host.as_ref().map_or(&*inner.scripts, |host| host),
            };
            machine::step(document, variables, command, context)
        };
        let stepped = if definition.process.scripts {
            // A script may take seconds; other requests must not wait for it.
            let places = &self.handle.inner.scripts_at_once;
            places.run(move |place| step(Some(place))).await?
        } else {
            step(None)
        };
        let Step {
            document,
            variables,
            effects: new,
        } = stepped?;
        Ok((
            Held {
                document,
                variables,
                revision,
                definition,
                effects,
            },
            self.handle.inner.branches.over(new),
        ))
    }

    /// Does what an effect asks of other instances; keeps the rest for the commit.
    async fn follow(&mut self, instance: &str, effect: Effect) -> Result<(), Error> {
        let parent = self
            .held
            .get(instance)
            .and_then(|h| h.document.parent.clone());
        match effect {
            Effect::Call(called) => {
                let spot = self.spot_of(instance, &called.execution);
                let called = self.call(instance, called).await;
                called.map_err(|error| error.at(spot))?;
            }
            Effect::CancelCall {
                instance: below,
                outcome,
                reason,
            } => self.end_call(instance, &below, outcome, reason).await?,
            Effect::Return { variables } => {
                if let Some(Parent {
                    instance: above,
                    execution,
                }) = parent
                {
                    let instance = instance.to_owned();
                    let command = Command::Returned {
                        execution,
                        instance,
                        variables,
                    };
                    self.ask(&above, command).await?;
                }
            }
            Effect::RaiseAbove {
                raised,
                variables,
                origin,
            } => {
                if let Some(Parent {
                    instance: above,
                    execution,
                }) = parent
                {
                    let command = Command::RaisedBelow {
                        execution,
                        raised,
                        variables,
                        origin,
                    };
                    self.ask(&above, command).await?;
                }
            }
            Effect::Uncaught {
                origin: (instance, execution),
            } => {
                self.ask(&instance, Command::Uncaught { execution }).await?;
            }
            Effect::Broadcast { name, variables } => {
                self.broadcast(&name, &variables, None).await?
            }
            kept => {
                if let Some(held) = self.held.get_mut(instance) {
                    held.effects.push(kept);
                }
            }
        }
        Ok(())
    }

    /// A signal for everyone who listens by now, and is neither suspended nor stops listening before it is heard.
    pub(super) async fn broadcast(
        &mut self,
        name: &str,
        variables: &Values,
        tenant: Option<&[Option<String>]>,
    ) -> Result<(), Error> {
        for row in self.listeners("signal", name).await? {
            if tenant.is_some_and(|tenants| !tenants.contains(&row.tenant)) {
                continue;
            }
            match &row.instance {
                Some(instance) => {
                    let hear = Command::Hear {
                        subscription: row.id,
                        variables: variables.clone(),
                    };
                    let instance = instance.clone();
                    self.ask(&instance, hear).await?;
                }
                None if self.is_startable(&row).await? => {
                    self.begin_at(&row, None, variables.clone()).await?
                }
                None => {}
            }
        }
        Ok(())
    }

    async fn is_startable(&self, row: &SubscriptionRow) -> Result<bool, Error> {
        let stored = self.handle.inner.store.definition(&row.definition).await?;
        Ok(stored.is_some_and(|definition| !definition.suspended))
    }

    /// Starts an instance at the start event of a subscription.
    pub(super) async fn begin_at(
        &mut self,
        row: &SubscriptionRow,
        business_key: Option<String>,
        variables: Values,
    ) -> Result<(), Error> {
        let stored = self.handle.inner.store.definition(&row.definition).await?;
        let Some(stored) = stored.filter(|d| !d.suspended) else {
            return Err(suspended(&row.definition));
        };
        let definition = self.handle.parsed(&stored).await?;
        let mut document = Document::new(&self.handle.new_id(), &row.definition);
        document.business_key = business_key;
        document.tenant.clone_from(&stored.tenant);
        let start = Command::Start {
            at: Some(row.element.clone()),
            variables,
            instructions: Vec::new(),
        };
        self.begin(document, (&stored, definition), start)
    }

    /// Who listens: what is stored, as this unit has changed it so far.
    async fn listeners(&self, kind: &str, name: &str) -> Result<Vec<SubscriptionRow>, Error> {
        let mut rows = self.handle.inner.store.subscriptions(kind, name).await?;
        for id in &self.order {
            let Some(held) = self.held.get(id) else {
                continue;
            };
            for effect in &held.effects {
                match effect {
                    Effect::Subscribe {
                        id,
                        kind: k,
                        name: n,
                        execution,
                        element,
                    } if *k == kind && n == name => {
                        rows.push(SubscriptionRow {
                            id: id.clone(),
                            instance: Some(held.document.id.clone()),
                            execution: Some(execution.clone()),
                            definition: held.definition.id.clone(),
                            element: element.clone(),
                            tenant: held.document.tenant.clone(),
                        });
                    }
                    Effect::Unsubscribe(gone) => rows.retain(|row| row.id != *gone),
                    _ => {}
                }
            }
        }
        Ok(rows)
    }
}

pub(super) fn suspended(definition: &str) -> Error {
    Error::Engine(format!(
        "ENGINE-03043 Cannot execute operation because process definition '{definition}' is suspended"
    ))
}
