//! Instances that a copy holds although they have moved to another site since it was taken.
//!
//! Owns their burial: the copy is left as if it had handed them over. Must not judge where they live: it is told.

use crate::clock::Millis;
use crate::store::{Failure, Store};

/// An instance that lives elsewhere, as the mappings say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// Its id.
    pub instance: String,
    /// The site where it lives.
    pub site: String,
    /// At which generation of its home.
    pub generation: i64,
}

/// Buries those of them that the copy still holds; gives their number.
pub(super) async fn bury(store: &Store, moved: &[Moved], now: Millis) -> Result<u64, Failure> {
    let mut buried = 0;
    for gone in moved {
        // A called instance goes with the one that called it.
        let root = store.root_of(&gone.instance).await?;
        if root.as_deref() != Some(gone.instance.as_str()) {
            continue;
        }
        // It came here later than that was said.
        if store.home_generation(&gone.instance).await? >= gone.generation.max(1) {
            continue;
        }
        let id = format!("restored-{now}-{}", gone.instance);
        store
            .export(&id, &gone.instance, gone.generation, now)
            .await?;
        store.entomb(&id, &gone.site, gone.generation).await?;
        buried += 1;
    }
    Ok(buried)
}
