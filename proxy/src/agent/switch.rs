//! The fence of mode `engine`: the site's row in the database of Homing's own engines says who serves, and every transaction
//! of every engine is checked against it, whatever has become of the engine's process.
//!
//! Owns what is written there on behalf of this installation. Must not decide when; must not release what a person or a
//! restore has put into quarantine. Relies on the engines of this installation being told its name.

use homing_engine::store::{Failure, Site, SiteChange, Store};
use homing_mapping_store::Generation;
use std::time::Duration;
use tokio::sync::Mutex;

/// The whole of a fence or of lifting it. The database gives transactions that are open two seconds to end.
const WITHIN: Duration = Duration::from_secs(3);
/// Looks at a row that others change at the same time.
const LOOKS: usize = 5;
/// How a quarantine begins that an agent has imposed, and may release.
const OURS: &str = "fenced by the agent of installation ";

/// Why the row is not as wanted, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or is away.
    #[error("the database of the engine does not do it")]
    Database(#[source] Failure),
    /// It took too long.
    #[error("the database of the engine did not do it within {WITHIN:?}")]
    Slow,
    /// A later switch has been here.
    #[error(
        "the database of the engine is at generation {site} of the site already, served by {holder:?}; this is {own}"
    )]
    Ahead {
        site: i64,
        own: i64,
        holder: Option<String>,
    },
    /// It is not an agent's to release.
    #[error(
        "the site is in quarantine: {0}; look at it, then release it (`PUT /homing/site` at its engine)"
    )]
    Quarantine(String),
    /// The database is a replica.
    #[error("the database of the engine is a replica, so nobody serves there until it is promoted")]
    Replica,
    /// Others change the row all the time.
    #[error("the site's row was changed by others again and again")]
    Raced,
    /// The store gives out generations that the engine cannot hold.
    #[error("generation {0} is more than the engine's database can hold")]
    Huge(u64),
}

/// The switch of one installation.
#[derive(Debug)]
pub struct Switch {
    url: String,
    installation: String,
    /// Opened when it is first needed.
    store: Mutex<Option<Store>>,
}

/// What is to be done about the row, seen as it is.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Nothing: this is the proof.
    Done(String),
    Change(SiteChange),
}

impl Switch {
    /// A switch; nothing is connected yet.
    pub fn new(url: &str, installation: &str) -> Switch {
        Switch {
            url: url.to_owned(),
            installation: installation.to_owned(),
            store: Mutex::default(),
        }
    }

    /// Names this installation as the one that serves the generation. Whoever served an earlier one commits nothing more.
    pub async fn open(&self, at: Generation) -> Result<String, Error> {
        let own = i64::try_from(at.0).map_err(|_| Error::Huge(at.0))?;
        self.within(|site, replica| {
            if replica {
                return Err(Error::Replica);
            }
            self.to_open(own, site)
        })
        .await
    }

    /// Sees to it that no engine of this installation can commit.
    pub async fn shut(&self) -> Result<String, Error> {
        self.within(|site, replica| {
            Ok(match replica {
                true => Next::Done("the database is a replica, which takes no writes".into()),
                false => self.to_shut(site),
            })
        })
        .await
    }

    fn to_open(&self, own: i64, site: &Site) -> Result<Next, Error> {
        let other = site.holder.as_ref().filter(|it| **it != self.installation);
        if site.generation > own || site.generation == own && other.is_some() {
            return Err(Error::Ahead {
                site: site.generation,
                own,
                holder: site.holder.clone(),
            });
        }
        if let Some(why) = site.quarantine.as_ref().filter(|it| !it.starts_with(OURS)) {
            return Err(Error::Quarantine(why.clone()));
        }
        let named = site.generation == own && site.holder.is_some();
        if named && site.quarantine.is_none() {
            let proof = format!(
                "generation {own} of the site is served by {}",
                self.installation
            );
            return Ok(Next::Done(proof));
        }
        Ok(Next::Change(SiteChange {
            generation: Some(own),
            holder: Some(self.installation.clone()),
            quarantine: Some(None),
            seen_quarantine: Some(site.quarantine.clone()),
            ..SiteChange::default()
        }))
    }

    fn to_shut(&self, site: &Site) -> Next {
        let at = site.generation;
        if let Some(why) = &site.quarantine {
            return Next::Done(format!(
                "nobody serves the site, which is in quarantine: {why}"
            ));
        }
        match &site.holder {
            Some(holder) if *holder != self.installation => {
                Next::Done(format!("generation {at} of the site is served by {holder}"))
            }
            // The generation is said again, so that a later one refuses this.
            Some(_) | None => Next::Change(SiteChange {
                generation: Some(at),
                quarantine: Some(Some(format!("{OURS}{}", self.installation))),
                seen_quarantine: Some(None),
                ..SiteChange::default()
            }),
        }
    }

    /// Looks and changes until there is nothing to change: the last look is the proof.
    async fn within(
        &self,
        next: impl Fn(&Site, bool) -> Result<Next, Error>,
    ) -> Result<String, Error> {
        let work = async {
            let mut held = self.store.lock().await;
            let store = match held.as_ref() {
                Some(store) => store,
                None => held.insert(Store::attach(&self.url).await.map_err(Error::Database)?),
            };
            for _ in 0..LOOKS {
                let replica = !store.takes_writes().await.map_err(Error::Database)?;
                let site = store.site().await.map_err(Error::Database)?;
                match next(&site, replica)? {
                    Next::Done(proof) => return Ok(proof),
                    Next::Change(change) => match store.change_site(&change).await {
                        Ok(()) | Err(Failure::Conflict) => {}
                        Err(failure) => return Err(Error::Database(failure)),
                    },
                }
            }
            Err(Error::Raced)
        };
        tokio::time::timeout(WITHIN, work)
            .await
            .unwrap_or(Err(Error::Slow))
    }
}

#[cfg(test)]
mod tests;
