//! When each step of the failover was seen, counted from the kill.
//!
//! Owns asking the router for its operations. Must not begin one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use homing_harness::{
    clock::{Stopwatch, eventually},
    router::Router,
};

/// The steps in their order, with the words for the time that ends when each begins.
pub(crate) const STEPS: [(&str, &str); 7] = [
    ("begin", "detection"),
    ("fence", "out of service"),
    ("promote", "fence proven"),
    ("start", "replica promoted"),
    ("prove", "engine on"),
    ("open", "a write proven"),
    ("done", "flip"),
];

/// What was seen.
pub(crate) struct Timeline {
    /// Who acted.
    pub(crate) actor: String,
    /// The operation.
    pub(crate) operation: String,
    /// When each step had been reached; one that was over between two looks has the time of the next.
    pub(crate) reached: Vec<(&'static str, Duration)>,
    /// What the operation itself tells.
    pub(crate) events: Vec<String>,
}

impl Timeline {
    /// Watches until the operation has ended.
    pub(crate) async fn of(router: &Router, since: Stopwatch, patience: Duration) -> Result<Self> {
        let admin = router.admin();
        let seen = Mutex::new(Vec::new());
        let operation = eventually("the site fails over by itself", patience, async || {
            let list = admin.get("/v1/operations").await?.expect(200)?.json()?;
            let Some(newest) = list["items"].get(0).cloned() else {
                return Ok(None);
            };
            let step = newest["moves"][0]["step"].as_str().context("no step")?;
            let at = STEPS.iter().position(|(name, _)| *name == step);
            {
                let mut reached = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let steps = STEPS.iter().take(at.map_or(0, |at| at + 1));
                for (name, _) in steps.skip(reached.len()) {
                    reached.push((*name, since.elapsed()));
                }
            }
            let ended = !newest["ended_at"].is_null();
            Ok(ended.then_some(newest))
        })
        .await?;
        ensure!(
            operation["state"] == "done",
            "it did not end well: {operation}"
        );
        let word = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
        let path = format!("/v1/operations/{}/events", word("operation"));
        let events = admin.get(&path).await?.expect(200)?.json()?;
        let line = |event: &serde_json::Value| {
            let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            format!("{}  {}  {}", word("at"), word("what"), word("detail"))
        };
        Ok(Self {
            actor: word("actor"),
            operation: word("operation"),
            reached: seen.into_inner().unwrap_or_else(PoisonError::into_inner),
            events: events["items"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .map(line)
                .collect(),
        })
    }
}
