//! Whether the registry knows the installation beside which the agent stands: a misspelt name would be closed for ever, and
//! nobody would say why.
//!
//! Owns that one warning. Must not decide anything.

use super::keeper::Identity;
use crate::clock::{self, Moment};
use homing_mapping_store::Handle;
use homing_mapping_store::store::Error;
use std::time::Duration;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// When it was looked for last.
#[derive(Debug, Default)]
pub struct Place(Option<Moment>);

impl Place {
    /// Looks now and then, and says what is missing.
    pub async fn look(&mut self, store: &Handle, me: &Identity) -> Result<(), Error> {
        let now = clock::moment();
        if self.0.is_some_and(|last| now.since(last) < LOOK_EVERY) {
            return Ok(());
        }
        let (_, records) = store.registry().await?;
        let Some(record) = records.iter().find(|record| record.site == me.site) else {
            return Ok(());
        };
        let mut names = record.installations.iter().map(|one| one.name.as_str());
        if !names.clone().any(|name| name == me.installation) {
            let known: Vec<&str> = names.by_ref().collect();
            tracing::warn!(
                site = me.site.name(),
                installation = me.installation,
                known = known.join(", "),
                "no router knows this installation, so it will never serve: mend `agent.installation`, or name it in the \
                 routers' configuration"
            );
        }
        self.0 = Some(now);
        Ok(())
    }
}
