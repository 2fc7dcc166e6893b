//! The router's name is its own: another living router of that name would overwrite what this one acknowledges, and a
//! switch would not wait for both.
//!
//! Owns the lease `router/NAME`, held in the name of the router's journal, and the mark in the journal's folder that tells
//! journals apart. Relies on the journal's lock: of two processes with one journal the earlier one is dead or handing over.

use crate::clock;
use homing_config::Config;
use homing_mapping_store::Handle;
use homing_mapping_store::store::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// The mark's file, beside the journal's segments.
const MARK: &str = "mark";
/// What the lease of a router's name is called: this and the name.
const ROUTER: &str = "router/";

/// The hold on the name.
#[derive(Default)]
pub(super) struct Name(Mutex<Held>);

#[derive(Default)]
struct Held {
    mark: Option<String>,
    /// On the own monotonic clock, in milliseconds, before the store was asked.
    asked: Option<u64>,
}

impl Name {
    /// What tells this router's journal from any other, once the name was asked for.
    pub(super) fn mark(&self) -> Option<String> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.mark.clone()
    }

    /// Takes the name, or goes on having it; the store is asked when a third of the lease is over.
    pub(super) async fn keep(&self, store: &Handle, config: &Config) -> Result<(), Error> {
        let ttl = u64::try_from(config.lease.router.as_millis()).unwrap_or(u64::MAX);
        let now = clock::monotonic_ms();
        let mark = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if held
                .asked
                .is_some_and(|asked| now < asked.saturating_add(ttl / 3))
            {
                return Ok(());
            }
            match &held.mark {
                Some(mark) => mark.clone(),
                None => {
                    let mark =
                        mark(&config.store.journal).map_err(|source| Error::Unavailable {
                            doing: "read the mark of the journal",
                            source: Box::new(source),
                        })?;
                    held.mark.insert(mark).clone()
                }
            }
        };
        let name = &config.router.name;
        let given = store.lease(&format!("{ROUTER}{name}"), &mark, ttl).await?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.asked = given.as_ref().map(|_| now);
        given.map(drop).ok_or_else(|| {
            Error::Busy(format!(
                "another router called `{name}` is alive, with a journal of its own: give each router its own `router.name` \
                 (one that was killed, or moved here without its journal, is forgotten after `lease.router`)"
            ))
        })
    }
}

/// Tells this journal from any other; made once.
fn mark(folder: &Path) -> io::Result<String> {
    let path = folder.join(MARK);
    match fs::read_to_string(&path) {
        Ok(mark) if !mark.trim().is_empty() => return Ok(mark.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mark = Uuid::new_v4().to_string();
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    writeln!(file, "{mark}")?;
    file.sync_all()?;
    fs::rename(&next, &path)?;
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_config::{Inputs, Purpose, load};
    use tempfile::TempDir;

    fn config(folder: &TempDir, lease: &str) -> Config {
        let text = format!(
            "[router]\nname = \"r1\"\n[store]\njournal = \"{}\"\n[lease]\nrouter = \"{lease}\"\nrenew_every = \"10ms\"\n\
             [[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [\"http://127.0.0.1:9/engine-rest\"]\n",
            folder.path().display()
        );
        let loaded = load(&Inputs::text("homing.toml", text), Purpose::Serve);
        loaded.unwrap_or_else(|report| panic!("{report}")).config
    }

    #[tokio::test]
    async fn one_name_is_of_one_journal_while_it_lives() {
        let (here, there, file) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let url = format!("sqlite:{}/store.db", file.path().display());
        let store = homing_mapping_store::open(&url).await.unwrap();
        let (mine, theirs) = (config(&here, "30s"), config(&there, "30s"));
        Name::default().keep(&store, &mine).await.unwrap();
        let error = Name::default().keep(&store, &theirs).await.unwrap_err();
        assert!(
            error.to_string().contains("another router called `r1`"),
            "{error}"
        );
        // The next process of the same journal: the one before it is dead, or hands over.
        Name::default().keep(&store, &mine).await.unwrap();
        let soon = config(&here, "50ms");
        Name::default().keep(&store, &soon).await.unwrap();
        while Name::default().keep(&store, &theirs).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(Name::default().keep(&store, &mine).await.is_err());
    }
}
