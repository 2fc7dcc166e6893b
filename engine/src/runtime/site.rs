//! The site and this engine's place in it: looked at again and again, changed when an agent or operator says so.
//!
//! Owns what this engine believes of the site right now. Judges with `cluster::standing` and does as it says.

use super::Handle;
use crate::clock::monotonic;
use crate::cluster::bells::Bell;
use crate::cluster::standing::{Own, Past, Standing, standing};
use crate::store::{Executor, Failure, Member, Seen, Site, SiteChange, Statement};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// What this engine is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its name, under which the database remembers it.
    pub name: String,
    /// The installation that it belongs to.
    pub installation: Option<String>,
}

/// What this engine believes of its site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// The site's row.
    pub site: Site,
    /// What is kept of this engine.
    pub member: Option<Member>,
    /// May it serve?
    pub standing: Standing,
}

/// The parts of a running engine that concern its site.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) identity: Identity,
    /// `None` until the first look.
    pub(crate) view: watch::Sender<Option<View>>,
    /// This process's own switch.
    pub(crate) local: watch::Sender<Executor>,
    past: Mutex<Past>,
    /// One look at a time: what was read earlier must not be believed later.
    looking: tokio::sync::Mutex<()>,
    /// Looks that were begun.
    looks: AtomicU64,
}

impl Place {
    pub(crate) fn new(identity: Identity, local: Executor) -> Place {
        Place {
            identity,
            view: watch::channel(None).0,
            local: watch::channel(local).0,
            past: Mutex::new(Past::Started),
            looking: tokio::sync::Mutex::default(),
            looks: AtomicU64::new(0),
        }
    }

    fn past(&self) -> Past {
        *self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May jobs be claimed? Everyone who has a say must agree.
    pub(crate) fn executor(&self) -> Executor {
        let view = self.view.borrow();
        let agreed = view.as_ref().is_some_and(|view| {
            view.standing == Standing::Serving
                && view.site.executor == Executor::Enabled
                && view
                    .member
                    .as_ref()
                    .is_none_or(|m| m.executor == Executor::Enabled)
        });
        if agreed {
            *self.local.borrow()
        } else {
            Executor::Disabled
        }
    }
}

impl Handle {
    /// What this engine believes of its site.
    pub fn view(&self) -> Option<View> {
        self.inner.place.view.borrow().clone()
    }

    /// What this engine is.
    pub fn identity(&self) -> &Identity {
        &self.inner.place.identity
    }

    /// Do jobs and timers run here?
    pub fn executor(&self) -> Executor {
        self.inner.place.executor()
    }

    /// Looks at the site and takes the place that it gives this engine.
    pub(crate) async fn look(&self) -> Result<View, Failure> {
        let _alone = self.inner.place.looking.lock().await;
        self.look_alone().await
    }

    /// What a look shows that was begun after this was called; those who ask at the same time share one.
    pub(crate) async fn look_anew(&self) -> Result<View, Failure> {
        let place = &self.inner.place;
        let begun = place.looks.load(Ordering::SeqCst);
        let _alone = place.looking.lock().await;
        match self.view() {
            Some(view) if place.looks.load(Ordering::SeqCst) > begun => Ok(view),
            Some(_) | None => self.look_alone().await,
        }
    }

    /// Whether a transaction that was refused for its generation may be tried anew, from the first row that it reads: this engine
    /// serves the site at the generation that it has by now.
    pub(crate) async fn serves_by_now(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::Fenced { .. })
            && matches!(self.look_anew().await, Ok(view) if view.standing == Standing::Serving)
    }

    /// Relies on nobody else looking meanwhile.
    async fn look_alone(&self) -> Result<View, Failure> {
        let (store, place) = (&self.inner.store, &self.inner.place);
        let identity = &place.identity;
        place.looks.fetch_add(1, Ordering::SeqCst);
        let asked = monotonic();
        let Seen {
            site,
            member,
            time,
            cache_epoch,
        } = store.seen_by(&identity.name).await?;
        // A restored database may never have reached an epoch that this engine has seen.
        let epoch = format!("{} {cache_epoch}", site.restored);
        self.inner.definitions.at_epoch(epoch);
        if let Some(time) = time {
            self.inner.clock.follow(time, asked);
        }
        let own = Own {
            installation: identity.installation.as_deref(),
            told: member.as_ref().map(|m| m.generation),
            past: place.past(),
        };
        let standing = standing(&site, own);
        let new = member.is_none();
        let view = View {
            site,
            member,
            standing,
        };
        if view.standing == Standing::Serving {
            store.known.set(Some(view.site.mark()));
            if new {
                let sql = "INSERT INTO member (name, generation, executor) VALUES (?, ?, 'enabled') ON CONFLICT (name) DO NOTHING";
                let cells = vec![(&identity.name).into(), view.site.generation.into()];
                store.apply(vec![Statement::new(sql, cells)]).await?;
            }
            *place.past.lock().unwrap_or_else(PoisonError::into_inner) = Past::Served;
        } else {
            store.known.set(None);
        }
        place.view.send_if_modified(|known| {
            let changed = known.as_ref() != Some(&view);
            if changed {
                tell(known.as_ref(), &view);
                *known = Some(view.clone());
            }
            changed
        });
        Ok(view)
    }

    /// Changes the site on an agent's or operator's word, and looks again.
    pub async fn change_site(&self, mut change: SiteChange) -> Result<View, Failure> {
        let place = &self.inner.place;
        let quarantined = self
            .view()
            .is_some_and(|view| matches!(view.standing, Standing::Quarantined(_)));
        let released = change.quarantine == Some(None);
        // Whoever is in quarantine is let out by a word of its own, not by the news of a generation.
        let theirs = change.holder.is_some() && change.holder != place.identity.installation;
        if change.generation.is_some() && !theirs && (released || !quarantined) {
            change.told = Some(place.identity.name.clone());
        }
        self.inner.store.change_site(&change).await?;
        let view = self.look().await?;
        self.inner.bells.ring(Bell::Jobs);
        Ok(view)
    }
}

fn tell(before: Option<&View>, now: &View) {
    if before.map(|view| &view.standing) == Some(&now.standing) {
        return;
    }
    let generation = now.site.generation;
    match &now.standing {
        Standing::Serving => tracing::info!(generation, "this engine serves the site"),
        Standing::Fenced(why) => tracing::warn!(generation, why, "this engine is fenced"),
        Standing::Quarantined(why) => {
            tracing::warn!(generation, why, "this engine is in quarantine");
        }
    }
}
