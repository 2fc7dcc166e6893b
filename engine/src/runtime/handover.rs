//! Hand-overs: an instance leaves this site or comes to it, with its ids, exactly once.
//!
//! Each step may be asked for again and gives the same. Which site the instance lives at is decided by whoever drives
//! the hand-over, between `stage` and `activate`; nothing here decides it.

use super::Handle;
use crate::cluster::bells::Bell;
use crate::error::Error;
use crate::store::{Bundle, HandOver, Stage};

/// How often a step that lost a race is looked at anew: it may be done by now.
const TRIES: u32 = 5;

impl Handle {
    /// Takes an instance with all that it called out of the live tables, and keeps it as a bundle. `generation`: of its
    /// home, as whoever drives the hand-over knows it; an instance that came here later is not let go.
    pub async fn export(
        &self,
        id: &str,
        instance: &str,
        generation: Option<i64>,
    ) -> Result<HandOver, Error> {
        again(|| self.take(id, instance, generation)).await
    }

    /// Keeps a bundle that came from elsewhere.
    pub async fn stage(&self, seal: &str, bundle: &Bundle) -> Result<HandOver, Error> {
        again(|| self.receive(seal, bundle)).await
    }

    /// Brings what was staged to life, at a generation of its home.
    pub async fn activate(&self, id: &str, generation: i64) -> Result<HandOver, Error> {
        again(|| self.awake(id, generation)).await
    }

    /// What was exported lives at another site from now on: only that is remembered.
    pub async fn entomb(&self, id: &str, site: &str, generation: i64) -> Result<HandOver, Error> {
        again(|| self.bury(id, site, generation)).await
    }

    /// Undoes what was begun: the exported lives here again, the staged is dropped. `None`: nothing is left of it.
    pub async fn call_off(&self, id: &str) -> Result<Option<HandOver>, Error> {
        again(|| self.undo(id)).await
    }

    async fn take(
        &self,
        id: &str,
        instance: &str,
        generation: Option<i64>,
    ) -> Result<HandOver, Error> {
        let store = &self.inner.store;
        let taken = |held: HandOver| {
            let same = held.stage == Stage::Exported && held.root == instance;
            if same { Ok(held) } else { Err(conflict(&held)) }
        };
        if let Some(held) = store.handover(id).await? {
            return taken(held);
        }
        let Some(root) = store.root_of(instance).await? else {
            // Another driver's export may have come between the two looks.
            let missing = || {
                Error::NotFound(format!(
                    "Process instance with id {instance} does not exist"
                ))
            };
            return taken(store.handover(id).await?.ok_or_else(missing)?);
        };
        if root != instance {
            return Err(Error::Busy(format!(
                "instance {instance} was called; hand over its root {root}"
            )));
        }
        let here = store.home_generation(instance).await?;
        if let Some(generation) = generation.filter(|told| *told < here) {
            return Err(Error::Busy(format!(
                "instance {instance} has lived here since generation {here} of its home; it does not leave for {generation}"
            )));
        }
        let (at, now) = (generation.unwrap_or(here), self.inner.clock.now());
        store.export(id, instance, at, now).await?;
        self.held(id).await
    }

    async fn receive(&self, seal: &str, bundle: &Bundle) -> Result<HandOver, Error> {
        let store = &self.inner.store;
        if !bundle.readable() || bundle.seal() != seal {
            return Err(Error::Bad(
                "the bundle is not what its seal says, or of a form that is not understood"
                    .to_owned(),
            ));
        }
        let kept = |held: HandOver| {
            let same = held.seal == seal && matches!(held.stage, Stage::Staged | Stage::Active);
            if same { Ok(held) } else { Err(conflict(&held)) }
        };
        if let Some(held) = store.handover(&bundle.handover).await? {
            return kept(held);
        }
        if store.root_of(&bundle.root).await?.is_some() {
            // By this very hand-over, if another driver was faster between the two looks.
            let here = || Error::Busy(format!("instance {} lives here already", bundle.root));
            return kept(store.handover(&bundle.handover).await?.ok_or_else(here)?);
        }
        store.models_here(bundle).await?;
        store.stage(bundle, self.inner.clock.now()).await?;
        self.held(&bundle.handover).await
    }

    async fn awake(&self, id: &str, generation: i64) -> Result<HandOver, Error> {
        let held = self.held(id).await?;
        match held.stage {
            Stage::Active => Ok(held),
            Stage::Staged => self.revive(&held, generation).await,
            Stage::Exported | Stage::Moved => Err(conflict(&held)),
        }
    }

    async fn bury(&self, id: &str, site: &str, generation: i64) -> Result<HandOver, Error> {
        let held = self.held(id).await?;
        match held.stage {
            Stage::Moved => Ok(held),
            Stage::Exported => {
                self.inner.store.entomb(id, site, generation).await?;
                self.held(id).await
            }
            Stage::Staged | Stage::Active => Err(conflict(&held)),
        }
    }

    async fn undo(&self, id: &str) -> Result<Option<HandOver>, Error> {
        let Some(held) = self.inner.store.handover(id).await? else {
            return Ok(None);
        };
        match held.stage {
            Stage::Exported => {
                let generation = held.generation;
                self.revive(&held, generation).await.map(Some)
            }
            Stage::Staged => {
                self.inner.store.drop_staged(id).await?;
                Ok(None)
            }
            Stage::Active | Stage::Moved => Err(conflict(&held)),
        }
    }

    /// A hand-over that is there.
    pub async fn held(&self, id: &str) -> Result<HandOver, Error> {
        let held = self.inner.store.handover(id).await?;
        held.ok_or_else(|| Error::NotFound(format!("No hand-over with id '{id}'")))
    }

    async fn revive(&self, held: &HandOver, generation: i64) -> Result<HandOver, Error> {
        let now = self.inner.clock.now();
        self.inner.store.activate(held, generation, now).await?;
        self.inner.bells.ring(Bell::Work);
        self.inner.bells.ring(Bell::Jobs);
        self.held(&held.id).await
    }
}

/// A step, again when another transaction was in its way: two calls for the same step both see it done.
async fn again<T, Fut>(step: impl Fn() -> Fut) -> Result<T, Error>
where
    Fut: Future<Output = Result<T, Error>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match step().await {
            Err(Error::Store(failure)) if failure.lost_race() && tries < TRIES => {}
            done => return done,
        }
    }
}

fn conflict(held: &HandOver) -> Error {
    let stage = match held.stage {
        Stage::Exported => "exported",
        Stage::Staged => "staged",
        Stage::Active => "active",
        Stage::Moved => "moved",
    };
    Error::Busy(format!(
        "hand-over '{}' of instance {} is {stage} here",
        held.id, held.root
    ))
}
